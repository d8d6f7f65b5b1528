"""Priority by lookup, severity first: what the same fault would cost in production, against what still stood.

Rule `prio/1`. After ICAO Annex 13 and the EU's ERCS: judge what the event could have become, not what became of it, and
count only defences that worked; luck is none. A lookup, as in FMEA's action priority, because ordinals cannot be
multiplied. The inputs are kept with the result, so that it can be computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import Field
from chaosrunner.model.words import FailureMode, FindingClass, GapKind, Priority

Potential = Literal["S1", "S2", "S3", "S4"]
Proximity = Literal["C1", "C2", "C3", "C4"]
StoppedBy = Literal["system-barrier", "human", "experiment-abort", "fault-ended", "refusal", "unknown"]

_LADDER = tuple(Priority)

PRIORITY: dict[Potential, tuple[Priority, Priority, Priority, Priority]] = {
    "S1": (Priority.P1, Priority.P1, Priority.P2, Priority.P3),
    "S2": (Priority.P1, Priority.P2, Priority.P3, Priority.P3),
    "S3": (Priority.P2, Priority.P3, Priority.P3, Priority.P4),
    "S4": (Priority.P3, Priority.P4, Priority.P4, Priority.P4),
}
"""By potential; in each row C1 (nothing stood, or luck), C2 (a person), C3 (one defence), C4 (two or more)."""

_BY_TIER: dict[str, dict[int, Potential]] = {
    "loss": {1: "S1", 2: "S2", 3: "S3", 4: "S4"},
    "degraded": {1: "S2", 2: "S3", 3: "S3", 4: "S4"},
    "weakness": {1: "S3", 2: "S4", 3: "S4", 4: "S4"},
}
"""What a realistic outage would cost, by how bad it was and the service's tier, where no error budget tells."""

_COST = {"loss": "production would lose", "degraded": "production would degrade", "weakness": "a weakness of"}

_BY_BUDGET: tuple[tuple[Potential, float], ...] = (("S1", 1.0), ("S2", 0.1), ("S3", 0.02))
"""The share of the error budget from which on."""

_DATA = (FailureMode.DATA_LOSS, FailureMode.DATA_INCONSISTENCY)

DUE_DAYS = {Priority.P1: 14, Priority.P2: 30, Priority.P3: 90, Priority.P4: 180}
"""Between CISA's BOD 19-02 (15 and 30 days) and FedRAMP's 30, 90 and 180; staging, so not hours."""

OUTAGE_SECONDS = 3600.0
"""A realistic outage, for projecting what the error budget would lose."""


class ScoreInputs(Frozen):
    """Everything that the priority is computed from."""

    finding: FindingClass
    kinds: tuple[GapKind, ...]
    tier: int | None = Field(default=None, ge=1, le=4)
    """Of the service, 1 the most important; None: not declared, taken as 2."""
    budget: float | None = None
    """Share of the error budget that an hour of this would spend; None: no budget is declared, or no ratio failed."""
    stopped_by: StoppedBy
    """Why it did not become an outage."""
    standing: int = Field(default=0, ge=0)
    """Automatic defences that worked."""
    undetected: bool = False
    """Whether nobody would have been alerted."""
    regressions: int = Field(default=0, ge=0)
    failure_mode: FailureMode | None = None
    """How it failed, where that is known; lost or wrong data is the worst there is."""
    effect: Literal["loss", "degraded", "weakness"] | None = None
    """What it would do to production, where a person has said so; None: by the kinds of gap."""


class Scoring(Frozen):
    """A computed priority with its reasons."""

    rule: Literal["prio/1"] = "prio/1"
    potential: Potential
    proximity: Proximity
    priority: Priority
    rationale: tuple[str, ...]
    """The steps to it, each a sentence."""
    inputs: ScoreInputs


TRIAGED_SOON = (Priority.P1, Priority.P2)
"""Priorities that somebody should look at within `TRIAGE_DAYS` working days."""
TRIAGE_DAYS = 2
_SATURDAY = 5


def raised(priority: Priority, steps: int = 1) -> Priority:
    """So many steps more urgent, at most P1."""
    return _LADDER[max(0, _LADDER.index(priority) - steps)]


def more_urgent(one: Priority, other: Priority) -> bool:
    """Whether `one` comes before `other`."""
    return _LADDER.index(one) < _LADDER.index(other)


def due_date(opened: date, priority: Priority, paused_days: int = 0, policy: Mapping[str, int] | None = None) -> date:
    """When a fix should be ready: 14, 30, 90 or 180 days from the opening, for P1 to P4, or what the policy says."""
    days = (policy or {}).get(priority.value, DUE_DAYS[priority])
    return opened + timedelta(days=days + paused_days)


def triage_by(opened: date) -> date:
    """The last day on which somebody should look at one of `TRIAGED_SOON`: two working days from the opening, as OSHA's
    48 hours for incidents (29 CFR 1910.119(m)), with weekends left out."""
    day, left = opened, TRIAGE_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < _SATURDAY
    return day


def projected_budget(bad_ratio: float, objective: float, window: float, outage: float = OUTAGE_SECONDS) -> float:
    """Share of the error budget that an outage of `outage` seconds with this ratio of failures would spend.

    `spend = (bad_ratio * T) / ((1 - SLO) * W)`; 20 % errors for 60 minutes of a 99.9 % objective over 30 days: 0.278.
    """
    return (bad_ratio * outage) / (max(1 - objective, 1e-9) * window)


def score(inputs: ScoreInputs) -> Scoring:
    """The priority of a finding. Pure: the same inputs give the same answer."""
    potential, cost = _potential(inputs)
    proximity, stood = _proximity(inputs)
    priority = PRIORITY[potential][int(proximity[1]) - 1]
    rationale = [cost, stood, f"{potential} and {proximity} make {priority}"]
    if inputs.undetected:
        priority = raised(priority)
        rationale.append(f"nobody would have been alerted: one step up, {priority}")
    if inputs.regressions:
        priority = raised(priority, inputs.regressions)
        times = "once" if inputs.regressions == 1 else f"{inputs.regressions} times"
        rationale.append(f"it came back {times} after it was closed: {priority}")
    if inputs.finding is FindingClass.UNSAFE_CONDITION and priority is Priority.P1:
        priority = Priority.P2
        rationale.append("an unsafe condition is P2 at most")
    if GapKind.UNDO_FAILED in inputs.kinds:
        priority = Priority.P1
        rationale.append("a fault could not be taken back: always P1")
    return Scoring(
        potential=potential, proximity=proximity, priority=priority, rationale=tuple(rationale), inputs=inputs
    )


def _gravity(inputs: ScoreInputs) -> str:
    if inputs.effect is not None:
        return inputs.effect
    if {GapKind.NO_RECOVERY, GapKind.ABORTED, GapKind.SPILL_OVER, GapKind.UNDO_FAILED} & set(inputs.kinds):
        return "loss"
    return "degraded" if GapKind.IMPACT in inputs.kinds else "weakness"


def _potential(inputs: ScoreInputs) -> tuple[Potential, str]:
    tier = inputs.tier or 2
    whose = f"a service of tier {inputs.tier}" if inputs.tier else "a service (tier not declared, taken as 2)"
    if inputs.failure_mode in _DATA:
        return "S1", f"S1: {inputs.failure_mode.value.replace('-', ' ')}, which nothing brings back"
    gravity = _gravity(inputs)
    by_tier = _BY_TIER[gravity][tier]
    if inputs.budget is None:
        return by_tier, f"{by_tier}: {_COST[gravity]} {whose}"
    spends = inputs.budget
    by_budget: Potential = next((potential for potential, least in _BY_BUDGET if spends >= least), "S4")
    spent = f"an hour of this in production would spend {inputs.budget:.0%} of the error budget"
    if gravity == "loss" and tier == 1:
        return "S1", f"S1: {_COST[gravity]} {whose}; {spent}"
    return by_budget, f"{by_budget}: {spent}"


def _proximity(inputs: ScoreInputs) -> tuple[Proximity, str]:
    if inputs.stopped_by == "system-barrier":
        if inputs.standing >= 2:
            return "C4", f"C4: {inputs.standing} defences of the system held"
        return "C3", "C3: a defence of the system held"
    if inputs.stopped_by == "human":
        return "C2", "C2: only a person's action stood between this and an outage"
    luck = {
        "experiment-abort": "the experiment's abort limit ended it",
        "fault-ended": "it ended because the fault was taken back",
        "refusal": "only the refused run kept this from being tried",
        "unknown": "nothing is known to have stopped it",
    }[inputs.stopped_by]
    return "C1", f"C1: {luck}, which is luck and no defence"
