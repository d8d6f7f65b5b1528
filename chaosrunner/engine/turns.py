"""How many faults are brought into force at the same time: as many as the system bears.

An API server that is given more than it can do answers everything late, and faults run into their time limits although
each of them would have been quick. So there are few at first, fewer when they take a good part of their limit, and one
more for each that was quick: additive increase, multiplicative decrease, as congestion control does (Chiu and Jain,
1989).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Turns"]

SLOW = 0.4
"""The share of its time limit from which on one counts as slow."""
LESS = 0.7
"""What remains of the number after a slow one."""
LEAST = 8
BEGINS = 32
"""Nothing is known of the system at first."""


class Turns:
    """At most `most` at a time, first come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(min(BEGINS, most))
        self._under_way = 0
        self._until_less = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def allowed(self) -> int:
        """So many at a time now."""
        return int(self._allowed)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it."""
        await self._come()
        try:
            yield
        finally:
            self._under_way -= 1
            self._call()

    def took(self, share: float) -> None:
        """One of them took this share of its time limit."""
        self._until_less -= 1
        if share < SLOW:
            self._allowed = min(self._most, self._allowed + 1)
            self._call()
        elif self._until_less <= 0:  # those that are under way already cannot have felt the last change
            self._allowed = max(min(LEAST, self._most), self._allowed * LESS)
            self._until_less = self._under_way

    async def _come(self) -> None:
        if not self._waiting and self._under_way < self.allowed:
            self._under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was called, and goes
                self._under_way -= 1
                self._call()
            raise

    def _call(self) -> None:
        while self._waiting and self._under_way < self.allowed:
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)
