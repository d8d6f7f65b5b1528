"""Staying inside, for rules that look at many readings together: the latest so many of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from chaosrunner.judging.reading import Reading
from chaosrunner.judging.whole_phase import judge_whole, window
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Rule
from chaosrunner.model.words import Answer

_MORE = 3
"""Where the latest readings are too few because they hang together, so many times as many are looked at."""


class WindowStay:
    """Like `Staying`, of a measure with `take` or `like`: it begins with the first of the latest `size` readings that
    together are in order."""

    def __init__(self, measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading], size: int) -> None:
        self._measure, self._rule, self._baseline, self._size = measure, rule, baseline, size
        self._readings: deque[Reading] = deque(maxlen=size * _MORE)
        self.since: float | None = None
        """When the stay began; None: not inside."""
        self.latest: float | None = None
        self.outside = False
        """Whether the latest readings together were outside."""
        self.broken = False
        """Whether the latest readings that were not in order were outside, and not only too few to say so."""
        self.reason = "there were too few readings after the undo"
        """Why the latest readings that were not in order were not."""

    @property
    def seconds(self) -> float:
        """How long it takes to have as many readings as it looks at."""
        return self._size * _MORE * self._measure.every

    def add(self, reading: Reading) -> None:
        """A reading; missing ones are not handed in."""
        self._readings.append(reading)
        for times in range(1, _MORE + 1):
            if len(self._readings) < self._size * times:
                return
            latest = list(self._readings)[-self._size * times :]
            said = judge_whole(self._measure, self._rule, self._baseline, [latest])
            self.outside = said.outside
            if said.answer is not Answer.HELD:
                self.reason, self.broken = said.reason, said.answer is Answer.BROKEN
            else:
                self.since = latest[0].ended - self._measure.lag if self.since is None else self.since
                self.latest = reading.ended - self._measure.lag
                return
            if said.answer is Answer.BROKEN or said.outside:
                break
        self.since = self.latest = None

    def three_since(self, moment: float) -> bool:
        """Whether the last three readings are all from that moment or later."""
        return len(self._readings) >= 3 and self._readings[-3].ended - self._measure.lag >= moment


def window_stay(measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading]) -> WindowStay | None:
    """For a rule with `take` or `like`; None: the baseline has too few readings to compare with, whatever comes."""
    if rule.relative and not baseline:
        return None
    size = window(measure, rule, baseline)
    return None if size is None else WindowStay(measure, rule, baseline, size)
