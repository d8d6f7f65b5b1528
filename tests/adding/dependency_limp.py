"""Make a dependency slow on some connections."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from chaosrunner.errors import FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.ports import Fault, Links, NetworkEffect, Parameters, Sighting

LOOKS = 20
"""Connections for one look, one after the other: of the smallest share, one look in a hundred meets none."""


class Params(Parameters):
    """How many connections limp, and how much."""

    delay: Duration = Field(gt=0, le=1)
    """Added to what goes each way on the connections that limp, at most 1s."""
    share: Ratio = Field(default=0.5, ge=0.2, lt=1)
    """Which part of the connections limps, from 20%; default 50%."""


class DependencyLimp(Fault[Params]):
    """Delays what passes on a share of a service's connections to one dependency; the others stay quick.

    At the end the delay is gone for open and new connections, and bytes under way arrive.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"link"})
    fault_class = "dependency-slow"
    harder = {"delay": "more", "share": "more"}
    example = """\
- fault: dependency-limp
  target: {service: checkout, to: payments}
  with: {delay: 200ms, share: 30%}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        share = show(params.share, "ratio")
        return f"On {share} of the connections each way takes {write_duration(params.delay)} longer."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "No connection is delayed any more, also none that is open."

    async def prepare(self) -> JsonObject:
        samples = [await self.platform.ability(Links).sample(self.target) for _ in range(5)]
        unanswered = [sample.outcome for sample in samples if sample.outcome != "answered"]
        if unanswered:
            raise FaultFailed(f"before the fault {len(unanswered)} of 5 connections were {unanswered[0]}")
        return {"before": median(sample.seconds for sample in samples)}

    async def inject(self) -> None:
        effect = NetworkEffect(delay=self.params.delay, share=self.params.share)
        await self.platform.ability(Links).shape(self.target, effect, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """One after the other until one limps: without one that is quick, and many at once would be a load."""
        past = await self.platform.ability(Links).sample(self.target, around=True)
        if past.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {past.outcome}")
        usual = max(past.seconds, float(str(prepared["before"])))
        for look in range(1, LOOKS + 1):
            sample = await self.platform.ability(Links).sample(self.target)
            words = (
                f"connection {look} was {sample.outcome} in {show(sample.seconds, 's')}, usual is {show(usual, 's')}"
            )
            if sample.outcome != "answered":
                return Sighting(False, words)
            if sample.seconds - usual > self.params.delay:
                return Sighting(True, words)
        return Sighting(False, f"none of {LOOKS} connections took {show(self.params.delay, 's')} more than usual")

    async def touched(self) -> int | None:
        return await self.platform.ability(Links).met(self.target, self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self.platform.ability(Links).release(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        return (f"chaosrunner heal {self.hold.run}",)
