"""Counts that only grow, of things that come and go: how much was added, in all or lately."""

from __future__ import annotations

from collections.abc import Mapping


class Growth:
    """Adds up what each of many counters (restarts of each pod, lines of each log) grew by since the first look.

    A counter that is new at a later look counts from nothing; one that is no longer there keeps what it had.
    """

    def __init__(self, over: float | None = None) -> None:
        """`over`: seconds that are looked back over; None: to the first look."""
        self._over = over
        self._first: Mapping[str, float] | None = None
        self._highest: dict[str, float] = {}
        self._seen: list[tuple[float, float]] = []
        """(when, how much in all by then); the oldest that may still be needed comes first."""
        self._gaps: list[tuple[float, str]] = []

    def look(self, t: float, counters: Mapping[str, float]) -> None:
        """Take in what the counters say at a time (monotonic seconds)."""
        if self._first is None:
            self._first = dict(counters)
        for name, count in counters.items():
            self._highest[name] = max(count, self._highest.get(name, 0.0))
        total = sum(count - self._first.get(name, 0.0) for name, count in self._highest.items())
        self._seen.append((t, total))
        if self._over is not None:
            while len(self._seen) > 1 and self._seen[1][0] <= t - self._over:
                del self._seen[0]
            self._gaps = [gap for gap in self._gaps if gap[0] > t - self._over]
        else:
            del self._seen[1:-1]

    def lost(self, t: float, why: str) -> None:
        """Something was not seen between the look before and this time."""
        self._gaps.append((t, why))

    @property
    def gap(self) -> str:
        """Why the count may be too low; empty: it is not."""
        return self._gaps[-1][1] if self._gaps else ""

    @property
    def recent(self) -> float:
        """What was added within `over` of the last look, or since the first one. 0 before any look."""
        return self._seen[-1][1] - self._seen[0][1] if self._seen else 0.0
