"""What is going on right now in a run, kept up to date entry by entry; the live view and the plain lines show it.

Taking in an entry costs a few microseconds: it happens inside the run.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import field

from chaosrunner.judging.hold import ResolvedRule, resolve
from chaosrunner.model import journal as j
from chaosrunner.model.plan import Plan, PlannedItem, PlannedMeasure
from chaosrunner.model.tolerance import Rule, Value
from chaosrunner.model.words import Phase
from chaosrunner.records.light import dataclass
from chaosrunner.reports.narrator import Narrator, Told

TRAIL = 160
"""Readings kept of each measure for its sparkline."""
EVENTS = 40
"""Events kept for the list of the last ones."""


@dataclass(frozen=True, slots=True)
class Step:
    """One reading on the sparkline: a value, or None with `why` (`no answer` or `no reading`)."""

    value: float | None
    outside: bool
    why: str = ""


@dataclass(slots=True)
class Dial:
    """One measure's last reading, its limits now, and its trail."""

    measure: PlannedMeasure
    rule: ResolvedRule | None = None
    abort: ResolvedRule | None = None
    last: Value | None = None
    state: str = "waiting"
    """`inside`, `outside`, `observed`, `no answer`, `no reading` or `waiting`."""
    trail: deque[Step] = field(default_factory=lambda: deque(maxlen=TRAIL))
    words: list[str] = field(default_factory=list)
    baseline: float | None = None

    def enter(self, phase: Phase) -> None:
        """Take the limits of a phase."""
        tolerance = self.measure.tolerance
        self.rule = self._resolved(getattr(tolerance, phase.value) if tolerance else None)
        self.abort = self._resolved(self.measure.abort_at)

    def _resolved(self, rule: Rule | None) -> ResolvedRule | None:
        if rule is None or rule.over_phase or (rule.relative and self.baseline is None):
            return None
        return resolve(rule, self.measure.unit, self.baseline)

    def take(self, event: j.ReadingTaken) -> None:
        """Put down one reading."""
        if event.no_answer is not None:
            self.state, self.last = "no answer", None
            self.trail.append(Step(None, True, "no answer"))
        elif event.missing is not None or event.value is None:
            self.state, self.last = "no reading", None
            self.trail.append(Step(None, False, "no reading"))
        else:
            self.last = event.value
            outside = not self._allows(event.value)
            self.state = "outside" if outside else "inside" if self.rule else "observed"
            self.trail.append(Step(self._height(event.value), outside))

    def _allows(self, value: Value) -> bool:
        if self.rule is None or (self.rule.numeric and isinstance(value, str)):
            return True
        return self.rule.allows(value)

    def _height(self, value: Value) -> float:
        if isinstance(value, str):
            if value not in self.words and len(self.words) < 16:
                self.words.append(value)
            return float(self.words.index(value)) if value in self.words else 16.0
        height = float(value)
        return height if math.isfinite(height) else 0.0

    @property
    def closeness(self) -> float | None:
        """How near the last reading is to the abort limit, 1 being there; None: no such limit, or it cannot be said."""
        if self.abort is None or self.last is None or isinstance(self.last, str):
            return None
        value = float(self.last)
        if self.abort.high is not None and self.abort.high > 0:
            return max(0.0, value / self.abort.high)
        if self.abort.low is not None and self.abort.low > 0:
            return self.abort.low / value if value > 0 else math.inf
        return None

    def copy(self) -> Dial:
        """As it is now."""
        return Dial(
            self.measure, self.rule, self.abort, self.last, self.state, deque(self.trail), self.words, self.baseline
        )


@dataclass(slots=True)
class Held:
    """A fault that is, or may be, in force."""

    name: str
    since: float
    how: str = ""
    seen: bool = False


@dataclass(slots=True)
class Scene:
    """The run as it stands after the last entry."""

    plan: Plan | None = None
    run: str = ""
    t: float = 0.0
    phase: Phase | None = None
    phase_began: float = 0.0
    done: list[Phase] = field(default_factory=list)
    dials: dict[str, Dial] = field(default_factory=dict)
    in_force: dict[str, Held] = field(default_factory=dict)
    events: deque[tuple[float, Told]] = field(default_factory=lambda: deque(maxlen=EVENTS))
    over: bool = False
    narrator: Narrator = field(default_factory=Narrator)

    def take(self, entry: j.Entry) -> Told | None:
        """Take in one entry; what there is to tell of it."""
        event = entry.event
        self.t = max(self.t, entry.t)
        if isinstance(event, j.ReadingTaken):
            dial = self.dials.get(event.measure)
            if dial is not None:
                dial.take(event)
            return None
        told = self.narrator.tell(entry)
        self._change(entry.t, event)
        if told is not None:
            self.events.append((entry.t, told))
        return told

    def _change(self, t: float, event: j.Event) -> None:
        match event:
            case j.RunStarted():
                self.plan, self.run = event.plan, event.run
                self.dials = {measure.key: Dial(measure) for measure in event.plan.measures}
            case j.PhaseBegan():
                self.phase, self.phase_began = event.phase, t
                for dial in self.dials.values():
                    dial.enter(event.phase)
            case j.PhaseEnded():
                self.done.append(event.phase)
            case j.BaselineTaken():
                if event.measure in self.dials:
                    self.dials[event.measure].baseline = event.median
            case j.RunEnded():
                self.over = True
            case _:
                self._change_fault(t, event)

    def _change_fault(self, t: float, event: j.Event) -> None:
        match event:
            case j.FaultInjected():
                self.in_force[event.fault] = Held(self.narrator.name(event.fault), t)
            case j.FaultSeen() if event.fault in self.in_force:
                self.in_force[event.fault].how = event.how
                self.in_force[event.fault].seen = event.seen
            case j.FaultInForce() if event.fault in self.in_force:
                self.in_force[event.fault].seen = True
                self.in_force[event.fault].since = t
            case j.FaultUndone():
                self.in_force.pop(event.fault, None)
            case _:
                pass

    def copy(self) -> Scene:
        """As it is now, for a renderer in another thread."""
        dials = {key: dial.copy() for key, dial in self.dials.items()}
        held = {key: Held(one.name, one.since, one.how, one.seen) for key, one in self.in_force.items()}
        return Scene(self.plan, self.run, self.t, self.phase, self.phase_began, list(self.done), dials, held,
                     deque(self.events), self.over, self.narrator)  # fmt: skip

    def expected(self, phase: Phase) -> float:
        """About how long a phase takes, in seconds; recovery: at most."""
        if self.plan is None:
            return 0.0
        if phase is Phase.BASELINE:
            return self.plan.baseline.for_ + self.plan.slowest_lag
        if phase is Phase.RECOVERY:
            return self.plan.recovery.within + self.plan.slowest_lag
        return sum(_length(item) for item in self.plan.method) + self.plan.slowest_lag

    def urgent_first(self) -> list[Dial]:
        """The measures, those outside or without an answer first; otherwise in the plan's order."""
        order = {"outside": 0, "no answer": 0, "no reading": 1}
        return sorted(self.dials.values(), key=lambda dial: order.get(dial.state, 2))


def _length(item: PlannedItem) -> float:
    return max([item.wait, *(fault.after + fault.lasts for fault in item.faults)])
