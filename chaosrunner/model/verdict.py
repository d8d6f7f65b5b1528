"""The verdict: what a run's journal means. Made by `stages/judge.py` alone; can be made again from an old journal."""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Answer, Ending, Phase


class PhaseVerdict(Frozen):
    """One measure in one phase. Numbers are in the measure's unit, times in the journal's `t`."""

    phase: Phase
    judged: bool
    """False: observed only, because the phase has no rule."""
    answer: Answer
    reason: str
    """Why, as a sentence with numbers."""
    rule: str | None = None
    low: float | None = None
    """The rule's lowest value in order, resolved against the baseline."""
    high: float | None = None
    readings: int = 0
    """Readings wholly inside the phase, no answers included."""
    missing: int = 0
    no_answers: int = 0
    median: float | None = None
    least: float | None = None
    most: float | None = None
    worst: Value | None = None
    """The reading with the least room; None: no answer, or no reading."""
    worst_at: float | None = None
    margin: float | None = None
    """Room that was left, as a share of the limit; negative: over it by so much."""
    violated_for: float = 0.0
    """The longest unbroken time outside, seconds."""
    first_violation: float | None = None


class MeasureVerdict(Frozen):
    """One measure over the run."""

    key: str
    name: str
    unit: str | None = None
    judged: bool
    answer: Answer
    reason: str
    baseline: float | None = None
    """Median of the baseline's readings."""
    phases: tuple[PhaseVerdict, ...] = ()


class HypothesisVerdict(Frozen):
    """A hypothesis: the worst of its measures."""

    name: str
    title: str
    answer: Answer
    reason: str
    closest: str | None = None
    """Key of the measure with the least room in the fault phase."""
    margin: float | None = None
    """Its room, as a share of the limit."""
    broken_during: tuple[str, ...] = ()
    """Faults (`STEP/N`) that were in force when it broke."""
    strength: str = ""
    """Of how many targets in force it broke with: `2 of 3`."""
    measures: tuple[MeasureVerdict, ...] = ()


class FaultVerdict(Frozen):
    """One fault on one target: was it seen in force, met, and seen gone?"""

    fault: str
    step: str
    kind: str
    target: Target
    injected_at: float | None = None
    in_force_at: float | None = None
    undone_at: float | None = None
    share_in_force: float = 0.0
    """Of the time that it should have been in force."""
    touched: int | None = None
    seen_gone: bool | None = None
    undo_failed: bool = False
    trouble: str = ""
    """Why this fault makes the run inconclusive; empty: it did what it should."""


class RecoveryVerdict(Frozen):
    """Whether and how fast the system came back after the last undo."""

    answer: Answer
    """Held: recovered; broken: not within the time allowed; inconclusive: cannot be said."""
    seconds: float | None = None
    """From the last undo to the first reading of the streak that held."""
    reason: str


class AbortVerdict(Frozen):
    """An abort, and how long it took to take everything back."""

    measure: str
    limit: str
    blind: bool
    at: float
    undone_after: float | None = None
    """Seconds from the reading that completed the limit to the last fault undone."""


class AlertVerdict(Frozen):
    """One expected alert: did it fire in time?"""

    step: str
    """The fault step that should raise it."""
    alert: str
    source: Literal["prometheus", "alertmanager"]
    """Whose word counts."""
    within: float
    answer: Answer
    """Held: it fired in time; broken: it did not; inconclusive: that cannot be said."""
    reason: str
    detected_after: float | None = None
    """Seconds from the fault in force to the first look that saw it fire, at the source whose word counts."""
    prometheus_after: float | None = None
    alertmanager_after: float | None = None
    exact_to: float | None = None
    """How much earlier than the look it may have fired: the time since the look before."""
    silenced: bool = False
    """Whether Alertmanager kept it from people."""


class Verdict(Frozen):
    """What a run says: the fault was in force, the hypotheses' answers, the fault is gone and the system is back."""

    run: str
    experiment: str
    answer: Answer
    ending: Ending | None
    """None: the journal stops before the run's end (the runner died)."""
    ending_reason: str = ""
    exit_code: int
    summary: str
    """One sentence."""
    inconclusive_because: tuple[str, ...] = ()
    hypotheses: tuple[HypothesisVerdict, ...] = ()
    faults: tuple[FaultVerdict, ...] = ()
    recovery: RecoveryVerdict | None = None
    abort: AbortVerdict | None = None
    spilled: tuple[str, ...] = ()
    alerts: tuple[AlertVerdict, ...] = ()
    """One for each alert that the experiment expects."""
    noticed: tuple[str, ...] = ()
    """Hypotheses that broke, and some alert began to fire."""
    unnoticed: tuple[str, ...] = ()
    """Hypotheses that broke while no alert began to fire, where alerts could be read."""
    seconds: float = 0.0
    """How long the run took."""
