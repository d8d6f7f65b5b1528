"""Runs recorded in a register: new, seen again, passed, verified, regressed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import UsageError
from chaosrunner.model.life_cycle import Change, Party
from chaosrunner.model.near_miss import NearMiss, day_of
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.words import FindingClass, GapKind, Priority, RejectedAs, State, WaivedAs
from chaosrunner.register import open_register, register_exists
from chaosrunner.register.near_misses import Recorded, Register, Wanted
from tests.near_misses.world import (
    DAY,
    ONE_RUN,
    START,
    SetClock,
    conditions,
    expectation,
    facts,
    fault,
    finding,
    gap,
    inputs,
    passing,
)
from tests.register.conftest import Place

WAIVING: dict[str, Any] = {"waived_as": WaivedAs.PLANNED_REPLACEMENT, "controls": ("a person watches it",)}
REJECTING: dict[str, Any] = {"rejected_as": RejectedAs.OUT_OF_SCOPE}


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def register(place: Place, clock: SetClock) -> Iterator[Register]:
    with open_register(place("state"), clock) as opened:
        yield opened


def shown(register: Register, run: str = "run-1", *, at: float = START) -> Recorded:
    (recorded,) = register.record(facts(run, at=at), [finding()])
    return recorded


def ready(register: Register, at: float = START + 100) -> NearMiss:
    return register.change("1", Change(to=State.FIX_READY, actor="ana", at=at, change="commit 4f2a9c"))


def test_a_register_is_made_when_it_is_first_opened(tmp_path: Path, clock: SetClock) -> None:
    assert not register_exists(tmp_path)
    open_register(tmp_path, clock).close()
    assert register_exists(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["register.db"]


def test_a_gap_makes_a_near_miss_with_an_occurrence_and_an_event(register: Register) -> None:
    recorded = shown(register)
    assert (recorded.sighting, recorded.near_miss.id) == (Sighting.NEW, "NM-2026-0001")
    record = register.show("NM-2026-0001")
    assert record.near_miss == recorded.near_miss
    assert (record.near_miss.state, record.near_miss.owner) == (State.OPEN, "team-checkout")
    (occurrence,) = record.occurrences
    assert (occurrence.run, occurrence.seed, occurrence.evidence[0].worst) == ("run-1", 7, 1.2)
    assert occurrence.conditions == conditions()
    assert [(event.what, event.after, event.actor, event.run) for event in record.history] == [
        ("found", "open", "chaosrunner", "run-1")
    ]


def test_the_same_gap_again_is_the_same_near_miss(register: Register) -> None:
    shown(register)
    again = shown(register, "run-2", at=START + DAY)
    assert (again.sighting, again.near_miss.occurrences) == (Sighting.SEEN_AGAIN, 2)
    assert (again.near_miss.first_run, again.near_miss.last_run) == ("run-1", "run-2")
    assert [each.run for each in register.show("1").occurrences] == ["run-1", "run-2"]


def test_a_run_recorded_twice_adds_nothing(register: Register) -> None:
    shown(register)
    before = register.show("1")
    assert shown(register).sighting is Sighting.KNOWN
    assert register.show("1") == before


def test_two_gaps_of_one_run_with_one_fingerprint_are_one_occurrence_that_says_both(register: Register) -> None:
    late = gap(kind=GapKind.NO_RECOVERY, story="It did not come back.")
    assert len(register.record(facts(), [finding(), finding(late)])) == 1
    (occurrence,) = register.show("1").occurrences
    assert occurrence.also == (GapKind.NO_RECOVERY,)
    assert gap().story in occurrence.story and late.story in occurrence.story


def test_two_dependencies_of_one_service_are_two_near_misses(register: Register) -> None:
    other = gap(identity={"to": "inventory"})
    recorded = register.record(facts(), [finding(), finding(other)])
    assert [each.near_miss.id for each in recorded] == ["NM-2026-0001", "NM-2026-0002"]


def test_numbers_count_by_year_and_are_never_used_again(register: Register) -> None:
    shown(register)
    next_year = register.record(
        facts("run-2", at=START + 365 * DAY), [finding(gap(service="cart")), finding(gap(service="search"))]
    )
    assert [each.near_miss.id for each in next_year] == ["NM-2027-0001", "NM-2027-0002"]


def test_a_close_call_that_later_breaks_becomes_a_near_miss_and_more_urgent(register: Register) -> None:
    close = inputs(
        finding=FindingClass.UNSAFE_CONDITION, kinds=(GapKind.CLOSE_CALL,), stopped_by="system-barrier", standing=1
    )
    what = gap(kind=GapKind.CLOSE_CALL, finding=FindingClass.UNSAFE_CONDITION, title="checkout: holds by a hair")
    (first,) = register.record(facts(), [finding(what, scored=close)])
    assert (first.near_miss.finding, first.near_miss.priority) == (FindingClass.UNSAFE_CONDITION, Priority.P4)
    after = shown(register, "run-2", at=START + 60).near_miss
    assert (after.finding, after.priority, after.title) == (FindingClass.NEAR_MISS, Priority.P2, gap().title)
    (milder,) = register.record(facts("run-3", at=START + 120), [finding(what, scored=close)])
    assert (milder.near_miss.finding, milder.near_miss.priority) == (FindingClass.NEAR_MISS, Priority.P2)
    whats = [event.what for event in register.show("1").history]
    assert {"class", "priority", "due"} <= set(whats)


# ---------------------------------------------------------------------------------------------------- verification


def test_a_passing_run_after_the_fix_verifies_it_where_one_is_asked_for(register: Register) -> None:
    shown(register)
    ready(register)
    (tried,) = register.passed(passing("run-2", at=START + 200, verification=ONE_RUN))
    assert tried.counts and tried.verified
    after = register.get("1")
    assert after.state is State.VERIFIED and after.verification is not None
    assert (after.verification.runs, after.verification.asked_by) == (("run-2",), "environment shop")
    event = [event for event in register.show("1").history if event.what == "state"][-1]
    assert (event.actor, event.before, event.after, event.run) == ("chaosrunner", "fix-ready", "verified", "run-2")
    assert "1 of 1 passing run, as environment shop asks" in event.reason


def test_by_rule_an_urgent_one_needs_three_passing_runs_on_two_days(register: Register) -> None:
    shown(register)
    ready(register)
    for number in range(5):
        (tried,) = register.passed(passing(f"same-day-{number}", at=START + 200 + number))
        assert not tried.verified
    (tried,) = register.passed(passing("next-day", at=START + DAY))
    assert tried.verified and tried.near_miss.verification is not None
    assert (tried.near_miss.verification.required_runs, tried.near_miss.verification.required_days) == (3, 2)


def test_a_passing_run_before_the_fix_only_says_how_often_the_gap_shows(register: Register) -> None:
    shown(register)
    for number in range(9):
        (tried,) = register.passed(passing(f"before-{number}", at=START + 20 + number, verification=ONE_RUN))
        assert tried.counts and not tried.verified
    assert (register.get("1").state, register.get("1").clean) == (State.OPEN, 9)
    ready(register)
    (tried,) = register.passed(passing("after", at=START + 200))
    assert tried.near_miss.verification is not None
    assert tried.near_miss.verification.required_runs == 17


def test_a_run_that_began_before_the_fix_does_not_count(register: Register) -> None:
    shown(register)
    ready(register, at=START + 195)
    (tried,) = register.passed(passing("during", at=START + 200, verification=ONE_RUN))
    assert not tried.verified and register.get("1").state is State.FIX_READY


def test_the_same_passing_run_counts_once(register: Register) -> None:
    shown(register)
    ready(register)
    register.passed(passing("run-2", at=START + 200))
    before = register.show("1")
    register.passed(passing("run-2", at=START + 200))
    assert register.show("1") == before
    assert before.near_miss.verification is not None and before.near_miss.verification.runs == ("run-2",)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"trouble": "the run was inconclusive: no readings"}, "inconclusive"),
        ({"held": ()}, "did not hold"),
        ({"recovered": False}, "not seen recovered"),
        ({"conditions": conditions(faults=(fault(harder={"delay": 0.1}),))}, "a weaker fault"),
        ({"conditions": conditions(expectations=(expectation("9s"),))}, "at most 9s"),
    ],
)
def test_a_run_that_shows_nothing_verifies_nothing(register: Register, changes: dict[str, object], why: str) -> None:
    shown(register)
    ready(register)
    (tried,) = register.passed(passing("run-2", at=START + 200, verification=ONE_RUN, **changes))
    assert not tried.counts and not tried.verified and why in tried.why
    assert register.get("1").state is State.FIX_READY
    recorded = [(each.counts, each.why) for each in register.show("1").passes]
    assert recorded == ([] if "trouble" in changes else [(False, tried.why)])


@pytest.mark.parametrize(
    "changes",
    [
        {"service": "cart"},
        {"environment_class": "staging"},
        {"conditions": conditions(faults=(fault(to=("inventory",)),))},
        {"conditions": conditions(expectations=(expectation(measure="page-is-shown/p95"),))},
    ],
)
def test_a_run_of_something_else_is_not_held_against_it(register: Register, changes: dict[str, object]) -> None:
    shown(register)
    ready(register)
    assert register.passed(passing("run-2", at=START + 200, verification=ONE_RUN, **changes)) == []


def test_a_run_that_showed_it_is_never_also_a_pass(register: Register) -> None:
    shown(register)
    ready(register)
    again = passing("run-2", at=START + 200, verification=ONE_RUN)
    register.record(again, [finding()])
    assert register.passed(again) == []


def test_a_failing_run_after_the_fix_opens_it_again(register: Register) -> None:
    shown(register)
    ready(register)
    register.passed(passing("run-2", at=START + 200))
    failed = shown(register, "run-3", at=START + 300)
    after = failed.near_miss
    assert failed.sighting is Sighting.FIX_FAILED
    assert (after.state, after.attempts, after.regressed, after.verification) == (State.OPEN, 1, False, None)
    assert (after.seen, after.clean) == (2, 1)
    assert "commit 4f2a9c was to fix it" in after.reason


# ------------------------------------------------------------------------------------------------------ regression


def closed(register: Register, state: State) -> NearMiss:
    if state is State.VERIFIED:
        ready(register)
        register.passed(passing("run-v", at=START + 200, verification=ONE_RUN))
    else:
        change = Change(to=state, actor="ana", accepted_by="bob", at=START + 100, reason="not ours", **REJECTING)
        register.change("1", change)
    return register.get("1")


@pytest.mark.parametrize("state", [State.VERIFIED, State.REJECTED, State.OBSOLETE])
def test_seen_again_after_it_was_closed_it_is_open_regressed_and_more_urgent(register: Register, state: State) -> None:
    mild = inputs(tier=4)
    register.record(facts(), [finding(scored=mild)])
    assert closed(register, state).state is state
    assert register.get("1").priority is Priority.P3
    (recorded,) = register.record(facts("run-9", at=START + 40 * DAY), [finding(scored=mild)])
    after = recorded.near_miss
    assert recorded.sighting is Sighting.REGRESSED
    assert (after.state, after.regressed, after.priority) == (State.OPEN, True, Priority.P2)
    assert after.due == day_of(START + 40 * DAY) + timedelta(days=30)
    assert (after.seen, after.clean, after.occurrences) == (1, 0, 2)


def test_a_priority_set_by_hand_rises_too(register: Register) -> None:
    shown(register)
    register.prioritise("1", Priority.P4, "ana", "internal only")
    closed(register, State.VERIFIED)
    after = shown(register, "run-9", at=START + DAY).near_miss
    assert after.priority is Priority.P3 and after.override is not None
    assert after.scoring.priority is Priority.P1


def test_an_old_run_recorded_late_adds_its_occurrence_and_opens_nothing(register: Register) -> None:
    shown(register)
    closed(register, State.VERIFIED)
    late = shown(register, "run-0", at=START - DAY)
    assert (late.sighting, late.near_miss.state) == (Sighting.SEEN_AGAIN, State.VERIFIED)
    assert (late.near_miss.occurrences, late.near_miss.first_run, late.near_miss.last_run) == (2, "run-0", "run-1")


def test_a_duplicate_counts_for_its_original(register: Register) -> None:
    other = gap(identity={"to": "inventory"})
    register.record(facts(), [finding(), finding(other)])
    register.change("2", Change(to=State.DUPLICATE, actor="ana", at=START + 1, reason="same", duplicate_of="1"))
    assert register.get("2").duplicate_of == "NM-2026-0001"
    (recorded,) = register.record(facts("run-2", at=START + 9), [finding(other)])
    assert (recorded.near_miss.id, recorded.near_miss.occurrences) == ("NM-2026-0001", 3)
    with pytest.raises(UsageError, match="is itself a duplicate of NM-2026-0001"):
        register.change("1", Change(to=State.DUPLICATE, actor="ana", at=START + 1, reason="same", duplicate_of="2"))


def test_a_waived_one_stays_waived_when_it_is_seen_again_and_opens_when_the_waiver_ends(
    register: Register, clock: SetClock
) -> None:
    shown(register)
    until = day_of(START) + timedelta(days=5)
    register.change(
        "1", Change(to=State.WAIVED, actor="ana", accepted_by="bob", at=START, reason="known", until=until, **WAIVING)
    )
    assert shown(register, "run-2", at=START + DAY).near_miss.state is State.WAIVED
    clock.at = START + 5 * DAY
    assert register.wake() == []
    clock.at = START + 6 * DAY
    assert [each.id for each in register.wake()] == ["NM-2026-0001"]
    assert register.get("1").state is State.OPEN
    assert "the waiver of bob ended" in register.show("1").history[-2].reason


def test_a_service_that_was_renamed_keeps_its_near_miss(register: Register) -> None:
    shown(register)
    renamed = gap(service="orders", target_services=("orders",))
    under = conditions(faults=(fault(services=("orders",)),))
    run = facts("run-2", at=START + 60, service="orders", aliases=("checkout",), conditions=under)
    (recorded,) = register.record(run, [finding(renamed, under=under)])
    after = recorded.near_miss
    assert (after.id, after.service, after.occurrences) == ("NM-2026-0001", "orders", 2)
    assert after.former_fingerprints == (gap().fingerprint,) and after.fingerprint == renamed.fingerprint
    without_alias = facts("run-3", at=START + 70, service="orders")
    (again,) = register.record(without_alias, [finding(renamed, under=under)])
    assert again.near_miss.id == "NM-2026-0001"
    ready(register)
    held = passing("run-4", at=START + 300, service="orders", conditions=under, verification=ONE_RUN)
    assert register.passed(held)[0].verified


# ---------------------------------------------------------------------------------------------------------- people


def test_every_change_is_an_event_with_who_when_and_why(register: Register, clock: SetClock) -> None:
    shown(register)
    clock.at = START + 60
    register.change("1", Change(to=State.TRIAGED, actor="ana", at=clock.at, reason="ours", owner="team-pay"))
    register.prioritise("1", Priority.P3, "bob", "few users")
    register.add_note("1", "cy", "see the timeout in cart.py")
    register.assign("1", "team-cart", "ana")
    register.prioritise("1", None, "bob", "back to the rule")
    told = [(each.actor, each.what, each.before, each.after) for each in register.show("1").history[1:]]
    assert told == [
        ("ana", "state", "open", "triaged"),
        ("ana", "owner", "team-checkout", "team-pay"),
        ("bob", "priority", "P2", "P3"),
        ("bob", "priority set by hand", "", "P3 by bob: few users"),
        ("bob", "due", "2026-10-21", "2026-12-20"),
        ("cy", "note", "", ""),
        ("ana", "owner", "team-pay", "team-cart"),
        ("bob", "priority", "P3", "P2"),
        ("bob", "priority set by hand", "P3 by bob: few users", ""),
        ("bob", "due", "2026-12-20", "2026-10-21"),
    ]
    assert {each.at for each in register.show("1").history[1:]} == {START + 60}


def test_a_refused_change_leaves_nothing_behind(register: Register) -> None:
    shown(register)
    before = register.show("1")
    with pytest.raises(UsageError):
        register.change("1", Change(to=State.IN_PROGRESS, actor="ana", at=START))
    with pytest.raises(UsageError, match="needs a reason"):
        register.prioritise("1", Priority.P1, "ana", " ")
    with pytest.raises(UsageError, match="needs some text"):
        register.add_note("1", "ana", "")
    assert register.show("1") == before


def test_a_list_has_the_most_urgent_first_and_hides_the_closed(register: Register) -> None:
    for number, tier in enumerate((4, 1, 2)):
        what = finding(gap(service=f"service-{number}"), scored=inputs(tier=tier))
        register.record(facts(f"run-{number}"), [what])
    assert [each.service for each in register.list()] == ["service-1", "service-2", "service-0"]
    register.change("2", Change(to=State.OBSOLETE, actor="ana", at=START, reason="service removed"))
    assert [each.service for each in register.list()] == ["service-2", "service-0"]
    assert len(register.list(Wanted(closed=True))) == 3
    assert [each.id for each in register.list(Wanted(states=frozenset({State.OBSOLETE})))] == ["NM-2026-0002"]
    assert [each.id for each in register.list(Wanted(service="service-0"))] == ["NM-2026-0001"]
    assert [each.id for each in register.list(Wanted(priorities=frozenset({Priority.P2})))] == ["NM-2026-0003"]
    assert register.list(Wanted(environment_class="staging")) == []


@pytest.mark.parametrize("written", ["NM-2026-0001", "nm-2026-0001", "1", "0001", "2026-1", "NM-1", " nm-2026-1 "])
def test_an_id_may_be_shortened(register: Register, written: str) -> None:
    shown(register)
    assert register.get(written).id == "NM-2026-0001"


def test_an_unknown_id_names_the_nearest_and_an_unclear_one_all(register: Register) -> None:
    with pytest.raises(UsageError, match="the register is empty"):
        register.get("NM-2026-0001")
    shown(register)
    with pytest.raises(UsageError, match="there is no near miss 'NM-2026-0009'; the nearest is NM-2026-0001"):
        register.get("NM-2026-0009")
    register.record(facts("run-2", at=START + 365 * DAY), [finding(gap(service="cart"))])
    with pytest.raises(UsageError, match="'1' may be NM-2026-0001, NM-2027-0001"):
        register.get("1")
    assert register.get("2027-1").service == "cart"


def test_chaosrunners_own_changes_go_through_the_same_table(register: Register) -> None:
    shown(register)
    change = Change(to=State.VERIFIED, actor="chaosrunner", party=Party.CHAOSRUNNER, at=START, run="run-1")
    with pytest.raises(UsageError, match="not verified"):
        register.change("1", change)
