"""A reading as judging sees it: a value, *no answer*, or the reason why there is none."""

from __future__ import annotations

import math

from chaosrunner.model.journal import ReadingTaken
from chaosrunner.model.tolerance import Value
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """Exactly one of `value`, `no_answer` and `missing` is set. Times are seconds of the journal's `t`."""

    began: float
    ended: float
    value: Value | None = None
    no_answer: str | None = None
    """The system under test did not answer: a reading that meets no tolerance."""
    missing: str | None = None
    """The instrument failed: there is no reading."""

    def tells_from(self, lag: float) -> float:
        """The start of what it tells about, which is `[began - lag, ended]`."""
        return self.began - lag

    @property
    def is_reading(self) -> bool:
        """Whether there is one: a value, or no answer."""
        return self.missing is None


def reading_of(event: ReadingTaken) -> Reading:
    """The reading that a line of the journal tells of. NaN, infinity and nothing at all are no readings."""
    if event.missing is not None:
        return Reading(event.began, event.ended, missing=event.missing)
    if event.no_answer is not None:
        return Reading(event.began, event.ended, no_answer=event.no_answer)
    value = event.value
    if value is None:
        return Reading(event.began, event.ended, missing="the probe gave nothing")
    if isinstance(value, float) and not math.isfinite(value):
        return Reading(event.began, event.ended, missing=f"the probe gave {value}, which is not a number")
    return Reading(event.began, event.ended, value)
