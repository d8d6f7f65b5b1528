"""Suites and game days by schedule: cron as it is meant, CronJobs as those of `k8s/`, calendars that a reader of its
own reads as the same times, and a team that hears of
what could not begin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from chaosrunner.app.gameday_telling import tell_the_time
from chaosrunner.app.not_starting import tell_not_started
from chaosrunner.app.scheduling import Planned, Wishes, day_schedule, suite_schedule
from chaosrunner.app.suites import SuiteReport
from chaosrunner.clock import SystemClock
from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.model.cron import parse_cron
from chaosrunner.model.gameday_log import Checked
from chaosrunner.model.suite_result import ItemResult, SuiteResult
from chaosrunner.model.words import Answer
from chaosrunner.reports.calendar import folded, rule
from chaosrunner.stages.cronjobs import as_yaml
from chaosrunner.stages.gameday_file import load_game_day
from chaosrunner.stages.suite import LoadedSuite, load_suite
from tests.gamedays.test_file import ENVIRONMENT as DAY_ENVIRONMENT
from tests.gamedays.test_file import EXPERIMENT, GOOD
from tests.gates.pipelines import ENVIRONMENT, command, experiment, suite
from tests.near_misses.world import SetClock
from tests.news.receivers import RECEIVERS

K8S = Path(__file__).parents[2] / "k8s" / "scheduled"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")
CLUSTER = "platform: {kubernetes: {namespaces: [shop], services: {nobody: {workload: deployment/nobody}}}}"
TEN = Wishes(at="0 10 * * 1-5", zone="Europe/Berlin")


# ---------------------------------------------------------- cron


def coming(text: str, zone: str = "UTC", after: float = NOW, many: int = 3) -> list[str]:
    found = islice(parse_cron(text).after(after, ZoneInfo(zone)), many)
    return [f"{datetime.fromtimestamp(at, UTC):%a %d.%m.%y %H:%M}" for at in found]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0 10 * * 1-5", ["Mon 23.11.26 10:00", "Tue 24.11.26 10:00", "Wed 25.11.26 10:00"]),
        ("*/40 13 * * *", ["Sun 22.11.26 13:00", "Sun 22.11.26 13:40", "Mon 23.11.26 13:00"]),
        ("0 12 * * sun", ["Sun 29.11.26 12:00", "Sun 06.12.26 12:00", "Sun 13.12.26 12:00"]),
        ("0 0 13 * 5", ["Fri 27.11.26 00:00", "Fri 04.12.26 00:00", "Fri 11.12.26 00:00"]),
        ("0 0 29 feb *", ["Tue 29.02.28 00:00", "Sun 29.02.32 00:00", "Fri 29.02.36 00:00"]),
        ("5 4 1 */6 7,mon", ["Mon 04.01.27 04:05", "Sun 03.01.27 04:05", "Fri 01.01.27 04:05"][::-1]),
    ],
)
def test_cron_means_what_it_means_to_kubernetes(text: str, times: list[str]) -> None:
    assert coming(text) == times


def test_an_hour_that_summer_time_leaves_out_does_not_come_and_one_that_comes_twice_counts_once() -> None:
    spring, autumn = (datetime(2026, month, day, tzinfo=UTC).timestamp() for month, day in ((3, 28), (10, 24)))
    assert coming("30 2 * * *", "Europe/Berlin", spring, 2) == ["Sat 28.03.26 01:30", "Mon 30.03.26 00:30"]
    assert coming("30 2 * * *", "Europe/Berlin", autumn, 3)[1:] == ["Sun 25.10.26 00:30", "Mon 26.10.26 01:30"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 10 * *", "five fields"),
        ("61 10 * * *", "the minute is '61', expected 0 to 59"),
        ("0 10 * * mo", "the day of the week is 'mo'"),
        ("0 10 5-3 * *", "a range that goes up"),
        ("0 10 */0 * *", "a step of at least 1"),
        ("0 10 30 2 *", "never comes"),
    ],
)
def test_what_is_no_schedule_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_cron(text)


# ---------------------------------------------------------- manifests


def loaded(folder: Path, environment: str = ENVIRONMENT, more: str = "") -> LoadedSuite:
    (folder / "experiments").mkdir()
    (folder / "experiments" / "quick.yaml").write_text(environment)
    (folder / "experiments" / "one.yaml").write_text(experiment("one"))
    (folder / "release.yaml").write_text(suite("experiments/one.yaml", more=more))
    return load_suite("release", None, folder)


def in_a_cluster(**spec: Any) -> str:
    return ENVIRONMENT.replace(ENVIRONMENT.splitlines()[-1].strip(), CLUSTER) + "".join(
        f"  {name}: {json.dumps(value)}\n" for name, value in spec.items()
    )


def planned(folder: Path, wishes: Wishes = TEN, **environment: Any) -> Planned:
    return suite_schedule(loaded(folder, in_a_cluster(**environment)), wishes, folder, NOW)


def test_the_cron_job_is_that_of_k8s_with_its_own_files(tmp_path: Path) -> None:
    files, cron = planned(tmp_path).manifests()
    (ours,) = yaml.safe_load_all((K8S / "cronjob.yaml").read_text())
    job, example = (each["spec"]["jobTemplate"]["spec"] for each in (cron, ours))  # type: ignore[index]
    for name in ("schedule", "timeZone", "concurrencyPolicy", "startingDeadlineSeconds", "failedJobsHistoryLimit"):
        assert cron["spec"][name] == ours["spec"][name]  # type: ignore[index]
    assert {**example, "template": None, "activeDeadlineSeconds": None} == {
        **job,
        "template": None,
        "activeDeadlineSeconds": None,
    }
    pod, usual = job["template"]["spec"], example["template"]["spec"]
    for part in (pod, usual):
        part.pop("volumes")
    (container,), (its) = pod.pop("containers"), usual.pop("containers")[0]
    assert pod == usual and job["template"]["metadata"] == example["template"]["metadata"]
    for name in ("image", "command", "resources", "securityContext"):
        assert container[name] == its[name]
    assert container["args"] == ["--state", "/state", "suite", "run", "--scheduled", "release.yaml"]
    assert sorted(files["data"]) == ["experiments_2f_one.yaml", "experiments_2f_quick.yaml", "release.yaml"]  # type: ignore[arg-type]


def test_its_files_lie_where_they_lay_and_read_the_same(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = planned(tmp_path)
    files, cron = yaml.safe_load_all(made.yaml())
    assert [files, cron] == made.manifests()
    volume = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"][0]["configMap"]
    there = tmp_path_factory.mktemp("there")
    for item in volume["items"]:
        (there / item["path"]).parent.mkdir(parents=True, exist_ok=True)
        (there / item["path"]).write_text(files["data"][item["key"]])
    assert [item.experiment for item in load_suite("release.yaml", None, there).items] == ["one"]


@pytest.mark.parametrize(
    "text", ["a\n", "a\nb\n", " a\nb\n", "a\n\nb\n\n", "a \nb\n", "a\tb\nc\n", "ü: |\n  x\n", "", "x"]
)
def test_any_text_comes_back(text: str) -> None:
    document: dict[str, Any] = {"data": {"a: b": text}, "list": [{"x": [], "y": {}}, [1], text]}
    assert list(yaml.safe_load_all(as_yaml([{**document, "list": [{"x": [], "y": {}}, text]}]))) == [
        {**document, "list": [{"x": [], "y": {}}, text]}
    ]


def test_secrets_are_asked_of_the_cluster_and_never_written(tmp_path: Path) -> None:
    made = planned(tmp_path, prometheus={"url": "https://p.example", "bearerToken": {"env": "PROM_TOKEN"}})
    cron = made.manifests()[1]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    told = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in container["env"]}
    assert told["PROM_TOKEN"] == {"name": "chaosrunner", "key": "PROM_TOKEN"}
    assert told["CHAOSRUNNER_REGISTER"]["optional"] is True


def test_what_would_keep_it_from_running_is_said_beforehand(tmp_path: Path) -> None:
    made = planned(tmp_path, guards={"windows": ["Mon-Thu 09:00-16:00 Europe/Berlin"], "production": True})
    said = "\n".join(made.warnings)
    assert "6 of the next 30 times, first 2026-11-27T09:00:00.000Z," in said
    assert "quick is production" in said and "--claim" in said


def test_a_time_that_no_window_ever_allows_is_said(tmp_path: Path) -> None:
    made = planned(tmp_path, guards={"windows": ["Sat 09:00-16:00"]})
    assert any(words.startswith("every time lies outside of the windows") for words in made.warnings)


def test_a_pod_cannot_reach_this_machine(tmp_path: Path) -> None:
    made = suite_schedule(loaded(tmp_path), TEN, tmp_path, NOW)
    with pytest.raises(UsageError, match="quick is local: a pod of a cluster cannot run on it"):
        made.manifests()
    assert "BEGIN:VEVENT" in made.calendar(NOW)


def test_the_file_may_say_when_and_a_mistake_has_its_place(tmp_path: Path) -> None:
    said = "  schedule: 0 22 * * 0\n  timeZone: America/New_York\n"
    made = suite_schedule(loaded(tmp_path, more=said), Wishes(), tmp_path, NOW)
    assert made.coming[0] == datetime(2026, 11, 23, 3, 0, tzinfo=UTC).timestamp()
    (tmp_path / "release.yaml").write_text(suite("experiments/one.yaml", more="  schedule: 0 25 * * *\n"))
    with pytest.raises(FileProblems, match=r"release.yaml:8:13: .*the hour is '25'"):
        load_suite("release", None, tmp_path)


def test_nothing_that_says_when_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing says when release runs"):
        suite_schedule(loaded(tmp_path), Wishes(), tmp_path, NOW)


# ---------------------------------------------------------- calendars


def unfolded(text: str) -> list[tuple[str, str]]:
    """Lines of a calendar, as RFC 5545 section 3.1 reads them."""
    assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    return [
        (name, value)
        for name, _, value in (line.partition(":") for line in re.sub("\r\n[ \t]", "", text).split("\r\n")[:-1])
    ]


def local(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=None)  # noqa: DTZ007  a local time


class Read:
    """One event, with the zone that its file describes, and nothing but that."""

    def __init__(self, text: str) -> None:
        self.event: dict[str, str] = {}
        self.changes: list[tuple[datetime, timedelta]] = []
        part: dict[str, str] = {}
        for name, value in unfolded(text):
            if name == "BEGIN":
                part = {}
            elif name == "END" and value in ("STANDARD", "DAYLIGHT"):
                onsets = [part["DTSTART"], *filter(None, part.get("RDATE", "").split(","))]
                self.changes += [(local(onset), self._offset(part)) for onset in onsets]
            elif name == "END" and value == "VEVENT":
                self.event = part
            else:
                part[name.partition(";")[0]] = value

    def _offset(self, part: dict[str, str]) -> timedelta:
        text = part["TZOFFSETTO"]
        return int(f"{text[0]}1") * timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))

    def times(self, days: int) -> Iterator[float]:
        """By its rule, for so many days."""
        rules = dict(pair.split("=") for pair in self.event["RRULE"].split(";"))
        start = local(self.event["DTSTART"].rstrip("Z"))
        hours, minutes = (sorted(map(int, rules[name].split(","))) for name in ("BYHOUR", "BYMINUTE"))
        for day in (start.date() + timedelta(days=number) for number in range(days)):
            fits = [
                "BYDAY" not in rules or f"{day:%a}"[:2].upper() in rules["BYDAY"].split(","),
                "BYMONTHDAY" not in rules or str(day.day) in rules["BYMONTHDAY"].split(","),
                "BYMONTH" not in rules or str(day.month) in rules["BYMONTH"].split(","),
            ]
            for hour, minute in ((hour, minute) for hour in hours for minute in minutes if all(fits)):
                moment = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  a local time
                if moment >= start:
                    yield self._epoch(moment)

    def _epoch(self, moment: datetime) -> float:
        offset = max((change for change in self.changes if change[0] <= moment), default=(moment, timedelta()))[1]
        return (moment - offset).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("text", ["0 10 * * 1-5", "15,45 8-10 1,15 * *", "0 12 * */3 *", "30 9 * 6 mon"])
def test_a_calendar_has_the_times_that_the_cron_job_has(text: str, zone: str, tmp_path: Path) -> None:
    made = suite_schedule(loaded(tmp_path), Wishes(at=text, zone=zone), tmp_path, NOW)
    read = list(Read(made.calendar(NOW)).times(400))
    assert read == list(islice(parse_cron(text).after(NOW, ZoneInfo(zone)), len(read))) and len(read) > 3


def test_its_uid_stays_when_its_time_changes(tmp_path: Path) -> None:
    suites = loaded(tmp_path)
    made = [suite_schedule(suites, Wishes(at=at), tmp_path, NOW) for at in ("0 10 * * 1", "0 11 * * 2")]
    uids = {Read(each.calendar(now)).event["UID"] for each, now in zip(made, (NOW, NOW + 9), strict=True)}
    assert len(uids) == 1


def test_either_of_two_days_is_no_rule_of_a_calendar() -> None:
    with pytest.raises(ValueError, match="a calendar can have one"):
        rule(parse_cron("0 10 13 * 5"))


def test_no_letter_is_cut_where_a_line_is_folded() -> None:
    line = "SUMMARY:" + "äöü€𝄞" * 40
    assert "".join(folded(line)).replace("\r\n ", "").replace(" ", "") == line
    assert all(len(piece.encode()) <= 75 for piece in folded(line))


def test_a_game_day_on_a_date_comes_once(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(DAY_ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    (tmp_path / "day.yaml").write_text(GOOD)
    day = load_game_day("bad-day", tmp_path)
    spec = day.day.spec.model_copy(update={"date": "2027-07-01T10:00", "schedule": None, "time_zone": "Europe/Berlin"})
    dated = day.__class__(
        **{name: getattr(day, name) for name in day.__slots__} | {"day": day.day.model_copy(update={"spec": spec})}
    )
    made = day_schedule(dated, Wishes(), tmp_path, NOW)
    assert Read(made.calendar(NOW)).event["DTSTART"] == "20270701T080000Z" and "RRULE" not in made.calendar(NOW)
    assert made.scheduled.schedule == "0 10 1 7 *" and "a CronJob knows no year" in made.warnings[-1]
    assert list(made.scheduled.command)[:3] == ["gameday", "plan", "--tell"]
    with pytest.raises(UsageError, match="was on 2027-07-01T10:00"):
        day_schedule(dated, Wishes(), tmp_path, made.coming[0] + 1)


# ---------------------------------------------------------- what did not begin


def came_to(suites: LoadedSuite, code: int, *runs: str) -> SuiteReport:
    why = "refused: outside of Mon-Fri 09:00-16:00"
    item = ItemResult(item=suites.items[0], runs=runs, answer=Answer.INCONCLUSIVE, exit_code=code, why=why)
    return SuiteReport(
        suites, SuiteResult(id="s-1", suite="release", began=NOW, ended=NOW, exit_code=code, items=(item,)), {}, [0]
    )


@pytest.mark.parametrize(
    ("code", "runs", "told"),
    [(4, ["r"], 1), (5, ["r"], 1), (3, [], 1), (4, [], 1), (3, ["r"], 0), (1, ["r"], 0), (0, ["r"], 0), (6, [], 0)],
)
async def test_a_team_hears_of_what_could_not_begin_and_of_nothing_else(
    code: int, runs: list[str], told: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RECEIVERS["webhook"](SetClock(SystemClock().now())) as receiver:
        for name, value in receiver.environ.items():
            monkeypatch.setenv(name, value)
        suites = loaded(tmp_path, f"{ENVIRONMENT}  notify: {json.dumps([receiver.call()])}\n")
        said: list[str] = []
        report = came_to(suites, code, *runs)
        assert await tell_not_started(report, tmp_path, tmp_path / "state", said.append) == told
        assert receiver.shown == ["Not started: the suite release on quick"] * told and not said


@pytest.mark.parametrize(
    ("checks", "shown"),
    [
        ([Checked(check="guards", go=True, reason="all go")], "It is time: A bad day"),
        ([Checked(check="incidents", go=False, reason="one is open")], "Not started: the game day bad-day on shop"),
    ],
)
async def test_at_the_time_of_a_game_day_everybody_hears_whether_it_may_go(
    checks: list[Checked], shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RECEIVERS["webhook"](SetClock(SystemClock().now())) as receiver:
        for name, value in receiver.environ.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "shop.yaml").write_text(DAY_ENVIRONMENT)
        (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
        named = json.dumps([receiver.call()])
        (tmp_path / "day.yaml").write_text(f"{GOOD}  communications: {{notify: {named}}}\n")
        day = load_game_day("bad-day", tmp_path)
        assert await tell_the_time(day, checks, tmp_path / "state", print) == ("bad-day/webhook",)
        assert receiver.shown == [shown]


async def test_that_nobody_could_be_told_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert await tell_not_started(came_to(loaded(tmp_path), 4), tmp_path, tmp_path / "state", said.append) == 0
    assert "quick names nobody under `notify`" in said[0] and "outside of Mon-Fri" in said[0]


# ---------------------------------------------------------- the commands


def test_a_suite_runs_is_listed_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command("suite", "run", "release", "--scheduled") == 0
    capsys.readouterr()
    command("suite", "list", "--json")
    (listed,) = json.loads(capsys.readouterr().out)
    command("suite", "show", "release", "--json")
    assert json.loads(capsys.readouterr().out) == listed and listed["items"][0]["exitCode"] == 0
    command("suite", "list")
    assert "release  1 of 1 experiment held  0" in capsys.readouterr().out
    assert command("suite", "show", "nothing") == 2
