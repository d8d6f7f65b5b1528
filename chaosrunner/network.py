"""The seam of faults on the network: what they share, so that each file says only in what it differs.

`ConnectionFault` is for those that act on connections, wherever there are `Links`; `PodFault` for what only the
injector in the pod itself can do; of these, `LostPackets` and `ShapedPackets` act on packets.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import show
from chaosrunner.needs import INJECTOR
from chaosrunner.ports import Fault, Links, LinkSample, NetworkEffect, P, PodLinks, Sighting

__all__ = [
    "NETEM",
    "RIGHTS",
    "ConnectionFault",
    "LostPackets",
    "NetworkFault",
    "PacketFault",
    "PodFault",
    "ShapedPackets",
    "looks_to_see",
    "share_seen_in",
]

MISSED = 0.003
"""How likely a look sees none of what is drawn at random, by chance; a bad look is looked at twice."""
MOST = 100
"""Connections of a look that counts lost packets: a look must not be a load."""
NETEM = "Needs a kernel with netem, which is asked in the pod before anything is injected."

RIGHTS = (
    "get pods",
    *INJECTOR,
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
    connections_only: ClassVar[frozenset[str]] = frozenset({"local"})
    needs: ClassVar[Sequence[str]] = RIGHTS

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
        if not self.links.looks_at(self.target):
            return {}
        if not self.links.looks_before:
            await self.suits()
        return await self.before()

    async def touched(self) -> int | None:
        return await self.links.met(self.target, self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self.links.release(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)


class PodFault(NetworkFault[P]):
    """A fault on what a pod sends, that only the injector in the pod itself can do: more than `Links` shape."""

    platforms = frozenset({"kubernetes"})

    @property
    def links(self) -> PodLinks:
        """Where it acts and looks."""
        return self.platform.ability(PodLinks)


class ConnectionFault(NetworkFault[P]):
    """A fault on TCP connections."""

    @abstractmethod
    def effect(self) -> NetworkEffect:
        """What is done to connections."""

    async def inject(self) -> None:
        await self.links.shape(self.target, self.effect(), self.hold)


class PacketFault(PodFault[P]):
    """A fault on packets of a pod, whatever their protocol."""

    needs_netem: ClassVar[bool] = False
    """Whether only the kernel's netem can do it."""

    @abstractmethod
    def packets(self) -> JsonObject:
        """What is done to packets, as the injector takes it."""

    def control(self) -> bool:
        """Whether what watches over the pod is hit, too."""
        return bool(getattr(self.params, "include_control", False))

    async def suits(self) -> None:
        if self.needs_netem and not (await self.links.look(self.target, ["kernel"])).get("netem"):
            raise CannotDoHonestly(
                f"the kernel under {self.target.name} has no netem, and nothing else can do this to packets"
            )
        sample = await self.links.sample(self.target)
        if sample.outcome != "answered":
            raise CannotDoHonestly(
                f"a connection of {self.target.name} is {sample.outcome} already, so that nothing could be seen"
            )

    async def inject(self) -> None:
        await self.links.act(self.target, {"packets": self.packets()}, self.hold, include_control=self.control())

    async def through_and_around(self) -> tuple[LinkSample, LinkSample]:
        """One connection as the pod makes it, and one past the fault."""
        through, around = await asyncio.gather(
            self.links.sample(self.target), self.links.sample(self.target, around=True)
        )
        return through, around


class LostPackets(PacketFault[P]):
    """A fault that shows in packets that do not arrive: the first one of a connection is asked for again."""

    @abstractmethod
    def expected(self) -> float:
        """The share of round trips that lose a packet."""

    def possible(self) -> None:
        if looks_to_see(self.expected()) > MOST:
            raise CannotDoHonestly(
                f"seeing {show(self.expected(), 'ratio')} of packets lost would take "
                f"{looks_to_see(self.expected())} connections a look, which would be a load of its own; at most "
                f"{MOST} are made: use {share_seen_in(MOST)} or more"
            )

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Opens connections, through and past the fault, and counts those whose first packet was not answered."""
        host, port = await self.links.door(self.target)
        words = ["loss", host, str(port), "--count", str(max(10, looks_to_see(self.expected())))]
        through, around = await asyncio.gather(
            self.links.look(self.target, words), self.links.look(self.target, [*words, "--around"])
        )
        lost, past = float(str(through["lost"])), float(str(around["lost"]))
        if past >= 0.9 * self.expected():
            return Sighting(False, f"nothing can be said: {show(past, 'ratio')} are lost past the fault, too")
        seen = f"of {through['sent']} connections {show(lost, 'ratio')} lost a packet"
        return Sighting(lost > past + self.expected() / 4, f"{seen}, {show(past, 'ratio')} past the fault")


class ShapedPackets(PacketFault[P]):
    """A fault that shows in no connection of our own: the kernel is asked what its queueing disciplines do."""

    needs_netem = True
    word: ClassVar[str]
    """What a discipline of this fault is called in the kernel's answer."""

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Reads the kernel's disciplines by a program that does not know the injector."""
        found = (await self.links.look(self.target, ["rules"])).get("qdiscs")
        lines = [str(line).strip() for line in (found if isinstance(found, list) else ())]
        ours = [line for line in lines if f" {self.word} " in line]
        return Sighting(bool(ours), ours[0] if ours else f"no queueing discipline of the pod has {self.word}")


def looks_to_see(share: float) -> int:
    """So many connections (questions, requests) show a share of them that is drawn at random, but for chance."""
    return 1 if share >= 1 else math.ceil(math.log(MISSED) / math.log(1 - share))


def share_seen_in(looks: int) -> str:
    """The smallest share, in whole percent, that so many show."""
    return f"{math.ceil(100 * (1 - MISSED ** (1 / looks)))}%"
