"""Evict a pod, as a drain does."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, show
from chaosrunner.needs import OWNERS
from chaosrunner.objects import PodLoss
from chaosrunner.ports import Parameters, Sighting


class Params(Parameters):
    """How it is asked for."""

    grace: Duration | None = Field(default=None, ge=1)
    """How long its containers may take to end by themselves; default: the pod's own `terminationGracePeriodSeconds`.
    At least 1s, as the API counts whole seconds."""
    keep_asking: Duration = 0.0
    """While a disruption budget does not allow it, it is asked for again every second for so long; default: asked once,
    as a budget that holds is what is tested."""
    bare_too: bool = False
    """Also a pod that nothing owns. Nothing makes it again."""


class PodEvict(PodLoss[Params]):
    """Asks the cluster to evict pods, as a drain, a node upgrade or a cluster autoscaler does.

    Disruption budgets are asked. If one does not allow it, nothing happens: a barrier held. The run says so, and is
    inconclusive, as nothing was learnt of what is behind the barrier. Otherwise the pod ends as one that is deleted:
    what owns it makes another one, and what it had in memory and in `emptyDir` volumes is lost.
    """

    needs = ("get pods", "create pods/eviction", *OWNERS)
    verb = "evict"
    mirrored = ", which an eviction does not end"
    example = """\
- fault: pod-evict
  target: {service: cart, take: 1}
  with: {keepAsking: 20s}
  observe: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        again = f" for {show(params.keep_asking, 's')}" if params.keep_asking else ""
        asked = f"every second{again}" if params.keep_asking else "once"
        return f"The pod's eviction is asked for, {asked} if a disruption budget does not allow it."

    @classmethod
    def patience(cls, params: Params) -> float:
        return params.keep_asking

    async def inject(self) -> None:
        await self.pods.evict(self.target, self.params.grace, within=self.params.keep_asking)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        return await self.pods.ending(self.target)
