"""sample: one reading of each measure of a plan, so that a dry run shows whether they can be read, and what is so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.pulse import Pulse
from chaosrunner.engine.reader import Reader
from chaosrunner.judging.reading import Reading
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.ports import Probe


async def sample(probes: Sequence[tuple[PlannedMeasure, Probe[Any]]], clock: Clock) -> dict[str, Reading]:
    """A reading of each measure, by key, all taken at once; probes are closed again."""
    leash = Leash()
    began = clock.monotonic()
    pulse = Pulse(clock)
    reader = Reader(leash, lambda: clock.monotonic() - began, lambda event: None, pulse)
    beating = asyncio.ensure_future(pulse.beat())
    readings = await asyncio.gather(*(reader.take(measure, probe) for measure, probe in probes))
    await asyncio.gather(*(leash.call(probe.close(), 1.0) for _, probe in probes), return_exceptions=True)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    await leash.end()
    return {measure.key: reading for (measure, _), reading in zip(probes, readings, strict=True)}
