"""Whether there are enough readings to say anything: nothing is held by absence.

In a phase no more than 20 % of a measure's readings may be missing, and there may be no hole of more than a quarter of
the phase. A hole is a time without readings: from one's end to the next one's start, from the moment that the phase's
first could be taken (its start plus the lag), and to the phase's end. Where a measure is read so seldom that its own
schedule is coarser than a quarter, a hole is longer than that schedule explains: one and a half `every` between two
readings; one `every` and one `timeout` at the edges, since a reading that crosses an edge is not in the phase. Readings
that were due and of which the journal says nothing at all (the runner stood still) are missing, too.
"""

from __future__ import annotations

from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show

MISSING_SHARE = 0.20
HOLE_SHARE = 0.25


class Coverage:
    """Counts one measure's readings in one window, in order; the window may have several pieces.

    Call `piece`, then `add` for what lies wholly inside it, and `complaint` at the end.
    """

    def __init__(self, measure: PlannedMeasure, length: float) -> None:
        """`length`: the judged time of the window in seconds, all pieces together."""
        self._measure = measure
        self._quarter = length * HOLE_SHARE
        self._between = max(self._quarter, 1.5 * measure.every)
        self._edge = max(self._quarter, measure.every + measure.timeout)
        self._start = True
        self._reading_until: float | None = None
        self._entry_until = 0.0
        self._end = 0.0
        self.readings = 0
        self.missing = 0
        self.unsaid = 0
        """Readings that were due, and of which the journal says nothing."""
        self.hole = 0.0
        """The longest time without readings that is too long, seconds; 0: none is."""
        self.why = ""
        """Why the latest missing reading is missing."""

    def piece(self, start: float, end: float) -> None:
        """The next piece of the window begins."""
        self._close()
        self._reading_until = self._entry_until = start + self._measure.lag
        self._end = end
        self._start = True

    def add(self, began: float, ended: float, missing: str | None = None) -> None:
        """A reading that lies wholly inside the piece, or the reason why there is none."""
        self._count_unsaid(began - self._entry_until)
        self._entry_until = max(self._entry_until, ended)
        if missing is not None:
            self.missing += 1
            self.why = missing
            return
        self.readings += 1
        self._see_hole(began, self._edge if self._start else self._between)
        self._reading_until = ended
        self._start = False

    def complaint(self) -> str:
        """Why nothing can be said, as part of a sentence; empty: there are enough readings."""
        self._close()
        why = f" (the last for this reason: {self.why})" if self.why else ""
        if not self.readings:
            return f"there is no reading{why}"
        missing = self.missing + self.unsaid
        due = self.readings + missing
        if missing > MISSING_SHARE * due:
            allowed = f"{MISSING_SHARE:.0%}".replace("%", " %")
            return f"{missing} of {due} readings are missing, more than {allowed}{why}"
        if self.hole:
            return f"there is a hole of {show(self.hole, 's')} without a reading, which is too long{why}"
        return ""

    def _close(self) -> None:
        if self._reading_until is not None:
            self._see_hole(self._end, self._edge)
            self._count_unsaid(self._end - self._entry_until - self._measure.timeout)
            self._reading_until = None

    def _see_hole(self, until: float, allowed: float) -> None:
        if self._reading_until is not None and until - self._reading_until > allowed:
            self.hole = max(self.hole, until - self._reading_until)

    def _count_unsaid(self, idle: float) -> None:
        every = self._measure.every
        if every > 0 and idle > 1.5 * every:
            self.unsaid += int(idle / every - 0.5)
