"""Reads all measures concurrently, each on its own schedule, and turns whatever happens into a reading."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.pulse import Pulse
from chaosrunner.engine.reader import Reader
from chaosrunner.engine.recorder import Recorder
from chaosrunner.judging.during import phases_read
from chaosrunner.judging.reading import Reading
from chaosrunner.model.journal import PluginMisbehaved, ReadingTaken
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.words import Phase
from chaosrunner.ports import Probe
from chaosrunner.records.light import replace

SPREAD = 0.005
"""Seconds between the first readings of two measures, so that many of them do not measure each other."""
CROWD = 0.25
"""Measures of one interval that would take up a larger share of it in this way are spread over all of it: what they ask
is then asked evenly, and not in bursts."""

OnReading = Callable[[PlannedMeasure, Reading], None]


def offsets(intervals: Sequence[float]) -> list[float]:
    """When (seconds after the start) each measure is first read, by how often it is; the same for the same measures."""
    many, before = Counter(intervals), Counter[float]()
    found = []
    for number, every in enumerate(intervals):
        crowded = many[every] * SPREAD > CROWD * every
        found.append(before[every] * every / many[every] if crowded else number * SPREAD % every)
        before[every] += 1
    return found


class Sampler:
    """One task for each measure. A probe that hangs costs its own measure readings, nobody else's."""

    def __init__(
        self,
        probes: Sequence[tuple[PlannedMeasure, Probe[Any]]],
        recorder: Recorder,
        clock: Clock,
        on_reading: OnReading,
        pulse: Pulse,
    ) -> None:
        self._probes = probes
        self._recorder = recorder
        self._clock = clock
        self._on_reading = on_reading
        self._leash = Leash()
        self._reader = Reader(self._leash, lambda: recorder.t, recorder.record, pulse)
        self.phase = Phase.BASELINE
        """The phase under way: measures are read only in the phases that their `during` names."""

    async def run(self) -> None:
        """Read until cancelled, then close all probes."""
        probes = self._probes
        tasks = [
            asyncio.ensure_future(self._follow(measure, probe, offset))
            for offset, (measure, probe) in zip(offsets([each.every for each, _ in probes]), probes, strict=True)
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    async def _follow(self, measure: PlannedMeasure, probe: Probe[Any], offset: float) -> None:
        due = self._clock.monotonic() + offset
        while True:
            await self._clock.sleep(due - self._clock.monotonic())
            if self.phase in phases_read(measure.during):
                self._keep(measure, await self._reader.take(measure, probe))
            # A reading that took longer than `every` skips the slots that it missed: they are holes, not a backlog.
            late = self._clock.monotonic() - due
            due += measure.every * (math.floor(late / measure.every) + 1)

    def _keep(self, measure: PlannedMeasure, taken: Reading) -> None:
        """Record it, and show just what was recorded, so that a later judge sees what was decided by."""
        reading = replace(taken, began=round(taken.began, 6), ended=round(taken.ended, 6))
        self._recorder.record(
            ReadingTaken(
                measure=measure.key,
                began=reading.began,
                ended=reading.ended,
                value=reading.value,
                no_answer=reading.no_answer,
                missing=reading.missing,
            )
        )
        self._on_reading(measure, reading)

    async def _close(self) -> None:
        for measure, probe in self._probes:
            closed = await self._leash.ask(probe.close(), 1.0)
            if closed.error is not None:
                event = PluginMisbehaved(plugin=f"probe {measure.probe}", error=f"close: {closed.trouble}")
                self._recorder.record(event)
        await self._leash.end()
