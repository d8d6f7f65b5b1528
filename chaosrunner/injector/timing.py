"""An event loop whose timers are exact to some hundredths of a millisecond, for delays that are what they say."""

from __future__ import annotations

import asyncio
import select
import selectors
import time

__all__ = ["ExactSelector", "new_loop"]

MOST_EARLY = 0.0003
"""Seconds: how much earlier than asked it may wake up, and then looks again and again until it is time."""
LEARNS = 0.1
"""Weight of the newest wake-up in the running mean of how late they are."""


class ExactSelector(selectors.DefaultSelector):
    """The system's selector, waking up in time.

    epoll counts in milliseconds and asyncio rounds up to them, which would make every delayed chunk up to 1 ms late;
    `select` on the epoll object itself counts in microseconds. Then the system takes its time to wake a process that
    sleeps (0.2 ms where this was measured), so it asks to be woken earlier by what it has seen that to be. asyncio
    runs no timer before its time: it asks again, and is answered at once, until it is.
    """

    _late = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As any selector's."""
        number = self.fileno()
        if timeout is not None and 0 < timeout < 1 and number < 1024:  # more is beyond select()
            wait = timeout - self._late
            timeout = 0
            if wait > 0:
                started = time.perf_counter()
                if not select.select((number,), (), (), wait)[0]:
                    late = time.perf_counter() - started - wait
                    self._late += LEARNS * (min(late, MOST_EARLY) - self._late)
        return super().select(timeout)


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop for `asyncio.Runner(loop_factory=...)`."""
    if hasattr(select, "epoll"):
        return asyncio.SelectorEventLoop(ExactSelector())
    return asyncio.SelectorEventLoop()  # kqueue is exact by itself
