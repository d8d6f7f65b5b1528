"""Make the way to a dependency narrow."""

from __future__ import annotations

import asyncio
from typing import Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Bandwidth, write_size
from chaosrunner.network import ConnectionFault
from chaosrunner.ports import LinkSample, NetworkEffect, Parameters, Sighting

LOOK = 0.15
"""Seconds' worth of bytes that one look pushes through: enough to measure, little beside the system's own."""
LEAST = 512
MOST = 128 * 1024
"""Bytes of one look."""


class Params(Parameters):
    """How narrow."""

    rate: Bandwidth = Field(gt=0)
    """Bytes a second, each direction by itself, all connections together."""
    direction: Literal["both", "request"] = "both"
    """Which way is limited: both, or only what the caller sends; default both. What comes back cannot be limited alone,
    because only what is sent can be measured."""


class NetworkBandwidth(ConnectionFault[Params]):
    """Limits how many bytes a second pass on a service's connections to one dependency, all of them together.

    At the end the limit is gone, also for open connections; bytes that waited are passed on, none are lost. Looking
    whether it is in force takes up to a sixth of the rate.
    """

    fault_class = "dependency-slow"
    harder = {"rate": "less"}
    example = """\
- fault: network-bandwidth
  target: {service: checkout, to: payments}
  with: {rate: 20kB/s}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = "each way" if params.direction == "both" else "from the caller"
        return f"At most {write_size(params.rate)} a second pass {which}, all connections together."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The limit is taken away, also from open connections; bytes that waited are passed on."

    async def suits(self) -> None:
        speed = (await self._push()).bytes_per_second
        if speed is None:
            raise CannotDoHonestly(
                f"how fast {self.target.name} is cannot be measured, because nobody knows what its other end does with "
                f"a payload: give the service `ready: {{http: URL}}` at the address that the link connects to"
            )
        if speed < 3 * self.params.rate:
            raise CannotDoHonestly(
                f"{self.target.name} passes {_rate(speed)} as it is, measured with small requests, so that a limit of "
                f"{_rate(self.params.rate)} could not be told from none; use at most {_rate(speed / 4)}"
            )

    async def before(self) -> JsonObject:
        return {"before": (await self._push()).bytes_per_second}

    def effect(self) -> NetworkEffect:
        return NetworkEffect(bandwidth=self.params.rate, direction=self.params.direction)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Pushes bytes through the link, and past it: an end that is slow itself is not our limit."""
        through, around = await asyncio.gather(self._push(), self._push(around=True))
        speed, direct = through.bytes_per_second, around.bytes_per_second
        if direct is None:
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        if through.outcome in ("refused", "reset"):
            return Sighting(False, f"connections through {self.target.name} are cut off, not narrow")
        if speed is None:
            # one piece did not get through in all that time, which is slower still
            return Sighting(True, f"nothing passed within {through.seconds:.1f} s, {_rate(direct)} past the link")
        words = f"{_rate(speed)} pass, {_rate(direct)} past the link"
        return Sighting(speed <= 1.5 * self.params.rate < direct, words)

    async def _push(self, *, around: bool = False) -> LinkSample:
        payload = int(min(max(self.params.rate * LOOK, LEAST), MOST))
        return await self.links.sample(self.target, payload, around=around)


def _rate(speed: float) -> str:
    for unit, size in (("MB/s", 1e6), ("kB/s", 1e3)):
        if speed >= size:
            return f"{speed / size:.3g} {unit}"
    return f"{speed:.3g} B/s"
