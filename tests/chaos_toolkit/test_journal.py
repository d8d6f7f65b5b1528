"""Runs of ours as journals of Chaos Toolkit, and theirs as runs of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.toolkit import exported, record_toolkit
from chaosrunner.errors import UsageError
from chaosrunner.interop.toolkit_journal import journal_of, thinned
from chaosrunner.model.journal import Entry, RunEnded
from chaosrunner.model.words import Answer, Ending, GapKind
from chaosrunner.stages.judge import judge
from chaosrunner.store.journal import write_line
from tests.chaos_toolkit.cases import BREAK, IS_WHOLE, MEND, experiment, probe, process
from tests.reports.journals import payments_are_slow


def theirs(*, broken: bool) -> dict[str, Any]:
    entries = payments_are_slow(broken=broken)
    return journal_of(entries, judge(entries))


def test_a_run_of_ours_has_everything_that_their_reports_read() -> None:
    journal = theirs(broken=True)
    assert journal["status"] == "completed"
    assert journal["deviated"] is True
    assert journal["duration"] == 40.0
    assert journal["experiment"]["title"] == "Checkout keeps its promise while payments is slow"
    (run,) = journal["run"]
    assert run["activity"]["name"] == "slow on checkout → payments"
    assert (run["status"], run["duration"]) == ("succeeded", pytest.approx(0.7))
    (rollback,) = journal["rollbacks"]
    assert rollback["status"] == "succeeded"
    states = journal["steady_states"]
    assert states["before"]["steady_state_met"] is True
    assert {probe["activity"]["name"] for probe in states["before"]["probes"]} == {
        "checkout-slo/p99",
        "checkout-slo/error-ratio",
        "storefront-up/status",
        "storefront-up/mode",
    }
    assert {look["steady_state_met"] for look in states["during"]} == {False}
    assert json.loads(json.dumps(journal)) == journal


def test_a_run_that_held_has_not_deviated() -> None:
    assert theirs(broken=False)["deviated"] is False


def test_a_baseline_that_could_not_be_read_was_not_met() -> None:
    whole = payments_are_slow(broken=False)
    last = whole[-1]
    entries = [each for each in whole if each.t < 10.1]
    entries.append(Entry(last.n, 10.2, last.at, RunEnded.model_validate({"ending": "not-readable"})))
    journal = journal_of(entries, judge(entries))
    assert journal["status"] == "failed"
    assert journal["steady_states"]["before"]["steady_state_met"] is False
    assert journal["steady_states"]["after"] is None


def test_of_many_looks_those_that_were_out_of_order_are_kept() -> None:
    looks = [{"steady_state_met": place not in (3, 70), "place": place} for place in range(100)]
    kept = [look["place"] for look in thinned(looks, 12)]
    assert len(kept) <= 12
    assert {3, 70} <= set(kept)
    assert kept == sorted(kept)
    assert kept[-1] > 80


def test_the_folder_of_a_run_is_exported(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"".join(map(write_line, payments_are_slow())))
    assert json.loads(exported(tmp_path))["status"] == "completed"
    (tmp_path / "chaostoolkit.json").write_text('{"status": "failed"}')
    assert json.loads(exported(tmp_path)) == {"status": "failed"}


# ------------------------------------------------------------------------------------------------- theirs as ours

LOOK = probe(process("test", "-e", "broken"), 0, "is broken")


def at(second: float) -> str:
    return f"2026-11-22T10:00:{second:06.3f}+00:00"


def entry(activity: dict[str, Any], began: float, ended: float, **more: Any) -> dict[str, Any]:
    times = {"start": at(began), "end": at(ended), "duration": ended - began}
    return {"activity": activity, "status": "succeeded", "output": None, **times, **more}


def state(began: float, *, met: bool) -> dict[str, Any]:
    return {"steady_state_met": met, "probes": [entry(IS_WHOLE, began, began + 0.1, tolerance_met=met)]}


def a_journal(**more: Any) -> dict[str, Any]:
    """Broken, mended, and not whole meanwhile."""
    made = experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND])
    return {
        "experiment": {**made, "extensions": [{"name": "chaosrunner", "service": "checkout"}]},
        "start": at(0),
        "status": "completed",
        "deviated": True,
        "steady_states": {"before": state(1, met=True), "during": [], "after": state(5, met=False)},
        "run": [entry(BREAK, 2, 3)],
        "rollbacks": [entry(MEND, 6, 7)],
        "end": at(8),
        **more,
    }


async def recorded(folder: Path, journal: dict[str, Any]) -> Any:
    path = folder / "journal.json"
    path.write_text(json.dumps(journal))
    said: list[str] = []
    return await record_toolkit(path, None, folder / "state", said.append, folder=folder)


async def test_a_deviated_hypothesis_is_a_near_miss(tmp_path: Path) -> None:
    kept = await recorded(tmp_path, a_journal())
    verdict, (gap,) = kept.report.verdict, kept.report.gaps
    assert verdict.answer is Answer.BROKEN
    assert gap.kind is GapKind.IMPACT
    assert (gap.service, gap.identity) == ("checkout", {"action": "ct_extension.put"})
    assert kept.report.found[0].id.startswith("NM-")
    assert "break" in gap.title


@pytest.mark.parametrize(
    ("changes", "ending", "why"),
    [
        (
            {"run": [entry(BREAK, 2, 3, status="failed", exception=["ActivityFailed: no permission\n"])]},
            Ending.FAULT_FAILED,
            "it could not be injected: ActivityFailed: no permission",
        ),
        (
            {"run": [entry({**BREAK, "provider": process("x")}, 2, 3, output={"status": 3})]},
            Ending.FAULT_FAILED,
            "it exited with 3",
        ),
        ({}, Ending.FINISHED, "only its action says that it was in force"),
        (
            {"steady_states": {"before": state(1, met=False), "during": [], "after": None}, "run": []},
            Ending.NOT_STEADY,
            "is whole was not in its tolerance",
        ),
        ({"status": "interrupted"}, Ending.HALTED, "interrupted"),
    ],
)
async def test_what_shows_nothing_broken_is_inconclusive(
    tmp_path: Path, changes: dict[str, Any], ending: Ending, why: str
) -> None:
    steady = {"steady_states": {"before": state(1, met=True), "during": [], "after": state(5, met=True)}}
    kept = await recorded(tmp_path, a_journal(**{"deviated": False, **steady, **changes}))
    verdict = kept.report.verdict
    assert verdict.answer is Answer.INCONCLUSIVE
    assert verdict.ending is ending
    assert any(why in reason for reason in verdict.inconclusive_because), verdict.inconclusive_because


@pytest.mark.parametrize("rollbacks", [[], [entry(MEND, 6, 7, status="failed", exception=["no"])]])
async def test_a_fault_that_no_rollback_took_back_is_a_near_miss(tmp_path: Path, rollbacks: list[Any]) -> None:
    kept = await recorded(tmp_path, a_journal(rollbacks=rollbacks))
    assert GapKind.UNDO_FAILED in {gap.kind for gap in kept.report.gaps}
    assert kept.report.verdict.exit_code == 7
    assert kept.exit_code == 1


async def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a journal of Chaos Toolkit"):
        await recorded(tmp_path, {"title": "an experiment"})
