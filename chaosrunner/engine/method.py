"""Carries out the method: its items one after the other, the faults of one item together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from chaosrunner.engine.fault_run import FaultRun
from chaosrunner.engine.following import Following, Joining
from chaosrunner.engine.means import AT_ONCE, Means
from chaosrunner.engine.muster import Muster
from chaosrunner.engine.passing import Passing, ReadOnce, nobody_reads
from chaosrunner.model.journal import FaultFailed, StepBegan, StepEnded
from chaosrunner.model.passing import NotPassed
from chaosrunner.model.plan import Plan, PlannedFault, PlannedItem, PlannedRead
from chaosrunner.model.target import Target
from chaosrunner.model.words import Ending
from chaosrunner.ports import Fault, Plugin

FindFault = Callable[[str], type[Fault[Any]]]
FindProbe = Callable[[str], type[Plugin[Any]]]


async def nobody_joins(planned: PlannedFault, in_force: Sequence[Target], new: Target) -> str:
    """For a run that follows nothing."""
    return "this run does not follow"


class Method:
    """All faults of a run. Whatever happens, `carry_out` and `sweep` leave nothing in force that can be undone."""

    def __init__(
        self,
        plan: Plan,
        find: FindFault,
        means: Means,
        joining: Joining = nobody_joins,
        *,
        read: ReadOnce = nobody_reads,
        find_probe: FindProbe | None = None,
    ) -> None:
        self._plan = plan
        self._passing = Passing(plan, means, read)
        self._find_probe = find_probe or find
        self._find = find
        self._means = means
        self._joining = joining
        self._steps: list[FaultRun] = []
        self._following: list[Following] = []

    @property
    def _runs(self) -> list[FaultRun]:
        return [*self._steps, *(run for step in self._following for run in step.runs)]

    @property
    def targets(self) -> list[Target]:
        """Everything that was acted on so far, also what appeared."""
        return [run.target for run in self._runs]

    @property
    def in_force(self) -> bool:
        """Whether any fault is in force now."""
        return any(run.in_force for run in self._runs)

    @property
    def undo_failed(self) -> bool:
        """Whether a fault that acted could not be taken back."""
        return any(run.undo_failed for run in self._runs)

    async def carry_out(self) -> None:
        """All items in order; stops at the first that went wrong, or when the run is stopped."""
        for item in self._plan.method:
            if self._means.stop.asked:
                return
            if item.faults:
                await self._together(item)
            elif item.read is not None:
                await self._read(item.read)
            else:
                await self._wait(item.wait)

    async def _wait(self, seconds: float) -> None:
        self._means.recorder.record(StepBegan(step="", lasts=seconds))
        await self._means.stop.wait(seconds)
        self._means.recorder.record(StepEnded(step=""))

    async def _read(self, planned: PlannedRead) -> None:
        self._means.recorder.record(StepBegan(step=planned.id, lasts=planned.timeout))
        if trouble := await self._passing.read(planned, self._find_probe):
            self._means.stop.now(Ending.FAULT_FAILED, planned.id, f"nothing was read: {trouble}")
        self._means.recorder.record(StepEnded(step=planned.id))

    async def _together(self, item: PlannedItem) -> None:
        await _all(self._step(fault) for fault in item.faults)
        if trouble := next((run for run in self._runs if run.trouble), None):
            ending = Ending.BARRIER_HELD if trouble.barrier else Ending.FAULT_FAILED
            self._means.stop.now(ending, trouble.id, trouble.trouble)

    async def _step(self, planned: PlannedFault) -> None:
        if await self._means.stop.wait(planned.after):
            return
        self._means.recorder.record(StepBegan(step=planned.id, lasts=planned.lasts))
        if planned.targets:
            try:
                planned = await self._passing.filled(planned, self._find(planned.fault))
            except NotPassed as error:
                self._did_not_begin(planned, str(error))
                return
            runs = self._fault_runs(planned)
            if planned.selector is not None and planned.selector.follow:
                await self._follow(planned, runs)
            else:
                self._steps += runs
                await _all(run.go() for run in runs)
        else:
            self._did_not_begin(planned, planned.no_target)
            return
        self._means.recorder.record(StepEnded(step=planned.id))

    def _did_not_begin(self, planned: PlannedFault, why: str) -> None:
        self._means.recorder.record(FaultFailed(fault=f"{planned.id}/0", stage="prepare", error=why))
        self._means.stop.now(Ending.FAULT_FAILED, planned.id, why)
        self._means.recorder.record(StepEnded(step=planned.id))

    async def _follow(self, planned: PlannedFault, runs: Sequence[FaultRun]) -> None:
        plugin = self._find(planned.fault)
        following = Following(plugin, planned, runs, self._means, self._joining, self._taken)
        self._following.append(following)
        await following.carry_out()

    def _taken(self) -> set[str]:
        """Targets that something is in force on, or is about to be."""
        planned = [run.target.id for run in self._steps if not run.over]
        return {*planned, *(run.target.id for step in self._following for run in step.runs if not run.over)}

    def _fault_runs(self, planned: PlannedFault) -> list[FaultRun]:
        try:
            plugin = self._find(planned.fault)
            many, follows = len(planned.targets), planned.selector is not None and planned.selector.follow
            muster = Muster(many) if many > AT_ONCE and not follows else None
            runs = [
                FaultRun(plugin, planned, target, number, self._means, muster=muster)
                for number, target in enumerate(planned.targets, 1)
            ]
            runs[0].on_sight = self._passing.hears_of(planned)
            return runs
        except Exception as error:
            # The others of this moment must not go on for their full time.
            self._means.stop.now(Ending.DEFECT, "chaosrunner", f"{type(error).__name__}: {error}")
            raise

    async def sweep(self) -> None:
        """Undo what is not undone, and what an injection did that went on after it was cancelled."""
        await self._means.leash.end()
        for run in self._runs:
            if not run.undo_failed:
                await run.take_back("failed")
                await run.sweep()


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all of them, also when one fails: none is left to go on by itself. Raises the first failure."""
    for result in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
