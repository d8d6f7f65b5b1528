"""The seam of faults in a cluster's API: what they share, so that each file says only in what it differs.

`ObjectFault` is for those that change objects, whose undo is data; of these, `ChangedTarget` changes its target alone,
and `EmptiedPlace` takes nodes away from the environment. `PodLoss` is for those that end a pod.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from chaosrunner.errors import BarrierHeld, CannotDoHonestly, FaultFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Hold, Objects, P, Platform, Pods, PodState

__all__ = ["ChangedTarget", "EmptiedPlace", "ObjectFault", "PodLoss", "cordoned", "name_of", "uid_of"]

MARK = "hold.chaosrunner.dev/"
"""How the annotations begin that say whose an object is."""
STAYS = ("daemonset/", "node/")
"""Owners of what stays on a node that is emptied: daemon sets ignore a cordon and would be back at once; a node's own
(mirror) pods are not the API's."""


class ObjectFault(Fault[P]):
    """Changes objects of the API. What takes it back is written to the ledger with the rest of what `prepare` keeps."""

    platforms = frozenset({"kubernetes"})

    def __init__(self, params: P, target: Target, platform: Platform, hold: Hold) -> None:
        super().__init__(params, target, platform, hold)
        self.prepared: dict[str, Any] = {}
        """What `prepare` has kept."""

    @property
    def objects(self) -> Objects:
        """Where they are read and changed."""
        return self.platform.ability(Objects)

    def keep(self, undo: Sequence[JsonObject], **more: Any) -> JsonObject:
        """For the end of `prepare`: what takes it back, and what else is to be known later."""
        self.prepared = {**more, "undo": [*undo]}
        return self.prepared

    async def act(self, *do: JsonObject) -> None:
        """Change the objects, with what was kept as the way back. Raises `FaultFailed`."""
        await self.objects.change(self.target, self.hold, do, self.prepared["undo"])

    async def undo(self, prepared: JsonObject) -> None:
        await self.objects.take_back(self.hold, prepared["undo"])

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return tuple(self.objects.by_hand(prepared["undo"]))


class ChangedTarget(ObjectFault[P]):
    """Changes the object that is its target."""

    @property
    @abstractmethod
    def where(self) -> str:
        """Its path in the API."""

    async def found(self) -> dict[str, Any] | None:
        """As it is now; None: it is gone, be there another one of the same name or not."""
        found = await self.objects.read(self.where)
        same = found is not None and found["metadata"]["uid"] == self.target.details["uid"]
        return found if same else None

    def patch(self, body: Mapping[str, Any], **more: Any) -> JsonObject:
        """The operation that merges a change into it. See `Objects.patch`."""
        return self.objects.patch(self.where, body, self.hold, uid=self.target.details["uid"], **more)

    def back(self, body: Mapping[str, Any], **more: Any) -> JsonObject:
        """The operation that merges old values into it again. See `Objects.back`."""
        return self.objects.back(self.where, body, self.hold, uid=self.target.details["uid"], **more)


class EmptiedPlace(ObjectFault[P]):
    """Takes a place (a node, a zone) from the environment: its nodes take no pods, and those that are there go."""

    there: ClassVar[str]
    """How a pod is said to be in the place: `on` a node."""
    at_once: ClassVar[int]
    """Pods that are made to go at the same time."""

    @property
    @abstractmethod
    def nothing_to_undo(self) -> str:
        """What a person is told where no node is to be uncordoned."""

    @property
    def pods(self) -> Pods:
        """The pods that are there."""
        return self.platform.ability(Pods)

    async def leaving(self, nodes: Iterable[str]) -> Sequence[Target]:
        """The environment's pods on these nodes that a cordon keeps from coming back there."""
        found = await self.pods.on_nodes([*nodes])
        return [pod for pod in found if not str(pod.details.get("owner", "")).startswith(STAYS)]

    def may_go(self, pod: Target, state: PodState) -> None:
        """Raises `CannotDoHonestly` for a pod that must stay, or would not come back."""
        place = f"{self.there} {self.target.name}"
        if state.kept_out:
            raise CannotDoHonestly(f"{pod.name} {place} says that it is to be left alone")
        if not state.gone and not state.owner and not getattr(self.params, "bare_too", False):
            raise CannotDoHonestly(
                f"nothing owns the pod {pod.name} {place}, so that nothing would make it again: move it away, or say "
                "`bareToo: true`"
            )

    def may_change(self, node: Mapping[str, Any]) -> None:
        """Raises `FaultFailed` for a node that another run has changed."""
        marks = node["metadata"].get("annotations") or {}
        holds = [str(hold) for key, hold in marks.items() if key.startswith(MARK)]
        for hold in holds:
            if not hold.startswith(f"{self.hold.run}."):
                raise FaultFailed(f"{name_of(node)} is in the hands of another fault, {hold}")

    def cordon(self, name: str, uid: Any) -> JsonObject:
        """The operation that lets nothing new onto a node."""
        return self.objects.patch(_node(name), {"spec": {"unschedulable": True}}, self.hold, uid=uid)

    def uncordon(self, name: str) -> JsonObject:
        """The operation that takes this back; where somebody else has done so, nothing but the mark."""
        when = [{"pointer": "/spec/unschedulable", "equals": True, "body": {"spec": {"unschedulable": None}}}]
        return self.objects.back(_node(name), {}, self.hold, when=when)

    async def send_off(self, pods: Iterable[Target], go: Callable[[Target], Awaitable[None]]) -> None:
        """Make all go that are still there, whatever becomes of the others. Raises what went wrong first; that a
        budget held, only if nothing else did."""
        turns = asyncio.Semaphore(self.at_once)

        async def one(pod: Target) -> None:
            async with turns:
                if not (await self.pods.state(pod)).gone:
                    await go(pod)

        done = await asyncio.gather(*map(one, pods), return_exceptions=True)
        failures = [each for each in done if isinstance(each, BaseException)]
        for failure in sorted(failures, key=lambda each: isinstance(each, BarrierHeld)):
            raise failure

    async def undo(self, prepared: JsonObject) -> None:
        if prepared["undo"]:
            await super().undo(prepared)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return super().by_hand(prepared) if prepared["undo"] else (self.nothing_to_undo,)


def name_of(found: Mapping[str, Any]) -> str:
    """Of an object."""
    return str(found["metadata"]["name"])


def uid_of(found: Mapping[str, Any]) -> str:
    """Of an object."""
    return str(found["metadata"]["uid"])


def _node(name: str) -> str:
    return f"/api/v1/nodes/{name}"


def cordoned(node: Mapping[str, Any]) -> bool:
    """Whether it takes no new pods."""
    return (node.get("spec") or {}).get("unschedulable") is True


class PodLoss(Fault[P]):
    """Ends a pod, which what owns it makes again."""

    platforms = frozenset({"kubernetes"})
    acts_on = frozenset({"pod"})
    fault_class = "instance-loss"
    instant = True
    looks_again = True
    verb: ClassVar[str]
    """What is done to it."""
    mirrored: ClassVar[str]
    """Why it cannot be done to a pod that comes from a file on its node."""

    @classmethod
    def undoes(cls, params: P) -> str:
        bare = " A pod that nothing owns does not come back." if getattr(params, "bare_too", False) else ""
        return (
            "There is nothing to take back: what owns the pod makes another one, which is looked at at the end. "
            f"What was in its memory and scratch volumes is lost.{bare}"
        )

    @property
    def pods(self) -> Pods:
        """What ends it, and looks at it."""
        return self.platform.ability(Pods)

    async def check(self) -> None:
        state = await self.pods.state(self.target)
        if state.gone:
            raise CannotDoHonestly(f"{state.gone}: there is nothing to {self.verb}")
        if state.mirror:
            raise CannotDoHonestly(f"{self.target.name} comes from a file on the node {state.node}{self.mirrored}")
        if not state.owner and not getattr(self.params, "bare_too", False):
            raise CannotDoHonestly(
                f"nothing owns the pod {self.target.name}, so that nothing would make it again: let a Deployment run "
                "it, or say `bareToo: true` and make it again yourself"
            )

    async def prepare(self) -> JsonObject:
        return {"owner": (await self.pods.state(self.target)).owner}

    async def undo(self, prepared: JsonObject) -> None:
        return None

    async def afterwards(self, prepared: JsonObject) -> str:
        return await self.pods.owner(self.target) or "nothing owns the pod: it does not come back by itself"

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        space = f"--namespace {self.target.details.get('namespace')}"
        if prepared.get("owner"):
            return (f"kubectl get {prepared['owner']} {space}",)
        return (f"kubectl create {space} --filename THE-MANIFEST-OF-{self.target.details.get('pod')}",)
