"""A run's account: what the reports show of it, gathered in one pass of its journal.

It holds no judgement; that is the verdict's. Readings are kept as plain arrays, about 16 bytes each, so a day of many
measures still fits.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field

from chaosrunner.errors import JournalFailed
from chaosrunner.model import journal as j
from chaosrunner.model.frozen import JsonObject, in_text
from chaosrunner.model.plan import GuardAnswer, Plan, PlannedMeasure
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.records.light import dataclass
from chaosrunner.reports.narrator import Narrator, Told


@dataclass(slots=True)
class PhaseSpan:
    """A phase, in the journal's `t`; `end` is None where the journal does not say."""

    phase: str
    start: float
    end: float | None = None
    because: str = ""


@dataclass(slots=True)
class FaultSpan:
    """One fault on one target, from its ledger entry to the sight of its end. Times are in the journal's `t`."""

    fault: str
    step: str
    kind: str
    target: Target
    settle: float = 0.0
    instant: bool = False
    by_hand: tuple[str, ...] = ()
    injected_at: float | None = None
    in_force_at: float | None = None
    lost_at: float | None = None
    undone_at: float | None = None
    because: str = ""
    seen_gone: bool | None = None
    gone_how: str = ""
    looks: int = 0
    seen: int = 0
    seen_how: str = ""
    touched: int | None = None
    troubles: list[str] = field(default_factory=list)
    commands: tuple[str, ...] = ()

    @property
    def undo_failed(self) -> bool:
        """Whether the fault may still be in force because the undo gave up."""
        return self.undone_at is None and bool(
            self.commands or any("undo failed" in trouble for trouble in self.troubles)
        )


@dataclass(slots=True)
class Series:
    """One measure's readings. Text and true/false are kept as indices into `words`."""

    measure: PlannedMeasure
    times: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))
    words: list[str] = field(default_factory=list)
    no_answers: list[tuple[float, str]] = field(default_factory=list)
    missing: list[tuple[float, str]] = field(default_factory=list)

    def add(self, event: j.ReadingTaken) -> None:
        """Put down one reading, or why there is none."""
        if event.no_answer is not None:
            self.no_answers.append((event.ended, event.no_answer))
        elif event.missing is not None or event.value is None:
            self.missing.append((event.ended, event.missing or "no value"))
        else:
            self.times.append(event.ended)
            self.values.append(self._number(event.value))

    def _number(self, value: Value) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and not self.words:
            return float(value) if math.isfinite(value) else 0.0
        word = in_text(value)
        if word not in self.words:
            self.words.append(word)
        return float(self.words.index(word))

    @property
    def textual(self) -> bool:
        """Whether values are words and not amounts."""
        return bool(self.words)


@dataclass(slots=True)
class Happening:
    """One line of the timeline."""

    t: float
    at: float
    told: Told


@dataclass(slots=True)
class Account:
    """Everything that the reports show of one run."""

    started: j.RunStarted
    began_at: float
    seconds: float = 0.0
    phases: list[PhaseSpan] = field(default_factory=list)
    faults: dict[str, FaultSpan] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    guards: list[GuardAnswer] = field(default_factory=list)
    abort_at: float | None = None
    ended: j.RunEnded | None = None
    evidence: dict[str, JsonObject] = field(default_factory=dict)
    """What else changed, by the gap's fingerprint, as `model.evidence.Clues` reads it."""

    @property
    def plan(self) -> Plan:
        """What was intended."""
        return self.started.plan

    @property
    def in_force(self) -> list[FaultSpan]:
        """Faults whose undo is on disk and not yet done: they may be in force."""
        return [fault for fault in self.faults.values() if fault.undone_at is None]


class Gathering:
    """Takes entries in, one by one, while somebody else reads them too."""

    def __init__(self) -> None:
        self._account: Account | None = None
        self._narrator = Narrator()

    def passing(self, entries: Iterable[j.Entry]) -> Iterator[j.Entry]:
        """The same entries, each taken in on its way through."""
        for entry in entries:
            self.add(entry)
            yield entry

    def add(self, entry: j.Entry) -> None:
        """Take in one entry. Raises `JournalFailed` where the first one does not say what was run."""
        account = self._account = self._account or _begin(entry)
        if not isinstance(entry.event, j.EvidenceGathered):  # that is looked for when the run is over
            account.seconds = max(account.seconds, entry.t)
        taker = _TAKERS.get(type(entry.event))
        if taker is not None:
            taker(account, entry.t, entry.event)
        told = self._narrator.tell(entry)
        if told is not None:
            account.happenings.append(Happening(entry.t, entry.at, told))

    @property
    def account(self) -> Account:
        """What was gathered. Raises `JournalFailed` where there was nothing."""
        if self._account is None:
            raise JournalFailed("the journal is empty: the run never began")
        return self._account


def gather(entries: Iterable[j.Entry]) -> Account:
    """The account of a journal. Raises `JournalFailed` where the journal does not begin with its run."""
    gathering = Gathering()
    for entry in entries:
        gathering.add(entry)
    return gathering.account


def _begin(entry: j.Entry) -> Account:
    if not isinstance(entry.event, j.RunStarted):
        raise JournalFailed(f"the journal begins with {entry.event.type!r}, expected 'run-started'")
    account = Account(entry.event, began_at=entry.at - entry.t)
    account.series = {measure.key: Series(measure) for measure in entry.event.plan.measures}
    account.guards = list(entry.event.plan.guards)
    return account


def _reading(account: Account, t: float, event: j.ReadingTaken) -> None:
    if event.measure in account.series:
        account.series[event.measure].add(event)


def _phase_began(account: Account, t: float, event: j.PhaseBegan) -> None:
    account.phases.append(PhaseSpan(event.phase.value, t))


def _phase_ended(account: Account, t: float, event: j.PhaseEnded) -> None:
    for span in account.phases:
        if span.phase == event.phase and span.end is None:
            span.end, span.because = t, event.because


def _guard(account: Account, t: float, event: j.GuardAnswered) -> None:
    same = [answer for answer in account.guards if answer.guard == event.answer.guard]
    for answer in same:
        account.guards.remove(answer)
    account.guards.append(event.answer)


def _baseline(account: Account, t: float, event: j.BaselineTaken) -> None:
    account.baselines[event.measure] = event.median


def _prepared(account: Account, t: float, event: j.FaultPrepared) -> None:
    planned = next((fault for fault in account.plan.faults if fault.id == event.step), None)
    span = FaultSpan(event.fault, event.step, event.kind, event.target, by_hand=event.by_hand)
    if planned is not None:
        span.settle, span.instant = planned.settle, planned.instant
    account.faults[event.fault] = span


def _fault(account: Account, t: float, event: j.Event) -> None:
    span = account.faults.get(getattr(event, "fault", ""))
    if span is None:
        return
    match event:
        case j.FaultInjected():
            span.injected_at = t
        case j.FaultInForce():
            span.in_force_at = t
        case j.FaultTouched():
            span.touched = event.count
        case j.FaultLost():
            span.lost_at = t
            span.troubles.append(f"gone before its time: {event.how}")
        case j.FaultFailed():
            span.troubles.append(f"{event.stage} failed: {event.error}")
        case j.BarrierHeld():
            span.troubles.append(f"a barrier held: {event.how}")
        case j.UndoFailed():
            span.troubles.append(f"undo failed after {event.attempts} attempts: {event.error}")
            span.commands = event.commands
        case j.FaultUndone():
            span.undone_at, span.because = t, event.because
            span.seen_gone, span.gone_how = event.seen_gone, event.how


def _look(account: Account, t: float, event: j.FaultSeen) -> None:
    span = account.faults.get(event.fault)
    if span is None or span.undone_at is not None:
        return
    span.looks += 1
    span.seen += event.seen
    if event.seen or not span.seen_how:
        span.seen_how = event.how


def _limit(account: Account, t: float, event: j.LimitReached) -> None:
    if account.abort_at is None:
        account.abort_at = event.reading_ended if event.reading_ended is not None else t


def _ended(account: Account, t: float, event: j.RunEnded) -> None:
    account.ended = event


def _evidence(account: Account, t: float, event: j.EvidenceGathered) -> None:
    account.evidence[event.gap] = event.clues


_TAKERS: dict[type, Callable[..., None]] = {
    j.ReadingTaken: _reading,
    j.PhaseBegan: _phase_began,
    j.PhaseEnded: _phase_ended,
    j.GuardAnswered: _guard,
    j.BaselineTaken: _baseline,
    j.FaultPrepared: _prepared,
    j.FaultInjected: _fault,
    j.FaultInForce: _fault,
    j.FaultTouched: _fault,
    j.FaultLost: _fault,
    j.FaultFailed: _fault,
    j.BarrierHeld: _fault,
    j.UndoFailed: _fault,
    j.FaultUndone: _fault,
    j.FaultSeen: _look,
    j.LimitReached: _limit,
    j.RunEnded: _ended,
    j.EvidenceGathered: _evidence,
}
