"""heal: takes back what a dead run left in force, from its journal alone. Doing it twice is harmless."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.engine.fault_run import FaultRun
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.means import Limits, Means
from chaosrunner.engine.method import FindFault
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.silencing import Silences, end_silences
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import JournalFailed
from chaosrunner.model.journal import (
    FaultPrepared,
    FaultUndone,
    Noted,
    RunStarted,
    SilenceEnded,
    SilenceMade,
    SilencePrepared,
    UndoFailed,
)
from chaosrunner.model.plan import Plan
from chaosrunner.ports import Platform
from chaosrunner.records.light import dataclass
from chaosrunner.store.journal import Journal, read_journal


@dataclass(frozen=True, slots=True)
class OpenSilence:
    """What a journal says of a silence that may still be there."""

    order: SilencePrepared
    ids: tuple[str, ...] = ()
    """As Alertmanager called it, where it could say."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a journal says of faults: who ran it, and which of its faults have no undo on record."""

    started: RunStarted
    open: Mapping[str, FaultPrepared]
    """By fault id, in the order of their injection."""
    silence: OpenSilence | None = None
    """One that was made, or was about to be, and is not known to have ended."""

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        return self.started.plan


def read_ledger(journal: Path) -> Ledger:
    """The ledger of a journal; damaged lines are passed over, as every fault that can be read must be taken back.

    Raises `JournalFailed` if the file cannot be read, or its first line does not say what was run.
    """
    started, unfinished = _faults(journal)
    if started is None:
        raise JournalFailed(f"{journal}: the first line does not say what was run")
    return Ledger(started, unfinished, _silence(journal) if started.plan.silence is not None else None)


def _silence(journal: Path) -> OpenSilence | None:
    found: OpenSilence | None = None
    for entry in read_journal(journal, skip_damaged=True):
        event = entry.event
        if isinstance(event, SilencePrepared):
            found = OpenSilence(event)
        elif isinstance(event, SilenceMade) and found is not None:
            found = OpenSilence(found.order, (*found.ids, event.id))
        elif isinstance(event, SilenceEnded) and not event.trouble:
            found = None
    return found


def _faults(journal: Path) -> tuple[RunStarted | None, dict[str, FaultPrepared]]:
    """Who ran it, and the faults without an undo; what is damaged is passed over."""
    started: RunStarted | None = None
    unfinished: dict[str, FaultPrepared] = {}
    for entry in read_journal(journal, skip_damaged=True):
        event = entry.event
        if isinstance(event, RunStarted):
            started = event
        elif isinstance(event, FaultPrepared):
            unfinished[event.fault] = event
        elif isinstance(event, FaultUndone):
            unfinished.pop(event.fault, None)
    return started, unfinished


def has_begun(journal: Path) -> bool:
    """Whether the run got as far as its first whole line; without it nothing was prepared, so nothing injected."""
    try:
        with journal.open("rb") as file:
            return file.readline().endswith(b"\n")
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Healed:
    """What was done about one dead run."""

    run: str
    undone: tuple[str, ...] = ()
    failed: tuple[UndoFailed, ...] = ()
    trouble: str = ""
    """Why nothing could be done about it at all; empty: something could."""
    silences: tuple[str, ...] = ()
    """Ids of silences that were ended."""
    silence_left: str = ""
    """Why one may still be there, and until when; empty: none is. It ends by itself, so it is no trouble."""

    @property
    def whole(self) -> bool:
        """Whether nothing of the run is in force any more."""
        return not self.failed and not self.trouble


def without_plan(run: str, journal: Path, why: str) -> Healed:
    """For a journal that does not say what was run: nothing can be undone by it, but what stands in it of faults says
    what a person can do. Changes nothing.

    Raises `JournalFailed` if the file cannot be read.
    """
    words = f"the journal is damaged ({why}): see to it by hand, then remove it"
    _, unfinished = _faults(journal)
    failed = [
        UndoFailed(fault=entry.fault, error=words, attempts=0, commands=entry.by_hand) for entry in unfinished.values()
    ]
    return Healed(run, failed=tuple(failed), trouble="" if failed else words)


@dataclass(frozen=True, slots=True)
class Tools:
    """What healing takes beside the ledger."""

    platform: Platform
    find_fault: FindFault
    clock: Clock
    who: str
    silences: Silences | None = None
    """Where the run's silence was made; None: it made none."""


async def heal(ledger: Ledger, journal: Path, tools: Tools) -> Healed:
    """Undo every open entry of the ledger, newest first, then end its silence, and write it down. The run must be dead
    (its lock taken)."""
    stop, leash = Stop(), Leash()
    platform, clock, who = tools.platform, tools.clock, tools.who
    failed: list[UndoFailed] = []
    recorder = Recorder(
        Journal(journal, clock),
        stop,
        [lambda entry: failed.append(entry.event) if isinstance(entry.event, UndoFailed) else None],
    )
    means = Means(
        run=ledger.started.run,
        platform=platform,
        recorder=recorder,
        stop=stop,
        leash=leash,
        clock=clock,
        limits=Limits(),
    )
    planned = {fault.id: fault for fault in ledger.plan.faults}
    if ledger.open:
        recorder.record(Noted(who=who, text=f"healing {len(ledger.open)} faults that a dead run left"))
    undone = []
    for entry in reversed(list(ledger.open.values())):
        plugin = tools.find_fault(entry.kind)
        if entry.undo_version > plugin.undo_version:
            words = "a newer chaosrunner injected this: heal with that one, or run the commands by hand"
            recorder.record(UndoFailed(fault=entry.fault, error=words, attempts=0, commands=entry.by_hand))
            continue
        fault = FaultRun.from_ledger(plugin, planned[entry.step], entry, means)
        await fault.take_back("heal")
        if fault.over:
            undone.append(entry.fault)
    ended = await _end_silence(ledger, tools, leash)
    if ended is not None:
        recorder.record(ended)
    await recorder.finish()
    silences, left = (ended.ids, ended.trouble) if ended is not None else ((), "")
    return Healed(ledger.started.run, tuple(undone), tuple(failed), silences=silences, silence_left=left)


async def _end_silence(ledger: Ledger, tools: Tools, leash: Leash) -> SilenceEnded | None:
    """None: there is none to end."""
    found = ledger.silence
    if found is None:
        return None
    over = found.order.ends_at <= tools.clock.now()
    if tools.silences is None:
        return None if over else SilenceEnded(trouble="the environment named no Alertmanager")
    ended = await end_silences(tools.silences, found.order.comment, found.ids, leash)
    return SilenceEnded(ids=ended.ids) if over else ended
