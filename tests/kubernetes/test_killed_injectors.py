"""What injectors left that were killed in their pods: found by what the pods say, and swept by another injector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.errors import UndoFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import NETWORK, Needs
from chaosrunner.platforms.kubernetes.client import Cluster
from chaosrunner.platforms.kubernetes.heartbeat import lease_name, lease_object
from chaosrunner.platforms.kubernetes.killed import STEP, KilledInjectors
from chaosrunner.platforms.kubernetes.ledger import Author
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Hold, LeftOver
from tests.kubernetes import scene
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.in_pods import Pods
from tests.kubernetes.scene import QuickClock, deploy, platform, targets

RUN = "20261122-105103-4f2a9c"
HOLD = Hold(f"{RUN}.cut.1", RUN, 0.0, 60.0)
PATCHED = "/pods/cart-5d9-1/ephemeralcontainers$"


@pytest.fixture
def pods(api: FakeApi) -> Pods:
    deploy(api, "cart", 2)
    return Pods(api)


@pytest.fixture
async def at(api: FakeApi, pods: Pods, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    """Of the runner whose injectors are killed."""
    made = platform(api, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def killed(api: FakeApi, cluster: Cluster, pods: Pods, tmp_path: Path) -> AsyncIterator[KilledInjectors]:
    """As somebody sees it who comes later."""
    later = platform(api, tmp_path)
    presence = Presence(cluster, api.cluster, Spec.model_validate({"namespaces": ["shop"]}), "lab", QuickClock())
    yield KilledInjectors(cluster, ["shop"], later.injectors, presence)
    await later.close()


async def started(at: KubernetesPlatform, needs: Needs = NETWORK) -> tuple[Target, str]:
    """An injector beside the first pod: the target, and the name of its container."""
    target = (await targets(at, names=["cart-5d9-1"]))[0]
    return target, (await at.injectors.ready(target, HOLD, needs)).name


async def the_only(killed: KilledInjectors) -> LeftOver:
    (found,) = await killed.left()
    return found


async def test_one_that_was_killed_is_found_and_what_it_left_is_swept_once(
    pods: Pods, at: KubernetesPlatform, killed: KilledInjectors
) -> None:
    target, name = await started(at)
    await pods.kill(name, 137, "OOMKilled")
    left = await the_only(killed)
    assert (left.run, left.step, left.target, left.alive) == (RUN, STEP, target.name, False)
    assert left.by_hand == ("kubectl delete pod cart-5d9-1 -n shop",)
    assert await killed.heal(left)
    fresh = pods.injectors["shop", "cart-5d9-1", f"{name}-2"]
    assert len(fresh.did("sweep")) == 1 and fresh.ended
    await pods.kill(f"{name}-2", 0, "Completed")
    assert await killed.left() == [], "the latest one ended in order"


@pytest.mark.parametrize("how", ["runs", "ended in order", "cannot touch the network", "its pod has ended"])
async def test_one_that_can_have_left_nothing_is_no_leftover(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, killed: KilledInjectors, how: str
) -> None:
    _, name = await started(at, Needs() if how == "cannot touch the network" else NETWORK)
    if how != "runs":
        await pods.kill(name, 0 if how == "ended in order" else 137, "Error")
    if how == "its pod has ended":
        api.change(api.object("v1", "pods", "shop", "cart-5d9-1") or {}, {"status": {"phase": "Failed"}})
    assert await killed.left() == []


async def test_others_containers_are_none_of_ours(api: FakeApi, killed: KilledInjectors) -> None:
    debug = {"name": "debugger", "image": "busybox", "args": ["--run", RUN]}
    debug |= {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}
    pod = api.change(api.object("v1", "pods", "shop", "cart-5d9-1") or {}, {"spec": {"ephemeralContainers": [debug]}})
    ended = [{"name": "debugger", "state": {"terminated": {"exitCode": 137}}}]
    api.change(pod, {"status": {"ephemeralContainerStatuses": ended}})
    assert await killed.left() == []


async def test_that_of_a_run_that_lives_is_told_to_be_alive(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, killed: KilledInjectors
) -> None:
    _, name = await started(at)
    await pods.kill(name, 137, "OOMKilled")
    body = lease_object(Author(RUN, lease_name(RUN), "lab", "ana@one"), 0.0)
    body["metadata"]["namespace"] = "shop"
    lease = api.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"} | body)
    beating = asyncio.ensure_future(renewed(api, lease))
    left = await the_only(killed)
    beating.cancel()
    assert left.alive


async def renewed(api: FakeApi, lease: scene.Object) -> None:
    for number in range(10**9):
        api.change(lease, {"spec": {"renewTime": f"2026-11-22T10:51:03.{number:06}Z"}})
        await asyncio.sleep(0.001)


async def test_a_sweep_that_fails_says_what_to_do_by_hand(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, killed: KilledInjectors
) -> None:
    target, name = await started(at)
    await pods.kill(name, 137, "OOMKilled")
    left = await the_only(killed)
    api.refuse_admission("no debugging on a Sunday", method="PATCH", path=PATCHED)
    with pytest.raises(UndoFailed, match=f"{target.name}.*no debugging on a Sunday") as failed:
        await killed.heal(left)
    assert failed.value.commands == ("kubectl delete pod cart-5d9-1 -n shop",)


async def test_a_pod_that_went_away_has_nothing_left(
    api: FakeApi, pods: Pods, at: KubernetesPlatform, killed: KilledInjectors
) -> None:
    _, name = await started(at)
    await pods.kill(name, 137, "OOMKilled")
    left = await the_only(killed)
    api.remove(api.object("v1", "pods", "shop", "cart-5d9-1") or {})
    sent = len(api.requests("PATCH", PATCHED))
    assert await killed.heal(left)
    assert len(api.requests("PATCH", PATCHED)) == sent


async def test_what_stands_in_the_ledger_is_none_of_its_business(killed: KilledInjectors) -> None:
    other = LeftOver(hold="R1.scale.1", run="R1", step="scale", target="shop/cart", by="ana", alive=False)
    assert not await killed.heal(other)
