"""What is told as spill-over, and what is not, on a cluster that does as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.spill import Spill
from tests.kubernetes import scene, shapes
from tests.kubernetes.fake_api import FakeApi

SERVICES = {"cart": {"workload": "deployment/cart"}, "payments": {"selector": {"app": "payments"}}}
Object = dict[str, Any]


@pytest.fixture
async def shop(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    """cart (2 pods), payments (2), and `other` (2), which the environment does not name, on two nodes."""
    for node in ("node-1", "node-2"):
        api.add(shapes.node(node))
    for name in ("cart", "payments", "other"):
        scene.deploy(api, name)
    made = scene.platform(api, tmp_path, services=SERVICES)
    made.spill = Spill(made.spec, made.cluster, Nodes(api))
    made.spill.begin()
    yield made
    await made.close()


class Nodes(scene.QuickClock):
    """Time in which nodes come back that shall."""

    def __init__(self, api: FakeApi) -> None:
        super().__init__()
        self.api = api
        self.back: dict[str, float] = {}

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        for name, at in self.back.items():
            if self.passed >= at:
                node(self.api, name, "True")


def node(api: FakeApi, name: str, ready: str) -> None:
    found = api.object("v1", "nodes", None, name)
    assert found is not None
    api.change(found, {"status": {"conditions": [{"type": "Ready", "status": ready}]}})


async def hit(at: KubernetesPlatform, count: int = 1, **fields: Any) -> tuple[Target, ...]:
    return await scene.targets(at, count, **fields)


def pods(api: FakeApi, name: str) -> list[Object]:
    return [pod for pod in api.objects("v1", "pods", "shop") if pod["metadata"]["labels"]["app"] == name]


def restarted(api: FakeApi, pod: Object, times: int, reason: str) -> None:
    end = {"lastState": {"terminated": {"reason": reason, "exitCode": 137}}}
    one = pod["status"]["containerStatuses"][0] | {"restartCount": times} | end
    api.change(pod, {"status": {"containerStatuses": [one]}})


def unready(api: FakeApi, pod: Object) -> None:
    one = pod["status"]["containerStatuses"][0] | {"ready": False}
    api.change(pod, {"status": {"containerStatuses": [one], "conditions": [{"type": "Ready", "status": "False"}]}})


def event(api: FakeApi, pod: Object, reason: str, count: int, message: str = "", name: str = "e") -> None:
    about = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"}}
    api.add(body | {"involvedObject": about, "reason": reason, "message": message, "count": count})


async def told(at: KubernetesPlatform, targets: tuple[Target, ...]) -> dict[str, str]:
    """What is told of that broke."""
    return {name: words for name, words in (await at.observe(targets)).items() if words}


async def test_at_first_nothing_has_broken_whatever_it_looks_like(shop, api):
    restarted(api, pods(api, "cart")[0], 7, "Error")
    unready(api, pods(api, "payments")[0])
    first = await shop.observe(await hit(shop, service="cart"))
    assert set(first) == {"cart", "payments", "shop/deployment/other", "node node-1", "node node-2"}
    assert not any(first.values())
    assert not await told(shop, await hit(shop, service="cart"))


async def test_restarts_elsewhere_are_told_with_their_reason(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    restarted(api, pods(api, "payments")[1], 2, "OOMKilled")
    restarted(api, pods(api, "other")[0], 1, "Error")
    assert await told(shop, targets) == {
        "payments": "payments-5d9-2 was restarted 2 times (main: OOMKilled, exit code 137)",
        "shop/deployment/other": "other-5d9-1 was restarted once (main: Error, exit code 137)",
    }


async def test_of_the_targets_service_only_restarts_of_pods_that_are_no_targets(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    first, second = pods(api, "cart")
    restarted(api, first, 1, "Error")
    unready(api, second)
    assert not await told(shop, targets)
    restarted(api, second, 1, "OOMKilled")
    assert set(await told(shop, targets)) == {"cart"}


async def test_a_killed_target_and_its_replacement_are_no_spill_over(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    first = pods(api, "cart")[0]
    api.remove(first)
    assert not await told(shop, targets)
    owner = api.objects("apps/v1", "replicasets", "shop")[0]
    assert owner["metadata"]["name"] == "cart-5d9"
    api.add(shapes.pod("cart-5d9-new", labels={"app": "cart"}, owner=owner, ready=False, restarts=3))
    assert not await told(shop, targets)


async def test_a_pod_that_ends_with_an_error_because_it_is_deleted_has_not_failed(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    first, second = pods(api, "payments")
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/wait"]}
    api.change(first, {"metadata": leaving, "status": {"phase": "Failed", "reason": "Error"}})
    assert "Error" not in str(await told(shop, targets))
    api.change(second, {"status": {"phase": "Failed", "reason": "Error"}})
    assert "payments-5d9-2 is Error" in str(await told(shop, targets))


async def test_after_an_outage_of_the_api_server_nodes_have_time_to_report(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    await api.down()
    with pytest.raises(ApiError):
        await shop.observe(targets)
    await api.up()
    for name in ("node-1", "node-2"):
        node(api, name, "Unknown")
    clock = shop.spill.clock
    clock.back["node-1"] = clock.passed + 5
    assert set(await told(shop, targets)) == {"node node-2"}
    node(api, "node-1", "Unknown")
    before = clock.passed
    assert set(await told(shop, targets)) == {"node node-1", "node node-2"}
    assert clock.passed == before, "the API server was there all the time"


async def test_pods_that_are_not_ready_any_more(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    unready(api, pods(api, "payments")[0])
    for pod in pods(api, "other"):
        api.remove(pod)
    assert await told(shop, targets) == {
        "payments": "1 of 2 pods are ready, before 2 of 2",
        "shop/deployment/other": "none of its 2 pods is there",
    }


async def test_fewer_pods_that_are_all_ready_are_an_autoscalers_doing(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    api.remove(pods(api, "payments")[0])
    assert not await told(shop, targets)


async def test_evicted_pods_stay_as_failed_ones(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    pod = pods(api, "payments")[0]
    event(api, pod, "Evicted", 1)
    api.change(pod, {"status": {"phase": "Failed", "reason": "Evicted"}})
    assert (await told(shop, targets))["payments"] == "payments-5d9-1 is Evicted; eviction of payments-5d9-1 once"


async def test_failed_probes_from_three_on_and_of_others_only(shop, api):
    targets = await hit(shop, service="cart")
    before = "Readiness probe failed: no answer"
    event(api, pods(api, "payments")[0], "Unhealthy", 9, before, "old")
    await shop.observe(targets)
    event(api, pods(api, "cart")[1], "Unhealthy", 5, before, "own")
    event(api, pods(api, "other")[0], "Unhealthy", 2, before, "few")
    assert not await told(shop, targets)
    event(api, pods(api, "payments")[1], "Unhealthy", 3, "Liveness probe failed: HTTP 500", "new")
    assert await told(shop, targets) == {"payments": "liveness probe failed of payments-5d9-2 3 times"}


async def test_a_node_that_is_not_ready_any_more_unless_it_is_the_target(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    node = api.object("v1", "nodes", None, "node-2")
    api.change(node, {"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    assert await told(shop, targets) == {"node node-2": "NotReady"}
    api.remove(node)
    assert await told(shop, targets) == {"node node-2": "it is gone"}
    assert not await told(shop, (Target(kind="node", id="n", name="n", details={"node": "node-2", "uid": "u"}),))


async def test_what_a_drained_node_loses_is_what_the_fault_is_for(shop, api):
    node = await hit(shop, node="node-1")
    await shop.observe(node)
    for name in ("cart", "payments", "other"):
        api.remove(pods(api, name)[0])
        unready(api, pods(api, name)[0])
    assert not await told(shop, node)
    restarted(api, pods(api, "other")[0], 1, "Error")
    assert set(await told(shop, node)) == {"shop/deployment/other"}


async def test_a_workload_that_is_the_target_may_do_anything(shop, api):
    found = await shop.find_for(scene.selector(workload="deployment/other"), frozenset({"workload"}))
    targets = tuple(found.candidates)
    await shop.observe(targets)
    restarted(api, pods(api, "other")[0], 4, "Error")
    unready(api, pods(api, "other")[1])
    assert not await told(shop, targets)


async def test_without_the_right_to_see_nodes_and_events_pods_are_still_watched(shop, api):
    api.deny("list nodes")
    api.deny("list events")
    targets = await hit(shop, service="cart")
    assert set(await shop.observe(targets)) == {"cart", "payments", "shop/deployment/other"}
    restarted(api, pods(api, "payments")[0], 1, "Error")
    assert set(await told(shop, targets)) == {"payments"}


async def test_each_run_compares_with_its_own_beginning(shop, api):
    targets = await hit(shop, service="cart")
    await shop.observe(targets)
    unready(api, pods(api, "payments")[0])
    assert await told(shop, targets)
    shop.spill.begin()
    assert not await told(shop, targets)
