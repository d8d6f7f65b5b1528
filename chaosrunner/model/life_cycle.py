"""How a near miss moves from state to state: one table of transitions, each with who may make it and its guards.

Only chaosrunner sets `verified`, from passing runs; an item closed in a tracker, or a change that somebody names, makes
a fix *ready* and no more. Pure: every function takes a near miss and returns the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from enum import StrEnum

from chaosrunner.errors import Refused, UsageError
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import NearMiss, Waiver, day_of
from chaosrunner.model.priority import due_date
from chaosrunner.model.words import Priority, RejectedAs, State, WaivedAs
from chaosrunner.records.light import dataclass

LONGEST_WAIVER = {Priority.P1: 30, Priority.P2: 90, Priority.P3: 180, Priority.P4: 180}
"""Days, by priority."""

MOST_WAIVERS = {Priority.P1: 2}
"""How often one may be waived before it is closed or comes back: the most urgent may be renewed once."""

NOT_REPRODUCED = 29
"""Clean runs after which something may be rejected as not reproduced: with 1 in 10 it would have shown by then."""

LONGEST_PAUSE = 7
"""Days of waiting for information that do not count towards the due date."""


class Party(StrEnum):
    """What sort of actor makes a change."""

    PERSON = "person"
    TRACKER = "tracker"
    CHAOSRUNNER = "chaosrunner"


class Change(Frozen):
    """A wish to move a near miss to another state."""

    to: State
    actor: str
    """Who asks for it."""
    party: Party = Party.PERSON
    at: float
    reason: str = ""
    accepted_by: str | None = None
    """Who accepts a waiver, or approves a rejection; default: the actor."""
    until: date | None = None
    """End of a waiver."""
    waived_as: WaivedAs | None = None
    controls: tuple[str, ...] = ()
    """What protects while a waiver lasts."""
    conditions: tuple[str, ...] = ()
    """Hypotheses that must hold for a waiver to last."""
    restart_due: bool = False
    """Whether the time for the fix begins anew when a waiver ends."""
    rejected_as: RejectedAs | None = None
    broke: str = ""
    """The condition of a waiver that a run showed broken."""
    change: str | None = None
    """What fixes it: a commit, a version, a pull request."""
    duplicate_of: str | None = None
    owner: str | None = None
    run: str | None = None


Guard = Callable[[NearMiss, Change], None]


@dataclass(frozen=True, slots=True)
class Way:
    """One allowed transition."""

    parties: frozenset[Party]
    guards: tuple[Guard, ...] = ()


def _a_reason(near_miss: NearMiss, change: Change) -> None:
    if not change.reason.strip():
        raise UsageError(f"{near_miss.id}: {change.to} needs a reason: --reason TEXT")


def _an_owner(near_miss: NearMiss, change: Change) -> None:
    if not (change.owner or near_miss.owner):
        raise UsageError(f"{near_miss.id} has no owner: {change.to} needs the team that will see to it: --owner TEAM")


def _a_change(near_miss: NearMiss, change: Change) -> None:
    if not (change.change or "").strip():
        raise UsageError(f"{near_miss.id}: {change.to} needs the change that fixes it: --change COMMIT-OR-LINK")


def _a_waiver(near_miss: NearMiss, change: Change) -> None:
    if change.until is None:
        raise UsageError(f"{near_miss.id}: a waiver needs an end: --until 2027-01-31")
    today = day_of(change.at)
    latest = today + timedelta(days=LONGEST_WAIVER[near_miss.priority])
    if not today < change.until <= latest:
        raise UsageError(
            f"{near_miss.id} is {near_miss.priority}: a waiver of it may end from {today + timedelta(days=1)} to "
            f"{latest}, not on {change.until}"
        )
    most = MOST_WAIVERS.get(near_miss.priority)
    if most is not None and near_miss.waivers >= most:
        raise Refused(f"{near_miss.id} is {near_miss.priority} and was waived {near_miss.waivers} times already")


def _acceptance(near_miss: NearMiss, change: Change) -> None:
    accepted_by = (change.accepted_by or "").strip()
    if not accepted_by:
        raise UsageError(f"{near_miss.id}: who accepts it? --by NAME")
    if accepted_by == (change.owner or near_miss.owner):
        raise Refused(f"{near_miss.id} belongs to {accepted_by}: somebody else must accept it: --by NAME")
    if accepted_by == change.actor:
        raise Refused(f"{near_miss.id}: {accepted_by} asks for the waiver: somebody else must accept it: --by NAME")


def _a_justification(near_miss: NearMiss, change: Change) -> None:
    if change.waived_as is None:
        raise UsageError(f"{near_miss.id}: why may it wait? --as {'|'.join(WaivedAs)}")
    if not any(control.strip() for control in change.controls) and change.waived_as is not WaivedAs.ENVIRONMENT_ONLY:
        raise UsageError(f"{near_miss.id}: what protects until then? --control TEXT")


def _a_code(near_miss: NearMiss, change: Change) -> None:
    if change.rejected_as is None:
        raise UsageError(f"{near_miss.id}: why is it none? --as {'|'.join(RejectedAs)}")
    if change.rejected_as is RejectedAs.NOT_REPRODUCED and near_miss.clean < NOT_REPRODUCED:
        raise Refused(
            f"{near_miss.id}: {near_miss.clean} comparable runs did not show it; that says nothing before "
            f"{NOT_REPRODUCED} of them"
        )


def _a_second_person(near_miss: NearMiss, change: Change) -> None:
    urgent = near_miss.priority in (Priority.P1, Priority.P2)
    if urgent and (change.accepted_by or change.actor) == change.actor:
        raise Refused(f"{near_miss.id} is {near_miss.priority}: rejecting it needs a second person: --by NAME")


def _an_original(near_miss: NearMiss, change: Change) -> None:
    if not change.duplicate_of:
        raise UsageError(f"{near_miss.id}: duplicate of which one? --of NM-2026-0001")
    if change.duplicate_of == near_miss.id:
        raise UsageError(f"{near_miss.id} cannot be a duplicate of itself")


def _enough_passing_runs(near_miss: NearMiss, change: Change) -> None:
    if near_miss.verification is None or not near_miss.verification.complete:
        done = near_miss.verification or "no passing run yet"
        raise Refused(f"{near_miss.id} is not verified: {done}")


def _an_end(near_miss: NearMiss, change: Change) -> None:
    over = change.broke or near_miss.waiver is None or day_of(change.at) > near_miss.waiver.until
    if near_miss.waiver and change.party is Party.CHAOSRUNNER and not over:
        raise Refused(f"the waiver of {near_miss.id} lasts until {near_miss.waiver.until}")


_PERSON = frozenset({Party.PERSON})
_OURS = frozenset({Party.CHAOSRUNNER})
_WORK = frozenset({Party.PERSON, Party.TRACKER})
_OPEN, _TRIAGED, _WORKING, _READY = State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.FIX_READY
_UNKNOWN = State.NEEDS_INFO
_WAIVING = (_a_reason, _a_justification, _a_waiver, _acceptance)

TRANSITIONS: Mapping[tuple[State, State], Way] = {
    (_OPEN, _TRIAGED): Way(_PERSON, (_an_owner,)),
    (_TRIAGED, _WORKING): Way(_WORK),
    (_WORKING, _TRIAGED): Way(_PERSON, (_a_reason,)),
    (_READY, _WORKING): Way(_WORK, (_a_reason,)),
    **{(state, _READY): Way(_WORK, (_a_change,)) for state in (_OPEN, _TRIAGED, _WORKING, _UNKNOWN)},
    (_READY, State.VERIFIED): Way(_OURS, (_enough_passing_runs,)),
    (_READY, _OPEN): Way(_OURS, (_a_reason,)),
    **{(state, _UNKNOWN): Way(_PERSON, (_a_reason,)) for state in (_OPEN, _TRIAGED)},
    (_UNKNOWN, _OPEN): Way(_PERSON, (_a_reason,)),
    **{(state, State.WAIVED): Way(_PERSON, _WAIVING) for state in (_OPEN, _TRIAGED, _WORKING, State.WAIVED)},
    (State.WAIVED, _OPEN): Way(_PERSON | _OURS, (_a_reason, _an_end)),
    **{(state, State.REJECTED): Way(_PERSON, (_a_reason, _a_code, _a_second_person)) for state in (_OPEN, _TRIAGED)},
    **{(state, State.DUPLICATE): Way(_PERSON, (_a_reason, _an_original)) for state in (_OPEN, _TRIAGED)},
    **{(state, State.OBSOLETE): Way(_PERSON, (_a_reason,)) for state in (_OPEN, _TRIAGED)},
    (State.VERIFIED, _OPEN): Way(_OURS, (_a_reason,)),
    **{(state, _OPEN): Way(_PERSON | _OURS, (_a_reason,)) for state in (State.REJECTED, State.OBSOLETE)},
    (State.DUPLICATE, _OPEN): Way(_PERSON, (_a_reason,)),
}
"""What is not here is forbidden."""


def ways_from(state: State) -> list[State]:
    """The states that a person can move it to."""
    return [to for (start, to), way in TRANSITIONS.items() if start is state and Party.PERSON in way.parties]


def transition(near_miss: NearMiss, change: Change) -> NearMiss:
    """The near miss in its next state.

    Raises `UsageError` for a move that the table does not have or that lacks something, `Refused` for one that this
    actor may not make (only chaosrunner verifies; an owner does not accept their own).
    """
    if change.to is near_miss.state and (change.to, change.to) not in TRANSITIONS:
        raise UsageError(f"{near_miss.id} is already {near_miss.state}")
    way = TRANSITIONS.get((near_miss.state, change.to))
    if change.to is State.VERIFIED and change.party is not Party.CHAOSRUNNER:
        raise Refused(
            f"{near_miss.id}: only chaosrunner sets verified, from passing runs; once the fix is in, say "
            f"`near-miss set {near_miss.id} fix-ready --change …` and run the experiment again"
        )
    if way is None:
        raise UsageError(f"{near_miss.id} is {near_miss.state}; {_onwards(near_miss.state, change.to)}")
    if change.party not in way.parties:
        raise Refused(
            f"{near_miss.id} is {near_miss.state}; only {' or '.join(sorted(way.parties))} can make it {change.to}"
        )
    for guard in way.guards:
        guard(near_miss, change)
    return _moved(near_miss, change)


def _onwards(state: State, wanted: State) -> str:
    onwards = ", ".join(ways_from(state))
    if not onwards:
        return f"it cannot become {wanted}: it opens again by itself when a run shows it again"
    return f"from there it can become {onwards}, not {wanted}"


def _moved(near_miss: NearMiss, change: Change) -> NearMiss:
    update: dict[str, object] = {
        "state": change.to,
        "state_since": change.at,
        "reason": change.reason,
        "owner": change.owner or near_miss.owner,
        "waiver": None,
        "duplicate_of": change.duplicate_of if change.to is State.DUPLICATE else None,
        "rejected_as": change.rejected_as if change.to is State.REJECTED else None,
    }
    if change.to is _TRIAGED and near_miss.state is _OPEN:
        update["triaged_at"] = change.at
    if change.to is State.WAIVED:
        assert change.until is not None
        update["waiver"] = Waiver(
            accepted_by=change.accepted_by or change.actor,
            until=change.until,
            reason=change.reason,
            given_at=change.at,
            requested_by=change.actor,
            justification=change.waived_as,
            controls=change.controls,
            conditions=change.conditions,
            restart_due=change.restart_due,
        )
        update["waivers"] = near_miss.waivers + 1
    if change.to is _READY:
        update |= {"fixed_by": change.change, "fix_ready_at": change.at, "verification": None}
        update["fixed_in"] = max(0.0, change.at - near_miss.opened_at)
    elif change.to is State.VERIFIED:
        update["verified_in"] = max(0.0, change.at - (near_miss.fix_ready_at or change.at))
    else:
        update |= {"fixed_by": None, "fix_ready_at": None, "verification": None}
    if near_miss.state is _UNKNOWN:
        waited = (day_of(change.at) - day_of(near_miss.state_since)).days
        update["paused_days"] = min(LONGEST_PAUSE, near_miss.paused_days + max(0, waited))
    if near_miss.waiver and near_miss.waiver.restart_due and change.to is _OPEN:
        update |= {"opened_at": change.at, "paused_days": 0}
    return with_due_date(near_miss.model_copy(update=update))


def with_due_date(near_miss: NearMiss) -> NearMiss:
    """Its due date brought up to date with its priority, opening and pauses."""
    due = due_date(day_of(near_miss.opened_at), near_miss.priority, near_miss.paused_days, near_miss.due_days)
    return near_miss.model_copy(update={"due": due})
