"""Cordon a node and evict what runs there."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.errors import CannotDoHonestly, FaultFailed, RedundancyMissing
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, show
from chaosrunner.model.target import Target
from chaosrunner.objects import EmptiedPlace, cordoned, name_of
from chaosrunner.ports import Parameters, PodState, Sighting


class Params(Parameters):
    """How it is drained."""

    grace: Duration | None = Field(default=None, ge=1)
    """How long containers may take to end by themselves; default: each pod's own `terminationGracePeriodSeconds`.
    At least 1s, as the API counts whole seconds."""
    within: Duration = 60.0
    """While a disruption budget does not allow an eviction, it is asked for again every second for so long; default
    60s."""
    delete_empty_dir_data: bool = False
    """Also pods with `emptyDir` volumes, whose content is lost, as with kubectl's flag of this name."""
    bare_too: bool = False
    """Also pods that nothing owns. Nothing makes them again."""


class NodeDrain(EmptiedPlace[Params]):
    """Drains a node, as an upgrade of it does: it is cordoned, and the environment's pods there are evicted.

    Disruption budgets are asked; if one does not allow an eviction for all of `within`, that is a barrier that held,
    and the run is inconclusive. Pods of daemon sets and of the node itself stay, and so does everything outside of the
    environment's namespaces; nothing new is put on the node meanwhile, of whatever namespace. At the end the node is
    uncordoned, if it was not cordoned before. Pods that went elsewhere stay there.
    """

    acts_on = frozenset({"node"})
    there = "on"
    at_once = 16
    fault_class = "instance-loss"
    needs = (
        "get nodes",
        "list nodes",
        "patch nodes",
        "get pods",
        "list pods",
        "list replicasets.apps",
        "create pods/eviction",
    )
    example = """\
- fault: node-drain
  target: {nodeOf: {service: cart}}
  with: {within: 60s}
  for: 60s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        asked = show(params.within, "s")
        return (
            "The node is cordoned, and the environment's pods there are evicted; for up to "
            f"{asked} where a disruption budget does not allow it at once. Pods of other namespaces stay."
        )

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "The node is uncordoned, if it was not cordoned before. Pods that went elsewhere stay there; what was in "
            "their memory and scratch volumes is lost."
        )

    @classmethod
    def patience(cls, params: Params) -> float:
        return params.within

    @property
    def nothing_to_undo(self) -> str:
        return f"kubectl get node {self.target.name}   # it was cordoned before, too"

    @property
    def _where(self) -> str:
        return f"/api/v1/nodes/{self.target.name}"

    async def check(self) -> None:
        await self.objects.ready()
        nodes = await self.objects.items("/api/v1/nodes")
        others = [node for node in nodes if name_of(node) != self.target.name and not cordoned(node)]
        if not others:
            raise RedundancyMissing(
                f"{self.target.name} is the only node that takes pods: what is evicted would have nowhere to go",
                "nodes",
            )
        leaving = await self._evictable()
        if not leaving:
            raise CannotDoHonestly(
                f"none of the environment's pods on {self.target.name} would be evicted; use node-cordon"
            )
        for pod in leaving:
            state = await self.pods.state(pod)
            if not state.gone and not state.leaving:
                self.may_go(pod, state)

    def may_go(self, pod: Target, state: PodState) -> None:
        super().may_go(pod, state)
        if state.scratch and not self.params.delete_empty_dir_data:
            volumes = ", ".join(state.scratch)
            raise CannotDoHonestly(
                f"{pod.name} on {self.target.name} has data in emptyDir volumes ({volumes}), which would be lost: move "
                "it away, or say `deleteEmptyDirData: true`"
            )

    async def _evictable(self) -> Sequence[Target]:
        return await self.leaving([self.target.name])

    async def prepare(self) -> JsonObject:
        node = await self.objects.read(self._where)
        if node is None:
            raise FaultFailed(f"the node {self.target.name} is gone")
        self.may_change(node)
        if cordoned(node):
            return self.keep([], was="cordoned")
        return self.keep([self.uncordon(self.target.name)], was="open")

    async def inject(self) -> None:
        if self.prepared["was"] == "open":
            await self.act(self.cordon(self.target.name, self.target.details["uid"]))

        async def evict(pod: Target) -> None:
            await self.pods.evict(pod, self.params.grace, within=self.params.within)

        await self.send_off(await self._evictable(), evict)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        node = await self.objects.read(self._where)
        if node is None:
            return Sighting(False, f"the node {self.target.name} is gone")
        mine = prepared["was"] == "cordoned" or self.objects.held(node, self.hold)
        if not cordoned(node) or not mine:
            return Sighting(False, f"{self.target.name} is not cordoned by this fault")
        left = await self._evictable()
        if left:
            return Sighting(False, f"{self.target.name} is cordoned, and {len(left)} pods are there: {left[0].name}, …")
        return Sighting(True, f"{self.target.name} is cordoned, and none of the environment's pods is left there")
