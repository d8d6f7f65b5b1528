"""One signal that everything of a run listens to, and the first cause that set it off."""

from __future__ import annotations

import asyncio

from chaosrunner.model.words import Ending
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a run ends early."""

    ending: Ending
    by: str
    reason: str = ""


class Stop:
    """Set once; the first cause stays. Nothing of a run is ever cancelled from outside: it looks here instead, so the
    undo cannot be cut off by a second Ctrl-C."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._halted = asyncio.Event()
        self.cause: Cause | None = None
        self.halt: Cause | None = None
        """The first halt by a person, a signal or a file, even if something else stopped the run before."""

    def now(self, ending: Ending, by: str, reason: str = "") -> bool:
        """Stop the run; False if it was stopping already. A halt also ends the watching of the recovery."""
        if ending is Ending.HALTED and self.halt is None:
            self.halt = Cause(ending, by, reason)
            self._halted.set()
        if self.cause is not None:
            return False
        self.cause = Cause(ending, by, reason)
        self._event.set()
        return True

    @property
    def asked(self) -> bool:
        """Whether it was set off."""
        return self.cause is not None

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set off, or so long: whether it was."""
        return await _within(self._event, seconds)

    async def wait_for_halt(self, seconds: float) -> bool:
        """The same for halts only."""
        return await _within(self._halted, seconds)


async def _within(event: asyncio.Event, seconds: float | None) -> bool:
    if event.is_set() or (seconds is not None and seconds <= 0):
        return event.is_set()
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
