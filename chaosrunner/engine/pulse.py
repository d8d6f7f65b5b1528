"""Notices when chaosrunner itself stands still (no processor, a plugin that blocks, a machine that slept): what is read
meanwhile tells about chaosrunner, not about the system under test.
"""

from __future__ import annotations

from collections import deque

from chaosrunner.clock import Clock

BEAT = 0.1
"""Seconds between two beats."""
STALL = 0.25
"""Seconds by which a beat must be late to count; timers and short work are below it."""


class Pulse:
    """Beats on the event loop; keeps the latest stalls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.monotonic()
        self._stalls: deque[tuple[float, float]] = deque(maxlen=100)

    @property
    def since_beat(self) -> float:
        """Seconds since the event loop was last seen alive; may be asked from another thread."""
        return self._clock.monotonic() - self._last

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            await self._clock.sleep(BEAT)
            now = self._clock.monotonic()
            if now - self._last > BEAT + STALL:
                self._stalls.append((self._last, now))
            self._last = now

    def mark(self) -> float:
        """This moment, for `stalled_since`."""
        return self._clock.monotonic()

    def stalled_since(self, mark: float) -> float:
        """The longest stall (seconds) since a moment, one that began before it included; 0: there was none."""
        now = self._clock.monotonic()
        going_on = [(self._last, now)] if now - self._last > BEAT + STALL else []
        return max((last - first for first, last in [*self._stalls, *going_on] if last > mark), default=0.0)
