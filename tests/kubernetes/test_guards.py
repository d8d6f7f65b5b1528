"""What a cluster says against a run before anything is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import PluginDefect
from chaosrunner.model.environment import Guards
from chaosrunner.model.plan import GuardAnswer, PlannedFault
from chaosrunner.platforms.kubernetes import rights
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import Intended
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import deploy, fault, platform, selector, targets

Make = Callable[..., KubernetesPlatform]
KILL = ("get pods", "delete pods")
EVICT = ("get pods", "create pods/eviction")


@pytest.fixture
async def make(api: FakeApi, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes platforms, and closes them."""
    made = []

    def build(**settings: Any) -> KubernetesPlatform:
        made.append(platform(api, tmp_path, **{"services": {"cart": {"workload": "deployment/cart"}}, **settings}))
        return made[-1]

    yield build
    for each in made:
        await each.close()


async def answers(
    at: KubernetesPlatform, *faults: PlannedFault, needs: Sequence[str] = KILL, **guards: Any
) -> dict[str, GuardAnswer]:
    """By guard; of several answers of one guard the first that refuses."""
    intended = [Intended(each, needs) for each in faults]
    found: dict[str, GuardAnswer] = {}
    for answer in await at.guards(Guards.model_validate(guards), intended):
        if answer.guard not in found or (found[answer.guard].go and not answer.go):
            found[answer.guard] = answer
    return found


# -- the right cluster, the right namespaces


def uid_of(api: FakeApi, namespace: str) -> str:
    found = api.object("v1", "namespaces", None, namespace)
    assert found is not None
    return str(found["metadata"]["uid"])


async def test_a_context_that_leads_elsewhere_is_refused(api: FakeApi, make: Make) -> None:
    right = (await answers(make(clusterUid=uid_of(api, "kube-system"))))["clusterUid"]
    assert (right.go, right.reason) == (True, f"{uid_of(api, 'kube-system')} is the uid of the namespace kube-system")
    wrong = (await answers(make(clusterUid="6f1c")))["clusterUid"]
    assert not wrong.go
    assert wrong.reason.startswith("the environment is the cluster 6f1c, and the current context leads to ")


async def test_who_may_not_read_kube_system_names_the_first_namespaces_uid(api: FakeApi, make: Make) -> None:
    api.answer(403, path="/namespaces/kube-system$", times=9)
    assert (await answers(make(clusterUid=uid_of(api, "shop"))))["clusterUid"].go
    assert not (await answers(make(clusterUid=uid_of(api, "default"))))["clusterUid"].go


async def test_an_environment_without_a_cluster_is_told_which_one_this_is(api: FakeApi, make: Make) -> None:
    found = (await answers(make()))["clusterUid"]
    assert found.go
    assert f"`clusterUid: {uid_of(api, 'kube-system')}` would keep it to this cluster" in found.reason


@pytest.mark.parametrize("how", ["labels", "annotations"])
async def test_a_namespace_can_keep_chaos_out(api: FakeApi, make: Make, how: str) -> None:
    api.add(shapes.namespace("bank", **{how: {"chaosrunner.dev/allow": "false"}}))
    found = (await answers(make(namespaces=["shop", "bank"], services={})))["namespaces"]
    assert (found.go, found.reason) == (False, 'the namespace bank says chaosrunner.dev/allow: "false"')


async def test_a_namespace_that_is_not_there_is_refused(make: Make) -> None:
    found = (await answers(make(namespaces=["shop", "nowhere"], services={})))["namespaces"]
    assert (found.go, found.reason) == (False, "there is no namespace nowhere")


@pytest.mark.parametrize("how", ["labels", "annotations"])
async def test_a_workload_can_keep_chaos_from_its_pods(api: FakeApi, make: Make, how: str) -> None:
    metadata = {"annotations": {"chaosrunner.dev/allow": "false"}}
    deploy(api, "cart", **(metadata if how == "annotations" else {}))
    if how == "labels":
        cart = api.object("apps/v1", "deployments", "shop", "cart")
        assert cart is not None
        api.change(cart, {"metadata": {"labels": {"chaosrunner.dev/allow": "false"}}})
    at = make()
    found = (await answers(at, fault(*await targets(at, 1, service="cart"))))["allow"]
    assert (found.go, found.reason) == (False, 'shop/deployment/cart says chaosrunner.dev/allow: "false"')


async def test_a_node_can_keep_chaos_out(api: FakeApi, make: Make) -> None:
    api.add(shapes.node("node-1", annotations={"chaosrunner.dev/allow": "false"}))
    at = make()
    hit = fault(*await targets(at, node="node-1"), kind="node-cordon", fault_class="capacity")
    assert not (await answers(at, hit))["allow"].go


# -- what may fight back


async def said(at: KubernetesPlatform, *faults: PlannedFault) -> list[str]:
    intended = [Intended(each, KILL) for each in faults]
    return [answer.reason for answer in await at.guards(Guards(), intended) if answer.guard == "controllers"]


async def workload(at: KubernetesPlatform) -> PlannedFault:
    found = await at.find_for(selector(service="cart"), frozenset({"workload"}))
    return fault(*found.candidates, kind="scale", fault_class="capacity")


async def test_an_autoscaler_and_a_gitops_tool_that_may_scale_back_are_named(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", annotations={"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/cart"})
    for name, of in (("cart", "cart"), ("web", "web")):
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": of}, "minReplicas": 2, "maxReplicas": 9}
        metadata = {"name": name, "namespace": "shop"}
        kind = "HorizontalPodAutoscaler"
        api.add({"apiVersion": "autoscaling/v2", "kind": kind, "metadata": metadata, "spec": spec})
    at = make()
    assert await said(at, await workload(at)) == [
        "shop/deployment/cart is kept by Argo CD, which may take a change of it back: pause its sync",
        "the autoscaler cart keeps shop/deployment/cart between 2 and 9 replicas, and may scale it back",
    ]


async def test_a_cluster_whose_autoscalers_may_not_be_read_says_nothing_of_them(api: FakeApi, make: Make) -> None:
    deploy(api, "cart")
    api.deny("list horizontalpodautoscalers.autoscaling")
    at = make()
    assert await said(at, await workload(at)) == []


async def test_pods_in_a_mesh_are_named_once_for_all_of_one_owner(api: FakeApi, make: Make) -> None:
    for pod in deploy(api, "cart", 3):
        api.change(pod, {"spec": {"containers": [{"name": "main"}, {"name": "istio-proxy"}]}})
    at = make()
    (words,) = await said(at, fault(*await targets(at, service="cart")))
    assert "is in the mesh of Istio" in words


# -- rights


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("get pods", ("get", "pods", "", "")),
        ("create pods/eviction", ("create", "pods", "eviction", "")),
        ("get deployments.apps", ("get", "deployments", "", "apps")),
        ("patch deployments/scale.apps", ("patch", "deployments", "scale", "apps")),
        ("patch deployments.apps/scale", ("patch", "deployments", "scale", "apps")),
        ("get leases.coordination.k8s.io", ("get", "leases", "", "coordination.k8s.io")),
    ],
)
def test_a_permission_is_read(text: str, parts: tuple[str, ...]) -> None:
    assert rights.parse(text) == parts


@pytest.mark.parametrize("text", ["pods", "get ", "get pods/", ""])
def test_what_is_no_permission_is_a_plugins_defect(text: str) -> None:
    with pytest.raises(PluginDefect):
        rights.parse(text)


async def test_every_right_is_asked_for_before_anything_is_touched(api: FakeApi, make: Make) -> None:
    deploy(api, "cart")
    at = make()
    found = (await answers(at, fault(*await targets(at, 1, service="cart"))))["rights"]
    assert found.go
    asked = [each.body["spec"]["resourceAttributes"] for each in api.requests("POST", "selfsubjectaccessreviews")]
    assert {"verb": "delete", "group": "", "resource": "pods", "subresource": "", "namespace": "shop"} in asked
    assert all(each.get("namespace") == "shop" for each in asked)
    assert not [each for each in api.asked if each.method in ("PATCH", "PUT", "DELETE")]


async def test_all_missing_rights_are_said_at_once_with_the_rules_that_grant_them(api: FakeApi, make: Make) -> None:
    deploy(api, "cart")
    api.deny("delete pods", "shop")
    api.deny("create pods/eviction", "shop")
    api.deny("patch nodes")
    at = make()
    needs = (*KILL, *EVICT, "patch nodes")
    found = (await answers(at, fault(*await targets(at, 1, service="cart")), needs=needs))["rights"]
    assert not found.go
    assert found.reason == (
        'missing in the cluster: patch nodes (a ClusterRole grants it: {apiGroups: [""], resources: [nodes], '
        "verbs: [patch]}); in the namespace shop: create pods/eviction, delete pods (a Role there grants it: "
        '{apiGroups: [""], resources: [pods/eviction], verbs: [create]}, '
        '{apiGroups: [""], resources: [pods], verbs: [delete]})'
    )


async def test_rights_that_cannot_be_asked_for_refuse(api: FakeApi, make: Make) -> None:
    api.answer(500, path="selfsubjectaccessreviews", times=999, message="etcd is away")
    found = (await answers(make()))["rights"]
    assert not found.go
    assert found.reason.startswith("cannot be answered: POST") and "etcd is away" in found.reason


def test_rules_share_resources_with_the_same_verbs() -> None:
    asked = ["get pods", "list pods", "get services", "list services", "create pods/exec", "get deployments.apps"]
    assert rights.rules(map(rights.parse, asked)) == [
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]


# -- how much is hit


async def affected(at: KubernetesPlatform, hit: PlannedFault) -> dict[str, tuple[int, int]]:
    return {each.what: (len(each.hit), each.of) for each in await at.affected(hit) or ()}


async def test_the_owners_pods_are_counted_not_what_the_selector_matched(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 4)
    at = make()
    one = await targets(at, namespace="shop", names=["cart-5d9-1"])
    assert await affected(at, fault(*one)) == {"pods of shop/deployment/cart": (1, 4)}
    three = await targets(at, 3, service="cart")
    assert await affected(at, fault(*three)) == {"pods of shop/deployment/cart": (3, 4)}


async def test_pods_that_have_ended_do_not_count(api: FakeApi, make: Make) -> None:
    pods = deploy(api, "cart", 3)
    api.change(pods[2], {"status": {"phase": "Succeeded", "containerStatuses": []}})
    at = make()
    assert await affected(at, fault(*await targets(at, 1, service="cart"))) == {"pods of shop/deployment/cart": (1, 2)}


async def test_connections_of_pods_count_as_the_pods(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 2)
    at = make(services={"cart": {"workload": "deployment/cart"}, "db": {"host": "db.example"}})
    hit = fault(*await targets(at, service="cart", to="db"), kind="dependency-loss", fault_class="dependency-gone")
    assert await affected(at, hit) == {"pods of shop/deployment/cart": (2, 2)}


async def test_the_loss_of_a_node_hits_the_pods_on_it(api: FakeApi, make: Make) -> None:
    for number in (1, 2, 3):
        api.add(shapes.node(f"node-{number}"))
    deploy(api, "cart", 2)
    deploy(api, "web", 3)
    daemon = api.add(shapes.workload("DaemonSet", "agent"))
    api.add(shapes.pod("agent-1", owner=daemon, node="node-1"))
    at = make()
    drained = fault(*await targets(at, node="node-1"), kind="node-drain", fault_class="instance-loss")
    assert await affected(at, drained) == {
        "nodes": (1, 3),
        "pods of shop/deployment/cart": (1, 2),
        "pods of shop/deployment/web": (1, 3),
    }
    cordoned = fault(*await targets(at, node="node-1"), kind="node-cordon", fault_class="capacity")
    assert await affected(at, cordoned) == {"nodes": (1, 3)}


# -- disruption budgets and the last replica


async def test_a_kill_that_a_budget_would_not_allow_is_refused(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 3)
    api.add(shapes.budget("cart", 1))
    at = make()
    one, two = await targets(at, 1, service="cart"), await targets(at, 2, service="cart")
    assert (await answers(at, fault(*one)))["keepDisruptionBudgets"].go
    refused = (await answers(at, fault(*two)))["keepDisruptionBudgets"]
    assert not refused.go
    assert "takes 2 (cart-5d9-1, cart-5d9-2) of what the budget shop/cart keeps, which allows 1 now" in refused.reason
    assert "keepDisruptionBudgets" not in await answers(at, fault(*two), keepDisruptionBudgets=False)


async def test_an_eviction_asks_the_budget_itself(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 3)
    api.add(shapes.budget("cart", 0))
    at = make()
    found = (await answers(at, fault(*await targets(at, 1, service="cart")), needs=EVICT))["keepDisruptionBudgets"]
    assert found.go
    assert "may find a barrier that holds" in found.reason


async def test_a_budget_of_other_pods_does_not_matter(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 3)
    api.add(shapes.budget("web", 0))
    at = make()
    found = (await answers(at, fault(*await targets(at, 1, service="cart"))))["keepDisruptionBudgets"]
    assert (found.go, found.reason) == (True, "no disruption budget is about these pods")


async def test_budgets_that_may_not_be_read_refuse(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 3)
    api.deny("list poddisruptionbudgets.policy")
    at = make()
    found = await answers(at, fault(*await targets(at, 1, service="cart")))
    assert not found["keepDisruptionBudgets"].go
    assert "list poddisruptionbudgets.policy" in found["rights"].reason


async def test_the_only_replica_is_not_taken_and_that_is_a_finding(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 1)
    at = make()
    hit = fault(*await targets(at, service="cart"))
    found = (await answers(at, hit))["keepLastReplica"]
    assert (found.go, found.unsafe_condition, found.subject) == (False, True, "cart")
    assert "cart-5d9-1" in found.reason and "the only replica of shop/deployment/cart" in found.reason
    assert "keepLastReplica" not in await answers(at, hit, keepLastReplica=False)


async def test_the_only_ready_one_of_several_is_not_taken_but_no_finding(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 3, ready=1)
    at = make()
    found = (await answers(at, fault(*await targets(at, 1, service="cart"))))["keepLastReplica"]
    assert (found.go, found.unsafe_condition) == (False, False)
    assert "the only one of 3 pods of shop/deployment/cart that is ready" in found.reason


async def test_what_leaves_the_pod_serving_may_hit_the_only_replica(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 1)
    at = make()
    hit = fault(*await targets(at, service="cart"), kind="cpu-stress", fault_class="capacity")
    assert "keepLastReplica" not in await answers(at, hit)


async def test_a_drain_of_the_node_of_an_only_replica_is_refused(api: FakeApi, make: Make) -> None:
    api.add(shapes.node("node-1"))
    deploy(api, "cart", 1)
    at = make(services={})
    hit = fault(*await targets(at, node="node-1"), kind="node-drain")
    found = (await answers(at, hit, needs=EVICT))["keepLastReplica"]
    assert (found.go, found.unsafe_condition, found.subject) == (False, True, "shop/deployment/cart")


async def test_a_cluster_that_does_not_answer_refuses(api: FakeApi, make: Make) -> None:
    deploy(api, "cart", 2)
    at = make()
    hit = fault(*await targets(at, 1, service="cart"))
    await api.down()
    found = await answers(at, hit)
    assert found and not any(answer.go for answer in found.values())
    assert all("cannot be reached" in answer.reason for answer in found.values())
