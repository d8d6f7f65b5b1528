"""What selectors mean in a cluster, and why they mean nothing."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import UsageError
from chaosrunner.platforms.kubernetes import finding
from chaosrunner.platforms.kubernetes.client import ApiError, path
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import Asked, FakeApi
from tests.kubernetes.scene import deploy, platform, selector

Make = Callable[..., KubernetesPlatform]
SERVICES = {
    "cart": {"workload": "deployment/cart"},
    "web": {"service": "web"},
    "labelled": {"selector": {"app": "web"}},
    "stripe": {"host": "api.stripe.com", "port": 443},
}


@pytest.fixture
async def make(api: FakeApi, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes platforms with these services, and closes them."""
    made = []

    def build(**settings: Any) -> KubernetesPlatform:
        made.append(platform(api, tmp_path, **{"services": SERVICES, **settings}))
        return made[-1]

    yield build
    for each in made:
        await each.close()


@pytest.fixture
def at(api: FakeApi, make: Make) -> KubernetesPlatform:
    """A shop of a cart (2), a web front (2), on two nodes in two zones."""
    api.add(shapes.node("node-1", "a"))
    api.add(shapes.node("node-2", "b"))
    deploy(api, "cart")
    deploy(api, "web")
    api.add(shapes.service("web"))
    return make()


async def names(at: KubernetesPlatform, **fields: Any) -> list[str]:
    return [target.name for target in (await at.find(selector(**fields))).candidates]


async def why(at: KubernetesPlatform, **fields: Any) -> str:
    found = await at.find(selector(**fields))
    assert not found.candidates
    return found.why_none


# -- what is found

CART = ["shop/cart-5d9-1", "shop/cart-5d9-2"]
WEB = ["shop/web-5d9-1", "shop/web-5d9-2"]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"service": "cart"}, CART),
        ({"service": "web"}, WEB),
        ({"service": "labelled"}, WEB),
        ({"workload": "deployment/cart"}, CART),
        ({"namespace": "shop", "selector": {"app": "web"}}, WEB),
        ({"namespace": "shop", "selector": "app in (web, cart)"}, [*CART, *WEB]),
        ({"namespace": "shop", "names": ["cart-5d9-2"]}, CART[1:]),
        ({"service": "cart", "node": "node-1"}, CART[:1]),
        ({"service": "cart", "zone": "b"}, CART[1:]),
        ({"service": "web", "nodeOf": {"namespace": "shop", "names": ["cart-5d9-2"]}}, WEB[1:]),
        ({"namespace": "shop", "selector": "app=web", "fields": "spec.nodeName=node-2"}, WEB[1:]),
        ({"node": "node-2"}, ["node-2"]),
        ({"zone": "a"}, ["node-1"]),
        ({"nodeOf": {"service": "cart"}}, ["node-1", "node-2"]),
    ],
)
async def test_a_selector_finds_what_it_means(at: KubernetesPlatform, fields: dict[str, Any], found: list[str]) -> None:
    assert await names(at, **fields) == found


async def test_a_pod_knows_who_it_is_where_it_runs_and_what_owns_it_in_the_end(
    api: FakeApi, at: KubernetesPlatform
) -> None:
    (target,) = (await at.find(selector(service="cart", names=["cart-5d9-1"]))).candidates
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None
    assert (target.kind, target.id, target.service) == ("pod", "pod:shop/cart-5d9-1", "cart")
    assert target.details == {
        "namespace": "shop",
        "pod": "cart-5d9-1",
        "uid": pod["metadata"]["uid"],
        "node": "node-1",
        "ip": "10.1.4.1",
        "owner": "deployment/cart",
    }


async def test_a_dependency_is_a_pods_connections_to_it(at: KubernetesPlatform) -> None:
    links = (await at.find(selector(service="cart", to="stripe", port=443))).candidates
    assert [(link.kind, link.id, link.to) for link in links] == [
        ("link", "link:shop/cart-5d9-1>stripe:443", "stripe"),
        ("link", "link:shop/cart-5d9-2>stripe:443", "stripe"),
    ]


async def test_a_workload_means_its_own_pods_not_all_that_have_its_labels(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 1)
    api.add(shapes.pod("a-stray", labels={"app": "cart"}))
    assert await names(make(), workload="deployment/cart") == ["shop/cart-5d9-1"]
    assert await names(make(), namespace="shop", selector="app=cart") == ["shop/a-stray", "shop/cart-5d9-1"]


async def test_match_expressions_are_understood(api: FakeApi, make: Make) -> None:
    rules = [
        {"key": "tier", "operator": "In", "values": ["front", "edge"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "app", "operator": "Exists"},
        {"key": "app", "operator": "NotIn", "values": ["db"]},
    ]
    owner = api.add(shapes.workload("StatefulSet", "web", labels={}, expressions=rules))
    api.add(shapes.pod("web-0", labels={"tier": "edge", "app": "web"}, owner=owner))
    api.add(shapes.pod("web-1", labels={"tier": "edge", "app": "web", "old": "yes"}, owner=owner))
    api.add(shapes.pod("web-2", labels={"tier": "edge", "app": "db"}, owner=owner))
    assert await names(make(), workload="statefulset/web") == ["shop/web-0"]
    assert finding.selector_of(owner) == "tier in (front,edge),!old,app,app notin (db)"


@pytest.mark.parametrize(
    ("selector", "labels", "fits"),
    [
        ({}, {}, True),
        ({"matchLabels": {"app": "web"}}, {"app": "web", "x": "y"}, True),
        ({"matchLabels": {"app": "web"}}, {"app": "db"}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, {"app": "web"}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, {}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, {"app": "web"}, False),
    ],
)
def test_a_label_selector_is_held_against_labels(selector: dict[str, Any], labels: dict[str, str], fits: bool) -> None:
    assert finding.matches(selector, labels) is fits


async def test_long_lists_are_read_in_pages_without_whole_objects(api: FakeApi, make: Make) -> None:
    api.longest_page = 100
    for number in range(250):
        api.add(shapes.pod(f"cart-{number:04}", labels={"app": "cart"}))
    assert len(await names(make(), namespace="shop", selector="app=cart")) == 250
    asked = api.requests("GET", "/pods$")
    metadata = [each for each in asked if "as=PartialObjectMetadataList" in each.accept]
    printed = [each for each in asked if "as=Table" in each.accept and each.query["includeObject"] == "None"]
    assert (len(metadata), len(printed), len(asked)) == (3, 3, 6)
    assert all("limit" in each.query for each in asked), "or the server makes all of it in one go"


async def test_a_pod_of_which_only_one_of_the_two_lists_tells_is_not_there(
    api: FakeApi, at: KubernetesPlatform
) -> None:
    first, *others = deploy(api, "many", 4)
    lists = []

    def between(asked: Asked) -> None:
        lists.append(asked)
        if len(lists) == 2:
            api.remove(first)
            api.add(shapes.pod("new", labels={"app": "many"}))

    api.on_list = between
    found = await names(at, namespace="shop", selector="app=many")
    assert found == [f"shop/{pod['metadata']['name']}" for pod in others]


async def test_a_list_that_fails_leaves_the_garbage_collector_at_work(api: FakeApi, at: KubernetesPlatform) -> None:
    assert gc.isenabled()
    api.answer(403, method="GET", path="/pods$")
    with pytest.raises(ApiError):
        await at.find(selector(namespace="shop", selector="app=cart"))
    assert gc.isenabled()


async def test_workloads_and_services_are_targets_where_the_fault_acts_on_them(at: KubernetesPlatform) -> None:
    workload = await at.find_for(selector(service="cart"), frozenset({"workload"}))
    assert [target.id for target in workload.candidates] == ["workload:shop/deployment/cart"]
    service = await at.find_for(selector(service="web"), frozenset({"kube-service"}))
    assert [target.id for target in service.candidates] == ["kube-service:shop/web"]


# -- why nothing is found


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"phase": "Pending"}, "of 1 pods that match none can be a target: odd is Pending"),
        ({"waiting": "CrashLoopBackOff"}, "of 1 pods that match none can be a target: odd is CrashLoopBackOff"),
        (
            {"annotations": {"chaosrunner.dev/allow": "false"}},
            "of 1 pods that match none can be a target: odd says chaosrunner.dev/allow: false",
        ),
        (
            {"finalizers": ["x/y"], "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "of 1 pods that match none can be a target: odd is being deleted",
        ),
    ],
)
async def test_a_pod_that_can_be_no_target_is_named_with_the_reason(
    api: FakeApi, make: Make, pod: dict[str, Any], said: str
) -> None:
    api.add(shapes.pod("odd", labels={"app": "odd"}, **pod))
    assert await why(make(), namespace="shop", selector="app=odd") == said


async def test_what_is_not_there_is_said(api: FakeApi, at: KubernetesPlatform) -> None:
    assert await why(at, namespace="shop", selector="app=nothing") == "no pod matches"
    assert await why(at, workload="deployment/nothing") == "there is no deployment nothing in the namespace shop"
    assert await why(at, node="node-9") == "there is no node node-9"
    assert await why(at, zone="z") == "there is no node in the zone z"
    api.add(shapes.service("bare", selector={}))


async def test_a_service_that_chooses_no_pods_is_no_target(api: FakeApi, make: Make) -> None:
    api.add(shapes.service("bare", selector={}))
    at = make(services={"bare": {"service": "bare"}, "none": {"service": "none"}})
    assert await why(at, service="none") == "there is no Service none in the namespace shop"
    assert "the Service bare has no selector" in await why(at, service="bare")


async def test_pods_without_the_labels_of_opt_in_are_no_targets(api: FakeApi, make: Make) -> None:
    api.add(shapes.pod("cart-1", labels={"app": "cart"}))
    api.add(shapes.pod("cart-2", labels={"app": "cart", "chaos": "yes"}))
    assert await names(make(optIn={"chaos": "yes"}), namespace="shop", selector="app=cart") == ["shop/cart-2"]
    asked = "of 2 pods that match none has the labels that `optIn` asks for: {'chaos': 'never'}"
    assert await why(make(optIn={"chaos": "never"}), namespace="shop", selector="app=cart") == asked


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"service": "cat"}, "the environment 'lab' names no service 'cat'; known are cart, web, labelled, stripe"),
        ({"service": "stripe"}, "the service stripe is the outside host api.stripe.com: nothing acts on it"),
        ({"namespace": "kube-system", "selector": "a=b"}, "target.namespace: kube-system is not one of"),
        ({"link": "a-to-b"}, "a Kubernetes environment has no links"),
        ({"service": "cart", "to": "nobody"}, "names no service 'nobody'"),
        ({"workload": "cart"}, "expected a workload"),
    ],
)
async def test_what_the_environment_does_not_know_is_a_mistake_of_the_file(
    at: KubernetesPlatform, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises((UsageError, ValueError), match=said):
        await at.find(selector(**fields))


# -- whether it is still there


async def test_a_target_that_went_away_is_gone_and_so_is_another_one_of_its_name(
    api: FakeApi, at: KubernetesPlatform
) -> None:
    (target,) = (await at.find(selector(service="cart", names=["cart-5d9-1"]))).candidates
    assert await at.gone(target) == ""
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None
    api.remove(pod)
    assert await at.gone(target) == "shop/cart-5d9-1 was deleted"
    api.add(shapes.pod("cart-5d9-1"))
    assert await at.gone(target) == "shop/cart-5d9-1 is another one of the same name now"


async def test_a_pods_connections_are_leased_with_the_pod(at: KubernetesPlatform) -> None:
    (pod,) = (await at.find(selector(service="cart", names=["cart-5d9-1"]))).candidates
    (link,) = (await at.find(selector(service="cart", names=["cart-5d9-1"], to="stripe"))).candidates
    assert at.lease(pod) == at.lease(link) == f"kubernetes:{pod.details['uid']}"


def test_paths_of_targets_are_those_of_their_objects() -> None:
    assert finding.where(finding.node_target({"name": "n1", "uid": "u"})) == path("v1", "nodes", None, "n1")
