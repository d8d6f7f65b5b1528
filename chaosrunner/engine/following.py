"""`follow: true`: a step that also acts on targets that appear while it is in force.

It keeps as many in force as the plan chose, or with `take: all` all there are. A target that went away counts as
undone, and makes room for one that appeared. The step ends when it would have ended anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from chaosrunner.engine.fault_run import FaultRun
from chaosrunner.engine.means import Means
from chaosrunner.engine.muster import Muster
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.journal import TargetAppeared
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.model.words import Ending
from chaosrunner.ports import Fault

LEAST = 1.0
"""Seconds that must be left of a step for a target that appears to be acted on."""
LOOK = 0.1


class Joining(Protocol):
    """Asked before a target that appeared is acted on, beside those that are in force in its step."""

    async def __call__(self, planned: PlannedFault, in_force: Sequence[Target], new: Target) -> str:
        """Why it must be left alone (a guard, another run, the fault itself); empty: it is taken and may be hit."""


class Following:
    """One step and all that it acts on. `runs` grows; whoever sweeps looks there."""

    def __init__(
        self,
        plugin: type[Fault[Any]],
        planned: PlannedFault,
        first: Sequence[FaultRun],
        means: Means,
        joining: Joining,
        taken: Callable[[], set[str]],
    ) -> None:
        self.runs = list(first)
        self._plugin = plugin
        self._planned = planned
        self._means = means
        self._joining = joining
        self._taken = taken
        self._wanted = len(planned.targets)
        self._all = planned.selector is not None and planned.selector.take == "all"
        self._spare: list[Target] = []
        self._going: dict[asyncio.Task[None], FaultRun] = {}

    async def carry_out(self) -> None:
        """The whole step; raises nothing but defects of our own."""
        assert self._planned.selector is not None
        besides = self._planned.targets if self._all else None
        stream = self._means.platform.appearing(self._planned.selector, self._plugin.acts_on, besides)
        for run in self.runs:
            self._start(run)
        beside = [asyncio.ensure_future(self._listen(stream)), asyncio.ensure_future(self._refill())]
        try:
            await self._until_the_end()
        finally:
            for task in beside:
                task.cancel()
            ended = await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.gather(*self._going, return_exceptions=True)
        for outcome in (*ended, *(_failure(task) for task in self._going)):
            if isinstance(outcome, Exception):
                raise outcome

    # -- the step's end

    @property
    def _ends(self) -> float | None:
        """On the monotonic clock; None: nothing has been in force yet."""
        since = [run.since for run in self.runs if run.since]
        return min(since) + self._planned.lasts if since else None

    async def _until_the_end(self) -> None:
        """Until its time is over and all are taken back; earlier if the run stops, or nothing comes into force."""
        while not self._means.stop.asked and not self._trouble:
            ends = self._ends
            if ends is None and not self._alive:
                return
            if ends is not None and self._means.clock.monotonic() >= ends:
                return
            await self._means.stop.wait(LOOK)

    @property
    def _trouble(self) -> bool:
        return any(run.trouble for run in self.runs)

    @property
    def _alive(self) -> list[FaultRun]:
        return [run for task, run in self._going.items() if not task.done()]

    # -- what appears

    async def _listen(self, stream: AsyncIterator[Target]) -> None:
        """Note what appears. Without this the file's word cannot be kept: then the run stops."""
        why = "it was not told any more what appears"
        try:
            async with aclosing(stream) as appearing:  # type: ignore[type-var]
                async for target in appearing:
                    self._spare.append(target)
        except ChaosrunnerError as error:
            why = str(error)
        self._means.stop.now(Ending.FAULT_FAILED, self._planned.id, f"targets that appear cannot be followed: {why}")

    async def _refill(self) -> None:
        """Act on what appeared while fewer are in force than should be."""
        while not await self._means.stop.wait(LOOK):
            ends = self._ends
            if ends is None:
                continue
            while self._spare and (self._all or len(self._alive) < self._wanted):
                target = self._spare.pop(0)
                if ends - self._means.clock.monotonic() >= LEAST and target.id not in self._acted_on():
                    await self._join(target, ends)

    def _acted_on(self) -> set[str]:
        return {run.target.id for run in self._alive} | self._taken()

    async def _join(self, target: Target, ends: float) -> None:
        in_force = [run.target for run in self._alive]
        if why := await self._joining(self._planned, in_force, target):
            self._means.recorder.record(TargetAppeared(fault="", step=self._planned.id, target=target, refused=why))
            return
        with_the_others = Muster(0, complete_at=ends - self._planned.lasts)
        number = len(self.runs) + 1
        run = FaultRun(self._plugin, self._planned, target, number, self._means, muster=with_the_others)
        self._means.recorder.record(TargetAppeared(fault=run.id, step=self._planned.id, target=target))
        self.runs.append(run)
        self._start(run)

    def _start(self, run: FaultRun) -> None:
        self._going[asyncio.ensure_future(run.go())] = run


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
