"""What people and alerts tell of: kept once, linked to experiments, verified by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.model.description import Description
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import Barrier, Factor
from chaosrunner.model.report import Report
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.words import DetectedBy, FailureMode, Priority, Source, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.stages.remediation_text import item_of
from chaosrunner.stages.reporting import make_report, moment, names_people, read_reports
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, passing

FILE = """
- title: The queue was almost lost
  service: checkout
  story: The disk was full.
  happened: 2026-11-20T10:30Z
  failureMode: data-loss
  stoppedBy: human
  experiments: [disk-full]
- {title: The nightly job was late, service: billing, effect: weakness}
"""


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    with open_register(tmp_path, SetClock()) as opened:
        yield opened


def report(**changes: Any) -> Report:
    good = {"title": "The queue was almost lost", "service": "checkout", "reported_by": "ana", "at": START}
    return Report.model_validate(good | changes)


def test_a_report_becomes_a_draft_that_somebody_takes_on(register: Register) -> None:
    recorded = register.report(report())
    draft = recorded.near_miss
    assert (recorded.sighting, draft.draft, draft.state, draft.source) == (
        Sighting.NEW,
        True,
        State.OPEN,
        Source.PERSON,
    )
    (event,) = register.show("1").history
    assert (event.actor, event.what) == ("ana", "found")
    taken = register.change("1", Change(to=State.TRIAGED, actor="bob", at=START + 1, owner="team-checkout"))
    assert not taken.draft


def test_the_same_report_twice_is_one_and_another_of_the_same_is_an_occurrence(register: Register) -> None:
    alert = {"source": Source.ALERT, "same_as": "alertmanager QueueFull", "reported_by": None}
    register.report(report(delivery="alert-1", **alert), actor="alertmanager")
    again = register.report(report(delivery="alert-1", **alert), actor="alertmanager")
    assert (again.sighting, again.near_miss.occurrences) == (Sighting.KNOWN, 1)
    later = register.report(report(delivery="alert-2", at=START + 60, **alert), actor="alertmanager")
    assert (later.near_miss.id, later.near_miss.occurrences) == ("NM-2026-0001", 2)
    assert register.show("1").history[0].actor == "alertmanager"
    register.report(report(delivery="alert-3", same_as="alertmanager DiskFull", source=Source.ALERT))
    assert register.count() == 2


def test_two_reports_that_say_nothing_of_being_the_same_are_two(register: Register) -> None:
    register.report(report())
    register.report(report(story="told by somebody else"))
    register.record(facts(), [finding()])
    assert register.count() == 3, "a report never merges with what a run found"


def test_without_a_name_nothing_says_who_it_was(register: Register) -> None:
    register.report(report(reported_by=None))
    assert "ana" not in "".join(register.export())
    assert [each.actor for each in register.show("1").history] == ["anonymous"]


@pytest.mark.parametrize(
    ("changes", "priority"),
    [
        ({}, "P2"),
        ({"effect": "loss", "tier": 1, "stopped_by": "human"}, "P1"),
        ({"effect": "weakness", "tier": 4}, "P3"),
        ({"effect": "weakness", "failure_mode": FailureMode.DATA_LOSS}, "P1"),
        ({"stopped_by": "system-barrier", "standing": 2}, "P4"),
        ({"stopped_by": "system-barrier", "standing": 2, "detected_by": DetectedBy.USER}, "P3"),
        ({"finding": "unsafe-condition", "effect": "loss", "tier": 1}, "P2"),
    ],
)
def test_its_priority_follows_from_what_was_said(register: Register, changes: dict[str, Any], priority: str) -> None:
    assert register.report(report(**changes)).near_miss.priority.value == priority


def test_what_no_experiment_shows_is_listed_until_one_is_linked(register: Register) -> None:
    register.report(report())
    register.record(facts(), [finding()])
    assert [each.id for each in register.list(Wanted(covered=False))] == ["NM-2026-0001"]
    register.link("1", ["disk-full"], "ana")
    assert register.list(Wanted(covered=False)) == []
    assert [(each.what, each.after) for each in register.show("1").history[1:]] == [("links", "disk-full")]
    with pytest.raises(UsageError, match="is not linked to queue-full, but to disk-full"):
        register.unlink("1", ["queue-full"], "ana")
    register.unlink("1", ["disk-full"], "ana")
    assert not register.get("1").covered


def ready(register: Register, at: float = START + 100) -> None:
    register.change("1", Change(to=State.FIX_READY, actor="ana", at=at, change="commit 1"))


def linked(run: str, at: float, **changes: Any) -> Any:
    return passing(run, at=at, experiment="disk-full", verification=ONE_RUN, **changes)


def test_passing_runs_of_a_linked_experiment_verify_it_in_any_environment(register: Register) -> None:
    register.report(report(experiments=("disk-full",)))
    ready(register)
    assert register.passed(passing("run-0", at=START + 190, verification=ONE_RUN)) == [], "another experiment"
    (tried,) = register.passed(linked("run-1", START + 200))
    assert tried.verified and register.get("1").state is State.VERIFIED
    assert register.get("1").conditions.faults, "later runs are held against the first"


@pytest.mark.parametrize("changes", [{"trouble": "no readings"}, {"held": ()}, {"recovered": False}])
def test_a_linked_run_that_shows_nothing_verifies_nothing(register: Register, changes: dict[str, Any]) -> None:
    register.report(report(experiments=("disk-full",)))
    ready(register)
    (tried,) = register.passed(linked("run-1", START + 200, **changes))
    assert not tried.counts and register.get("1").state is State.FIX_READY


def test_a_linked_run_that_breaks_opens_it_again(register: Register) -> None:
    register.report(report(experiments=("disk-full",)))
    ready(register)
    register.passed(linked("run-1", START + 200, held=(), broken=("orders-go-through",)))
    after = register.get("1")
    assert (after.state, after.attempts) == (State.OPEN, 1)
    assert "which it is linked to, showed orders-go-through broken" in after.reason


def test_nothing_is_verified_without_a_linked_experiment(register: Register) -> None:
    register.report(report())
    ready(register)
    assert register.passed(passing("run-1", at=START + DAY, verification=ONE_RUN)) == []


def test_what_is_described_changes_the_priority_and_is_kept(register: Register) -> None:
    register.record(facts(), [finding()])
    held = Barrier(name="retry", state="held")
    after = register.describe("1", Description(barriers=(held,), factors=(Factor(factor="no timeout"),)), "ana", "seen")
    assert (after.scoring.proximity, after.priority) == ("C3", Priority.P3)
    failed = Barrier(name="retry", state="failed", evidence="the log")
    again = register.describe("1", Description(barriers=(failed,), failure_mode=FailureMode.DATA_LOSS), "bob")
    assert (again.barriers, again.factors) == ((failed,), (Factor(factor="no timeout"),))
    assert (again.scoring.potential, again.scoring.proximity, again.priority) == ("S1", "C1", Priority.P1)
    told = [(each.actor, each.what) for each in register.show("1").history]
    assert {("ana", "defences"), ("ana", "factors"), ("bob", "failure mode"), ("bob", "priority")} <= {*told}


def test_the_item_of_a_report_says_who_told_of_it_and_what_is_missing(register: Register) -> None:
    register.report(report(links=("https://dash.example/1",)))
    text = item_of(register.show("1")).body
    assert "Reported by ana" in text and "https://dash.example/1" in text
    assert "near-miss link NM-2026-0001 EXPERIMENT" in text
    register.link("1", ["disk-full"], "ana")
    assert "chaosrunner run disk-full" in item_of(register.show("1")).body


# -------------------------------------------------------------------------------------------------------------- files


def test_a_file_holds_many_reports(tmp_path: Path) -> None:
    first, second = (make_report(each, "ana", tmp_path) for each in read_reports(FILE.encode(), "reports.yaml"))
    assert (first.failure_mode, first.at, first.experiments) == (FailureMode.DATA_LOSS, 1_795_170_600.0, ("disk-full",))
    assert (second.service, second.effect) == ("billing", "weakness")
    assert first.id != second.id and make_report(read_reports(FILE.encode(), "x")[0], "ana", tmp_path).id == first.id


def test_an_environment_gives_its_class_its_tracker_and_its_due_dates(tmp_path: Path, register: Register) -> None:
    (tmp_path / "staging.yaml").write_text(
        "apiVersion: chaosrunner.dev/v1\nkind: Environment\nmetadata: {name: staging}\n"
        "spec: {class: pre-production, platform: {local: {services: {a: {listens: 7}}}}, due: {p2: 3}}\n"
    )
    (written,) = read_reports(b"{title: a, service: b, environment: staging}", "x")
    near_miss = register.report(make_report(written, None, tmp_path)).near_miss
    assert (near_miss.environment_class, near_miss.environment) == ("pre-production", "staging")
    assert (near_miss.due - near_miss.due.fromtimestamp(START)).days == 3


def test_every_mistake_of_a_file_is_said_with_its_place() -> None:
    with pytest.raises(FileProblems) as wrong:
        read_reports(b"- {title: a, servise: b}\n- {title: a, service: b, tier: 9}\n", "reports.yaml")
    assert "reports.yaml:1:14: unknown field `servise`, did you mean 'service'?" in str(wrong.value)
    assert "reports.yaml:2:" in str(wrong.value)


def test_times_are_read_with_and_without_a_zone() -> None:
    assert moment("2026-11-20T10:30Z") == moment("2026-11-20T11:30+01:00") == moment("2026-11-20T10:30")
    with pytest.raises(UsageError, match="'yesterday' is no time, expected one such as 2026-11-20"):
        moment("yesterday")


def test_names_of_people_are_noticed() -> None:
    (written,) = read_reports(b"{title: '@ana found it', service: b, story: 'ask bob@shop.example, 5@6'}", "x")
    assert names_people(written) == ("@ana", "bob@shop.example")
