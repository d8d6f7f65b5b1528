"""Take memory away."""

from __future__ import annotations

from chaosrunner.loads import LoadFault
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Size, write_size
from chaosrunner.model.target import Target
from chaosrunner.ports import Parameters, Sighting, StressEffect

ENOUGH = 0.9
"""Of what was asked for."""


class Params(Parameters):
    """How much."""

    size: Size = Field(ge=2**20)
    """Memory that is held; at least 1MiB."""


class MemoryStress(LoadFault[Params]):
    """Holds memory beside the target, really written to and kept in use, so that less is left for everything there.
    What would not fit safely is refused, before and while it grows; should memory run out all the same, the system ends
    the holder first. In a pod the memory counts towards the pod's limit where all of its containers have one, and
    towards its node's memory otherwise: what is there is then the node's to evict, which spill-over shows.

    At the end the memory is free. What the system swapped out or dropped from its caches meanwhile comes back as it
    is used.
    """

    harder = {"size": "more"}
    example = """\
- fault: memory-stress
  target: {service: checkout}
  with: {size: 512MiB}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"resource": "memory"}

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Beside the target, {write_size(params.size)} of memory are taken."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "The memory is given back; what was swapped out meanwhile comes back as it is used."

    async def effect(self) -> StressEffect:
        return StressEffect("memory", size=self.params.size)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        held = (await self.holders.usage(self.target, self.hold)).get("memory")
        if held is None:
            return Sighting(False, "no memory is held")
        words = f"{held / 2**20:.0f} MiB are resident, of {write_size(self.params.size)} asked for"
        return Sighting(held >= ENOUGH * self.params.size, words)
