"""Make a dependency slow to reach."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from statistics import median
from typing import Any, Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration, show, write_duration
from chaosrunner.network import ConnectionFault
from chaosrunner.ports import LinkSample, NetworkEffect, Parameters, Sighting

BEFORE = 3
"""Connections, one after the other, that tell how long a round trip takes without the delay."""
AT_ONCE = 2
"""Connections of one look through the link at the same time, with one past it: a look must not be a load."""
TIME_FOR_MORE = 1.9
"""Seconds of a first pair that leave time for a second, of up to 3 s; a look has 5 s."""


class Params(Parameters):
    """How slow."""

    delay: Duration = Field(gt=0)
    """Added to what goes each way; a question and its answer take twice that."""
    jitter: Duration = Field(default=0.0, ge=0)
    """The delay varies evenly by up to so much to either side; order is kept; default 0s."""
    direction: Literal["both", "request", "response"] = "both"
    """Which way is delayed: both, only what the caller sends, or only what comes back; default both."""

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.jitter > self.delay:
            raise ValueError("jitter is at most the delay: nothing arrives before it is sent")
        return self

    @property
    def round_trip(self) -> float:
        """Seconds that it adds to a question and its answer."""
        return self.delay * (2 if self.direction == "both" else 1)


class NetworkLatency(ConnectionFault[Params]):
    """Delays everything on a service's connections to one dependency. Connecting itself stays quick where a proxy does
    it, so that a caller's connect timeout does not help it.

    At the end the delay is gone for open and new connections; bytes under way arrive, none are lost. Requests that the
    caller gave up meanwhile are not made again.
    """

    fault_class = "dependency-slow"
    harder = {"delay": "more"}
    example = """\
- fault: network-latency
  target: {service: checkout, to: payments}
  with: {delay: 300ms, jitter: 50ms}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        varying = f" ± {write_duration(params.jitter)}" if params.jitter else ""
        which = {"both": "What goes each way", "request": "What the caller sends", "response": "What comes back"}
        return f"{which[params.direction]} is delayed by {write_duration(params.delay)}{varying}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The delay is taken away, also from open connections; bytes under way arrive."

    async def suits(self) -> None:
        times = await self._times()
        if len(times) < BEFORE:
            raise CannotDoHonestly(
                f"{self.target.name} does not answer now, so that a delay could not be seen; its `to` must run and "
                f"answer, or end connections that are shut down"
            )
        unrest = median(times) - min(times)
        if unrest > self.params.round_trip / 2:
            raise CannotDoHonestly(
                f"a round trip through {self.target.name} varies by {show(unrest, 's')} by itself, so that "
                f"{show(self.params.round_trip, 's')} more could not be told from it; use a longer delay"
            )

    async def before(self) -> JsonObject:
        times = await self._times()
        return {"before": round(median(times), 6) if times else None}

    def effect(self) -> NetworkEffect:
        return NetworkEffect(delay=self.params.delay, jitter=self.params.jitter, direction=self.params.direction)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Compares the way through the link with the way past it: an end that is slow itself is not our delay. One
        quick connection says that there is none, unless the jitter takes more than half of it at times."""
        around, *through = await asyncio.gather(self.links.sample(self.target, around=True), *self._pair())
        if around.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        before = prepared.get("before")
        base = max(around.seconds, float(before) if isinstance(before, int | float) else 0.0)
        uneven = self.params.jitter > self.params.delay / 2 and not all(self._slow(sample, base) for sample in through)
        if uneven and max(sample.seconds for sample in through) < TIME_FOR_MORE:
            through += await asyncio.gather(*self._pair())
        if any(sample.outcome in ("refused", "reset") for sample in through):
            return Sighting(False, f"connections through {self.target.name} are cut off, not delayed")
        slow = [sample for sample in through if self._slow(sample, base)]
        took = median(sample.seconds for sample in slow or through)
        silent = all(sample.outcome == "silent" for sample in through)
        words = f"{'no answer for' if silent else 'a round trip takes'} {show(took, 's')}, without it {show(base, 's')}"
        if slow and len(slow) < len(through):
            words = f"of {len(through)} connections {len(slow)} are slow: {words}"
        return Sighting(len(slow) >= (1 if uneven and len(through) == AT_ONCE else AT_ONCE), words)

    def _pair(self) -> list[Coroutine[Any, Any, LinkSample]]:
        return [self.links.sample(self.target) for _ in range(AT_ONCE)]

    def _slow(self, sample: LinkSample, base: float) -> bool:
        return sample.outcome == "silent" or sample.seconds - base >= self.params.round_trip / 2

    async def _times(self) -> list[float]:
        """Of round trips before the delay, one after the other; fewer than `BEFORE` if one is not answered."""
        times: list[float] = []
        for _ in range(BEFORE):
            sample = await self.links.sample(self.target)
            if sample.outcome != "answered":
                break
            times.append(sample.seconds)
        return times
