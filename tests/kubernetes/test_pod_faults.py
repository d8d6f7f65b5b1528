"""Faults on pods and nodes through the API, against a server that can be told to misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.errors import BarrierHeld, CannotDoHonestly, FaultFailed, RedundancyMissing
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import Fault, Hold
from tests.kubernetes import scene, shapes
from tests.kubernetes.fake_api import FakeApi

HOLD = Hold(id="R1.step.1", run="R1", deadline=1_800_000_000.0, seconds=60.0)
POD = "/namespaces/shop/pods/cart-5d9-1$"
EVICTION = "/namespaces/shop/pods/cart-5d9-1/eviction$"


@pytest.fixture
async def platform(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    scene.deploy(api, "cart")
    made = scene.platform(api, tmp_path, services={"cart": {"workload": "deployment/cart"}})
    yield made
    await made.close()


async def made(platform: KubernetesPlatform, kind: str, target: Target | None = None, **params: Any) -> Fault[Any]:
    """A fault on the first pod of `cart`, or on what is given."""
    plugin = catalog.find("faults", kind)
    if target is None:
        (target,) = await scene.targets(platform, 1, service="cart")
    made: Fault[Any] = plugin(plugin.Params.model_validate(params), target, platform, HOLD)
    return made


def names(api: FakeApi) -> list[str]:
    return [pod["metadata"]["name"] for pod in api.objects("v1", "pods", "shop")]


# -- what happens


@pytest.mark.parametrize(
    ("params", "sent"),
    [({}, None), ({"grace": "5s"}, 5), ({"force": True}, 0)],
    ids=["its own time", "five seconds", "by force"],
)
async def test_a_pod_is_deleted_with_the_time_that_the_file_gives(
    api: FakeApi, platform: KubernetesPlatform, params: dict[str, Any], sent: int | None
) -> None:
    fault = await made(platform, "pod-kill", **params)
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()
    (asked,) = api.requests("DELETE", POD)
    assert asked.body["preconditions"] == {"uid": fault.target.details["uid"]}
    assert asked.body.get("gracePeriodSeconds") == sent
    assert await fault.confirm(prepared)
    assert await fault.afterwards(prepared) == "deployment/cart has 2 of 2 ready"


async def test_another_pod_of_the_same_name_is_never_hit(api: FakeApi, platform: KubernetesPlatform) -> None:
    fault = await made(platform, "pod-kill")
    old = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert old is not None
    api.remove(old)
    api.add(shapes.pod("cart-5d9-1", labels={"app": "cart"}))
    with pytest.raises(FaultFailed, match="another pod of the same name"):
        await fault.inject()
    assert "cart-5d9-1" in names(api)


async def test_a_pod_whose_containers_outlast_their_time_was_not_killed(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    fault = await made(platform, "pod-kill")
    prepared = await fault.prepare()
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/node-is-lost"]}
    api.change(pod, {"metadata": leaving})
    seen = await fault.confirm(prepared)
    assert not seen
    assert "main of shop/cart-5d9-1 still runs" in seen.how and "after its time to end was over" in seen.how


async def test_an_eviction_waits_for_a_budget_as_long_as_the_file_says(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    budget = api.add(shapes.budget("cart", 0))
    fault = await made(platform, "pod-evict", keepAsking="30s")
    clock = Stepping(lambda: api.change(budget, {"status": {"disruptionsAllowed": 1}}))
    use(platform, clock)
    await fault.inject()
    assert len(api.requests("POST", EVICTION)) == 2
    assert "cart-5d9-1" not in names(api)


async def test_a_budget_that_does_not_allow_it_is_a_barrier_with_its_name(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    api.add(shapes.budget("keep-cart", 0, labels={"app": "cart"}))
    fault = await made(platform, "pod-evict")
    with pytest.raises(BarrierHeld, match=r"does not allow the eviction of shop/cart-5d9-1 \(asked once\).*keep-cart"):
        await fault.inject()
    assert len(api.requests("POST", EVICTION)) == 1
    assert "cart-5d9-1" in names(api)


async def test_an_overload_is_no_budget_and_is_tried_again(api: FakeApi, platform: KubernetesPlatform) -> None:
    fault = await made(platform, "pod-evict")
    api.answer(429, path=EVICTION, times=2, message="too many requests")
    await fault.inject()
    assert "cart-5d9-1" not in names(api)


# -- what is refused beforehand


@pytest.mark.parametrize("kind", ["pod-kill", "pod-evict"])
async def test_a_pod_that_nothing_owns_is_refused_unless_the_file_says_so(
    api: FakeApi, platform: KubernetesPlatform, kind: str
) -> None:
    api.add(shapes.pod("bare", labels={"app": "bare"}))
    (target,) = await scene.targets(platform, names=["bare"])
    with pytest.raises(CannotDoHonestly, match="nothing would make it again"):
        await (await made(platform, kind, target)).check()
    await (await made(platform, kind, target, bareToo=True)).check()


@pytest.mark.parametrize("kind", ["pod-kill", "pod-evict"])
async def test_a_pod_of_the_node_itself_is_refused(api: FakeApi, platform: KubernetesPlatform, kind: str) -> None:
    node = api.add(shapes.node("node-1"))
    api.add(shapes.pod("static", owner=node, annotations={"kubernetes.io/config.mirror": "x"}))
    (target,) = await scene.targets(platform, names=["static"])
    with pytest.raises(CannotDoHonestly, match="comes from a file on the node"):
        await (await made(platform, kind, target)).check()


@pytest.mark.parametrize("kind", ["pod-kill", "pod-evict", "container-kill"])
async def test_a_pod_that_vanished_before_it_is_refused_in_words(
    api: FakeApi, platform: KubernetesPlatform, kind: str
) -> None:
    fault = await made(platform, kind)
    api.remove(api.object("v1", "pods", "shop", "cart-5d9-1") or {})
    with pytest.raises(CannotDoHonestly, match="shop/cart-5d9-1 was deleted"):
        await fault.check()


@pytest.mark.parametrize("kind", ["pod-kill", "pod-evict", "node-drain"])
def test_a_time_to_end_below_a_second_is_a_mistake_in_the_file(kind: str) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        catalog.find("faults", kind).Params.model_validate({"grace": "500ms"})


def test_a_pod_that_is_killed_by_force_has_no_time_to_end() -> None:
    with pytest.raises(ValueError, match="not both"):
        catalog.find("faults", "pod-kill").Params.model_validate({"grace": "5s", "force": True})


# -- an API server in trouble

WAYS = [
    ("pod-kill", "DELETE", POD, "deleting the pod"),
    ("pod-evict", "POST", EVICTION, "evicting the pod"),
    ("rollout-restart", "PATCH", "/deployments/cart$", "restarting"),
]


async def of_kind(platform: KubernetesPlatform, kind: str) -> Fault[Any]:
    if kind != "rollout-restart":
        return await made(platform, kind)
    found = await platform.find_for(scene.selector(workload="deployment/cart"), frozenset({"workload"}))
    return await made(platform, kind, found.candidates[0])


@pytest.mark.parametrize(("kind", "method", "path", "words"), WAYS)
async def test_a_missing_right_is_told_as_one(
    api: FakeApi, platform: KubernetesPlatform, kind: str, method: str, path: str, words: str
) -> None:
    fault = await of_kind(platform, kind)
    api.answer(403, method=method, path=path, message='User "ana" cannot do it', reason="Forbidden")
    with pytest.raises(FaultFailed, match=f'{words}.* is not allowed: User "ana" cannot do it'):
        await fault.inject()
    assert len(api.requests(method, path)) == 1


@pytest.mark.parametrize(("kind", "method", "path", "words"), WAYS)
async def test_a_webhook_that_says_no_is_told_in_its_own_words(
    api: FakeApi, platform: KubernetesPlatform, kind: str, method: str, path: str, words: str
) -> None:
    fault = await of_kind(platform, kind)
    api.refuse_admission("not on a Friday", method=method, path=path)
    with pytest.raises(FaultFailed, match=f"{words}.*policy.example.com.*not on a Friday"):
        await fault.inject()


@pytest.mark.parametrize("code", [429, 500, 503])
@pytest.mark.parametrize(("kind", "method", "path", "words"), WAYS)
async def test_an_overloaded_server_is_tried_again(
    api: FakeApi, platform: KubernetesPlatform, kind: str, method: str, path: str, words: str, code: int
) -> None:
    fault = await of_kind(platform, kind)
    api.answer(code, method=method, path=path, times=2)
    await fault.inject()
    assert len(api.requests(method, path)) == 3


@pytest.mark.parametrize("code", [409, 500])
@pytest.mark.parametrize(("kind", "method", "path", "words"), WAYS)
async def test_a_server_that_goes_on_refusing_is_a_failure_in_words(
    api: FakeApi, platform: KubernetesPlatform, kind: str, method: str, path: str, words: str, code: int
) -> None:
    fault = await of_kind(platform, kind)
    api.answer(code, method=method, path=path, times=100, message="the store is sick")
    with pytest.raises(FaultFailed, match=f"{words}.*answers {code}: the store is sick"):
        await fault.inject()


@pytest.mark.parametrize(("kind", "method", "path", "words"), WAYS)
async def test_a_server_that_stops_is_a_failure_in_words(
    api: FakeApi, platform: KubernetesPlatform, kind: str, method: str, path: str, words: str
) -> None:
    fault = await of_kind(platform, kind)
    await api.down()
    with pytest.raises(FaultFailed, match=f"{words}.*cannot be reached"):
        await fault.inject()


# -- rollouts


async def test_a_rollout_is_told_by_its_new_pods(api: FakeApi, platform: KubernetesPlatform) -> None:
    fault = await of_kind(platform, "rollout-restart")
    settle(api)
    prepared = await fault.prepare()
    await fault.inject()
    assert not await fault.confirm(prepared)
    mark = {"kubectl.kubernetes.io/restartedAt": prepared["mark"]}
    deployment = api.object("apps/v1", "deployments", "shop", "cart") or {}
    assert deployment["spec"]["template"]["metadata"]["annotations"] == mark
    api.add(shapes.pod("cart-new", labels={"app": "cart"}, annotations=mark))
    assert (await fault.confirm(prepared)).how == "1 of its pods is new"


async def test_a_workload_in_the_middle_of_a_rollout_is_not_restarted(
    api: FakeApi, platform: KubernetesPlatform
) -> None:
    fault = await of_kind(platform, "rollout-restart")
    settle(api, updatedReplicas=1)
    with pytest.raises(FaultFailed, match="in the middle of a rollout"):
        await fault.prepare()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"paused": True}, "it is paused"),
        ({"updateStrategy": {"type": "OnDelete"}}, "use pod-kill"),
        ({"replicas": 0}, "it has no pods"),
    ],
)
async def test_what_would_make_no_rollout_is_refused(
    api: FakeApi, platform: KubernetesPlatform, spec: dict[str, Any], words: str
) -> None:
    fault = await of_kind(platform, "rollout-restart")
    api.change(api.object("apps/v1", "deployments", "shop", "cart") or {}, {"spec": spec})
    with pytest.raises(CannotDoHonestly, match=words):
        await fault.check()


def settle(api: FakeApi, **status: Any) -> None:
    """As its controller says when a rollout is through."""
    deployment = api.object("apps/v1", "deployments", "shop", "cart") or {}
    api.change(deployment, {"status": {"updatedReplicas": 2, "observedGeneration": 99} | status})


# -- nodes and zones


def cordon(api: FakeApi, *names: str) -> None:
    for name in names:
        api.change(api.object("v1", "nodes", None, name) or {}, {"spec": {"unschedulable": True}})


@pytest.fixture
def nodes(api: FakeApi) -> None:
    for number in (1, 2, 3):
        api.add(shapes.node(f"node-{number}", zone=f"zone-{number}"))
    api.add(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "chaosrunner-guardian", "namespace": "shop"},
        }
    )


async def on_node(platform: KubernetesPlatform, kind: str, **params: Any) -> Fault[Any]:
    words = {"node": "node-1"} if kind == "node-drain" else {"zone": "zone-1"}
    acts_on = frozenset({"node" if kind == "node-drain" else "zone"})
    found = await platform.find_for(scene.selector(**words), acts_on)
    assert len(found.candidates) == 1
    return await made(platform, kind, found.candidates[0], **params)


BOTH = pytest.mark.parametrize("kind", ["node-drain", "zone-outage"])


@pytest.mark.usefixtures("nodes")
@BOTH
async def test_the_only_place_that_takes_pods_is_not_taken_away(
    api: FakeApi, platform: KubernetesPlatform, kind: str
) -> None:
    cordon(api, "node-2", "node-3")
    with pytest.raises(RedundancyMissing, match="is the only") as refusal:
        await (await on_node(platform, kind)).check()
    assert refusal.value.subject in ("nodes", "zones")


@pytest.mark.usefixtures("nodes")
@BOTH
async def test_a_place_without_pods_of_the_environment_is_refused(
    api: FakeApi, platform: KubernetesPlatform, kind: str
) -> None:
    api.remove(api.object("v1", "pods", "shop", "cart-5d9-1") or {})
    with pytest.raises(CannotDoHonestly, match="none of the environment's pods"):
        await (await on_node(platform, kind)).check()


@pytest.mark.usefixtures("nodes")
@BOTH
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"labels": {"chaosrunner.dev/allow": "false"}}, "left alone"),
        ({}, "nothing owns the pod shop/bare"),
    ],
    ids=["opted out", "bare"],
)
async def test_pods_that_must_not_go_keep_the_whole_place_from_it(
    api: FakeApi, platform: KubernetesPlatform, kind: str, more: dict[str, Any], words: str
) -> None:
    api.add(shapes.pod("bare", node="node-1", **more))
    with pytest.raises(CannotDoHonestly, match=words):
        await (await on_node(platform, kind)).check()


@pytest.mark.usefixtures("nodes")
async def test_scratch_data_keeps_a_node_from_being_drained(api: FakeApi, platform: KubernetesPlatform) -> None:
    pod = api.object("v1", "pods", "shop", "cart-5d9-1") or {}
    api.change(pod, {"spec": {"volumes": [{"name": "cache", "emptyDir": {}}]}})
    with pytest.raises(CannotDoHonestly, match=r"emptyDir volumes \(cache\).*deleteEmptyDirData"):
        await (await on_node(platform, "node-drain")).check()
    await (await on_node(platform, "node-drain", deleteEmptyDirData=True)).check()


@pytest.mark.usefixtures("nodes")
@BOTH
async def test_a_place_in_the_hands_of_another_run_is_left_alone(
    api: FakeApi, platform: KubernetesPlatform, kind: str
) -> None:
    mark = {"hold.chaosrunner.dev/0123456789": "R2.cordon.1"}
    api.change(api.object("v1", "nodes", None, "node-1") or {}, {"metadata": {"annotations": mark}})
    with pytest.raises(FaultFailed, match="in the hands of another fault, R2"):
        await (await on_node(platform, kind)).prepare()


@pytest.mark.usefixtures("nodes")
async def test_a_zone_is_one_target_with_all_its_nodes(api: FakeApi, platform: KubernetesPlatform) -> None:
    api.add(shapes.node("node-4", zone="zone-1"))
    found = await platform.find_for(scene.selector(zone="zone-1"), frozenset({"zone"}))
    assert [target.id for target in found.candidates] == ["zone:zone-1"]
    assert found.candidates[0].details["nodes"] == ["node-1", "node-4"]
    nowhere = await platform.find_for(scene.selector(zone="zone-9"), frozenset({"zone"}))
    assert (nowhere.candidates, nowhere.why_none) == ((), "there is no node in the zone zone-9")


# -- time in tests


class Stepping:
    """A clock whose time passes by sleeping; after the first sleep something happens."""

    def __init__(self, then: Any) -> None:
        self._then: Sequence[Any] = [then]
        self._now = 1000.0

    def now(self) -> float:
        return 1_790_000_000.0 + self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += seconds
        then, self._then = self._then, ()
        for each in then:
            each()


def use(platform: KubernetesPlatform, clock: Stepping) -> None:
    from chaosrunner.platforms.kubernetes.pods import ClusterPods
    from chaosrunner.ports import Pods

    platform._abilities[Pods] = ClusterPods(platform.cluster, platform.finder, ["shop"], clock)
