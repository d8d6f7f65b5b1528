"""Reads all measures concurrently, each on its own schedule, and turns whatever happens into a reading."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash, Overdue
from chaosrunner.engine.recorder import Recorder
from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.judging.during import phases_read
from chaosrunner.judging.reading import Reading
from chaosrunner.model.journal import PluginMisbehaved, ReadingTaken
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.tolerance import Value
from chaosrunner.model.words import Phase
from chaosrunner.ports import Probe

SPREAD = 0.005
"""Seconds between the first readings of two measures, so that many of them do not measure each other."""
LONGEST_TEXT = 10_000
"""Characters of a text reading; a longer one is no reading, as the journal could not hold it whole."""
OPENING = 10.0
"""Seconds that a probe may take to open."""

OnReading = Callable[[PlannedMeasure, Reading], None]


class Sampler:
    """One task for each measure. A probe that hangs costs its own measure readings, nobody else's."""

    def __init__(
        self,
        probes: Sequence[tuple[PlannedMeasure, Probe[Any]]],
        recorder: Recorder,
        clock: Clock,
        on_reading: OnReading,
    ) -> None:
        self._probes = probes
        self._recorder = recorder
        self._clock = clock
        self._on_reading = on_reading
        self._leash = Leash()
        self._opened: set[str] = set()
        self.phase = Phase.BASELINE
        """The phase under way: measures are read only in the phases that their `during` names."""

    async def run(self) -> None:
        """Read until cancelled, then close all probes."""
        tasks = [
            asyncio.ensure_future(self._follow(measure, probe, number * SPREAD))
            for number, (measure, probe) in enumerate(self._probes)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _follow(self, measure: PlannedMeasure, probe: Probe[Any], offset: float) -> None:
        due = self._clock.monotonic() + offset % measure.every
        while True:
            await self._clock.sleep(due - self._clock.monotonic())
            if self.phase in phases_read(measure.during):
                self._keep(measure, await self.take(measure, probe))
            # A reading that took longer than `every` skips the slots that it missed: they are holes, not a backlog.
            late = self._clock.monotonic() - due
            due += measure.every * (math.floor(late / measure.every) + 1)

    def _keep(self, measure: PlannedMeasure, reading: Reading) -> None:
        self._recorder.record(
            ReadingTaken(
                measure=measure.key,
                began=round(reading.began, 6),
                ended=round(reading.ended, 6),
                value=reading.value,
                no_answer=reading.no_answer,
                missing=reading.missing,
            )
        )
        self._on_reading(measure, reading)

    async def take(self, measure: PlannedMeasure, probe: Probe[Any]) -> Reading:
        """One reading; tried again at once, up to `retries` times, where the instrument failed."""
        for attempt in range(measure.retries + 1):
            began = self._recorder.t
            value, no_answer, missing = await self._attempt(measure, probe)
            reading = Reading(began, self._recorder.t, value, no_answer, missing)
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
            self._recorder.record(PluginMisbehaved(plugin=f"probe {measure.probe}", error=f"{measure.key}: {error!r}"))
            return None, None, f"the probe failed: {type(error).__name__}: {error}"

    async def _close(self) -> None:
        for measure, probe in self._probes:
            try:
                await self._leash.call(probe.close(), 1.0)
            except Exception as error:  # noqa: BLE001  closing is a courtesy; its failure changes nothing
                self._recorder.record(PluginMisbehaved(plugin=f"probe {measure.probe}", error=f"close: {error!r}"))
        await self._leash.end()


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
