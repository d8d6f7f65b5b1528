"""Gathers figures for many askers: in a thread, once for all that ask meanwhile."""

from __future__ import annotations

import asyncio

from chaosrunner.clock import Clock
from chaosrunner.exposition import Figures
from chaosrunner.stages.figures import StateFigures

FRESH = 2.0
"""Seconds for which figures are used again."""


class Gathered:
    """The latest figures of a state folder."""

    def __init__(self, source: StateFigures, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._found: tuple[float, Figures] | None = None
        self._turn = asyncio.Lock()

    async def now(self) -> Figures:
        """Figures that are at most `FRESH` seconds old; those who come while they are gathered wait for the same."""
        async with self._turn:
            if self._found is None or self._clock.monotonic() - self._found[0] > FRESH:
                figures = await asyncio.to_thread(self._source.gather)
                self._found = self._clock.monotonic(), figures
            return self._found[1]
