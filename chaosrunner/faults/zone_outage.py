"""Lose a zone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from chaosrunner.errors import CannotDoHonestly, FaultFailed, RedundancyMissing
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Objects, Parameters, Pods, Sighting

AT_ONCE = 32
"""Deletions under way at the same time."""
STAYS = ("daemonset/", "node/")
"""Owners of what stays: daemon sets ignore a cordon and would be back at once; a node's own pods are not the API's."""
ZONE = "topology.kubernetes.io/zone"

MARK = "hold.chaosrunner.dev/"
"""How the annotations begin that say whose an object is."""


class Params(Parameters):
    """What may be lost."""

    bare_too: bool = False
    """Also pods that nothing owns. Nothing makes them again."""


class ZoneOutage(Fault[Params]):
    """Takes a zone away from the environment: all its nodes are cordoned, and the environment's pods there are deleted
    by force, all at once and without being asked, as when the zone loses its power. Disruption budgets do not prevent
    it.

    What owns the pods makes others, which find no place in the zone while this lasts; those that may run nowhere else
    wait. Pods of daemon sets and of the nodes themselves stay, and so does everything outside of the environment's
    namespaces. At the end the nodes are uncordoned that were not cordoned before. Pods that went elsewhere stay there.
    """

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"zone"})
    fault_class = "zone-loss"
    needs = ("get nodes", "list nodes", "patch nodes", "get pods", "list pods", "list replicasets.apps", "delete pods")
    example = """\
- fault: zone-outage
  target: {zone: eu-central-1a}
  for: 2m
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return (
            "All nodes of the zone are cordoned, and the environment's pods there are deleted by force, all at once. "
            "Pods of other namespaces stay."
        )

    @classmethod
    def undoes(cls, params: Params) -> str:
        return (
            "The nodes are uncordoned that were not cordoned before. Pods that went elsewhere stay there; what was in "
            "their memory and scratch volumes is lost."
        )

    @property
    def _pods(self) -> Pods:
        return self.platform.ability(Pods)

    @property
    def _objects(self) -> Objects:
        return self.platform.ability(Objects)

    async def _nodes(self) -> Sequence[JsonObject]:
        return await self._objects.items("/api/v1/nodes", labelSelector=f"{ZONE}={self.target.name}")

    async def _pods_there(self, nodes: Iterable[JsonObject]) -> Sequence[Target]:
        there = await self._pods.on_nodes([_name(node) for node in nodes])
        return [pod for pod in there if not str(pod.details.get("owner", "")).startswith(STAYS)]

    async def check(self) -> None:
        await self._objects.ready()
        everywhere = await self._objects.items("/api/v1/nodes")
        zones = {_zone(node) for node in everywhere if not _cordoned(node)} - {self.target.name}
        if not zones:
            raise RedundancyMissing(
                f"{self.target.name} is the only zone with nodes that take pods: without it there is nothing", "zones"
            )
        lost = await self._pods_there([node for node in everywhere if _zone(node) == self.target.name])
        if not lost:
            raise CannotDoHonestly(f"none of the environment's pods runs in {self.target.name}: nothing would be lost")
        turns = asyncio.Semaphore(AT_ONCE)

        async def may_go(pod: Target) -> None:
            async with turns:
                state = await self._pods.state(pod)
            if state.kept_out:
                raise CannotDoHonestly(f"{pod.name} in {self.target.name} says that it is to be left alone")
            if not state.gone and not state.owner and not self.params.bare_too:
                raise CannotDoHonestly(
                    f"nothing owns the pod {pod.name} in {self.target.name}, so that nothing would make it again: move "
                    "it away, or say `bareToo: true`"
                )

        await asyncio.gather(*map(may_go, lost))

    async def prepare(self) -> JsonObject:
        nodes = await self._nodes()
        if not nodes:
            raise FaultFailed(f"the zone {self.target.name} has no nodes any more")
        for node in nodes:
            if other := _held(node, self.hold.run):
                raise FaultFailed(f"{_name(node)} is in the hands of another fault, {other}")
        when = [{"pointer": "/spec/unschedulable", "equals": True, "body": {"spec": {"unschedulable": None}}}]
        open_nodes = [node for node in nodes if not _cordoned(node)]
        undo = [self._objects.back(_where(node), {}, self.hold, when=when) for node in open_nodes]
        self._prepared: JsonObject = {"undo": [*undo], "open": [*sorted(map(_name, open_nodes))]}
        return self._prepared

    async def inject(self) -> None:
        nodes = [node for node in await self._nodes() if not _cordoned(node)]
        body: JsonObject = {"spec": {"unschedulable": True}}
        do = [self._objects.patch(_where(node), body, self.hold, uid=_uid(node)) for node in nodes]
        if do:
            await self._objects.change(self.target, self.hold, do, _undo(self._prepared))
        turns = asyncio.Semaphore(AT_ONCE)

        async def lose(pod: Target) -> None:
            async with turns:
                if not (await self._pods.state(pod)).gone:
                    await self._pods.delete(pod, 0.0)

        done = await asyncio.gather(*map(lose, await self._pods_there(await self._nodes())), return_exceptions=True)
        for failure in done:
            if isinstance(failure, BaseException):
                raise failure

    async def confirm(self, prepared: JsonObject) -> Sighting:
        nodes = await self._nodes()
        mine = [node for node in nodes if self._objects.held(node, self.hold)]
        opened = [_name(node) for node in nodes if not _cordoned(node)]
        if opened or (prepared["open"] and not mine):
            return Sighting(False, f"{', '.join(opened) or 'no node'} in {self.target.name} takes pods")
        left = await self._pods_there(nodes)
        if left:
            return Sighting(False, f"{len(left)} pods are in {self.target.name}: {left[0].name}, …")
        return Sighting(
            True, f"all {len(nodes)} nodes of {self.target.name} are cordoned, none of the pods is left there"
        )

    async def undo(self, prepared: JsonObject) -> None:
        if prepared["open"]:
            await self._objects.take_back(self.hold, _undo(prepared))

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        if prepared["open"]:
            return self._objects.by_hand(_undo(prepared))
        return (f"kubectl get nodes --selector {ZONE}={self.target.name}   # they were cordoned before, too",)


def _undo(prepared: JsonObject) -> list[JsonObject]:
    undo = prepared["undo"]
    assert isinstance(undo, list)
    return [each for each in undo if isinstance(each, dict)]


def _held(node: JsonObject, run: str) -> str:
    """The hold of another run that has changed this node; empty: there is none."""
    marks = _metadata(node).get("annotations")
    holds = [str(hold) for key, hold in (marks.items() if isinstance(marks, dict) else ()) if key.startswith(MARK)]
    return next((hold for hold in holds if not hold.startswith(f"{run}.")), "")


def _metadata(node: JsonObject) -> JsonObject:
    metadata = node["metadata"]
    return metadata if isinstance(metadata, dict) else {}


def _name(node: JsonObject) -> str:
    return str(_metadata(node)["name"])


def _uid(node: JsonObject) -> str:
    return str(_metadata(node)["uid"])


def _where(node: JsonObject) -> str:
    return f"/api/v1/nodes/{_name(node)}"


def _zone(node: JsonObject) -> str:
    labels = _metadata(node).get("labels")
    return str(labels.get(ZONE, "")) if isinstance(labels, dict) else ""


def _cordoned(node: JsonObject) -> bool:
    spec = node.get("spec")
    return isinstance(spec, dict) and spec.get("unschedulable") is True
