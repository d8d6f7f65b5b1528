"""The life of one fault on one target: prepared, in the ledger, injected, seen, watched, taken back, seen gone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

from chaosrunner.engine.leash import Outcome
from chaosrunner.engine.means import Means
from chaosrunner.engine.muster import Muster
from chaosrunner.engine.sight import Sight
from chaosrunner.errors import BarrierHeld, JournalFailed, UndoFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.journal import BarrierHeld as BarrierHeldEvent
from chaosrunner.model.journal import (
    FaultFailed,
    FaultInForce,
    FaultInjected,
    FaultLost,
    FaultPrepared,
    FaultTouched,
    FaultUndone,
    TargetAppeared,
    UndoBegan,
)
from chaosrunner.model.journal import UndoFailed as UndoFailedEvent
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.model.words import Ending
from chaosrunner.ports import Fault, Hold, Sighting

T = TypeVar("T")

TURN = 0.03
"""Seconds that a fault waits for its turn at most, for each target before it: so much later it ends by itself."""
LOOKS = 500.0
"""Looks that a step makes in a second at most: of very many targets each is looked at more rarely."""
ENOUGH = 0.95
"""A target that goes away by itself counts as undone; after this share of the step that costs nothing."""

OnSight = Callable[[Fault[Any], JsonObject, Sighting], Coroutine[Any, Any, None]]

Because = Literal["finished", "aborted", "halted", "failed", "barrier", "deadline", "target-gone", "heal"]


_BECAUSE: dict[Ending, Because] = {
    Ending.ABORTED: "aborted",
    Ending.HALTED: "halted",
    Ending.FAULT_FAILED: "failed",
    Ending.JOURNAL_FAILED: "failed",
    Ending.DEFECT: "failed",
}


class FaultRun:
    """One fault on one target. `go` never raises for what the fault does, only for defects of our own."""

    on_sight: OnSight | None = None
    """Hears of its first sighting in force; None: nobody does."""

    def __init__(
        self,
        plugin: type[Fault[Any]],
        planned: PlannedFault,
        target: Target,
        number: int,
        means: Means,
        *,
        muster: Muster | None = None,
    ) -> None:
        self.id = f"{planned.id}/{number}"
        self.planned = planned
        self.target = target
        self._means = means
        self._limits = means.limits
        params = plugin.Params.model_validate(planned.params)
        self._patience = plugin.patience(params)
        waits = TURN * muster.many if muster is not None else 0.0
        seconds = planned.lasts + self._limits.spare + 2 * self._patience + waits
        self._hold = Hold(
            id=f"{means.run}.{planned.id}.{number}",
            run=means.run,
            deadline=round(means.clock.now() + seconds, 3),
            seconds=seconds,
        )
        self._fault = plugin(params, target, means.platform, self._hold)
        self._sight = Sight(self.id, self._fault, target, self._hold, means)
        self._prepared: JsonObject | None = None
        self._by_hand: tuple[str, ...] = ()
        self._stray = False
        self._muster = muster
        self.since = 0.0
        """When it was first seen in force, on the monotonic clock; 0: not yet."""
        self.in_force = False
        """Whether it was seen in force and is not known to have ended since."""
        self.trouble = ""
        """What went wrong with it; empty: nothing."""
        self.over = False
        """Whether nothing of it is left to undo."""
        self.barrier = False
        """Whether what went wrong is that a protection of the system kept the fault from happening."""
        self.withdrawn = False
        """Whether its target went away before it was in force, of a step that follows: then nothing went wrong."""
        self.undo_failed = False
        """Whether it may still be in force although everything was tried."""

    @property
    def _follows(self) -> bool:
        return self.planned.selector is not None and self.planned.selector.follow

    @classmethod
    def from_ledger(
        cls, plugin: type[Fault[Any]], planned: PlannedFault, entry: FaultPrepared, means: Means
    ) -> FaultRun:
        """A fault of a run that died, ready to be taken back."""
        # By the ledger's parameters: the plan has stand-ins for what only the run knew.
        planned = planned.model_copy(update={"params": entry.params})
        run = cls(plugin, planned, entry.target, int(entry.fault.rpartition("/")[2]), means)
        run._prepared, run._by_hand = entry.undo, entry.by_hand
        return run

    # -- going

    async def go(self) -> None:
        """The whole life; returns when it is taken back, or could not be."""
        because: Because = "finished"
        try:
            if await self._in_turn():
                because = await self._last()
            elif self.withdrawn:
                because = "target-gone"
            elif self._means.stop.cause is None:
                because = "barrier" if self.barrier else "failed"
        except Exception as error:
            self._means.stop.now(Ending.DEFECT, "chaosrunner", f"{type(error).__name__}: {error}")
            raise
        finally:
            await self.take_back(self._why_now(because))

    def _why_now(self, because: Because) -> Because:
        cause = self._means.stop.cause
        return _BECAUSE.get(cause.ending, "failed") if cause is not None and because == "finished" else because

    async def _in_turn(self) -> bool:
        """Bring it into force as soon as not too many others are at it. Whether it is."""
        try:
            async with self._means.turns.one():
                return not self._means.stop.asked and await self._inject()
        finally:
            if self._muster is not None:
                self._muster.one_is_through(self._means.clock.monotonic())

    async def _inject(self) -> bool:
        """Prepare, write the ledger, act, look. Whether it is in force."""
        gone = await self._ask(self._means.platform.gone(self.target), self._limits.prepare)
        if gone.error is not None or gone.value:
            await self._did_not("prepare", gone.trouble or f"the target is not there any more: {gone.value}")
            return False
        ready = await self._ask(self._fault.ready(), self._limits.ready)
        if ready.error is not None:
            await self._did_not("prepare", ready.trouble)
        if ready.error is not None or ready.cut:
            return False
        prepared = await self._ask(self._prepare(), self._limits.prepare)
        if prepared.error is not None:
            await self._did_not("prepare", prepared.trouble)
        if prepared.value is None:
            return False
        # From here on it is undone whatever happens: the ledger may say so even if it could not be made durable.
        self._prepared, self._by_hand = prepared.value.undo, prepared.value.by_hand
        try:
            await self._means.recorder.ledger(prepared.value)
        except JournalFailed:
            return False
        return await self._act()

    async def _ask(self, work: Coroutine[Any, Any, T], seconds: float) -> Outcome[T]:
        """Call the plugin, for so long, until the run is stopped."""
        return await self._means.leash.ask(work, seconds, self._means.stop)

    async def _prepare(self) -> FaultPrepared:
        prepared = await self._fault.prepare()
        return self._ledger_entry(prepared, tuple(self._fault.by_hand(prepared)))

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
        began, within = self._means.clock.monotonic(), self._limits.inject + self._patience
        injected = await self._ask(self._fault.inject(), within)
        self._means.turns.took((self._means.clock.monotonic() - began) / within)
        self._stray = len(self._means.leash.strays) > before
        if injected.cut:
            return False
        if isinstance(injected.error, BarrierHeld):
            self.trouble, self.barrier = injected.trouble, True
            self._means.recorder.record(BarrierHeldEvent(fault=self.id, how=injected.trouble))
            return False
        if injected.error is not None:
            await self._did_not("inject", injected.trouble)
            return False
        self._means.recorder.record(FaultInjected(fault=self.id))
        return await self._first_sight()

    async def _first_sight(self) -> bool:
        """Look until it is seen in force, or too long."""
        began = self._means.clock.monotonic()
        within = self._limits.seen_within + self._patience
        pause = 0.02
        before: Sighting | None = None
        while True:
            before = sighting = await self._look(before)
            if sighting is None or self._means.stop.asked:
                return False
            if sighting.seen:
                self.in_force = True
                self.since = self._means.clock.monotonic()
                self._means.recorder.record(FaultInForce(fault=self.id))
                if self.on_sight is not None and self._prepared is not None:
                    await self.on_sight(self._fault, self._prepared, sighting)
                return True
            if self._means.clock.monotonic() - began >= within:
                await self._did_not("confirm", f"not seen in force within {within:g} s: {sighting.how}")
                return False
            await self._means.stop.wait(pause)
            pause = min(pause * 2, 0.5)

    async def _look(self, before: Sighting | None = None) -> Sighting | None:
        assert self._prepared is not None
        return await self._sight.look(self._prepared, before)

    async def _last(self) -> Because:
        """Stay in force for the planned time, looking again and again. Why it ended."""
        looked = self._means.clock.monotonic()
        every = min(self._limits.look_every, max(self.planned.lasts / 5, 0.05))
        if self._muster is not None:
            every = max(every, min(self._muster.many / LOOKS, self.planned.lasts / 2))
        while (left := self._left()) > 0:
            if await self._means.stop.wait(min(every, left)):
                return "finished"
            if self.planned.instant or self._left() <= 0:
                continue
            if (ended := await self._still_there()) is not None:
                return ended
            looked = self._means.clock.monotonic()
        if self.planned.instant:
            return await self._really_happened()
        if self._means.clock.monotonic() - looked > every + self._limits.look_late:
            # The runner stood still: what was in force then, nobody saw, and its holders may have let go meanwhile.
            return await self._still_there() or "finished"
        return "finished"

    def _left(self) -> float:
        """Seconds until its planned end; of a step that musters, its full time while others are not through yet."""
        since = self._muster.complete_at if self._muster is not None else self.since
        return self.planned.lasts if since is None else since + self.planned.lasts - self._means.clock.monotonic()

    async def _really_happened(self) -> Because:
        """What was over at once but takes its time is looked at once more at the end."""
        if not self._fault.looks_again:
            return "finished"
        sighting = await self._look()
        if sighting is None or sighting.seen:
            return "finished"
        self._failed("confirm", f"it did not happen: {sighting.how}")
        return "failed"

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
        gone = (await self._means.leash.ask(self._means.platform.gone(self.target), self._limits.confirm)).value
        if gone:
            self._means.recorder.record(FaultLost(fault=self.id, how=f"the target went away: {gone}"))
            if not self._follows and self._means.clock.monotonic() - self.since < ENOUGH * self.planned.lasts:
                self.trouble = self.trouble or f"the target went away: {gone}"
            return "target-gone"
        self._means.recorder.record(FaultLost(fault=self.id, how=how))
        self.trouble = self.trouble or f"no longer in force: {how}"
        return "failed"

    async def _did_not(self, stage: Literal["prepare", "inject", "confirm"], error: str) -> None:
        """It failed before it was in force. Where targets come and go by design, one that went away is no failure."""
        if self._follows:
            gone = await self._means.leash.ask(self._means.platform.gone(self.target), self._limits.prepare)
            if gone.value:
                self.withdrawn = True
                step, words = self.planned.id, f"it went away: {gone.value}"
                self._means.recorder.record(TargetAppeared(fault=self.id, step=step, target=self.target, refused=words))
                return
        self._failed(stage, error)

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
        error = ""
        for attempt in range(self._limits.undo_attempts):
            if attempt:
                await self._means.clock.sleep(self._limits.retry_after * 2 ** (attempt - 1))
            error, gone, how = await self._undo_once(self._prepared)
            if not error:
                self._means.recorder.record(FaultUndone(fault=self.id, because=because, seen_gone=gone, how=how))
                self.in_force, self.over = False, True
                return
        self._means.recorder.record(
            UndoFailedEvent(fault=self.id, error=error, attempts=self._limits.undo_attempts, commands=self._by_hand)
        )
        self.trouble = f"the undo failed: {error}"
        self.undo_failed = True

    async def _undo_once(self, prepared: JsonObject) -> tuple[str, bool | None, str]:
        """(what went wrong, whether it was seen gone, how)"""
        undone = await self._means.leash.ask(self._fault.undo(prepared), self._limits.undo)
        if undone.error is not None:
            if isinstance(undone.error, UndoFailed) and undone.error.commands:
                self._by_hand = tuple(undone.error.commands)
            return undone.trouble, None, ""
        gone, how = await self._sight.gone(prepared, instant=self.planned.instant)
        return (f"after the undo it is still seen in force: {how}" if gone is False else ""), gone, how

    async def sweep(self) -> None:
        """Undo once more if the injection went on after it was cancelled: it may have acted after the undo."""
        if self._stray and self.over:
            self.over = False
            await self.take_back("failed")

    async def _count_touched(self) -> None:
        counted = await self._means.leash.ask(self._fault.touched(), self._limits.touched)
        if counted.error is not None:
            self._failed("touched", counted.trouble)
        else:
            self._means.recorder.record(FaultTouched(fault=self.id, count=counted.value))
