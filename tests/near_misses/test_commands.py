"""`near-miss` and `remediate` as people and machines use them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaosrunner.cli import chaosrunner
from chaosrunner.clock import SystemClock
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.register import open_register
from tests.near_misses.world import facts, finding, gap, inputs

Run = Callable[..., str]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    with open_register(folder, SystemClock()) as register:
        register.record(facts(), [finding(), finding(gap(identity={"to": "inventory"}), scored=inputs(tier=4))])
    return folder


def called(state: Path, *words: str, input: str | None = None) -> Result:
    runner = CliRunner(env={"CHAOSRUNNER_WHO": "ana"})
    return runner.invoke(chaosrunner, ["--state", str(state), *words], input=input)


@pytest.fixture
def run(state: Path) -> Run:
    def answer(*words: str, input: str | None = None) -> str:
        result = called(state, *words, input=input)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return answer


def refused(state: Path, *words: str) -> ChaosrunnerError:
    error = called(state, *words).exception
    assert isinstance(error, ChaosrunnerError)
    return error


def test_a_list_is_a_table_with_the_most_urgent_first(run: Run) -> None:
    head, first, second = run("near-miss", "list").splitlines()
    assert head.split() == ["ID", "PRIO", "STATE", "SERVICE", "SEEN", "DUE", "TITLE"]
    assert re.match(r"NM-2026-0001 +P2 +open +checkout +1× +2026-10-21", first) and first.endswith(gap().title)
    assert second.split()[:2] == ["NM-2026-0002", "P3"]


def test_closed_ones_are_counted_and_shown_when_asked_for(run: Run) -> None:
    run("near-miss", "set", "2", "obsolete", "--reason", "inventory is gone")
    assert run("near-miss", "list").splitlines()[-1] == "1 closed one is not shown (--all)"
    assert "NM-2026-0002" in run("near-miss", "list", "--all")
    assert "NM-2026-0002" in run("near-miss", "list", "--state", "obsolete")
    assert run("near-miss", "list", "--priority", "p4") == "no near misses match\n"
    assert run("near-miss", "list", "--service", "cart") == "no near misses match\n"


def test_without_a_register_the_list_is_empty_and_nothing_is_made(tmp_path: Path) -> None:
    result = called(tmp_path / "none", "near-miss", "list")
    assert (result.exit_code, result.output) == (0, "no near misses yet\n")
    assert json.loads(called(tmp_path / "none", "near-miss", "list", "--json").output) == []
    assert not (tmp_path / "none").exists()
    assert "there is no register of near misses" in str(refused(tmp_path / "none", "near-miss", "show", "1"))


def test_show_says_what_happened_why_it_is_urgent_and_how_to_see_it_again(run: Run) -> None:
    text = run("near-miss", "show", "nm-2026-1")
    for part in (
        gap().title,
        gap().story,
        "worst 1.2 s, limit 500 ms, baseline 20 ms",
        "luck and no defence",
        "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7",
        "chaosrunner  found: open; network-latency was in force.",
    ):
        assert part in text, part


def test_the_json_holds_everything(run: Run) -> None:
    shown: dict[str, Any] = json.loads(run("near-miss", "show", "1", "--json"))
    assert (shown["id"], shown["state"], shown["priority"], shown["closed"]) == ("NM-2026-0001", "open", "P2", False)
    assert shown["occurrencesSeen"][0]["run"] == "run-1" and shown["history"][0]["what"] == "found"
    (first, _) = json.loads(run("near-miss", "list", "--json"))
    assert first == {key: value for key, value in shown.items() if key in first}


def test_setting_says_what_it_is_now_and_history_says_who_did_it(run: Run) -> None:
    assert run("near-miss", "set", "1", "triaged", "--owner", "team-pay") == (
        "NM-2026-0001 is triaged, P2, owner team-pay\n"
    )
    assert "P1" in run("near-miss", "set", "1", "--priority", "p1", "--reason", "many shoppers")
    assert "P2" in run("near-miss", "set", "1", "--priority", "computed", "--reason", "the rule is right")
    run("near-miss", "note", "1", "see pay.py")
    run("near-miss", "set", "1", "--owner", "team-cart")
    run("near-miss", "set", "1", "fix-ready", "--change", "commit 4f2a9c")
    told = run("near-miss", "history", "1")
    for part in ("ana  state: open → triaged", "ana  note: see pay.py", "ana  owner: team-pay → team-cart"):
        assert part in told, part
    assert {event["actor"] for event in json.loads(run("near-miss", "history", "1", "--json"))} == {
        "ana",
        "chaosrunner",
    }


def test_a_waiver_is_written_down_with_its_end_and_who_accepted_it(run: Run, state: Path) -> None:
    from datetime import UTC, datetime, timedelta

    until = str((datetime.now(UTC) + timedelta(days=20)).date())
    words = ("near-miss", "set", "1", "waived", "--until", until, "--by", "bob", "--reason", "low traffic")
    words += ("--as", "planned-replacement", "--control", "an alert of our own")
    assert f"waived until {until}" in run(*words)
    (waived,) = json.loads(run("near-miss", "list", "--state", "waived", "--json"))
    assert waived["waiver"]["acceptedBy"] == "bob"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("set", "1", "verified"), 4, "only chaosrunner sets verified"),
        (("set", "1", "in-progress"), 2, "from there it can become"),
        (("set", "1", "fix-ready"), 2, "--change"),
        (("set", "1"), 2, "nothing to set"),
        (("set", "1", "duplicate", "--of", "1", "--reason", "x"), 2, "NM-2026-0001 cannot be a duplicate of itself"),
        (("set", "1", "triaged", "--owner", "a", "--until", "2027-01-31"), 2, "--until goes with waived only"),
        (("set", "1", "waived", "--until", "tomorrow"), 2, "'tomorrow', expected a date such as 2027-01-31"),
        (("set", "1", "--priority", "P1"), 2, "needs a reason"),
        (("set", "1", "rejected", "--reason", "no", "--as", "out-of-scope"), 4, "second person"),
        (("set", "1", "rejected", "--reason", "no", "--as", "no-time"), 2, "'no-time', expected one of false-positive"),
        (("show", "NM-2026-0077"), 2, "the nearest is NM-2026-000"),
    ],
)
def test_what_is_refused_says_why(state: Path, words: tuple[str, ...], code: int, message: str) -> None:
    error = refused(state, "near-miss", *words)
    assert error.exit_code == code and message in str(error)


def test_an_export_can_be_imported_elsewhere(run: Run, tmp_path: Path) -> None:
    text = run("near-miss", "export")
    run("near-miss", "export", str(tmp_path / "all.jsonl"))
    assert (tmp_path / "all.jsonl").read_text() == text
    elsewhere = tmp_path / "elsewhere"
    assert called(elsewhere, "near-miss", "import", str(tmp_path / "all.jsonl")).output == "10 records added\n"
    assert called(elsewhere, "near-miss", "import", "-", input=text).output == "0 records added\n"
    assert called(elsewhere, "near-miss", "export").output == text


def test_remediate_makes_what_is_missing_and_follows_what_is_there(run: Run, state: Path) -> None:
    made = json.loads(run("remediate", "--json"))
    assert [(each["nearMiss"], each["step"]) for each in made] == [("NM-2026-0001", "made"), ("NM-2026-0002", "made")]
    file = state / "remediation" / made[0]["key"]
    file.write_text(file.read_text().replace("state: open", "state: closed"))
    assert "unchanged" in run("remediate").splitlines()[0]
    assert re.match(r"NM-2026-0001 +followed +fix-ready", run("remediate", "--sync"))
    assert "fix-ready" in run("near-miss", "list")
    assert re.match(r"NM-2026-0002 +unchanged", run("remediate", "2"))


def test_remediate_uses_the_tracker_of_the_environment(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "staging.yaml"
    file.write_text(
        "apiVersion: chaosrunner.dev/v1\nkind: Environment\nmetadata: {name: staging}\n"
        "spec: {platform: {local: {services: {pay: {listens: 7003}}}}, tracker: {local: {folder: fixes}}}\n"
    )
    run("remediate", "-e", str(file))
    assert len(list((tmp_path / "fixes").glob("NM-*.md"))) == 2


def test_a_tracker_in_trouble_is_exit_3(run: Run, state: Path) -> None:
    run("remediate")
    for file in (state / "remediation").glob("NM-2026-0001*"):
        file.write_text(file.read_text().replace("state: open", "state: done"))
    result = called(state, "remediate", "--sync")
    assert result.exit_code == 3 and "expected open or closed" in result.output
