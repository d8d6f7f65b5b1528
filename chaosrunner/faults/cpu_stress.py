"""Keep processors busy."""

from __future__ import annotations

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import number
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Holders, Parameters, Sighting, StressEffect

ENOUGH = 0.5
"""Of what was asked for: used, or waited for where others compete for them, which is the fault at work."""


class Params(Parameters):
    """How busy."""

    cores: float = Field(gt=0)
    """Processors kept busy; 0.5 is half of one."""


class CpuStress(Fault[Params]):
    """Keeps processors busy beside the target, on those that the target may use, with processes that compute at the
    same priority. On one machine everything else there is slowed down as well.

    At the end the processes are gone, and nothing of them is left.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"process"})
    fault_class = "capacity"
    harder = {"cores": "more"}
    example = """\
- fault: cpu-stress
  target: {service: checkout}
  with: {cores: 1}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"resource": "cpu"}

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Beside the target, {_cores(params.cores)} kept busy."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "What kept them busy is ended; nothing of it is left."

    @property
    def _holders(self) -> Holders:
        return self.platform.ability(Holders)

    @property
    def _effect(self) -> StressEffect:
        return StressEffect("cpu", cores=self.params.cores)

    async def check(self) -> None:
        if why := await self._holders.why_not(self.target, self._effect):
            raise CannotDoHonestly(why)

    async def prepare(self) -> JsonObject:
        return {}

    async def inject(self) -> None:
        await self._holders.stress(self.target, self._effect, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        usage = await self._holders.usage(self.target, self.hold)
        if "cores" not in usage:
            return Sighting(False, "nothing is kept busy")
        used, waited, asked = usage["cores"], usage.get("waited", 0.0), self.params.cores
        words = f"{used:.2f} of {number(asked)} cores are used" + (f", {waited:.2f} waited for" if waited else "")
        return Sighting(used + waited >= ENOUGH * asked, words)

    async def undo(self, prepared: JsonObject) -> None:
        await self._holders.let_go(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)


def _cores(cores: float) -> str:
    return "1 processor is" if cores == 1 else f"{number(cores)} processors are"
