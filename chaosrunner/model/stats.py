"""What a register says as a whole. More near misses found usually means more testing, not a worse system: a falling
count is no success by itself, and no ratio of small to large events is claimed. Times are seconds.
"""

from __future__ import annotations

from datetime import date

from chaosrunner.model.frozen import Frozen


class Group(Frozen):
    """Near misses that have one thing in common."""

    value: str
    """The service, owner, kind of gap, fault class, priority or state; empty: none is named."""
    found: int
    waiting: int
    """Not closed."""
    fix_ready: int
    verified: int
    regressed: int
    """That came back at least once."""
    overdue: int
    to_fix: float | None = None
    """Mean time from opening until the last fix was ready; None: nothing was fixed yet."""
    to_verify: float | None = None
    """Mean time from there until it was verified."""


class Month(Frozen):
    """How many events of one sort there were in one month."""

    month: str
    """`2026-09`, UTC."""
    event: str
    """found, fix-ready, verified, regressed or fix-failed."""
    count: int


class Stats(Frozen):
    """Everything that `near-miss stats` tells."""

    on: date
    total: Group
    by: dict[str, tuple[Group, ...]]
    """By `service`, `owner`, `kind`, `fault`, `priority` and `state`, the most near misses first."""
    over_time: tuple[Month, ...] = ()
    to_fix: float | None = None
    """Median, of all."""
    to_verify: float | None = None
    outages: int = 0
    """Real outages that were recorded."""
    runs: dict[str, int] = {}
    """Recorded runs by their answer."""
    uncovered: int = 0
    """Not closed, and no experiment shows them."""

    @property
    def near_misses(self) -> int:
        """All but the outages."""
        return self.total.found - self.outages

    @property
    def per_outage(self) -> float | None:
        """Near misses for each outage; None: no outage was recorded."""
        return self.near_misses / self.outages if self.outages else None

    @property
    def per_hundred_runs(self) -> float | None:
        """Near misses for each hundred conclusive runs; None: there was none."""
        conclusive = self.runs.get("held", 0) + self.runs.get("broken", 0)
        return 100 * self.near_misses / conclusive if conclusive else None
