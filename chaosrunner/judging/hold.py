"""A tolerance's rule with its limits resolved, and readings held against it."""

from __future__ import annotations

import math
import re

from chaosrunner.judging.reading import Reading
from chaosrunner.model.quantities import number, show
from chaosrunner.model.tolerance import Rule, Value
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class ResolvedRule:
    """A rule in the measure's unit. Made by `resolve`."""

    rule: Rule
    unit: str | None
    low: float | None
    """The lowest value in order; None: no such side."""
    high: float | None
    """The highest value in order; None: no such side."""
    text: str
    """For people, with numbers and units: `at most 412 ms (4x baseline)`."""
    pattern: re.Pattern[str] | None = None

    @property
    def for_(self) -> float:
        """How long it must be violated without a break to count, seconds."""
        return self.rule.for_

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers against limits."""
        return self.low is not None or self.high is not None

    def fits(self, reading: Reading) -> Reading:
        """The reading, or *no reading* where its value is of a sort that this rule cannot say anything about."""
        return fits(reading, numeric=self.numeric)

    def inside(self, reading: Reading) -> bool:
        """Whether the reading is in order. *No answer* never is. A missing reading must not be asked about."""
        if reading.missing is not None or (reading.value is None and reading.no_answer is None):
            raise ValueError("there is no reading, so nothing can be said of it")
        return reading.value is not None and self.allows(reading.value)

    def allows(self, value: Value) -> bool:
        """Whether a value is in order; its sort must fit the rule."""
        if self.pattern is not None:
            return self.pattern.search(words_of(value)) is not None
        if self.rule.equals is not None:
            wanted = self.rule.equals
            return isinstance(value, bool) is isinstance(wanted, bool) and value == wanted
        held = float(value)
        return (self.low is None or held >= self.low) and (self.high is None or held <= self.high)

    def room(self, value: Value) -> float | None:
        """The room that is left, in the measure's unit; negative beyond the limit. None for what is not a number."""
        if isinstance(value, str) or not self.numeric:
            return None
        held = float(value)
        return min(
            float("inf") if self.low is None else held - self.low,
            float("inf") if self.high is None else self.high - held,
        )

    def margin(self, value: Value) -> float | None:
        """The room that is left, as a share of the limit; negative beyond it.

        `atMost`: (limit - value) / |limit|. `atLeast`: (value - limit) / |limit|. `between`: to the nearer side, over
        the width. None where that says nothing: text, `equals`, `matches`, a limit of 0, no width.
        """
        if isinstance(value, str) or not self.numeric:
            return None
        held = float(value)
        if self.low is not None and self.high is not None:
            width = self.high - self.low
            return min(held - self.low, self.high - held) / width if width > 0 else None
        limit = self.high if self.high is not None else self.low
        if not limit:
            return None
        return (limit - held if self.high is not None else held - limit) / abs(limit)


def fits(reading: Reading, *, numeric: bool = True) -> Reading:
    """The reading, or *no reading* where a rule of limits (`numeric`) can say nothing about its value."""
    if numeric and isinstance(reading.value, str):
        found = reading.value if len(reading.value) <= 40 else reading.value[:37] + "…"
        return Reading(reading.began, reading.ended, missing=f"the probe gave {found!r}, not a number")
    if isinstance(reading.value, float) and not math.isfinite(reading.value):
        return Reading(reading.began, reading.ended, missing=f"the probe gave {reading.value}, not a number")
    return reading


def resolve(rule: Rule, unit: str | None, baseline: float | None) -> ResolvedRule:
    """The rule for a measure with this unit, and the median of its baseline where there is one.

    Raises ValueError, in words, where the rule is relative and there is no baseline, or a unit does not fit.
    """
    low, high = rule.bounds(unit, baseline)
    pattern = None if rule.matches is None else re.compile(rule.matches)
    return ResolvedRule(rule, unit, low, high, _text(rule, unit, low, high), pattern)


def _text(rule: Rule, unit: str | None, low: float | None, high: float | None) -> str:
    written = str(rule)
    if low is not None and high is not None:
        text = f"between {show(low, unit)} and {show(high, unit)}"
    elif high is not None:
        text = f"at most {show(high, unit)}"
    elif low is not None:
        text = f"at least {show(low, unit)}"
    else:
        return written.replace(f" for {number(rule.for_)} s", f", for {show(rule.for_, 's')}") if rule.for_ else written
    if rule.relative:
        text += f" ({_relative(rule)})"
    return f"{text}, for {show(rule.for_, 's')}" if rule.for_ else text


def _relative(rule: Rule) -> str:
    if rule.between is not None:
        return f"{rule.between[0]} to {rule.between[1]}"
    limit = str(rule.at_most if rule.at_most is not None else rule.at_least)
    return f"{limit}, never less than {rule.floor}" if rule.floor else limit


def words_of(value: Value) -> str:
    """A value as the text that `matches` looks at: `200`, `true`, or the text itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number(value)


def say(value: Value | None, unit: str | None) -> str:
    """A value for people: `312 ms`, `true`, `'ok'`; None is *no answer*."""
    if value is None:
        return "no answer"
    if isinstance(value, bool):
        return words_of(value)
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "…")
    return show(value, unit)
