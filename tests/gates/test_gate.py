"""A gate in one piece: real runs, a real register, and what becomes of an answer as people do their work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from chaosrunner.app.suites import kept_results
from chaosrunner.clock import SystemClock
from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.model.gate import Passed
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import day_of
from chaosrunner.model.words import Answer, State, WaivedAs
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Wanted
from tests.gates.pipelines import ENVIRONMENT, ask, command, experiment, pipelines, suite
from tests.local_fixtures import machine
from tests.near_misses.world import DAY, facts, finding, gap

__all__ = ["machine"]

pytestmark = pytest.mark.real_time


@pytest.fixture
def folder(machine: Path, tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "quick.yaml").write_text(ENVIRONMENT)
    (tmp_path / "experiments.yaml").write_text(experiment("cart-holds") + experiment("page-holds", service="page"))
    return tmp_path


def release(folder: Path, *, good: bool, more: str = "") -> None:
    """What the pipeline of a good, or of a bad, release asks about."""
    bad = "" if good else ", with: {limit: 0}"
    entries = (f"{{experiment: cart-holds{bad}}}", "page-holds")
    (folder / "release.yaml").write_text(suite(*entries, more=f"  parallel: 2\n  retries: 3\n{more}"))


def test_a_release_that_makes_it_worse_is_stopped_and_the_repaired_one_passes(folder: Path) -> None:
    release(folder, good=True)
    first = ask(folder)
    assert (first.passed, first.exit_code) == (Passed.YES, 0), first.summary

    release(folder, good=False, more="  gate: {new: P4}\n")
    stopped = ask(folder)
    assert (stopped.passed, stopped.exit_code) == (Passed.NO, 1), stopped.summary
    (found,) = stopped.near_misses
    assert found.change == "new" and found.owner == "team-cart" and found.says_no
    cart = stopped.runs[0]
    assert cart.verdict is Answer.BROKEN and cart.near_misses == (found.id,) and cart.parameters == {"limit": 0}
    assert [each.answer for each in cart.hypotheses] == [Answer.BROKEN]
    assert cart.report is not None and Path(cart.report).is_file()
    assert (folder / cart.file).name == "experiments.yaml" and "cart-holds" in _line(folder, cart.file, cart.line)

    tried_again = ask(folder)
    assert tried_again.exit_code == 1, "asking again lets nothing pass"
    judged_again = ask(folder, run=False)
    assert judged_again.exit_code == 1 and not any(run.now for run in judged_again.runs)
    assert judged_again.runs[0].run == tried_again.runs[0].run

    release(folder, good=True, more="  gate: {new: P4}\n")
    repaired = ask(folder)
    assert (repaired.passed, repaired.exit_code) == (Passed.YES, 0), repaired.summary
    assert repaired.near_misses[0].gone

    kept = sorted((folder / "state" / "suites").glob("*/gate.json"), key=lambda path: path.stat().st_mtime_ns)
    assert json.loads(kept[-1].read_text())["passed"] == "yes" and len(kept) == 4


def _line(folder: Path, file: str, line: int) -> str:
    return "\n".join((folder / file).read_text().splitlines()[line - 1 : line + 3])


def test_what_somebody_has_taken_on_is_known_and_passes(folder: Path) -> None:
    release(folder, good=False, more="  gate: {new: P4}\n")
    assert ask(folder).exit_code == 1
    clock = SystemClock()
    with open_register(folder / "state", clock) as book:
        (found,) = book.list(Wanted())
        book.change(found.id, Change(to=State.TRIAGED, actor="ana", at=clock.now(), owner="team-cart"))
    given = ask(folder)
    assert given.exit_code == 0, given.summary
    assert given.near_misses[0].change == "known" and given.near_misses[0].shown


def test_a_baseline_is_recorded_on_purpose_and_only_what_is_worse_fails(folder: Path) -> None:
    ratchet = "  gate: {new: P4, ratchet: baseline.json}\n"
    release(folder, good=False, more=ratchet)
    with pytest.raises(UsageError, match="--record-baseline"):
        ask(folder)
    told: list[str] = []
    assert ask(folder, told.append, record_baseline=True).exit_code == 0
    assert f"the baseline is {folder / 'baseline.json'}, with 1 near miss: look at it, and commit it" in told
    recorded = json.loads((folder / "baseline.json").read_text())
    assert len(recorded["nearMisses"]) == 1
    assert ask(folder, run=False).exit_code == 0
    recorded["nearMisses"] = []
    (folder / "baseline.json").write_text(json.dumps(recorded))
    assert ask(folder, run=False).exit_code == 1


def test_what_held_before_there_was_a_register_is_known_by_its_journal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(folder, good=True)
    monkeypatch.chdir(folder)
    assert command("--state", "state", "run", "cart-holds") == command("--state", "state", "run", "page-holds") == 0
    assert not (folder / "state" / "register.db").exists(), "there was nothing to record"
    assert ask(folder, run=False).exit_code == 0


def test_what_a_run_by_hand_has_just_found_is_new_to_a_gate_that_rests_on_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(folder, good=True, more="  gate: {new: P4}\n")
    monkeypatch.chdir(folder)
    assert command("--state", "state", "run", "page-holds") == 0
    assert command("--state", "state", "run", "cart-holds", "--parameter", "limit=0") == 1
    release(folder, good=False, more="  gate: {new: P4}\n")
    assert ask(folder, run=False).exit_code == 1


def test_without_a_run_nothing_is_known_and_that_is_no_yes(folder: Path) -> None:
    release(folder, good=True)
    given = ask(folder, run=False)
    assert (given.passed, given.exit_code) == (Passed.UNKNOWN, 3)
    assert {run.why for run in given.runs} == {"no run of it is known"}


def test_what_was_run_lately_is_not_run_again(folder: Path) -> None:
    release(folder, good=True, more="  gate: {dueAfter: 1h}\n")
    assert {run.now for run in ask(folder).runs} == {True}
    again = ask(folder)
    assert {run.now for run in again.runs} == {False} and again.exit_code == 0


def test_a_mistake_is_told_before_anything_is_run(folder: Path) -> None:
    (folder / "release.yaml").write_text(suite("cart-hold", "{experiment: page-holds, with: {limit: many}}"))
    with pytest.raises(FileProblems) as wrong:
        ask(folder)
    assert "did you mean 'cart-holds'?" in str(wrong.value)
    assert not (folder / "state" / "runs").exists()


def test_ten_pipelines_at_once_find_one_near_miss_and_all_of_them_say_no(folder: Path) -> None:
    bad = "{experiment: cart-holds, with: {limit: 0}}"
    (folder / "release.yaml").write_text(suite(bad, more="  retries: 3\n  gate: {new: P4}\n"))
    ask(folder, run=False)  # what the processes need is imported, and the register is there
    assert pipelines(folder, 10) == [1] * 10
    with open_register(folder / "state", SystemClock()) as book:
        (found,) = book.list(Wanted(closed=True))
        assert found.occurrences == 10
        assert (
            len(book.latest_runs("cart-holds", "cart", "quick")) >= 10
        )  # an attempt on a busy machine may say nothing


def test_run_takes_a_suite_too_and_says_what_came_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release(folder, good=False)
    monkeypatch.chdir(folder)
    assert command("run", "release") == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith("✗ cart-holds (limit=0): broken (run ") and lines[1].startswith("✓ page-holds: held")
    assert lines[-1] == "release: 1 held, 0 inconclusive, 1 broken, exit code 1"
    assert "[1/2] cart-holds (limit=0): started" in told.err
    (kept,) = kept_results(folder / ".chaosrunner")
    assert [item.answer for item in kept.items] == [Answer.BROKEN, Answer.HELD]
    assert command("run", "releas") == 2


def test_a_waiver_that_ended_says_no_until_somebody_decides_anew(folder: Path) -> None:
    release(folder, good=True)
    clock = SystemClock()
    now, today = clock.now(), day_of(clock.now())
    of_the_cart = {"environment_class": "quick", "service": "cart"}
    told = facts(at=now - 20 * DAY, experiment="cart-holds", **of_the_cart)
    with open_register(folder / "state", clock) as book:
        (found,) = book.record(told, [finding(gap(**of_the_cart))])
        waiver = Change(
            to=State.WAIVED, actor="ana", at=now - 10 * DAY, reason="until the move", accepted_by="ben",
            until=today - timedelta(days=5), waived_as=WaivedAs.ENVIRONMENT_ONLY,
        )  # fmt: skip
        book.change(found.near_miss.id, waiver)
    for _ in range(2):  # the first look opens it again; that changes nothing about the answer
        given = ask(folder, run=False)
        rule = next(each for each in given.rules if each.name == "expired-waiver")
        assert rule.answer == "fail" and f"the waiver of ben ended on {today - timedelta(days=5)}" in rule.why
        assert given.exit_code == 1
    with open_register(folder / "state", clock) as book:
        book.change(found.near_miss.id, Change(to=State.TRIAGED, actor="ana", at=now, owner="team-cart"))
    rules = {each.name: each.answer for each in ask(folder, run=False).rules}
    assert rules["expired-waiver"] == "pass"
