"""Faults on more pods than are attached to: started with their order, beaten for by the guardian, told by one watch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.injector.api import Api
from chaosrunner.injector.beats import Beats, Relay, Relays
from chaosrunner.injector.guardian import LEDGER, SEEN_BY, STALE, Guardian
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.crowd import SAMPLE, Crowd
from chaosrunner.platforms.kubernetes.links import ClusterLinks
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.ports import Hold, NetworkEffect
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import deploy, platform, targets
from tests.loopback import free_port

RUN = "20261122-105103-4f2a9c"
LEASE = f"chaosrunner-run-{RUN}"
LARGE = 30
MANY = LARGE + 5
SERVICES = {"cart": {"workload": "deployment/cart"}, "pay": {"workload": "deployment/pay", "service": "pay"}}
REFUSE = NetworkEffect(loss="refuse")
Object = dict[str, Any]


def hold(number: int = 1) -> Hold:
    return Hold(f"{RUN}.gone.{number}", RUN, 0.0, 60.0)


class Run:
    """A run on a fake cluster, with its part of the cluster and the links that use it."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api = api
        self.platform = platform(
            api, folder, services=SERVICES, guardian={"mode": "deployment"}, injector={"attachUpTo": LARGE}
        )
        cluster, spec, clock = self.platform.cluster, self.platform.spec, self.platform.clock
        self.presence = Presence(cluster, api.cluster, spec, "lab", clock)
        self.crowd = Crowd(cluster, spec, clock, self.presence)
        self.links = ClusterLinks(cluster, spec, clock, self.platform.injectors, self.crowd)

    async def open(self, count: int | None = None) -> list[Target]:
        """Claim so many of the targets, and have a guardian; the crowd's."""
        found = await targets(self.platform, count, service="cart", to="pay")
        await self.presence.claim(RUN, "ana@here", found, self.platform.lease)
        self.crowd.gather(RUN, found)
        await self.presence.open(RUN, lambda: True)
        (lease,) = self.api.objects("coordination.k8s.io/v1", "leases", "shop")
        self.api.change(lease, {"metadata": {"annotations": {SEEN_BY: "guardian-1 1"}}})
        return [each for each in found if self.crowd.has(each)]

    async def hit(self, target: Target) -> None:
        """Take its dependency away."""
        await self.links.ready(target, hold())
        await self.links.shape(target, REFUSE, hold())

    async def close(self) -> None:
        await self.crowd.close()
        await self.presence.close()
        await self.links.close()
        await self.platform.close()


@pytest.fixture
async def at(api: FakeApi, tmp_path: Path) -> AsyncIterator[Run]:
    deploy(api, "cart", MANY)
    deploy(api, "pay", 1)
    api.add(shapes.service("pay"))
    made = Run(api, tmp_path)
    yield made
    await made.close()


def told_to(api: FakeApi) -> list[Object]:
    maps = api.objects("v1", "configmaps", "shop")
    return [each for each in maps if each["metadata"].get("labels", {}).get(LEDGER) == "beats"]


def containers(api: FakeApi, target: Target) -> list[Object]:
    pod = api.object("v1", "pods", "shop", str(target.details["pod"]))
    assert pod is not None
    return list(pod["spec"].get("ephemeralContainers") or ())


async def test_of_very_many_pods_a_sample_is_looked_at_and_the_rest_is_a_crowd(at: Run) -> None:
    crowd = await at.open()
    assert len(crowd) == MANY - SAMPLE
    assert not any(at.links.looks_at(each) for each in crowd)


async def test_so_few_as_can_be_attached_to_are_no_crowd(at: Run) -> None:
    assert await at.open(LARGE) == []


async def test_an_injector_of_the_crowd_begins_with_its_order(api: FakeApi, at: Run) -> None:
    target = (await at.open())[0]
    await at.hit(target)
    (container,) = containers(api, target)
    words = container["args"]
    order = json.loads(words[words.index("--order") + 1])
    assert order["id"] == hold().id and order["effect"]["connections"]["loss"] == "refuse"
    assert {"cidr": "10.96.0.10/32", "port": 80, "protocol": "tcp"} in order["effect"]["match"]["to"]
    assert order["effect"]["match"]["except"], "what watches over the pod is spared"
    (relay,) = told_to(api)
    data = relay["data"]
    assert words[words.index("--beats") + 1] == f"udp:{data['port']}:{data['key']}"
    assert str(target.details["ip"]) in data["addresses"].split()
    assert relay["metadata"]["ownerReferences"][0]["name"] == LEASE
    assert not api.requests(path="/attach")


async def test_it_is_seen_by_its_containers_state_and_seen_gone_when_that_has_ended(api: FakeApi, at: Run) -> None:
    target = (await at.open())[0]
    await at.hit(target)
    first = at.crowd.seen(hold())
    assert first is not None and not first.seen, "one that cannot do it ends at once: it must have run for a moment"
    async with asyncio.timeout(5):
        while not (told := at.crowd.seen(hold())) or not told.seen:
            await asyncio.sleep(0.05)
    assert f"of {MANY} pods {SAMPLE} are looked at from inside" in told.how
    releasing = asyncio.ensure_future(at.links.release(target, hold()))
    async with asyncio.timeout(5):
        while not told_to(api)[0]["data"]["ended"]:
            await asyncio.sleep(0.02)
    data = told_to(api)[0]["data"]
    assert data["addresses"].split()[int(data["ended"])] == target.details["ip"]
    assert not releasing.done(), "what was told has not ended yet"
    end(api, target)
    await asyncio.wait_for(releasing, 5)
    told = at.crowd.seen(hold())
    assert told is not None and not told.seen and "exit code 0" in told.how


async def test_one_that_ends_before_its_time_is_told_with_what_may_keep_heartbeats_away(api: FakeApi, at: Run) -> None:
    target = (await at.open())[0]
    await at.hit(target)
    end(api, target)
    async with asyncio.timeout(5):
        while (told := at.crowd.seen(hold())) is None or "exit code" not in told.how:
            await asyncio.sleep(0.02)
    assert not told.seen and "NetworkPolicy" in told.how and "UDP port" in told.how


def end(api: FakeApi, target: Target) -> None:
    (container,) = containers(api, target)
    pod = api.object("v1", "pods", "shop", str(target.details["pod"]))
    assert pod is not None
    state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    api.change(pod, {"status": {"ephemeralContainerStatuses": [{"name": container["name"], "state": state}]}})


# ------------------------------------------------------------------------------------------------ the guardian's part


class Listener:
    """An injector's ear on loopback."""

    def __init__(self) -> None:
        self.heard: list[float] = []
        self.beats = Beats(RUN, bytes.fromhex("ab" * 16), self.heard.append)

    async def next(self) -> float:
        before = len(self.heard)
        async with asyncio.timeout(5):
            while len(self.heard) == before:
                await asyncio.sleep(0.005)
        return self.heard[-1]


@pytest.fixture
async def ear() -> AsyncIterator[tuple[Listener, int]]:
    listener, port = Listener(), free_port()
    await listener.beats.open(port)
    yield listener, port
    listener.beats.close()


@pytest.fixture
def relays() -> Iterator[Relays]:
    made = Relays()
    yield made
    made.close()


def relay(port: int, **changes: Any) -> Relay:
    fields: dict[str, Any] = {"name": "one", "run": RUN, "key": "ab" * 16, "port": port, "addresses": ("127.0.0.1",)}
    return Relay(**(fields | {"ended": frozenset(), "renewed": 100.0} | changes))


async def test_heartbeats_go_on_while_the_run_lives_and_end_it_when_it_does_not(
    ear: tuple[Listener, int], relays: Relays
) -> None:
    listener, port = ear
    relays.replace([relay(port)], 100.0)
    relays.send(104.9, STALE)
    assert await listener.next() > 0
    relays.send(105.0, STALE)
    assert await listener.next() == 0


async def test_one_whose_fault_is_over_is_told_to_end(ear: tuple[Listener, int], relays: Relays) -> None:
    listener, port = ear
    relays.replace([relay(port, ended=frozenset({0}))], 100.0)
    relays.send(100.0, STALE)
    assert await listener.next() == 0


async def test_those_whose_relay_is_gone_are_told_to_end_for_a_while(ear: tuple[Listener, int], relays: Relays) -> None:
    listener, port = ear
    relays.replace([relay(port)], 100.0)
    relays.replace([], 101.0)
    relays.send(101.0, STALE)
    assert await listener.next() == 0
    relays.replace([], 107.0)
    relays.send(107.0, STALE)
    await asyncio.sleep(0.05)
    assert len(listener.heard) == 1


async def test_the_guardian_passes_on_what_the_clusters_relays_say(api: FakeApi, ear: tuple[Listener, int]) -> None:
    listener, port = ear
    now = [100.0]
    guardian = Guardian(Api(api.url), "shop", "guardian-1", clock=lambda: now[0])
    labels = {"chaosrunner.dev/lease": "run", "chaosrunner.dev/run": RUN}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"renewTime": "1"}}
    api.add(lease | {"metadata": {"name": LEASE, "namespace": "shop", "labels": labels}})
    data = {"run": RUN, "lease": LEASE, "port": str(port), "key": "ab" * 16, "addresses": "127.0.0.1", "ended": ""}
    metadata = {"name": "beats-0", "namespace": "shop", "labels": {LEDGER: "beats", "chaosrunner.dev/run": RUN}}
    api.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    await asyncio.to_thread(guardian.look)
    guardian.relays.send(now[0], STALE)
    assert await listener.next() > 0
    now[0] += STALE
    guardian.relays.send(now[0], STALE)  # no look meanwhile: the API may be away
    assert await listener.next() == 0
    guardian.api.close()
    guardian.relays.close()
