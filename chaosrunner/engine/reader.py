"""Takes one reading of one measure, whatever the probe does: a value, no answer, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chaosrunner.engine.leash import Leash, Overdue
from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.judging.reading import Reading
from chaosrunner.model.journal import PluginMisbehaved
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Value
from chaosrunner.ports import Probe

LONGEST_TEXT = 10_000
"""Characters of a text reading; a longer one is no reading, as the journal could not hold it whole."""
OPENING = 10.0
"""Seconds that a probe may take to open."""


class Reader:
    """Reads with the measure's own time limit and retries. A probe is opened before its first reading."""

    def __init__(self, leash: Leash, t: Callable[[], float], report: Callable[[PluginMisbehaved], None]) -> None:
        """`t` is the time that readings are given; `report` hears of probes that break their contract."""
        self._leash = leash
        self._t = t
        self._report = report
        self._opened: set[str] = set()

    async def take(self, measure: PlannedMeasure, probe: Probe[Any]) -> Reading:
        """One reading; tried again at once, up to `retries` times, where the instrument failed."""
        for attempt in range(measure.retries + 1):
            began = self._t()
            value, no_answer, missing = await self._attempt(measure, probe)
            reading = Reading(began, self._t(), value, no_answer, missing)
            if missing is None or attempt == measure.retries:
                break
        return reading

    async def _attempt(self, measure: PlannedMeasure, probe: Probe[Any]) -> tuple[Value | None, str | None, str | None]:
        try:
            if measure.key not in self._opened:
                await self._leash.call(probe.open(), OPENING)
                self._opened.add(measure.key)
            return _checked(await self._leash.call(probe.read(), measure.timeout))
        except NoAnswer as answer:
            return None, str(answer) or "no answer", None
        except NoReading as failure:
            return None, None, str(failure) or "no reading"
        except Overdue:
            late = f"no answer within {measure.timeout:g} s"
            return (None, late, None) if probe.answers else (None, None, late)
        except Exception as error:  # noqa: BLE001  a probe may raise anything; whatever it is, it is no reading
            self._report(PluginMisbehaved(plugin=f"probe {measure.probe}", error=f"{measure.key}: {error!r}"))
            return None, None, f"the probe failed: {type(error).__name__}: {error}"


def _checked(value: object) -> tuple[Value | None, str | None, str | None]:
    """The reading if it is one: a finite number, true/false, or text of bounded length."""
    if isinstance(value, bool):
        return value, None, None
    if isinstance(value, int | float):
        number = float(value)
        return (number, None, None) if math.isfinite(number) else (None, None, f"the probe read {number}")
    if isinstance(value, str):
        if len(value) <= LONGEST_TEXT:
            return value, None, None
        return None, None, f"the probe read {len(value)} characters, more than {LONGEST_TEXT}"
    return None, None, f"the probe read {type(value).__name__}, expected a number, text, or true/false"
