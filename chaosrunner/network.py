"""The seam of faults on the network: what they share, so that each file says only in what it differs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Links, NetworkEffect, P

__all__ = ["RIGHTS", "NetworkFault"]

RIGHTS = (
    "get pods",
    "watch pods",
    "patch pods/ephemeralcontainers",
    "get pods/attach",
    "create pods/attach",
    "get pods/exec",
    "create pods/exec",
    "get services",
    "list services",
    "list endpointslices.discovery.k8s.io",
    "watch endpointslices.discovery.k8s.io",
)
"""What a fault on a pod's network takes on Kubernetes: its injector, looks from inside the pod, and where the other end
is."""


class NetworkFault(Fault[P]):
    """A fault on connections that `Links` shape. What it looks at first, it looks at while planning where that can be
    done without touching anything, otherwise in the run, before it injects."""

    platforms: ClassVar[frozenset[str]] = frozenset({"local", "kubernetes"})
    acts_on: ClassVar[frozenset[str]] = frozenset({"link", "pod"})
    needs: ClassVar[Sequence[str]] = RIGHTS

    @abstractmethod
    def effect(self) -> NetworkEffect:
        """What is done to connections."""

    def possible(self) -> None:
        """Whether these parameters can be seen anywhere; raises `CannotDoHonestly`."""

    async def suits(self) -> None:
        """Whether the fault could be told from what is there already; looks, raises `CannotDoHonestly`."""

    async def before(self) -> JsonObject:
        """What `confirm` must know of the time before; looks."""
        return {}

    @property
    def links(self) -> Links:
        """Where it acts and looks."""
        return self.platform.ability(Links)

    async def check(self) -> None:
        self.possible()
        await self.links.check(self.target)
        if self.links.looks_before:
            await self.suits()

    async def ready(self) -> None:
        await self.links.ready(self.target, self.hold)

    async def prepare(self) -> JsonObject:
        if not self.links.looks_before:
            await self.suits()
        return await self.before()

    async def inject(self) -> None:
        await self.links.shape(self.target, self.effect(), self.hold)

    async def touched(self) -> int | None:
        return await self.links.met(self.target, self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self.links.release(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)
