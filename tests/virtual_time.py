"""An event loop on which time passes only when everybody waits: an hour of a run takes milliseconds.

Only for code that waits for timers and for each other, not for sockets or threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWait(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Looks without waiting; a wait with nothing ready moves the clock on instead."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits for something that will never happen")
            self.passed += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at 1000 s and jumps to the next timer."""

    def __init__(self) -> None:
        self._virtual = _NoWait()
        super().__init__(self._virtual)

    def time(self) -> float:
        return 1000.0 + self._virtual.passed


class VirtualClock:
    """The engine's clock on the virtual loop; the wall clock can be stepped."""

    def __init__(self) -> None:
        self.step = 0.0

    def now(self) -> float:
        return 1_790_000_000.0 + self.monotonic() + self.step

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run_virtually(coroutine: Coroutine[Any, Any, T], *, strays: bool = False) -> T:
    """The coroutine's result, on a loop of its own; a task that is left behind fails the test, unless `strays`."""
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(coroutine)
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        assert strays or not left, f"tasks left behind: {left}"
        return result
    finally:
        loop.close()
