"""Takes one reading of one measure, whatever the probe does: a value, no answer, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chaosrunner.engine.leash import Leash, Outcome, Overdue
from chaosrunner.engine.pulse import Pulse
from chaosrunner.errors import ChaosrunnerError, NoAnswer, NoReading
from chaosrunner.judging.reading import Reading
from chaosrunner.model.journal import PluginMisbehaved
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Value
from chaosrunner.ports import Probe
from chaosrunner.secrets import without_secrets

LONGEST_TEXT = 10_000
"""Characters of a text reading; a longer one is no reading, as the journal could not hold it whole."""
OPENING = 10.0
"""Seconds that a probe may take to open."""


class Reader:
    """Reads with the measure's own time limit and retries. A probe is opened before its first reading."""

    def __init__(
        self,
        leash: Leash,
        t: Callable[[], float],
        report: Callable[[PluginMisbehaved], None],
        pulse: Pulse,
    ) -> None:
        """`t` is the time that readings are given; `report` hears of probes that break their contract."""
        self._leash = leash
        self._pulse = pulse
        self._t = t
        self._report = report
        self._opened: set[str] = set()

    async def take(self, measure: PlannedMeasure, probe: Probe[Any]) -> Reading:
        """One reading; tried again at once, up to `retries` times, where the instrument failed."""
        for attempt in range(measure.retries + 1):
            began, mark = self._t(), self._pulse.mark()
            value, no_answer, missing = await self._attempt(measure, probe)
            if (stall := self._pulse.stalled_since(mark)) and (no_answer or measure.room == "latency"):
                # Time that passed while chaosrunner stood still says nothing about the system.
                value, no_answer, missing = None, None, f"chaosrunner itself stood still for {stall:.2f} s"
            shown = [without_secrets(each) if isinstance(each, str) else each for each in (no_answer, missing)]
            value = without_secrets(value) if isinstance(value, str) else value
            reading = Reading(began, self._t(), value, *shown)
            if missing is None or attempt == measure.retries:
                break
        return reading

    async def _attempt(self, measure: PlannedMeasure, probe: Probe[Any]) -> tuple[Value | None, str | None, str | None]:
        if measure.key not in self._opened:
            opened = await self._leash.ask(probe.open(), OPENING)
            if opened.error is not None:
                return self._without(measure, probe, opened)
            self._opened.add(measure.key)
        taken = await self._leash.ask(probe.read(), measure.timeout)
        return _checked(taken.value) if taken.error is None else self._without(measure, probe, taken)

    def _without(
        self, measure: PlannedMeasure, probe: Probe[Any], failed: Outcome[Any]
    ) -> tuple[Value | None, str | None, str | None]:
        """No answer, or no reading, and why."""
        error = failed.error
        if isinstance(error, NoAnswer):
            return None, str(error) or "no answer", None
        if isinstance(error, NoReading):
            return None, None, str(error) or "no reading"
        if isinstance(error, Overdue):
            late = f"no answer within {measure.timeout:g} s"
            return (None, late, None) if probe.answers else (None, None, late)
        if isinstance(error, ChaosrunnerError):
            return None, None, str(error)
        self._report(PluginMisbehaved(plugin=f"probe {measure.probe}", error=f"{measure.key}: {error!r}"))
        return None, None, f"the probe failed: {failed.trouble}"


def _checked(value: object) -> tuple[Value | None, str | None, str | None]:
    """The reading if it is one: a finite number, true/false, or text of bounded length."""
    if isinstance(value, bool):
        return value, None, None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None, None, "the probe read a number that is too large"
        return (number, None, None) if math.isfinite(number) else (None, None, f"the probe read {number}")
    if isinstance(value, str):
        if len(value) <= LONGEST_TEXT:
            return value, None, None
        return None, None, f"the probe read {len(value)} characters, more than {LONGEST_TEXT}"
    return None, None, f"the probe read {type(value).__name__}, expected a number, text, or true/false"
