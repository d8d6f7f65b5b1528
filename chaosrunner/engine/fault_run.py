"""The life of one fault on one target: prepared, in the ledger, injected, seen, watched, taken back, seen gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import CutShort, Leash, Overdue
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import ChaosrunnerError, JournalFailed, UndoFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.journal import (
    FaultFailed,
    FaultInForce,
    FaultInjected,
    FaultLost,
    FaultPrepared,
    FaultSeen,
    FaultTouched,
    FaultUndone,
    UndoBegan,
)
from chaosrunner.model.journal import UndoFailed as UndoFailedEvent
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.model.words import Ending
from chaosrunner.ports import Fault, Hold, Platform, Sighting

ENOUGH = 0.95
"""A target that goes away by itself counts as undone; after this share of the step that costs nothing."""

Because = Literal["finished", "aborted", "halted", "failed", "deadline", "target-gone", "heal"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds; the defaults suit real systems, tests shorten them."""

    prepare: float = 10.0
    inject: float = 10.0
    confirm: float = 5.0
    """Of one look."""
    seen_within: float = 5.0
    """A fault that was not seen in force so long after its injection has failed."""
    look_every: float = 1.0
    touched: float = 0.3
    undo: float = 10.0
    """Of one attempt."""
    undo_attempts: int = 4
    gone_within: float = 3.0
    """After the undo returned, it must be seen gone within so long."""
    retry_after: float = 0.2
    """Before the second undo; doubled for each further one."""
    spare: float = 10.0
    """How much later than planned a fault ends by itself."""


@dataclass(frozen=True)
class Means:
    """What carrying out faults takes; one for each run."""

    run: str
    platform: Platform
    recorder: Recorder
    stop: Stop
    leash: Leash
    clock: Clock
    limits: Limits = Limits()


_BECAUSE: dict[Ending, Because] = {
    Ending.ABORTED: "aborted",
    Ending.HALTED: "halted",
    Ending.FAULT_FAILED: "failed",
    Ending.JOURNAL_FAILED: "failed",
    Ending.DEFECT: "failed",
}


class FaultRun:
    """One fault on one target. `go` never raises for what the fault does, only for defects of our own."""

    def __init__(
        self, plugin: type[Fault[Any]], planned: PlannedFault, target: Target, number: int, means: Means
    ) -> None:
        self.id = f"{planned.id}/{number}"
        self.planned = planned
        self.target = target
        self._means = means
        self._limits = means.limits
        seconds = planned.lasts + self._limits.spare
        self._hold = Hold(
            id=f"{means.run}.{planned.id}.{number}",
            run=means.run,
            deadline=round(means.clock.now() + seconds, 3),
            seconds=seconds,
        )
        self._fault = plugin(plugin.Params.model_validate(planned.params), target, means.platform, self._hold)
        self._prepared: JsonObject | None = None
        self._stray = False
        self._since = 0.0
        self.in_force = False
        """Whether it was seen in force and is not known to have ended since."""
        self.trouble = ""
        """What went wrong with it; empty: nothing."""
        self.over = False
        """Whether nothing of it is left to undo."""
        self.undo_failed = False
        """Whether it may still be in force although everything was tried."""

    @classmethod
    def from_ledger(
        cls, plugin: type[Fault[Any]], planned: PlannedFault, entry: FaultPrepared, means: Means
    ) -> FaultRun:
        """A fault of a run that died, ready to be taken back."""
        run = cls(plugin, planned, entry.target, int(entry.fault.rpartition("/")[2]), means)
        run._prepared = entry.undo
        return run

    # -- going

    async def go(self) -> None:
        """The whole life; returns when it is taken back, or could not be."""
        because: Because = "finished"
        try:
            if await self._inject():
                because = await self._last()
            elif self._means.stop.cause is None:
                because = "failed"
        finally:
            await self.take_back(self._why_now(because))

    def _why_now(self, because: Because) -> Because:
        cause = self._means.stop.cause
        return _BECAUSE.get(cause.ending, "failed") if cause is not None and because == "finished" else because

    async def _inject(self) -> bool:
        """Prepare, write the ledger, act, look. Whether it is in force."""
        try:
            if gone := await self._means.leash.call(self._means.platform.gone(self.target), self._limits.prepare):
                self._failed("prepare", f"the target is not there any more: {gone}")
                return False
            prepared = await self._means.leash.call(self._fault.prepare(), self._limits.prepare, self._means.stop)
            by_hand = tuple(self._fault.by_hand(prepared))
            await self._means.recorder.ledger(self._ledger_entry(prepared, by_hand))
            self._prepared = prepared
        except CutShort:
            return False
        except JournalFailed:
            return False
        except Exception as error:  # noqa: BLE001  a fault may raise anything; nothing was changed yet
            self._failed("prepare", _words(error))
            return False
        return await self._act()

    def _ledger_entry(self, prepared: JsonObject, by_hand: tuple[str, ...]) -> FaultPrepared:
        return FaultPrepared(
            fault=self.id,
            step=self.planned.id,
            kind=self.planned.fault,
            params=self.planned.params,
            target=self.target,
            deadline=self._hold.deadline,
            undo=prepared,
            undo_version=self._fault.undo_version,
            by_hand=by_hand,
        )

    async def _act(self) -> bool:
        if self._means.stop.asked:
            return False
        before = len(self._means.leash.strays)
        try:
            await self._means.leash.call(self._fault.inject(), self._limits.inject, self._means.stop)
        except CutShort:
            return False
        except Exception as error:  # noqa: BLE001  a fault may raise anything, half-way too; the undo follows
            self._failed("inject", _words(error))
            return False
        finally:
            self._stray = len(self._means.leash.strays) > before
        self._means.recorder.record(FaultInjected(fault=self.id))
        return await self._first_sight()

    async def _first_sight(self) -> bool:
        """Look until it is seen in force, or too long."""
        began = self._means.clock.monotonic()
        pause = 0.02
        while True:
            sighting = await self._look()
            if sighting is None or self._means.stop.asked:
                return False
            if sighting.seen:
                self.in_force = True
                self._since = self._means.clock.monotonic()
                self._means.recorder.record(FaultInForce(fault=self.id))
                return True
            if self._means.clock.monotonic() - began >= self._limits.seen_within:
                self._failed("confirm", f"not seen in force within {self._limits.seen_within:g} s: {sighting.how}")
                return False
            await self._means.stop.wait(pause)
            pause = min(pause * 2, 0.5)

    async def _look(self) -> Sighting | None:
        """One confirmation, recorded; a look that fails sees nothing. None if the run stops meanwhile."""
        assert self._prepared is not None
        try:
            sighting = _checked(
                await self._means.leash.call(
                    self._fault.confirm(self._prepared), self._limits.confirm, self._means.stop
                )
            )
        except CutShort:
            return None
        except Exception as error:  # noqa: BLE001  a fault may raise anything
            sighting = Sighting(False, f"the look failed: {_words(error)}")
        self._means.recorder.record(FaultSeen(fault=self.id, seen=sighting.seen, how=sighting.how))
        return sighting

    async def _last(self) -> Because:
        """Stay in force for the planned time, looking again and again. Why it ended."""
        ends = self._means.clock.monotonic() + self.planned.lasts
        every = min(self._limits.look_every, max(self.planned.lasts / 5, 0.05))
        while (left := ends - self._means.clock.monotonic()) > 0:
            if await self._means.stop.wait(min(every, left)):
                return "finished"
            if self.planned.instant or ends - self._means.clock.monotonic() <= 0:
                continue
            if (ended := await self._still_there()) is not None:
                return ended
        return "finished"

    async def _still_there(self) -> Because | None:
        """None while it is seen in force; otherwise why it is not. One bad look is looked at again at once."""
        how = ""
        for _ in range(2):
            sighting = await self._look()
            if sighting is None:
                return "finished"
            if sighting.seen:
                return None
            how = sighting.how
        return await self._vanished(how)

    async def _vanished(self, how: str) -> Because:
        self.in_force = False
        if gone := await self._target_gone():
            self._means.recorder.record(FaultLost(fault=self.id, how=f"the target went away: {gone}"))
            if self._means.clock.monotonic() - self._since < ENOUGH * self.planned.lasts:
                self.trouble = self.trouble or f"the target went away: {gone}"
            return "target-gone"
        self._means.recorder.record(FaultLost(fault=self.id, how=how))
        self.trouble = self.trouble or f"no longer in force: {how}"
        return "failed"

    async def _target_gone(self) -> str:
        try:
            return await self._means.leash.call(self._means.platform.gone(self.target), self._limits.confirm)
        except Exception:  # noqa: BLE001  a platform that cannot be asked does not make the target gone
            return ""

    def _failed(self, stage: Literal["prepare", "inject", "confirm", "touched"], error: str) -> None:
        self.trouble = self.trouble or error
        self._means.recorder.record(FaultFailed(fault=self.id, stage=stage, error=error))

    # -- taking back

    async def take_back(self, because: Because) -> None:
        """Undo, again and again if need be, and see it gone. Recorded; raises nothing; idempotent."""
        if self._prepared is None or self.over:
            return
        if self.in_force:
            await self._count_touched()
        self._means.recorder.record(UndoBegan(fault=self.id, because=because))
        error, commands = "", tuple(self._fault.by_hand(self._prepared))
        for attempt in range(self._limits.undo_attempts):
            if attempt:
                await self._means.clock.sleep(self._limits.retry_after * 2 ** (attempt - 1))
            try:
                await self._means.leash.call(self._fault.undo(self._prepared), self._limits.undo)
                gone, how = await self._see_it_gone()
            except UndoFailed as failure:
                error, commands = str(failure), tuple(failure.commands) or commands
            except Exception as failure:  # noqa: BLE001  an undo may raise anything; it is tried again
                error = _words(failure)
            else:
                if gone is not False:
                    self._means.recorder.record(FaultUndone(fault=self.id, because=because, seen_gone=gone, how=how))
                    self.in_force, self.over = False, True
                    return
                error = f"after the undo it is still seen in force: {how}"
        self._means.recorder.record(
            UndoFailedEvent(fault=self.id, error=error, attempts=self._limits.undo_attempts, commands=commands)
        )
        self.trouble = f"the undo failed: {error}"
        self.undo_failed = True

    async def sweep(self) -> None:
        """Undo once more if the injection went on after it was cancelled: it may have acted after the undo."""
        if self._stray and self.over:
            self.over = False
            await self.take_back("failed")

    async def _count_touched(self) -> None:
        try:
            count = await self._means.leash.call(self._fault.touched(), self._limits.touched)
        except Exception as error:  # noqa: BLE001  not being able to count changes nothing about the undo
            self._failed("touched", _words(error))
            return
        self._means.recorder.record(FaultTouched(fault=self.id, count=count))

    async def _see_it_gone(self) -> tuple[bool | None, str]:
        """Whether it was seen gone; None where that cannot be seen (over at once, or the look fails)."""
        assert self._prepared is not None
        if self.planned.instant:
            return None, ""
        ends = self._means.clock.monotonic() + self._limits.gone_within
        pause = 0.02
        while True:
            try:
                sighting = _checked(
                    await self._means.leash.call(self._fault.confirm(self._prepared), self._limits.confirm)
                )
            except Exception as error:  # noqa: BLE001  the undo went well; only the look after it failed
                return None, f"could not look: {_words(error)}"
            if not sighting.seen:
                return True, sighting.how
            if self._means.clock.monotonic() >= ends:
                return False, sighting.how
            await self._means.clock.sleep(pause)
            pause = min(pause * 2, 0.5)


def _checked(sighting: object) -> Sighting:
    if isinstance(sighting, Sighting):
        return sighting
    return Sighting(False, f"confirm returned {sighting!r}, expected a Sighting")


def _words(error: BaseException) -> str:
    """An error for the journal: our own say it themselves, others with their type."""
    if isinstance(error, ChaosrunnerError | Overdue):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"
