"""Faults on very many pods at once: nobody is attached to their injectors.

Each injector is started with its order and takes heartbeats as datagrams. The guardian's pod sends them to all, while
it sees the run's Lease renewed; what it needs for that, the addresses and a key of this run alone, stands in ConfigMaps
that go with the Lease. One watch for each namespace tells which injectors run and which have ended. Of all pods a
sample, drawn by the run's id, is attached to and looked at from inside as in small sets; it is not part of the crowd.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.injector.guardian import LEDGER, RUN
from chaosrunner.injector.operations import BY_NAME, short
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import beside
from chaosrunner.platforms.kubernetes.beside import NETWORK
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY
from chaosrunner.platforms.kubernetes.heartbeat import leases_path
from chaosrunner.platforms.kubernetes.injected import LEAST_LIFE, SPARE_LIFE, Place
from chaosrunner.platforms.kubernetes.operations import US
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.platforms.kubernetes.states import States
from chaosrunner.ports import Hold, Sighting

SAMPLE = 20
"""Pods of a run that are looked at from inside, where there are more than are attached to; never more than are."""
CHUNK = 2000
"""Addresses in one ConfigMap: well under its megabyte."""
FIRST_PORT = 18_790
"""UDP port of a run's first step on a crowd; the next has the next. Nothing else of a pod may listen there."""
SETTLED = 2.0
"""Seconds that an injector must have run to count as in force: one that cannot do it has ended by then."""
RUNS_WITHIN = 8.0
"""Seconds that a node may take to start one; its image should be there already."""
LOOK_EVERY = 0.2
TOGETHER = 0.1
"""Seconds for which ends are collected before they are told."""


@dataclass(slots=True)
class Relay:
    """One step's heartbeats, and what of it has ended."""

    port: int
    step: str
    ended: set[str]
    """Addresses."""
    telling: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One injector of the crowd."""

    place: Place
    container: str
    ip: str


class Crowd:
    """The pods of a run that nobody is attached to."""

    def __init__(self, cluster: Cluster, spec: Spec, clock: Clock, presence: Presence) -> None:
        self._cluster = cluster
        self._settings = spec.injector
        self._space = spec.ledger_namespace
        self._clock = clock
        self._presence = presence
        self._key = secrets.token_hex(16)
        self.looked_at = min(SAMPLE, spec.injector.attach_up_to)
        """How many pods are no part of the crowd."""
        self._ips: dict[str, str] = {}
        self._many = 0
        self._relays: dict[str, Relay] = {}
        self._members: dict[str, Member] = {}
        self._opening = asyncio.Lock()
        self.states = States(cluster, clock)
        self._planned: set[str] = set()

    # -- who is in it

    async def check(self, target: Target) -> None:
        """Asked for each target while planning: whether a crowd could be guarded. Raises `CannotDoHonestly`."""
        self._planned.add(str(target.details.get("uid")))
        if len(self._planned) == self._settings.attach_up_to + 1:
            await self._presence.guardian.check()

    def gather(self, run: str, targets: Sequence[Target]) -> None:
        """The pods of a run; too few are no crowd."""
        ips = {str(each.details["uid"]): str(each.details.get("ip") or "") for each in targets if "pod" in each.details}
        if self._many:
            return  # targets that appear later are attached to
        self._many = len(ips)
        if self._many <= self._settings.attach_up_to:
            return
        for uid in Random(f"{run}:looked-at").sample(sorted(ips), self.looked_at):
            del ips[uid]
        self._ips = ips

    def has(self, target: Target) -> bool:
        """Whether this pod is one of the crowd."""
        return target.details.get("uid") in self._ips

    # -- in force

    async def ready(self, hold: Hold, namespace: str) -> None:
        """See to it that a guardian is there and knows whom to pass heartbeats on to. Raises `NotPossibleNow`."""
        async with self._opening:
            if _step(hold) not in self._relays:
                self._relays[_step(hold)] = await self._opened(_step(hold))
            await self.states.begin(namespace)

    async def begin(self, target: Target, hold: Hold, effect: JsonObject, *, spare_control: bool) -> None:
        """Start the pod's injector with this order, and wait until it runs. Raises `FaultFailed`. See `ready`."""
        place = Place.of(target)
        pod = await self._pod(place)
        if why := beside.why_not(pod, NETWORK):
            raise CannotDoHonestly(f"{place}: {why}")
        relay = self._relays[_step(hold)]
        match: Any = effect["match"]
        match = match | {"except": list(beside.control(pod)) if spare_control else []}
        order = {"id": hold.id, "run": hold.run, "seconds": hold.seconds, "effect": effect | {"match": match}}
        lifetime = max(LEAST_LIFE, hold.seconds + SPARE_LIFE)
        made = beside.container(beside.next_name(pod, hold.run, NETWORK), hold.run, lifetime, NETWORK, self._settings)
        made["args"] += ["--order", json.dumps(order), "--beats", f"udp:{relay.port}:{self._key}"]
        self._members[hold.id] = Member(place, made["name"], self._ips[place.uid])
        try:
            await self._cluster.patch(
                place.path("ephemeralcontainers"),
                {"spec": {"ephemeralContainers": [made]}},
                BY_NAME,
            )
        except ApiError as error:
            if error.passing:
                raise
            raise FaultFailed(f"{place}: {beside.refused(error)}") from None
        await self._until_it_runs(place, made["name"])

    async def _until_it_runs(self, place: Place, container: str) -> None:
        ends = self._clock.monotonic() + RUNS_WITHIN
        while (state := self.states.of(place.uid, container)).since is None:
            if state.ended:
                raise FaultFailed(f"{place}: {state.ended}")
            if self._clock.monotonic() >= ends:
                return  # the first look has some seconds more, and says what it waits for
            await self._clock.sleep(LOOK_EVERY)

    async def _pod(self, place: Place) -> Object:
        pod = await self._cluster.find(place.path())
        if pod is None:
            raise FaultFailed(f"the pod {place} was deleted")
        if pod["metadata"]["uid"] != place.uid:
            raise FaultFailed(f"the pod {place} is another one of the same name now")
        return pod

    def seen(self, hold: Hold) -> Sighting | None:
        """What the watch tells of a hold; None: it is not of the crowd."""
        member = self._members.get(hold.id)
        if member is None:
            return None
        state = self.states.of(member.place.uid, member.container)
        if state.ended:
            return Sighting(False, f"{state.ended}{self._maybe_unheard(hold)}")
        if state.since is None or self._clock.monotonic() - state.since < SETTLED:
            return Sighting(False, state.waits or "its injector has not been seen to run for two seconds")
        sample = f"of {self._many} pods {self.looked_at} are looked at from inside"
        return Sighting(True, f"its injector runs, as the API server tells; {sample}")

    def _maybe_unheard(self, hold: Hold) -> str:
        relay = self._relays.get(_step(hold))
        member = self._members[hold.id]
        if relay is None or member.ip in relay.ended:
            return ""
        return (
            f"; it lets go 5 s after the last heartbeat, which comes from the guardian's pod to UDP port {relay.port}: "
            f"does a NetworkPolicy keep it away?"
        )

    # -- taking back

    async def end(self, hold: Hold) -> bool:
        """Have the guardian tell it, and wait until the injector has ended; False: it is not of the crowd. The caller
        limits the time."""
        member = self._members.get(hold.id)
        if member is None:
            return False
        relay = self._relays[_step(hold)]
        relay.ended.add(member.ip)
        if relay.telling is None or relay.telling.done():
            relay.telling = asyncio.ensure_future(self._tell(relay))
        telling = relay.telling
        with suppress(ApiError):  # without heartbeats it ends, too, and the watch tells
            await asyncio.shield(telling)
        await self.states.until_ended(member.place.uid, member.container)
        return True

    async def _tell(self, relay: Relay) -> None:
        told: set[str] = set()
        while told != relay.ended:
            await self._clock.sleep(TOGETHER)
            new, told = relay.ended - told, set(relay.ended)
            for number, part in enumerate(self._chunks()):
                if new.intersection(part):
                    ended = ",".join(str(index) for index, ip in enumerate(part) if ip in told)
                    where = path("v1", "configmaps", self._space, self._name(relay, number))
                    await self._cluster.patch(where, {"data": {"ended": ended}})

    # -- the guardian's part

    async def _opened(self, step: str) -> Relay:
        author = await self._presence.brace()
        lease = await self._cluster.get(leases_path(self._space, author.lease))
        relay = Relay(FIRST_PORT + len(self._relays), step, set())
        owner = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": author.lease}
        owners = [owner | {"uid": lease["metadata"]["uid"]}]
        labels = {MANAGED_BY: US, LEDGER: "beats", RUN: author.run}
        for number, part in enumerate(self._chunks()):
            metadata = {"name": self._name(relay, number), "labels": labels, "ownerReferences": owners}
            data = {"run": author.run, "lease": author.lease, "port": str(relay.port), "key": self._key}
            data |= {"addresses": "\n".join(part), "ended": ""}
            await self._cluster.create(path("v1", "configmaps", self._space), {"metadata": metadata, "data": data})
        return relay

    def _chunks(self) -> Iterable[list[str]]:
        ips = list(self._ips.values())
        return (ips[start : start + CHUNK] for start in range(0, len(ips), CHUNK))

    def _name(self, relay: Relay, number: int) -> str:
        return f"chaosrunner-beats-{short(relay.step)}-{number}"

    async def close(self) -> None:
        """No more heartbeats; idempotent."""
        relays, self._relays = list(self._relays.values()), {}
        await self.states.close()
        for relay in relays:
            if relay.telling is not None:
                relay.telling.cancel()
            for number, _ in enumerate(self._chunks()):
                with suppress(ApiError):  # it goes with the run's Lease
                    await self._cluster.delete(path("v1", "configmaps", self._space, self._name(relay, number)))


def _step(hold: Hold) -> str:
    return hold.id.rpartition(".")[0]
