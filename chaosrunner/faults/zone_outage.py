"""Lose a zone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaosrunner.errors import CannotDoHonestly, FaultFailed, RedundancyMissing
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.objects import EmptiedPlace, cordoned, name_of, uid_of
from chaosrunner.ports import Parameters, Sighting

ZONE = "topology.kubernetes.io/zone"


class Params(Parameters):
    """What may be lost."""

    bare_too: bool = False
    """Also pods that nothing owns. Nothing makes them again."""


class ZoneOutage(EmptiedPlace[Params]):
    """Takes a zone away from the environment: all its nodes are cordoned, and the environment's pods there are deleted
    by force, all at once and without being asked, as when the zone loses its power. Disruption budgets do not prevent
    it.

    What owns the pods makes others, which find no place in the zone while this lasts; those that may run nowhere else
    wait. Pods of daemon sets and of the nodes themselves stay, and so does everything outside of the environment's
    namespaces. At the end the nodes are uncordoned that were not cordoned before. Pods that went elsewhere stay there.
    """

    acts_on = frozenset({"zone"})
    there = "in"
    at_once = 32
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
    def nothing_to_undo(self) -> str:
        return f"kubectl get nodes --selector {ZONE}={self.target.name}   # they were cordoned before, too"

    async def _nodes(self) -> Sequence[dict[str, Any]]:
        return await self.objects.items("/api/v1/nodes", labelSelector=f"{ZONE}={self.target.name}")

    async def _pods_there(self, nodes: Iterable[Mapping[str, Any]]) -> Sequence[Target]:
        return await self.leaving(map(name_of, nodes))

    async def check(self) -> None:
        await self.objects.ready()
        everywhere = await self.objects.items("/api/v1/nodes")
        zones = {_zone(node) for node in everywhere if not cordoned(node)} - {self.target.name}
        if not zones:
            raise RedundancyMissing(
                f"{self.target.name} is the only zone with nodes that take pods: without it there is nothing", "zones"
            )
        lost = await self._pods_there([node for node in everywhere if _zone(node) == self.target.name])
        if not lost:
            raise CannotDoHonestly(f"none of the environment's pods runs in {self.target.name}: nothing would be lost")
        turns = asyncio.Semaphore(self.at_once)

        async def ask(pod: Target) -> None:
            async with turns:
                state = await self.pods.state(pod)
            self.may_go(pod, state)

        await asyncio.gather(*map(ask, lost))

    async def prepare(self) -> JsonObject:
        nodes = await self._nodes()
        if not nodes:
            raise FaultFailed(f"the zone {self.target.name} has no nodes any more")
        for node in nodes:
            self.may_change(node)
        names = [name_of(node) for node in nodes if not cordoned(node)]
        return self.keep([self.uncordon(name) for name in names], open=sorted(names))

    async def inject(self) -> None:
        nodes = [node for node in await self._nodes() if not cordoned(node)]
        if nodes:
            await self.act(*(self.cordon(name_of(node), uid_of(node)) for node in nodes))

        async def lose(pod: Target) -> None:
            await self.pods.delete(pod, 0.0)

        await self.send_off(await self._pods_there(await self._nodes()), lose)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        nodes = await self._nodes()
        mine = [node for node in nodes if self.objects.held(node, self.hold)]
        opened = [name_of(node) for node in nodes if not cordoned(node)]
        if opened or (prepared["open"] and not mine):
            return Sighting(False, f"{', '.join(opened) or 'no node'} in {self.target.name} takes pods")
        left = await self._pods_there(nodes)
        if left:
            return Sighting(False, f"{len(left)} pods are in {self.target.name}: {left[0].name}, …")
        return Sighting(
            True, f"all {len(nodes)} nodes of {self.target.name} are cordoned, none of the pods is left there"
        )


def _zone(node: Mapping[str, Any]) -> str:
    return str((node["metadata"].get("labels") or {}).get(ZONE, ""))
