"""Every transition of a near miss, and every one that is forbidden."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from chaosrunner.errors import Refused, UsageError
from chaosrunner.model.life_cycle import TRANSITIONS, Change, Party, transition
from chaosrunner.model.near_miss import NearMiss, Override, Progress, Waiver, day_of
from chaosrunner.model.words import Priority, RejectedAs, State, WaivedAs
from tests.near_misses.world import DAY, START, near_miss

PERSON, TRACKER, OURS = "person", "tracker", "chaosrunner"
ALLOWED: dict[str, dict[str, set[str]]] = {
    "open": {
        "triaged": {PERSON},
        "fix-ready": {PERSON, TRACKER},
        "needs-info": {PERSON},
        "waived": {PERSON},
        "rejected": {PERSON},
        "duplicate": {PERSON},
        "obsolete": {PERSON},
    },
    "triaged": {
        "in-progress": {PERSON, TRACKER},
        "fix-ready": {PERSON, TRACKER},
        "needs-info": {PERSON},
        "waived": {PERSON},
        "rejected": {PERSON},
        "duplicate": {PERSON},
        "obsolete": {PERSON},
    },
    "in-progress": {"triaged": {PERSON}, "fix-ready": {PERSON, TRACKER}, "waived": {PERSON}},
    "needs-info": {"open": {PERSON}, "fix-ready": {PERSON, TRACKER}},
    "fix-ready": {"in-progress": {PERSON, TRACKER}, "open": {OURS}, "verified": {OURS}},
    "waived": {"open": {PERSON, OURS}, "waived": {PERSON}},
    "verified": {"open": {OURS}},
    "rejected": {"open": {PERSON, OURS}},
    "obsolete": {"open": {PERSON, OURS}},
    "duplicate": {"open": {PERSON}},
}
"""Written down here by itself: state -> state -> who."""

EVERY = [(start, to, party) for start in State for to in State for party in Party]
COMPLETE = Progress(runs=("r1",), days=(day_of(START),), required_runs=1, required_days=1, asked_by="ver/1", slip=0.3)


def in_state(state: State, **changes: Any) -> NearMiss:
    waiver = Waiver(accepted_by="bob", until=day_of(START) - timedelta(days=1), reason="for now", given_at=START)
    return near_miss(
        state=state,
        waiver=waiver if state is State.WAIVED else None,
        verification=COMPLETE if state is State.FIX_READY else None,
        **changes,
    )


def wish(to: State, **changes: Any) -> Change:
    """A change that lacks nothing."""
    good: dict[str, Any] = {
        "actor": "ana",
        "at": START + DAY,
        "reason": "because",
        "accepted_by": "bob",
        "until": day_of(START) + timedelta(days=20),
        "change": "commit 4f2a9c",
        "waived_as": WaivedAs.PLANNED_REPLACEMENT,
        "controls": ("a person watches it",),
        "rejected_as": RejectedAs.FALSE_POSITIVE,
        "duplicate_of": "NM-2026-0002",
        "owner": "team-checkout",
    }
    return Change(to=to, **(good | changes))


@pytest.mark.parametrize(("start", "to", "party"), EVERY)
def test_a_near_miss_moves_as_the_table_says_and_no_other_way(start: State, to: State, party: Party) -> None:
    change = wish(to, party=party)
    if party.value in ALLOWED[start.value].get(to.value, set()):
        after = transition(in_state(start), change)
        assert (after.state, after.state_since, after.reason) == (to, change.at, "because")
    else:
        with pytest.raises((UsageError, Refused)) as refused:
            transition(in_state(start), change)
        assert "NM-2026-0001" in str(refused.value)


def test_the_table_and_this_test_know_the_same_ways() -> None:
    ours = {(start.value, to.value): {party.value for party in way.parties} for (start, to), way in TRANSITIONS.items()}
    assert ours == {(start, to): who for start, ways in ALLOWED.items() for to, who in ways.items()}


def test_the_near_miss_that_is_moved_is_left_as_it_was() -> None:
    before = near_miss()
    transition(before, wish(State.TRIAGED))
    assert before == near_miss()


@pytest.mark.parametrize(
    ("start", "to", "lack", "message"),
    [
        (State.OPEN, State.TRIAGED, {"owner": None}, "has no owner"),
        (State.OPEN, State.FIX_READY, {"change": None}, "needs the change that fixes it: --change"),
        (State.OPEN, State.FIX_READY, {"change": "  "}, "needs the change that fixes it: --change"),
        (State.OPEN, State.NEEDS_INFO, {"reason": ""}, "needs a reason"),
        (State.OPEN, State.WAIVED, {"until": None}, "a waiver needs an end"),
        (State.OPEN, State.WAIVED, {"reason": " "}, "needs a reason"),
        (State.OPEN, State.WAIVED, {"until": day_of(START)}, "a waiver of it may end from"),
        (State.OPEN, State.WAIVED, {"until": date(2099, 1, 1)}, "not on"),
        (State.OPEN, State.WAIVED, {"accepted_by": None}, "who accepts it"),
        (State.OPEN, State.WAIVED, {"waived_as": None}, "why may it wait"),
        (State.OPEN, State.WAIVED, {"controls": (" ",)}, "what protects until then"),
        (State.OPEN, State.REJECTED, {"reason": ""}, "needs a reason"),
        (State.OPEN, State.REJECTED, {"rejected_as": None}, "why is it none"),
        (State.OPEN, State.DUPLICATE, {"duplicate_of": None}, "duplicate of which one"),
        (State.OPEN, State.DUPLICATE, {"duplicate_of": "NM-2026-0001"}, "duplicate of itself"),
        (State.TRIAGED, State.OBSOLETE, {"reason": ""}, "needs a reason"),
        (State.IN_PROGRESS, State.TRIAGED, {"reason": ""}, "needs a reason"),
        (State.REJECTED, State.OPEN, {"reason": ""}, "needs a reason"),
    ],
)
def test_a_change_that_lacks_something_says_what(start: State, to: State, lack: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        transition(in_state(start, owner=None), wish(to, **lack))


def test_an_owner_does_not_accept_their_own() -> None:
    with pytest.raises(Refused, match="somebody else must accept it"):
        transition(near_miss(), wish(State.WAIVED, accepted_by="team-checkout", owner=None))


def test_who_asks_for_a_waiver_does_not_accept_it() -> None:
    with pytest.raises(Refused, match="ana asks for the waiver: somebody else must accept it"):
        transition(near_miss(), wish(State.WAIVED, accepted_by="ana"))


def test_what_is_wrong_in_this_environment_only_needs_no_protection() -> None:
    only_here = wish(State.WAIVED, waived_as=WaivedAs.ENVIRONMENT_ONLY, controls=())
    assert transition(near_miss(), only_here).state is State.WAIVED


def test_the_most_urgent_is_waived_twice_at_most() -> None:
    urgent = near_miss(override=Override(priority=Priority.P1, by="ana", at=START, reason="known"))
    once = transition(urgent, wish(State.WAIVED))
    twice = transition(once, wish(State.WAIVED))
    with pytest.raises(Refused, match="was waived 2 times already"):
        transition(twice, wish(State.WAIVED))
    with pytest.raises(Refused, match="was waived 2 times already"):
        transition(transition(twice, wish(State.OPEN)), wish(State.WAIVED))
    less = near_miss(waivers=7, override=Override(priority=Priority.P3, by="ana", at=START, reason="known"))
    assert transition(less, wish(State.WAIVED)).waivers == 8


def test_a_waiver_ends_early_where_its_condition_broke_and_may_restart_the_time_for_the_fix() -> None:
    for restart in (False, True):
        asked = wish(State.WAIVED, conditions=("page-is-shown",), restart_due=restart)
        waived = transition(near_miss(), asked)
        assert waived.waiver is not None and waived.waiver.requested_by == "ana"
        end = wish(State.OPEN, party=Party.CHAOSRUNNER, at=START + 3 * DAY, broke="page-is-shown")
        after = transition(waived, end)
        moved = timedelta(days=3) if restart else timedelta(0)
        assert (after.state, after.due - near_miss().due) == (State.OPEN, moved)


def test_not_reproduced_is_said_after_many_clean_runs_only() -> None:
    reject = wish(State.REJECTED, rejected_as=RejectedAs.NOT_REPRODUCED)
    with pytest.raises(Refused, match="28 comparable runs did not show it; that says nothing before 29"):
        transition(near_miss(clean=28), reject)
    assert transition(near_miss(clean=29), reject).rejected_as is RejectedAs.NOT_REPRODUCED


def test_somebody_who_takes_it_on_is_remembered_until_it_comes_back() -> None:
    assert near_miss().triaged_at is None
    assert transition(near_miss(), wish(State.TRIAGED)).triaged_at == START + DAY
    back = transition(in_state(State.IN_PROGRESS, triaged_at=START), wish(State.TRIAGED))
    assert back.triaged_at == START


def test_an_urgent_one_is_rejected_by_two() -> None:
    with pytest.raises(Refused, match="second person"):
        transition(near_miss(), wish(State.REJECTED, accepted_by=None))
    mild = Override(priority=Priority.P3, by="ana", at=START, reason="internal only")
    alone = transition(near_miss(override=mild), wish(State.REJECTED, accepted_by=None))
    assert alone.state is State.REJECTED


@pytest.mark.parametrize(("priority", "days"), [("P1", 30), ("P2", 90), ("P3", 180), ("P4", 180)])
def test_a_waiver_lasts_no_longer_than_its_priority_allows(priority: str, days: int) -> None:
    override = Override(priority=Priority(priority), by="ana", at=START, reason="known")
    today = day_of(START + DAY)
    last = transition(near_miss(override=override), wish(State.WAIVED, until=today + timedelta(days=days)))
    assert last.waiver is not None and last.waiver.accepted_by == "bob"
    with pytest.raises(UsageError, match="not on"):
        transition(near_miss(override=override), wish(State.WAIVED, until=today + timedelta(days=days + 1)))


def test_chaosrunner_itself_opens_a_waived_one_only_after_the_last_day() -> None:
    until = day_of(START + DAY)
    waived = transition(near_miss(), wish(State.WAIVED, at=START, until=until))
    end = wish(State.OPEN, party=Party.CHAOSRUNNER, at=START + DAY)
    with pytest.raises(Refused, match="lasts until"):
        transition(waived, end)
    after = transition(waived, end.model_copy(update={"at": START + 2 * DAY}))
    assert (after.state, after.waiver) == (State.OPEN, None)


def test_not_even_chaosrunner_verifies_without_passing_runs() -> None:
    ready = near_miss(state=State.FIX_READY)
    with pytest.raises(Refused, match="no passing run yet"):
        transition(ready, wish(State.VERIFIED, party=Party.CHAOSRUNNER))
    one_of_three = COMPLETE.model_copy(update={"required_runs": 3})
    with pytest.raises(Refused, match="1 of 3 passing runs"):
        transition(
            ready.model_copy(update={"verification": one_of_three}), wish(State.VERIFIED, party=Party.CHAOSRUNNER)
        )


def test_a_person_who_wants_to_verify_is_told_how_it_is_done() -> None:
    with pytest.raises(Refused, match=r"only chaosrunner sets verified.*fix-ready --change"):
        transition(in_state(State.FIX_READY), wish(State.VERIFIED))


def test_a_forbidden_move_says_where_one_can_go() -> None:
    with pytest.raises(UsageError, match="from there it can become triaged, fix-ready, waived, not rejected"):
        transition(in_state(State.IN_PROGRESS), wish(State.REJECTED))
    with pytest.raises(UsageError, match="is already open"):
        transition(near_miss(), wish(State.OPEN))


def test_taking_a_fix_back_forgets_the_runs_that_passed_it() -> None:
    after = transition(in_state(State.FIX_READY, fixed_by="commit 1"), wish(State.IN_PROGRESS))
    assert (after.verification, after.fixed_by, after.fix_ready_at) == (None, None, None)


def test_days_of_waiting_for_information_do_not_count_up_to_seven() -> None:
    before = near_miss()
    asked = transition(before, wish(State.NEEDS_INFO, at=START))
    three = transition(asked, wish(State.OPEN, at=START + 3 * DAY))
    assert three.due - before.due == timedelta(days=3)
    ten = transition(asked, wish(State.OPEN, at=START + 10 * DAY))
    assert ten.due - before.due == timedelta(days=7)
    again = transition(transition(three, wish(State.NEEDS_INFO)), wish(State.OPEN, at=START + 30 * DAY))
    assert again.due - before.due == timedelta(days=7)


def test_overdue_means_that_a_fix_should_have_been_ready() -> None:
    late = near_miss().due + timedelta(days=1)
    assert near_miss().overdue(late) and not near_miss().overdue(near_miss().due)
    for state in (State.FIX_READY, State.WAIVED, State.VERIFIED, State.REJECTED, State.DUPLICATE, State.OBSOLETE):
        assert not near_miss(state=state).overdue(late)
