"""Connections to one server that are kept and used again, one exchange at a time on each.

httpcore's own pool looks at all its connections with every request, so that some hundred requests under way at once
(a system that hangs, a busy moment) make each of them cost milliseconds, and it never catches up. Here each kept
transport has one connection, and finding a free one costs the same however many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

MOST_IDLE = 32
"""Unused connections that are kept for each server."""


class _Transport(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=_Transport)


class Pool(Generic[T]):
    """Transports to one server, the latest used first. There is no upper limit: a request never waits for another."""

    def __init__(self, make: Callable[[], T], keep: int = MOST_IDLE) -> None:
        self._make = make
        self._keep = keep
        self._idle: list[T] = []
        self._generation = 0

    def take(self) -> tuple[T, int]:
        """One that nobody uses, and a number for `give_back`."""
        return (self._idle.pop() if self._idle else self._make()), self._generation

    async def give_back(self, transport: T, generation: int) -> None:
        """Its exchange is over. Closed if enough are kept, or if everything was closed meanwhile."""
        if generation == self._generation and len(self._idle) < self._keep:
            self._idle.append(transport)
        else:
            await transport.aclose()

    async def aclose(self) -> None:
        """Close all that nobody uses, and the others as they come back; it can be used again afterwards."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for transport in idle:
            await transport.aclose()
