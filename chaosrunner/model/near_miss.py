"""A near miss: the lasting record of a gap. Its occurrences are immutable; every change of it is an event.

The nouns only: how it moves from state to state is in `life_cycle`, how urgent it is in `priority`, and what verifies
a fix in `verification`. Times are wall time, epoch seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

from chaosrunner.model.course import Course
from chaosrunner.model.environment import Verification
from chaosrunner.model.evidence import Clues
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.gap import FINGERPRINT_RULE, Gap
from chaosrunner.model.priority import TRIAGED_SOON, Scoring, triage_by
from chaosrunner.model.tolerance import Tolerance, Value
from chaosrunner.model.words import (
    DetectedBy,
    FailureMode,
    FindingClass,
    GapKind,
    Phase,
    Priority,
    RejectedAs,
    Source,
    State,
    WaivedAs,
)

CHAOSRUNNER = "chaosrunner"
"""The actor of every change that no person made."""

CLOSED = frozenset({State.VERIFIED, State.REJECTED, State.DUPLICATE, State.OBSOLETE})
"""States in which nobody has anything left to do."""


def day_of(at: float) -> date:
    """The UTC date of a time; days are counted in UTC."""
    return datetime.fromtimestamp(at, UTC).date()


class FaultCondition(Frozen):
    """One fault as it was in force when the gap showed; a run verifies nothing with a weaker one."""

    kind: str
    fault_class: str
    identity: dict[str, str] = {}
    services: tuple[str, ...] = ()
    """Of the targets, sorted."""
    to: tuple[str, ...] = ()
    """Services at the other end of the targets' connections, sorted."""
    params: JsonObject = {}
    """All parameters but those in `harder`."""
    harder: dict[str, float] = {}
    """Parameters with which the fault grows, as numbers that are greater where the fault is harder."""
    targets: int = 1
    lasts: float
    settle: float = 0.0


class Expectation(Frozen):
    """One judged measure of the hypothesis: what it reads, and its tolerance."""

    measure: str
    probe: str
    params: JsonObject = {}
    tolerance: Tolerance
    unit: str | None = None
    during: str = "always"
    when_missing: str = "inconclusive"


class Conditions(Frozen):
    """Under what a gap showed: the faults, what was expected, and the load."""

    environment: str
    faults: tuple[FaultCondition, ...]
    expectations: tuple[Expectation, ...] = ()
    recovery_within: float
    recovery_holds: float | None = None
    traffic: TrafficSpec | None = None
    """The built-in load; None: the system's own."""


class Evidence(Frozen):
    """One measure that failed, with its numbers in `unit`."""

    measure: str
    phase: Phase | None = None
    rule: str = ""
    limit: float | None = None
    worst: Value | None = None
    """None: no answer."""
    baseline: float | None = None
    unit: str | None = None
    margin: float | None = None
    violated_for: float = 0.0
    """Seconds."""
    reason: str = ""
    course: Course | None = None
    """How it went over the run, at the first of its phases that are told; None: there are no numbers to be drawn."""


class Found(Frozen):
    """A gap of one run, with all that the register keeps of it."""

    gap: Gap
    evidence: tuple[Evidence, ...] = ()
    clues: Clues | None = None
    """What else changed meanwhile; None: nobody looked."""
    conditions: Conditions
    scoring: Scoring
    """Before regressions of an earlier near miss are known."""
    failure_mode: FailureMode | None = None
    """As far as the measures tell."""
    detected_by: DetectedBy | None = None
    recovered_in: float | None = None
    """Seconds after the last undo; None: it was not seen recovered, or nobody looked."""


class RunFacts(Frozen):
    """What the register must know of a run."""

    run: str
    began: float
    ended: float
    experiment: str
    title: str
    environment: str
    environment_class: str
    service: str
    aliases: tuple[str, ...] = ()
    """Earlier names of the service."""
    owner: str | None = None
    assignee: str | None = None
    labels: tuple[str, ...] = ()
    runbook: str = ""
    """What the experiment's runbook does, in a sentence; empty: it names none."""
    seed: int
    command: str = ""
    verification: Verification = Verification()
    """What the environment asks for."""
    tracker: str | None = None
    """Kind of the environment's tracker; None: it names none."""
    conditions: Conditions
    """All faults and all expectations of the run."""
    held: tuple[str, ...] = ()
    """Hypotheses that held."""
    detected: tuple[str, ...] = ()
    """Expected alerts that fired in time, and hypotheses that broke while some alert began to fire."""
    broken: tuple[str, ...] = ()
    """Hypotheses that broke."""
    due_days: dict[str, int] = {}
    """Days until a fix should be ready, by priority, where the environment names them."""
    answer: str = ""
    """Of the whole run: held, inconclusive or broken."""
    trouble: str = ""
    """Why this run can count for nothing (it was inconclusive, cut short, a fault was not seen); empty: it counts."""
    recovered: bool = True
    gate: str | None = None
    """The suite whose gate asked for this run; None: none did."""
    parameters: JsonObject = {}
    """What the experiment's parameters were."""
    acted: bool = True
    """Whether anything was broken; False: it ended before."""


class Occurrence(Frozen):
    """One run's evidence for a near miss. Never changed."""

    near_miss: str
    fingerprint: str
    run: str
    at: float
    """When the run ended."""
    experiment: str
    environment: str
    kind: GapKind
    also: tuple[GapKind, ...] = ()
    finding: FindingClass
    title: str
    story: str
    strength: str = ""
    evidence: tuple[Evidence, ...] = ()
    clues: Clues | None = None
    """What else changed while the fault was in force: hints, not causes. None: nobody looked."""
    measures: tuple[JsonObject, ...] = ()
    """As the gap told them."""
    source: Source = Source.RUN
    failure_mode: FailureMode | None = None
    detected_by: DetectedBy | None = None
    recovered_in: float | None = None
    """Seconds after the last undo."""
    links: tuple[str, ...] = ()
    """Where more about it can be read."""
    seed: int
    command: str
    runbook: str = ""
    """What the runbook against it does, in a sentence; empty: the experiment names none."""
    conditions: Conditions


class Pass(Frozen):
    """One run that exercised the near miss and did not show it."""

    near_miss: str
    run: str
    began: float
    at: float
    """When it ended."""
    experiment: str
    environment: str
    counts: bool
    """Whether it counts towards the fix's verification."""
    why: str
    """Why it does, or does not."""


class HistoryEvent(Frozen):
    """One change of a near miss: who, when, what, from, to, why, and the run that led to it."""

    near_miss: str
    at: float
    actor: str
    what: str
    before: str = ""
    after: str = ""
    reason: str = ""
    run: str | None = None


class Waiver(Frozen):
    """A named person's acceptance until a date."""

    accepted_by: str
    until: date
    reason: str
    given_at: float
    requested_by: str = ""
    justification: WaivedAs | None = None
    """None: given by a version that did not ask."""
    controls: tuple[str, ...] = ()
    """What protects meanwhile."""
    conditions: tuple[str, ...] = ()
    """Hypotheses that must hold; a run in which one breaks ends the waiver."""
    restart_due: bool = False
    """Whether the time for the fix begins anew when it ends."""


class Override(Frozen):
    """A priority that a person set; the computed one is kept beside it."""

    priority: Priority
    by: str
    at: float
    reason: str


class Progress(Frozen):
    """How far the verification of a fix is."""

    runs: tuple[str, ...] = ()
    """Runs that count."""
    days: tuple[date, ...] = ()
    """The different days that they were on, sorted."""
    required_runs: int
    required_days: int
    rule: Literal["ver/1"] = "ver/1"
    asked_by: str
    """`ver/1`, or the environment that asked for something else."""
    slip: float
    """The chance that a gap that shows as often as this one did would have been missed by `required_runs` runs."""

    @property
    def complete(self) -> bool:
        """Whether enough runs passed, on enough days."""
        return len(self.runs) >= self.required_runs and len(self.days) >= self.required_days

    def __str__(self) -> str:
        days = f" on {len(self.days)} of {self.required_days} days" if self.required_days > 1 else ""
        runs = "passing run" if self.required_runs == 1 else "passing runs"
        return f"{len(self.runs)} of {self.required_runs} {runs}{days}"


class Factor(Frozen):
    """Something that contributed. Never a person; what is only thought to have is never called a cause."""

    factor: str
    basis: Literal["observed", "hypothesis"] = "hypothesis"
    evidence: str = ""


class Barrier(Frozen):
    """A defence, and what it did."""

    name: str
    state: Literal["held", "degraded", "failed", "absent", "not-challenged", "unknown"] = "unknown"
    evidence: str = ""


class ItemLink(Frozen):
    """The remediation item, as it was last seen in its tracker."""

    tracker: str
    key: str
    url: str
    state: Literal["open", "closed", "gone"]
    seen_at: float
    assignee: str | None = None
    """Who has it there."""


class NearMiss(Frozen):
    """The lasting record of a gap; the same gap found again is the same near miss."""

    schema_: Literal["chaosrunner.near_miss/1"] = "chaosrunner.near_miss/1"
    id: str
    """`NM-2026-0042`; never used again."""
    finding: FindingClass
    kind: GapKind
    """Of the gap that it began with, or of a more serious one seen since."""
    title: str
    environment_class: str
    service: str
    fault_classes: tuple[str, ...]
    identity: dict[str, str] = {}
    target_services: tuple[str, ...] = ()
    hypothesis: str | None = None
    subject: str | None = None
    fingerprints: dict[str, str]
    """By rule, so that a later rule can stand beside the first; match if any agrees."""
    former_fingerprints: tuple[str, ...] = ()
    """Of earlier names of the service."""
    experiments: tuple[str, ...] = ()
    """That showed it."""
    environment: str
    """That it was last seen in."""
    tracker: str | None = None
    """Kind of that environment's tracker; None: it names none."""
    source: Source = Source.RUN
    reported_by: str | None = None
    """None: found by a run, or reported without a name."""
    outage: bool = False
    """Whether it was a real outage; those are counted, so that near misses can be held against them."""
    failure_mode: FailureMode | None = None
    detected_by: DetectedBy | None = None
    barriers: tuple[Barrier, ...] = ()
    factors: tuple[Factor, ...] = ()
    links: tuple[str, ...] = ()
    """Experiments that would have found it, linked by hand."""
    only: dict[str, str] = {}
    """Split off by hand: only occurrences that are so (`experiment`, `environment`) are its own."""
    apart: tuple[dict[str, str], ...] = ()
    """Split off from it by hand."""

    state: State = State.OPEN
    state_since: float
    reason: str = ""
    """Why it is in this state."""
    owner: str | None = None
    assignee: str | None = None
    labels: tuple[str, ...] = ()
    scoring: Scoring
    override: Override | None = None
    opened_at: float
    """When it was found, or last seen again after it had been closed."""
    due: date
    paused_days: int = 0
    """Days that it waited for information since it was opened; they do not count, up to seven."""

    first_seen: float
    first_run: str
    last_seen: float
    last_run: str
    occurrences: int = 1
    regressions: int = 0
    """How often it came back after it had been closed."""
    attempts: int = 0
    """How often a fix was said to be ready and was not."""

    seen: int = 1
    """Runs that showed it since it was opened."""
    clean: int = 0
    """Comparable runs that did not show it since it was opened, before the fix that is being verified."""
    conditions: Conditions
    """The hardest that it showed under; a passing run is held against these."""
    fixed_by: str | None = None
    """The change, or the closed item, that is said to fix it."""
    fix_ready_at: float | None = None
    verification: Progress | None = None
    waiver: Waiver | None = None
    waivers: int = 0
    """How often it was waived since it was opened."""
    rejected_as: RejectedAs | None = None
    triaged_at: float | None = None
    """When somebody last took it on; None: nobody has looked at it since it was opened."""
    due_days: dict[str, int] = {}
    """The environment's policy when it was last seen, by priority; empty: 14, 30, 90, 180."""
    fixed_in: float | None = None
    """Seconds from its opening until the last fix was ready."""
    verified_in: float | None = None
    """Seconds from that fix until it was last verified."""
    duplicate_of: str | None = None
    item: ItemLink | None = None

    @property
    def priority(self) -> Priority:
        """The person's, where one was set; otherwise the computed one."""
        return self.override.priority if self.override else self.scoring.priority

    @property
    def regressed(self) -> bool:
        """Whether it came back after it had been closed."""
        return self.regressions > 0

    @property
    def closed(self) -> bool:
        """Whether nobody has anything left to do."""
        return self.state in CLOSED

    @property
    def draft(self) -> bool:
        """Whether it was reported, and nobody has looked at it yet."""
        return self.source is not Source.RUN and self.state is State.OPEN and self.triaged_at is None

    @property
    def covered(self) -> bool:
        """Whether an experiment shows it, or would have."""
        return bool(self.experiments or self.links)

    @property
    def fingerprint(self) -> str:
        """Of the rule in force."""
        return self.fingerprints[FINGERPRINT_RULE]

    def unseen(self, today: date) -> bool:
        """Whether it is urgent, and nobody has looked at it in time."""
        waits = self.state is State.OPEN and self.triaged_at is None and self.priority in TRIAGED_SOON
        return waits and today > triage_by(day_of(self.opened_at))

    def overdue(self, today: date) -> bool:
        """Whether a fix should have been ready by now."""
        done = self.closed or self.state in (State.FIX_READY, State.WAIVED)
        return not done and today > self.due
