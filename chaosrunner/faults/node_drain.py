"""Cordon a node and evict what runs there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chaosrunner.errors import BarrierHeld, CannotDoHonestly, FaultFailed, RedundancyMissing
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import model_validator
from chaosrunner.model.quantities import Duration, show
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Objects, Parameters, Pods, Sighting

AT_ONCE = 16
"""Evictions that are asked for at the same time."""
STAYS = ("daemonset/", "node/")
"""Owners of what a drain leaves where it is: daemon sets (they ignore a cordon) and the node itself (mirror pods)."""

MARK = "hold.chaosrunner.dev/"
"""How the annotations begin that say whose an object is."""


class Params(Parameters):
    """How it is drained."""

    grace: Duration | None = None
    """How long containers may take to end by themselves; default: each pod's own `terminationGracePeriodSeconds`."""
    within: Duration = 60.0
    """While a disruption budget does not allow an eviction, it is asked for again every second for so long; default
    60s."""
    delete_empty_dir_data: bool = False
    """Also pods with `emptyDir` volumes, whose content is lost, as with kubectl's flag of this name."""
    bare_too: bool = False
    """Also pods that nothing owns. Nothing makes them again."""

    @model_validator(mode="after")
    def _whole_seconds(self) -> Params:
        if self.grace is not None and self.grace < 1:
            raise ValueError("`grace` is at least 1s, as the API counts whole seconds")
        return self


class NodeDrain(Fault[Params]):
    """Drains a node, as an upgrade of it does: it is cordoned, and the environment's pods there are evicted.

    Disruption budgets are asked; if one does not allow an eviction for all of `within`, that is a barrier that held,
    and the run is inconclusive. Pods of daemon sets and of the node itself stay, and so does everything outside of the
    environment's namespaces; nothing new is put on the node meanwhile, of whatever namespace. At the end the node is
    uncordoned, if it was not cordoned before. Pods that went elsewhere stay there.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"node"})
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
    def _pods(self) -> Pods:
        return self.platform.ability(Pods)

    @property
    def _objects(self) -> Objects:
        return self.platform.ability(Objects)

    @property
    def _where(self) -> str:
        return f"/api/v1/nodes/{self.target.name}"

    async def check(self) -> None:
        await self._objects.ready()
        nodes = await self._objects.items("/api/v1/nodes")
        others = [node for node in nodes if _name(node) != self.target.name and not _cordoned(node)]
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
            await self._may_go(pod)

    async def _may_go(self, pod: Target) -> None:
        state = await self._pods.state(pod)
        if state.gone or state.leaving:
            return
        if state.kept_out:
            raise CannotDoHonestly(f"{pod.name} on {self.target.name} says that it is to be left alone")
        if not state.owner and not self.params.bare_too:
            raise CannotDoHonestly(
                f"nothing owns the pod {pod.name} on {self.target.name}, so that nothing would make it again: move it "
                "away, or say `bareToo: true`"
            )
        if state.scratch and not self.params.delete_empty_dir_data:
            volumes = ", ".join(state.scratch)
            raise CannotDoHonestly(
                f"{pod.name} on {self.target.name} has data in emptyDir volumes ({volumes}), which would be lost: move "
                "it away, or say `deleteEmptyDirData: true`"
            )

    async def _evictable(self) -> Sequence[Target]:
        there = await self._pods.on_nodes([self.target.name])
        return [pod for pod in there if not str(pod.details.get("owner", "")).startswith(STAYS)]

    async def prepare(self) -> JsonObject:
        node = await self._objects.read(self._where)
        if node is None:
            raise FaultFailed(f"the node {self.target.name} is gone")
        if other := _held(node, self.hold.run):
            raise FaultFailed(f"{self.target.name} is in the hands of another fault, {other}")
        was = "cordoned" if _cordoned(node) else "open"
        undo: list[JsonObject] = []
        if was == "open":
            when = [{"pointer": "/spec/unschedulable", "equals": True, "body": {"spec": {"unschedulable": None}}}]
            undo = [self._objects.back(self._where, {}, self.hold, when=when)]
        self._prepared: JsonObject = {"undo": [*undo], "was": was}
        return self._prepared

    async def inject(self) -> None:
        prepared = self._prepared
        if prepared["was"] == "open":
            body: JsonObject = {"spec": {"unschedulable": True}}
            do = [self._objects.patch(self._where, body, self.hold, uid=self.target.details["uid"])]
            await self._objects.change(self.target, self.hold, do, _undo(prepared))
        turns = asyncio.Semaphore(AT_ONCE)

        async def evict(pod: Target) -> None:
            async with turns:
                if not (await self._pods.state(pod)).gone:
                    await self._pods.evict(pod, self.params.grace, within=self.params.within)

        done = await asyncio.gather(*map(evict, await self._evictable()), return_exceptions=True)
        failures = [each for each in done if isinstance(each, BaseException)]
        for failure in sorted(failures, key=lambda each: isinstance(each, BarrierHeld)):
            raise failure

    async def confirm(self, prepared: JsonObject) -> Sighting:
        node = await self._objects.read(self._where)
        if node is None:
            return Sighting(False, f"the node {self.target.name} is gone")
        mine = prepared["was"] == "cordoned" or self._objects.held(node, self.hold)
        if not _cordoned(node) or not mine:
            return Sighting(False, f"{self.target.name} is not cordoned by this fault")
        left = await self._evictable()
        if left:
            return Sighting(False, f"{self.target.name} is cordoned, and {len(left)} pods are there: {left[0].name}, …")
        return Sighting(True, f"{self.target.name} is cordoned, and none of the environment's pods is left there")

    async def undo(self, prepared: JsonObject) -> None:
        if prepared["was"] == "open":
            await self._objects.take_back(self.hold, _undo(prepared))

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        if prepared["was"] == "open":
            return self._objects.by_hand(_undo(prepared))
        return (f"kubectl get node {self.target.name}   # it was cordoned before, too",)


def _undo(prepared: JsonObject) -> list[JsonObject]:
    undo = prepared["undo"]
    assert isinstance(undo, list)
    return [each for each in undo if isinstance(each, dict)]


def _held(node: JsonObject, run: str) -> str:
    """The hold of another run that has changed this node; empty: there is none."""
    metadata = node["metadata"]
    marks = metadata.get("annotations") if isinstance(metadata, dict) else None
    holds = [str(hold) for key, hold in (marks.items() if isinstance(marks, dict) else ()) if key.startswith(MARK)]
    return next((hold for hold in holds if not hold.startswith(f"{run}.")), "")


def _name(node: JsonObject) -> str:
    metadata = node["metadata"]
    return str(metadata["name"]) if isinstance(metadata, dict) else ""


def _cordoned(node: JsonObject) -> bool:
    spec = node.get("spec")
    return isinstance(spec, dict) and spec.get("unschedulable") is True
