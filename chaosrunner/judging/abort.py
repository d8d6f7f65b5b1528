"""Abort limits: `abortAt`, looked at with every reading at once, whatever its lag, settling or not."""

from __future__ import annotations

from chaosrunner.judging.during import phases_read
from chaosrunner.judging.hold import ResolvedRule, resolve, say
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.streaks import Violation
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Phase
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class LimitHit:
    """An abort limit was reached: stop and undo now."""

    measure: str
    """Its key."""
    limit: str
    """The limit for people, `at most 20 %, for 10 s`."""
    value: Value | None
    """Of the reading that completed it; None: no answer."""
    reading_ended: float
    """`ended` of that reading; the abort time counts from here."""
    lasted: float
    """For how long the limit has been violated, seconds."""
    reason: str
    """A sentence for people."""


class AbortWatch:
    """One measure's `abortAt`. A limit that is relative to the baseline is watched once the median is known."""

    def __init__(self, measure: PlannedMeasure) -> None:
        self.measure = measure
        self._latest: float | None = None
        self._rule: ResolvedRule | None = None
        self._streak = Violation(measure.abort_at.for_ if measure.abort_at else 0.0)
        if measure.abort_at is not None and not measure.abort_at.relative:
            self._rule = resolve(measure.abort_at, measure.unit, None)

    @property
    def rule(self) -> ResolvedRule | None:
        """The limit as it is watched now; None: there is none, or its baseline is not known yet."""
        return self._rule

    @property
    def blind_after(self) -> float:
        """Seconds without a reading after which we fly blind: `blind`, at least twice the lag, and never less than
        the measure's own schedule and time limit explain."""
        measure = self.measure
        return max(measure.blind, 2 * measure.lag, measure.every + measure.timeout)

    def baseline(self, median: float) -> None:
        """The median of the baseline's readings is known."""
        if self.measure.abort_at is not None and self.measure.abort_at.relative:
            self._rule = resolve(self.measure.abort_at, self.measure.unit, median)

    def add(self, reading: Reading) -> LimitHit | None:
        """A reading as it comes; the hit is given at the reading that completes the limit's `for:`, and at each further
        one while the violation lasts."""
        if self._rule is None:
            if reading.is_reading:
                self._latest = reading.ended
            return None
        reading = self._rule.fits(reading)
        if not reading.is_reading:
            return None
        self._latest = reading.ended
        if not self._streak.add(self._rule.inside(reading), reading.ended):
            return None
        lasted = reading.ended - (self._streak.began if self._streak.began is not None else reading.ended)
        value = say(reading.value, self.measure.unit)
        lasting = f" and has been outside for {show(lasted, 's')}" if lasted else ""
        reason = f"{self.measure.key} is {value}{lasting}; its abort limit is {self._rule.text}"
        return LimitHit(self.measure.key, self._rule.text, reading.value, reading.ended, lasted, reason)

    def blind(self, now: float, in_force_since: float) -> bool:
        """Whether there has been no reading for too long, with a fault in force since then.

        Without any reading yet the time counts from when the fault came into force. A measure that is not read while
        faults are in force, or has no `abortAt`, is never blind.
        """
        if self.measure.abort_at is None or Phase.FAULT not in phases_read(self.measure.during):
            return False
        since = in_force_since if self._latest is None else self._latest
        return now - since > self.blind_after
