"""What probes may read of a cluster, and in which words it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.errors import NoAnswer, UsageError
from chaosrunner.platforms.kubernetes.client import ApiError
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import ClusterReader
from tests.kubernetes import scene, shapes
from tests.kubernetes.fake_api import FakeApi


@pytest.fixture
async def platform(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    made = scene.platform(
        api, tmp_path, services={"cart": {"workload": "deployment/cart"}, "lost": {"service": "lost"}}
    )
    yield made
    await made.close()


@pytest.fixture
def reader(platform: KubernetesPlatform) -> ClusterReader:
    return platform.ability(ClusterReader)


async def test_the_pods_of_a_workload_are_those_that_it_owns(api, reader):
    scene.deploy(api, "cart", 3, ready=1)
    api.add(shapes.pod("stray", labels={"app": "cart"}))
    mine = shapes.pod("ours", labels={"app": "cart", "app.kubernetes.io/managed-by": "chaosrunner"})
    api.add(mine)
    for selector in (scene.selector(service="cart"), scene.selector(workload="deployment/cart")):
        found = await reader.pods(selector, 10)
        assert [pod["metadata"]["name"] for pod in found] == ["cart-5d9-1", "cart-5d9-2", "cart-5d9-3"]
    labelled = await reader.pods(scene.selector(selector={"app": "cart"}), 10)
    assert [pod["metadata"]["name"] for pod in labelled][-1] == "stray"
    assert len(labelled) == 4


async def test_more_pods_than_asked_for_are_refused(api, reader):
    scene.deploy(api, "cart", 3)
    with pytest.raises(UsageError, match="more than 2 pods match"):
        await reader.pods(scene.selector(service="cart"), 2)


async def test_a_workload_or_service_that_is_not_there(reader):
    with pytest.raises(NoAnswer, match="there is no deployment cart in the namespace shop"):
        await reader.pods(scene.selector(service="cart"), 2)
    with pytest.raises(NoAnswer, match="there is no Service lost in the namespace shop"):
        await reader.pods(scene.selector(service="lost"), 2)
    assert await reader.workload(scene.selector(service="cart")) is None
    with pytest.raises(UsageError, match="a workload is needed here"):
        await reader.workload(scene.selector(service="lost"))


async def test_an_object_is_found_by_its_kind_which_the_cluster_is_asked_for_once(api, reader):
    api.add(shapes.service("cart"))
    api.serve("example.com/v1", "widgets", "Widget")
    api.add({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "shop"}})
    for _ in range(2):
        assert (await reader.object("service", "cart"))["spec"]["ports"]
        assert await reader.object("Widget", "w", api="example.com/v1")
    assert await reader.object("Service", "none") is None
    assert len(api.requests(path="^/api/v1$")) == 1


async def test_what_cannot_be_read_is_said(reader):
    with pytest.raises(UsageError, match="the kind Widget is not one of Kubernetes' own: say its `api`"):
        await reader.object("Widget", "w")
    with pytest.raises(UsageError, match=r"the cluster has no API example\.com/v1"):
        await reader.object("Widget", "w", api="example.com/v1")
    with pytest.raises(UsageError, match="API apps/v1 has no kind Widget"):
        await reader.object("Widget", "w", api="apps/v1")
    with pytest.raises(UsageError, match="Secrets are not read"):
        await reader.object("Secret", "token")


async def test_other_namespaces_are_refused_before_anything_is_asked(api, reader):
    refused = "the namespace kube-system is not one of the environment's: shop"
    with pytest.raises(UsageError, match=refused):
        await reader.object("Pod", "etcd", namespace="kube-system")
    with pytest.raises(UsageError, match=refused):
        await reader.object("Namespace", "kube-system")
    with pytest.raises(UsageError, match=refused):
        await reader.events("kube-system", "Killing")
    with pytest.raises(UsageError, match=refused):
        await reader.log("kube-system", "etcd", "main", after="", previous=False, limit=10)
    assert not api.requests(path="kube-system")


async def test_nodes_are_outside_of_namespaces(api, reader):
    api.add(shapes.node("node-1"))
    assert (await reader.object("Node", "node-1"))["metadata"]["name"] == "node-1"
    api.deny("get nodes")
    with pytest.raises(ApiError, match='cannot get resource "nodes"'):
        await reader.object("Node", "node-1")


async def test_a_log_is_asked_for_from_the_second_on_in_the_nodes_own_time(api, reader):
    pod = shapes.pod("cart-1")
    pod["status"]["log"] = "2026-11-22T15:00:01.100000000+01:00 hello\n"
    api.add(pod)
    last = await reader.last_time("shop", "cart-1", "main")
    assert last == "2026-11-22T15:00:01.100000000+01:00"
    await reader.log("shop", "cart-1", "main", after=last, previous=True, limit=99)
    asked = api.requests(path="/log$")[-1].query
    assert asked["sinceTime"] == "2026-11-22T15:00:01+01:00"
    assert (asked["previous"], asked["limitBytes"], asked["container"]) == ("true", "99", "main")


async def test_a_log_that_is_not_there_is_none_and_an_api_in_trouble_is_not(api, reader):
    assert await reader.log("shop", "gone", "main", after="", previous=False, limit=9) is None
    api.add(shapes.pod("cart-1"))
    api.answer(400, path="/log$", message='container "main" in pod "cart-1" is waiting to start')
    assert await reader.log("shop", "cart-1", "main", after="", previous=False, limit=9) is None
    api.answer(500, path="/log$", times=9, message="dial tcp 10.0.0.3:10250: connect: connection refused")
    with pytest.raises(ApiError, match="connection refused"):
        await reader.log("shop", "cart-1", "main", after="", previous=False, limit=9)


async def test_only_events_with_the_reason_are_read(api, reader):
    api.add(_event("one", "Unhealthy"))
    api.add(_event("two", "Pulled"))
    found = await reader.events("shop", "Unhealthy")
    assert [each["metadata"]["name"] for each in found] == ["one"]


def _event(name: str, reason: str) -> scene.Object:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "reason": reason, "involvedObject": {}}
