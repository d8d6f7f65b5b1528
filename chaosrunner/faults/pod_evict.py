"""Evict a pod, as a drain does."""

from __future__ import annotations

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import model_validator
from chaosrunner.model.quantities import Duration, show
from chaosrunner.ports import Fault, Parameters, Pods, Sighting


class Params(Parameters):
    """How it is asked for."""

    grace: Duration | None = None
    """How long its containers may take to end by themselves; default: the pod's own `terminationGracePeriodSeconds`."""
    keep_asking: Duration = 0.0
    """While a disruption budget does not allow it, it is asked for again every second for so long; default: asked once,
    as a budget that holds is what is tested."""
    bare_too: bool = False
    """Also a pod that nothing owns. Nothing makes it again."""

    @model_validator(mode="after")
    def _whole_seconds(self) -> Params:
        if self.grace is not None and self.grace < 1:
            raise ValueError("`grace` is at least 1s, as the API counts whole seconds")
        return self


class PodEvict(Fault[Params]):
    """Asks the cluster to evict pods, as a drain, a node upgrade or a cluster autoscaler does.

    Disruption budgets are asked. If one does not allow it, nothing happens: a barrier held. The run says so, and is
    inconclusive, as nothing was learnt of what is behind the barrier. Otherwise the pod ends as one that is deleted:
    what owns it makes another one, and what it had in memory and in `emptyDir` volumes is lost.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"pod"})
    fault_class = "instance-loss"
    instant = True
    looks_again = True
    needs = (
        "get pods",
        "create pods/eviction",
        "get deployments.apps",
        "get replicasets.apps",
        "get statefulsets.apps",
        "get daemonsets.apps",
        "get jobs.batch",
    )
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
    def undoes(cls, params: Params) -> str:
        bare = " A pod that nothing owns does not come back." if params.bare_too else ""
        return (
            "There is nothing to take back: what owns the pod makes another one, which is looked at at the end. "
            f"What was in its memory and scratch volumes is lost.{bare}"
        )

    @classmethod
    def patience(cls, params: Params) -> float:
        return params.keep_asking

    @property
    def _pods(self) -> Pods:
        return self.platform.ability(Pods)

    async def check(self) -> None:
        state = await self._pods.state(self.target)
        if state.gone:
            raise CannotDoHonestly(f"{state.gone}: there is nothing to evict")
        if state.mirror:
            raise CannotDoHonestly(
                f"{self.target.name} comes from a file on the node {state.node}, which an eviction does not end"
            )
        if not state.owner and not self.params.bare_too:
            raise CannotDoHonestly(
                f"nothing owns the pod {self.target.name}, so that nothing would make it again: let a Deployment run "
                "it, or say `bareToo: true` and make it again yourself"
            )

    async def prepare(self) -> JsonObject:
        state = await self._pods.state(self.target)
        return {"owner": state.owner}

    async def inject(self) -> None:
        await self._pods.evict(self.target, self.params.grace, within=self.params.keep_asking)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        return await self._pods.ending(self.target)

    async def undo(self, prepared: JsonObject) -> None:
        return None

    async def afterwards(self, prepared: JsonObject) -> str:
        return await self._pods.owner(self.target) or "nothing owns the pod: it does not come back by itself"

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        where = f"--namespace {self.target.details.get('namespace')}"
        if prepared.get("owner"):
            return (f"kubectl get {prepared['owner']} {where}",)
        return (f"kubectl create {where} --filename THE-MANIFEST-OF-{self.target.details.get('pod')}",)
