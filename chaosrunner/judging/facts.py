"""What a journal says, gathered in one pass: nothing is judged here. Readings are kept compact (`Series`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any

from chaosrunner.errors import JournalFailed
from chaosrunner.judging.reading import reading_of
from chaosrunner.judging.recovery import RecoveryWatch, no_sample
from chaosrunner.judging.series import Series
from chaosrunner.judging.steady import SteadyWatch
from chaosrunner.model import journal as j
from chaosrunner.model.plan import Plan, PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.model.words import Phase
from chaosrunner.records.light import dataclass


@dataclass(slots=True)
class FaultFacts:
    """One fault on one target. Times are the journal's `t`."""

    fault: str
    planned: PlannedFault | None
    target: Target
    prepared: bool = False
    """Its ledger entry is on disk: from here on it may act."""
    injected_at: float | None = None
    in_force_at: float | None = None
    lost_at: float | None = None
    lost_how: str = ""
    ended_at: float | None = None
    """The beginning of the first undo: what is read while it is being taken back is of neither."""
    undone_at: float | None = None
    """The latest undo."""
    because: str = ""
    seen_gone: bool | None = None
    undo_error: str = ""
    touched: int | None = None
    barrier: str = ""
    """Which protection of the system kept it from happening; empty: none."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(stage, error)."""
    appeared_at: float | None = None
    """Under `follow`: when its target came to be; None: it was there when the run was planned."""
    withdrawn: bool = False
    """Under `follow`: its target went away before it was in force."""
    unseen_since: float | None = None
    unseen: float = 0.0
    """Seconds between looks that did not see it and the next ones that did, while it should be in force."""

    @property
    def in_force_until(self) -> float | None:
        """Lost or undone; None: the journal does not say."""
        return self.lost_at if self.lost_at is not None else self.ended_at


@dataclass(slots=True)
class Facts:
    """A journal, gathered."""

    started: j.RunStarted
    last: float = 0.0
    """`t` of the latest line of the run itself."""
    phases: dict[Phase, list[float | None]] = field(default_factory=dict)
    """[began, ended]; ended None: the journal does not say."""
    series: dict[str, Series] = field(default_factory=dict)
    medians: dict[str, float] = field(default_factory=dict)
    steady: SteadyWatch | None = None
    recovery: RecoveryWatch | None = None
    recovery_from: float | None = None
    """The last undo, once nothing that was injected is left."""
    faults: dict[str, FaultFacts] = field(default_factory=dict)
    limit: j.LimitReached | None = None
    limit_at: float = 0.0
    spilled: list[j.Spilled] = field(default_factory=list)
    alert_looks: list[j.AlertsRead] = field(default_factory=list)
    alerts: list[j.AlertSeen] = field(default_factory=list)
    alert_rules: list[tuple[float, j.AlertRuleSeen]] = field(default_factory=list)
    """With their `t`."""
    halted: bool = False
    ended: j.RunEnded | None = None
    ended_at: float | None = None

    @property
    def plan(self) -> Plan:
        """What was intended."""
        return self.started.plan

    @property
    def injected(self) -> bool:
        """Whether any injection returned, so that what follows may be its doing."""
        return any(fault.injected_at is not None for fault in self.faults.values())

    def phase(self, phase: Phase) -> tuple[float, float] | None:
        """(began, ended) of a phase; one that did not end lasts to the journal's end. None: it never began."""
        span = self.phases.get(phase)
        if span is None or span[0] is None:
            return None
        return span[0], self.last if span[1] is None else span[1]


def gather(entries: Iterable[j.Entry]) -> Facts:
    """The facts of a journal. Raises `JournalFailed` where it does not begin with its run."""
    facts: Facts | None = None
    for entry in entries:
        event = entry.event
        if facts is None:
            if not isinstance(event, j.RunStarted):
                raise JournalFailed("the journal does not begin with its run: nothing can be judged")
            facts = Facts(event)
            facts.series = {measure.key: Series() for measure in event.plan.measures}
            continue
        take = _TAKERS.get(type(event))
        if take is not None:
            take(facts, entry.t, event)
        if entry.t > facts.last and facts.ended is None and not _of_healing(event):
            facts.last = entry.t
    if facts is None:
        raise JournalFailed("the journal is empty: nothing can be judged")
    return facts


def _of_healing(event: j.Event) -> bool:
    """Whether a line was written by whoever took a dead run's faults back, later."""
    if isinstance(event, j.UndoBegan | j.FaultUndone):
        return event.because == "heal"
    return isinstance(event, j.Noted | j.SilenceEnded)  # such as the healer's own remark


def _reading(facts: Facts, t: float, event: j.ReadingTaken) -> None:
    series = facts.series.get(event.measure)
    if series is None:
        return
    reading = reading_of(event)
    series.append(reading)
    if facts.recovery is not None:
        facts.recovery.add(event.measure, reading)
    elif facts.steady is not None and facts.phases[Phase.BASELINE][1] is None:
        facts.steady.add(event.measure, reading)


def _phase_began(facts: Facts, t: float, event: j.PhaseBegan) -> None:
    facts.phases[event.phase] = [t, None]
    if event.phase is Phase.BASELINE:
        baseline = facts.plan.baseline
        facts.steady = SteadyWatch(facts.plan.measures, baseline.for_, baseline.within, t)


def _phase_ended(facts: Facts, t: float, event: j.PhaseEnded) -> None:
    facts.phases.setdefault(event.phase, [None, None])[1] = t
    if event.phase is Phase.BASELINE and facts.steady is not None:
        # Medians that the run itself used are facts; without them (an older journal) they follow from the readings.
        facts.medians = facts.steady.medians() | facts.medians


def _baseline_taken(facts: Facts, t: float, event: j.BaselineTaken) -> None:
    facts.medians[event.measure] = event.median


def _fault(facts: Facts, name: str, target: Target | None = None) -> FaultFacts:
    if name not in facts.faults:
        step, _, number = name.rpartition("/")
        planned = next((fault for fault in facts.plan.faults if fault.id == step), None)
        if target is None:
            target = _planned_target(planned, number)
        facts.faults[name] = FaultFacts(name, planned, target)
    return facts.faults[name]


def _planned_target(planned: PlannedFault | None, number: str) -> Target:
    targets = planned.targets if planned is not None else ()
    place = int(number) - 1 if number.isdecimal() else -1
    if 0 <= place < len(targets):
        return targets[place]
    return Target(kind="nothing", id="nothing", name="nothing")


def _prepared(facts: Facts, t: float, event: j.FaultPrepared) -> None:
    fault = _fault(facts, event.fault, event.target)
    fault.prepared = True
    facts.recovery = facts.recovery_from = None


def _injected(facts: Facts, t: float, event: j.FaultInjected) -> None:
    _fault(facts, event.fault).injected_at = t


def _in_force(facts: Facts, t: float, event: j.FaultInForce) -> None:
    fault = _fault(facts, event.fault)
    fault.in_force_at = t if fault.in_force_at is None else fault.in_force_at


def _seen(facts: Facts, t: float, event: j.FaultSeen) -> None:
    fault = _fault(facts, event.fault)
    if fault.in_force_at is None or fault.in_force_until is not None:
        return
    if not event.seen:
        fault.unseen_since = t if fault.unseen_since is None else fault.unseen_since
    elif fault.unseen_since is not None:
        fault.unseen += t - fault.unseen_since
        fault.unseen_since = None


def _lost(facts: Facts, t: float, event: j.FaultLost) -> None:
    fault = _fault(facts, event.fault)
    if fault.in_force_until is None:
        fault.lost_at, fault.lost_how = t, event.how


def _touched(facts: Facts, t: float, event: j.FaultTouched) -> None:
    _fault(facts, event.fault).touched = event.count


def _failed(facts: Facts, t: float, event: j.FaultFailed) -> None:
    _fault(facts, event.fault).failures.append((event.stage, event.error))


def _barrier(facts: Facts, t: float, event: j.BarrierHeld) -> None:
    _fault(facts, event.fault).barrier = event.how


def _appeared(facts: Facts, t: float, event: j.TargetAppeared) -> None:
    if not event.fault:
        return  # left alone: there never was a fault on it
    fault = _fault(facts, event.fault, event.target)
    fault.withdrawn = bool(event.refused)
    if not event.refused:
        fault.appeared_at = t


def _undo_began(facts: Facts, t: float, event: j.UndoBegan) -> None:
    fault = _fault(facts, event.fault)
    if fault.ended_at is None:
        fault.ended_at = facts.last if event.because == "heal" else t


def _undone(facts: Facts, t: float, event: j.FaultUndone) -> None:
    fault = _fault(facts, event.fault)
    if event.because == "heal":
        # Another process took it back later, by its own clock. It says nothing of this run but that it is gone.
        t = facts.last
    fault.ended_at = t if fault.ended_at is None else fault.ended_at
    fault.undone_at = t
    fault.because = event.because
    fault.seen_gone = event.seen_gone
    left = [one for one in facts.faults.values() if one.prepared and one.undone_at is None]
    if facts.ended is None and not left and event.because != "heal":
        spec = facts.plan.recovery
        facts.recovery_from = t
        sample = facts.steady.sample if facts.steady is not None else no_sample
        facts.recovery = RecoveryWatch(facts.plan.measures, facts.medians, spec.within, spec.holds, t, sample)


def _undo_failed(facts: Facts, t: float, event: j.UndoFailed) -> None:
    _fault(facts, event.fault).undo_error = event.error or "no reason given"


def _limit(facts: Facts, t: float, event: j.LimitReached) -> None:
    if facts.limit is None:
        facts.limit, facts.limit_at = event, t


def _spilled(facts: Facts, t: float, event: j.Spilled) -> None:
    if facts.injected:
        facts.spilled.append(event)


def _alerts_read(facts: Facts, t: float, event: j.AlertsRead) -> None:
    facts.alert_looks.append(event)


def _alert_seen(facts: Facts, t: float, event: j.AlertSeen) -> None:
    facts.alerts.append(event)


def _alert_rule(facts: Facts, t: float, event: j.AlertRuleSeen) -> None:
    facts.alert_rules.append((t, event))


def _halted(facts: Facts, t: float, event: j.HaltRequested) -> None:
    facts.halted = True


def _ended(facts: Facts, t: float, event: j.RunEnded) -> None:
    facts.ended, facts.ended_at = event, t
    facts.last = max(facts.last, t)


_TAKERS: Mapping[type, Callable[[Facts, float, Any], None]] = {
    j.ReadingTaken: _reading,
    j.PhaseBegan: _phase_began,
    j.PhaseEnded: _phase_ended,
    j.BaselineTaken: _baseline_taken,
    j.FaultPrepared: _prepared,
    j.FaultInjected: _injected,
    j.FaultInForce: _in_force,
    j.FaultSeen: _seen,
    j.FaultLost: _lost,
    j.FaultTouched: _touched,
    j.FaultFailed: _failed,
    j.BarrierHeld: _barrier,
    j.TargetAppeared: _appeared,
    j.UndoBegan: _undo_began,
    j.FaultUndone: _undone,
    j.UndoFailed: _undo_failed,
    j.LimitReached: _limit,
    j.Spilled: _spilled,
    j.AlertsRead: _alerts_read,
    j.AlertSeen: _alert_seen,
    j.AlertRuleSeen: _alert_rule,
    j.HaltRequested: _halted,
    j.RunEnded: _ended,
}
