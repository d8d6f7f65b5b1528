"""A step on very many targets: they come into force one batch after the other, and its time begins with the last."""

from __future__ import annotations

from chaosrunner.records.light import dataclass


@dataclass(slots=True)
class Muster:
    """Counts until all faults of a step have come into force, or have failed to."""

    many: int
    """How many there are."""
    through: int = 0
    complete_at: float | None = None
    """When the last was through, on the monotonic clock; None: not yet."""

    def one_is_through(self, now: float) -> None:
        """One is in force, or will never be."""
        self.through += 1
        if self.through == self.many:
            self.complete_at = now
