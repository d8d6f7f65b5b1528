"""The one place that asks what time it is, sleeps, or rolls dice; everything else is handed a `Clock`.

Two times are kept apart on purpose. *Wall* time (`now`) is what people read and may step at any moment; no duration
is ever computed from it. *Monotonic* time is what every wait, deadline and duration uses.
"""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time, as the engine sees it."""

    def now(self) -> float:
        """Wall time in seconds since the epoch (UTC)."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; the same for all processes of this machine since its boot."""

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""


class SystemClock:
    """The real one."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def iso(epoch: float) -> str:
    """Wall time as RFC 3339 in UTC with milliseconds, `2026-11-22T10:51:03.120Z`."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_seed() -> int:
    """A seed for choosing targets, from the operating system; recorded in the plan, so any run can be repeated."""
    return int.from_bytes(os.urandom(4)) >> 1


def new_run_id(clock: Clock) -> str:
    """An id that sorts by time: `20261122-105103-4f2a9c`."""
    return datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%d-%H%M%S-") + os.urandom(3).hex()
