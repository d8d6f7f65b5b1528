"""Keep processors busy."""

from __future__ import annotations

from chaosrunner.loads import LoadFault
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import number
from chaosrunner.model.target import Target
from chaosrunner.ports import Parameters, Sighting, StressEffect

ENOUGH = 0.5
"""Of what was asked for: used, or waited for where others compete for them, which is the fault at work."""


class Params(Parameters):
    """How busy."""

    cores: float = Field(gt=0)
    """Processors kept busy; 0.5 is half of one."""


class CpuStress(LoadFault[Params]):
    """Keeps processors busy beside the target, on those that the target may use, with processes that compute at the
    same priority. On one machine everything else there is slowed down as well; in a pod they are in a container of
    their own, which counts towards the pod's limit where all of its containers have one, and towards its node's
    processors otherwise.

    At the end the processes are gone, and nothing of them is left.
    """

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

    async def effect(self) -> StressEffect:
        return StressEffect("cpu", cores=self.params.cores)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        usage = await self.holders.usage(self.target, self.hold)
        if "cores" not in usage:
            return Sighting(False, "nothing is kept busy")
        used, waited, asked = usage["cores"], usage.get("waited", 0.0), self.params.cores
        words = f"{used:.2f} of {number(asked)} cores are used" + (
            f", {waited:.2f} waited for" if waited >= 0.005 else ""
        )
        return Sighting(used + waited >= ENOUGH * asked, words)


def _cores(cores: float) -> str:
    return "1 processor is" if cores == 1 else f"{number(cores)} processors are"
