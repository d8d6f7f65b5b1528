"""chaosrunner's own metrics: what they count, that Prometheus's own tool likes them, and that a page lists them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chaosrunner.clock import SystemClock
from chaosrunner.exposition import Figures, exposition, of_near_misses, of_one_run
from chaosrunner.model.figures import Detection, NearMissFigures, RunFigures, grouped
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.words import RejectedAs, State
from chaosrunner.register import open_register
from chaosrunner.stages.figures import StateFigures
from chaosrunner.store.journal import write_line
from chaosrunner.store.machine import ActiveRun, Machine
from tests.debian import program
from tests.docs.pages import ROOT, table
from tests.near_misses.world import SetClock, facts, finding, gap
from tests.reports.journals import RUN as RUN_ID
from tests.reports.journals import payments_are_slow

NOW = 1_800_000_000.0
DAY = 86400.0


def run(**changes: Any) -> RunFigures:
    good: dict[str, Any] = {
        "run": "20270115-080000-000001",
        "experiment": "slow",
        "environment": "staging",
        "service": "checkout",
        "began": NOW - 100,
        "seconds": 60.0,
        "answer": "held",
        "ending": "finished",
        "exit_code": 0,
        "recovered_after": 3.0,
    }
    return RunFigures.model_validate(good | changes)


def near_miss(**changes: Any) -> NearMissFigures:
    good: dict[str, Any] = {
        "id": "NM-2027-0001",
        "service": "checkout",
        "environment_class": "staging",
        "kind": "impact",
        "state": "open",
        "priority": "P2",
        "closed": False,
        "opened_at": NOW - 3 * DAY,
        "overdue": False,
    }
    return NearMissFigures.model_validate(good | changes)


ABORTED = run(
    answer="broken",
    ending="aborted",
    exit_code=1,
    began=NOW - 50,
    aborted=True,
    undone_after=0.4,
    recovered_after=None,
    gaps=("impact", "undetected"),
    detections=(Detection(source="prometheus", seconds=12.0), Detection(source="alertmanager", seconds=14.0)),
    undetected=1,
    undo_failed=2,
)
EVERYTHING = Figures(
    runs=[run(), ABORTED, run(experiment="gone", environment='sta"ging')],
    near_misses=grouped(
        [
            near_miss(),
            near_miss(opened_at=NOW - 40 * DAY, overdue=True),
            near_miss(state="waived", priority="P4", opened_at=NOW - 100),
        ],
        NOW,
    ),
    closed={"verified": 7, "rejected": 0},
    now=NOW,
    under_way={"staging": 1},
    left={"laptop": 2},
    unreadable=3,
)
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(text: bytes) -> Values:
    families = text_string_to_metric_families(text.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for each in families for one in each.samples}


def value(found: Values, name: str, **labels: str) -> float | None:
    return found.get((f"chaosrunner_{name}", frozenset(labels.items())))


RUN = {"experiment": "slow", "environment": "staging"}


def test_runs_are_counted_by_what_came_of_them() -> None:
    found = values(exposition(EVERYTHING))
    assert value(found, "runs_total", **RUN, answer="held", ending="finished") == 1
    assert value(found, "runs_total", **RUN, answer="broken", ending="aborted") == 1
    assert value(found, "gaps_total", **RUN, kind="undetected") == 1
    assert value(found, "undo_failures_total", **RUN) == 2
    assert value(found, "undo_failures_total", experiment="gone", environment='sta"ging') == 0
    assert value(found, "aborts_total", **RUN) == 1
    assert value(found, "undetected_alerts_total", **RUN) == 1
    assert value(found, "runs_under_way", environment="staging") == 1
    assert value(found, "runs_left", environment="laptop") == 2
    assert value(found, "runs_unreadable") == 3


def test_times_are_in_histograms() -> None:
    found = values(exposition(EVERYTHING))
    assert value(found, "abort_seconds_bucket", environment="staging", le="0.25") == 0
    assert value(found, "abort_seconds_bucket", environment="staging", le="0.5") == 1
    assert value(found, "abort_seconds_sum", environment="staging") == pytest.approx(0.4)
    assert value(found, "recovery_seconds_count", environment="staging") == 1
    assert value(found, "detection_seconds_bucket", environment="staging", source="alertmanager", le="15.0") == 1


def test_the_last_run_is_the_one_that_ended_last() -> None:
    found = values(exposition(EVERYTHING))
    assert value(found, "last_run_exit_code", **RUN) == 1
    assert value(found, "last_run_timestamp_seconds", **RUN) == NOW + 10
    assert value(found, "last_run_gaps", **RUN) == 2
    assert value(found, "last_run_abort_seconds", **RUN) == 0.4
    assert value(found, "last_run_recovery_seconds", **RUN) is None
    assert value(found, "last_run_detection_seconds", **RUN, source="prometheus") == 12


def test_near_misses_are_counted_by_state_and_age() -> None:
    found = values(exposition(EVERYTHING))
    where = {"service": "checkout", "environment_class": "staging"}
    assert value(found, "near_misses", **where, state="open", priority="P2") == 2
    assert value(found, "near_misses_closed", state="verified") == 7
    assert value(found, "near_misses_by_age", state="open", age="under 7 days") == 1
    assert value(found, "near_misses_by_age", state="open", age="under 90 days") == 1
    assert value(found, "near_misses_by_age", state="waived", age="under 1 day") == 1
    assert value(found, "near_miss_oldest_seconds", **where, state="open", priority="P2") == 40 * DAY
    assert value(found, "near_misses_overdue", **where, priority="P2") == 1
    assert value(found, "near_misses_overdue", **where, priority="P4") == 0
    assert value(found, "register_up") == 1


def test_a_register_out_of_reach_is_told_from_an_empty_one() -> None:
    assert value(values(exposition(Figures(near_misses=None))), "register_up") == 0
    assert value(values(exposition(Figures())), "register_up") == 1


@pytest.mark.parametrize(
    "text",
    [exposition(EVERYTHING), exposition(Figures()), of_one_run(ABORTED), of_near_misses([near_miss()], NOW)],
    ids=["everything", "nothing", "a run", "near misses"],
)
def test_prometheus_takes_the_text(text: bytes) -> None:
    checked = subprocess.run([program("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def exposed(text: bytes) -> dict[str, tuple[str, frozenset[str]]]:
    """By name: type, and names of labels."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        labels = frozenset(label for one in family.samples for label in one.labels) - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, labels)
    return found


def test_the_page_lists_every_metric_with_its_type_and_labels() -> None:
    listed = {
        row[0].strip("`"): (row[1], frozenset(re.findall(r"\w+", row[2])) - {"none"})
        for row in table(ROOT / "docs" / "monitoring.md", "metric")
    }
    assert listed == exposed(exposition(EVERYTHING))


# -- from a state folder


def put(state: Path, run: str = RUN_ID) -> Path:
    """A run's journal, in its place."""
    journal = state / "runs" / run / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"".join(write_line(entry) for entry in payments_are_slow(broken=False, run=run)))
    return journal


def figures(state: Path, machine: Path) -> StateFigures:
    return StateFigures(state, Machine(machine), SystemClock())


def test_what_is_counted_is_what_the_journals_say(tmp_path: Path) -> None:
    state = tmp_path / "state"
    journal = put(state)
    source = figures(state, tmp_path / "m")
    (found,) = source.gather().runs
    assert (found.answer, found.ending, found.exit_code) == ("held", "finished", 0)
    assert found.recovered_after is not None
    kept = journal.with_name("figures.json")
    assert kept.is_file()
    kept.write_text(kept.read_text().replace('"held"', '"broken"'))
    assert figures(state, tmp_path / "m").gather().runs[0].answer == "broken", "it is not judged again"
    os.utime(journal, (1.0, 1.0))
    assert figures(state, tmp_path / "m").gather().runs[0].answer == "held", "unless the journal changed"


def test_runs_that_live_are_not_counted_as_ended_and_those_that_died_are_left(tmp_path: Path) -> None:
    state, machine = tmp_path / "state", Machine(tmp_path / "m")
    for run_id in ("20261122-105103-4f2a9c", "20261122-105103-4f2a9d"):
        put(state, run_id)
    lock = machine.enter(ActiveRun("20261122-105103-4f2a9c", "staging", "x"))
    machine.enter(ActiveRun("20261122-105103-4f2a9d", "staging", "x")).drop()
    found = figures(state, tmp_path / "m").gather()
    lock.drop()
    assert len(found.runs) == 1
    assert (dict(found.under_way), dict(found.left)) == ({"staging": 1}, {"staging": 1})


def test_a_journal_that_cannot_be_read_is_counted_and_hides_no_other(tmp_path: Path) -> None:
    state = tmp_path / "state"
    put(state)
    broken = state / "runs" / "20261122-105103-4f2a9d" / "journal.jsonl"
    broken.parent.mkdir()
    broken.write_text("nonsense\n")
    found = figures(state, tmp_path / "m").gather()
    assert (len(found.runs), found.unreadable) == (1, 1)


def test_near_misses_are_those_of_the_register(tmp_path: Path) -> None:
    clock = SetClock()
    with open_register(tmp_path / "state", clock) as register:
        (first,) = register.record(facts("run-1"), [finding()])
        register.record(facts("run-2"), [finding(gap(identity={"to": "mail"}))])
        why = {"reason": "not ours", "accepted_by": "bob", "rejected_as": RejectedAs.OUT_OF_SCOPE}
        change = Change.model_validate({"to": State.REJECTED, "actor": "ana", "at": clock.now(), **why})
        register.change(first.near_miss.id, change)
    found = StateFigures(tmp_path / "state", Machine(tmp_path / "m"), clock).gather()
    assert found.near_misses is not None
    assert [(one.state, one.count) for one in found.near_misses] == [("open", 1)]
    assert found.closed == {"duplicate": 0, "obsolete": 0, "rejected": 1, "verified": 0}
    assert value(values(exposition(found)), "near_misses_closed", state="rejected") == 1


def test_a_register_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with open_register(tmp_path / "state", SetClock()):
        pass
    (tmp_path / "state" / "register.db").write_bytes(b"nonsense" * 1000)
    found = figures(tmp_path / "state", tmp_path / "m").gather()
    assert found.near_misses is None
    assert value(values(exposition(found)), "register_up") == 0
