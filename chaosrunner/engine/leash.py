"""Runs other people's code with a time limit that holds even if the code does not listen to its cancellation, and makes
a value of whatever it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from chaosrunner.engine.stop import Stop
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.records.light import dataclass

T = TypeVar("T")

PATIENCE = 0.2
"""Seconds that cancelled code may take to clean up before it is left behind."""


class Overdue(Exception):
    """The call did not end in time; it was cancelled."""


class CutShort(Exception):
    """The run was stopped while the call was under way; it was cancelled."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of a call: a value, an error, or cut short because the run was stopped."""

    value: T | None = None
    error: Exception | None = None
    cut: bool = False

    @property
    def trouble(self) -> str:
        """The error for the journal: our own say it themselves, others with their type. Empty: there is none."""
        if self.error is None:
            return ""
        if isinstance(self.error, ChaosrunnerError | Overdue):
            return str(self.error) or type(self.error).__name__
        return f"{type(self.error).__name__}: {self.error}"


class Leash:
    """Keeps account of calls that were cancelled and went on regardless (`strays`)."""

    def __init__(self) -> None:
        self.strays: set[asyncio.Task[Any]] = set()

    async def call(self, work: Coroutine[Any, Any, T], seconds: float, stop: Stop | None = None) -> T:
        """What `work` returns or raises.

        Raises `Overdue` after `seconds`, `CutShort` as soon as `stop` is set off; both return within `PATIENCE`.
        """
        task: asyncio.Task[T] = asyncio.ensure_future(work)
        waiting: set[asyncio.Task[Any]] = {task}
        if stop is not None:
            waiting.add(asyncio.ensure_future(stop.wait()))
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            await self._cancel(task)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            for other in waiting - {task}:
                other.cancel()
        if stop is not None and stop.asked:
            raise CutShort
        raise Overdue(f"did not end within {seconds:g} s")

    async def ask(self, work: Coroutine[Any, Any, T], seconds: float, stop: Stop | None = None) -> Outcome[T]:
        """The same, with whatever it raises as a value: a plugin's failure is an event of the run, not its end."""
        try:
            return Outcome(value=await self.call(work, seconds, stop))
        except CutShort:
            return Outcome(cut=True)
        except Exception as error:  # noqa: BLE001  the one wrapper around plugins: they may raise anything
            return Outcome(error=error)

    async def _cancel(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
        if task.done():
            _forget(task)
        else:
            self.strays.add(task)
            task.add_done_callback(self._came_back)

    def _came_back(self, task: asyncio.Task[Any]) -> None:
        self.strays.discard(task)
        _forget(task)

    async def end(self, seconds: float = 1.0) -> int:
        """Cancel the strays once more and wait a moment; how many are still running."""
        for task in self.strays:
            task.cancel()
        if self.strays:
            await asyncio.wait(set(self.strays), timeout=seconds)
        return len(self.strays)


def _forget(task: asyncio.Task[Any]) -> None:
    """Take note of its exception, which nobody is waiting for any more."""
    if not task.cancelled():
        task.exception()
