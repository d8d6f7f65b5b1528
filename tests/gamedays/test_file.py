"""The file of a game day: what is right, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.app.go_no_go import orders_of
from chaosrunner.app.scheduling import Wishes, day_schedule
from chaosrunner.errors import UsageError
from chaosrunner.stages.gameday import mark_of
from chaosrunner.stages.gameday_file import load_game_day
from chaosrunner.stages.load import check, load_experiment

ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: shop}
spec:
  platform: {local: {services: {shop: {listens: 80}}}}
"""
WITH_ALERTS = ENVIRONMENT + '  alertmanager: {url: "http://127.0.0.1:9093"}\n'
EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: nothing-happens}
spec:
  title: Nothing happens
  hypotheses: [{name: one, title: One is one, measures: [{name: one, noop: {}, tolerance: {equals: 1}}]}]
  baseline: 1s
  method: [{fault: noop, for: 1s}]
"""
GOOD = """\
apiVersion: chaosrunner.dev/v1
kind: GameDay
metadata: {name: bad-day}
spec:
  title: A bad day
  environment: shop
  agenda: [{experiment: nothing-happens}, {pause: 5m}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    return tmp_path


def said(folder: Path, spec: str) -> list[str]:
    """What check says of the good file with these lines in its spec."""
    names = [line.partition(":")[0] for line in spec.splitlines() if line.startswith("  ") and line[2] != " "]
    kept = [line for line in GOOD.splitlines() if line.partition(":")[0] not in names]
    (folder / "day.yaml").write_text("\n".join([*kept, spec, ""]))
    return [str(problem) for problem in check(["day.yaml"], folder).problems]


def test_it_is_found_by_its_name_with_its_experiments_and_its_environment(folder: Path) -> None:
    (folder / "day.yaml").write_text(GOOD)
    loaded = load_game_day("bad-day", folder)
    assert [(item.experiment, item.reference) for item in loaded.items] == [
        ("nothing-happens", "./nothing.yaml"),
        ("", ""),
    ]
    assert loaded.environment.name == "shop"
    with pytest.raises(UsageError, match=r"no GameDay 'bad-dya', did you mean 'bad-day'"):
        load_game_day("bad-dya", folder)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("  agenda: [{experiment: nothing-hapens}]", "7:25: there is no Experiment 'nothing-hapens', did you mean"),
        (
            "  agenda: [{pause: 5m, blind: true}]",
            "7:12: item 1 of `agenda`: a pause has no questions and no parameters, and is no surprise",
        ),
        ("  agenda: [{title: lunch}]", "7:12: item 1 of `agenda` is not right, expected one of experiment and pause"),
        ("  agenda: []", "7:11: `agenda` has 0, expected at least 1 of them"),
        ("  date: tomorrow", "8:9: `date` is 'tomorrow', expected a date with a time"),
        ("  date: 2026-12-01T10:00Z", "8:9: `date`"),
        ("  schedule: daily", "8:13: `schedule` is 'daily', expected five fields as in cron"),
        ("  timeZone: Mars/Olympus", "8:13: `timeZone`: unknown time zone 'Mars/Olympus'"),
        ("  goNoGo: {present: [boss]}", "8:22: item 1 of `present` is 'boss', expected one of facilitator"),
        ("  stopWhen: {firing: [Page]}", "8:22: the environment shop names nothing that knows which alerts fire"),
        (
            "  communications: {silence: {matchers: ['service=\"shop\"']}}",
            "8:29: the environment shop names no Alertmanager",
        ),
        (
            "  communications: {notify: [{pagerduty: {routingKey: {env: K}}}]}",
            "8:29: `pagerduty` does not tell of game days",
        ),
        ("  communications: {notify: [{slak: {}}]}", "did you mean 'slack'?"),
    ],
)
def test_a_mistake_is_told_where_it_stands(folder: Path, spec: str, told: str) -> None:
    problems = said(folder, spec)
    assert len(problems) == 1
    assert told in problems[0], problems


def test_a_silence_must_name_something_of_the_environment(folder: Path) -> None:
    (folder / "shop.yaml").write_text(WITH_ALERTS)
    assert said(folder, "  communications: {silence: {matchers: ['service=\"shop\"']}}") == []
    (problem,) = said(folder, "  communications: {silence: {matchers: ['service=\"others\"']}}")
    assert "names nothing of this environment" in problem and "expected a matcher for one of shop" in problem


def test_a_mistake_in_an_experiment_of_the_agenda_is_told(folder: Path) -> None:
    (folder / "nothing.yaml").write_text(EXPERIMENT.replace("fault: noop", "fault: nop"))
    (problem,) = said(folder, "")
    assert problem.startswith("nothing.yaml:8:") and "'noop'" in problem


REUSE = "  parameters: {often: {meaning: How often, type: number, example: 2}}\n  matrix: {length: [1s, 2s]}\n"
MANY = EXPERIMENT.replace("spec:\n", f"spec:\n{REUSE}").replace("for: 1s", "for: '${length}'")


def test_an_experiment_with_a_matrix_is_an_item_for_each_combination(folder: Path) -> None:
    (folder / "nothing.yaml").write_text(MANY.replace("tolerance: {equals: 1}", "tolerance: {atMost: '${often}'}"))
    spec = "  agenda: [{experiment: nothing-happens, with: {often: 3}, questions: [Who?]}, {pause: 5m}]"
    assert said(folder, spec) == []
    loaded = load_game_day("bad-day", folder)
    assert [(item.title, item.parameters, item.label) for item in loaded.items] == [
        ("Nothing happens (length=1s)", {"often": 3, "length": "1s"}, "nothing-happens (length=1s)"),
        ("Nothing happens (length=2s)", {"often": 3, "length": "2s"}, "nothing-happens (length=2s)"),
        ("", {}, ""),
    ]
    agenda = loaded.day.spec.agenda
    assert [item.questions for item in agenda] == [("Who?",), ("Who?",), ()]
    assert mark_of(agenda[0]) != mark_of(agenda[1]), "a matrix that changes is an agenda that changes"
    orders = orders_of(loaded, folder / "state")
    assert [(number, order.parameters["length"]) for number, _, order in orders] == [(1, "1s"), (2, "2s")]
    calendar = day_schedule(loaded, Wishes(at="0 10 * * 1"), folder, 1_800_000_000.0).calendar(1_800_000_000.0)
    assert "SUMMARY:Game day: A bad day" in calendar
    for _, name, order in orders:
        one = load_experiment(order.experiment, order.environment, order.folder, order.parameters)
        assert one.experiment.spec.method[0].model_dump()["for_"] == (1.0 if "1s" in name else 2.0)


def test_a_combination_is_called_by_its_own_title_or_by_that_of_the_agenda_with_its_values(folder: Path) -> None:
    (folder / "nothing.yaml").write_text(
        MANY.replace("Nothing happens", "Nothing for ${length}").replace(REUSE, "  matrix: {length: [1s, 2s]}\n")
    )
    assert said(folder, "") == []
    assert [item.title for item in load_game_day("bad-day", folder).items][:2] == ["Nothing for 1s", "Nothing for 2s"]
    said(folder, "  agenda: [{experiment: nothing-happens, title: Quiet}]")
    agenda = load_game_day("bad-day", folder).day.spec.agenda
    assert [item.title for item in agenda] == ["Quiet (length=1s)", "Quiet (length=2s)"]
    said(folder, "  agenda: [{experiment: nothing-happens, with: {length: 3s}}]")
    (only,) = load_game_day("bad-day", folder).items
    assert (only.title, only.variant, only.parameters) == ("Nothing for 3s", "", {"length": "3s"})


@pytest.mark.parametrize(
    ("agenda", "told"),
    [
        ("{experiment: nothing-happens}", "`often` has no value, expected `--parameter often=…`, `with` where"),
        ("{experiment: nothing-happens, with: {oftn: 3}}", "oftn"),
        ("{experiment: nothing-happens, with: {often: no}}", "often"),
        ("{pause: 1m, with: {often: 3}}", "a pause has no questions and no parameters"),
    ],
)
def test_values_that_do_not_fit_are_told(folder: Path, agenda: str, told: str) -> None:
    (folder / "nothing.yaml").write_text(MANY.replace("tolerance: {equals: 1}", "tolerance: {atMost: '${often}'}"))
    problems = said(folder, f"  agenda: [{agenda}]")
    assert problems and any(told in problem for problem in problems), problems
    with pytest.raises(UsageError):
        load_game_day("bad-day", folder)
