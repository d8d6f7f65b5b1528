"""Faults that change objects of the API: put in force, seen, and taken back, whatever others do to the objects."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.errors import CannotDoHonestly
from chaosrunner.injector.guardian import GUARDED, LEDGER, SEEN_BY
from chaosrunner.injector.operations import MARK
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.ports import Fault, Hold
from tests.kubernetes import scene, shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.in_pods import InPod, Message, Pods
from tests.kubernetes.scene import Object

RUN = "20261122-105103-4f2a9c"
NOBODY = {"chaosrunner.dev/blackhole": "no-pod-has-this"}
SERVICES = {
    "cart": {"workload": "deployment/cart", "service": "cart"},
    "pay": {"workload": "deployment/pay", "service": "pay"},
}
BY_ARGO = {"manager": "argocd-controller", "operation": "Update", "time": "2026-11-22T10:52:00Z"}


@dataclass(frozen=True)
class Kind:
    """A fault, what it is aimed at, and the object that it changes."""

    target: Mapping[str, Any]
    acts_on: str
    object: tuple[str, str, str | None, str]
    changed: Callable[[Object], bool]
    """Whether the object is as the fault makes it."""
    params: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)
    """What somebody else merges into the object meanwhile."""
    words: str = ""
    """What is said of it."""
    theirs: Callable[[Object], bool] = lambda found: True
    """Whether the object is as they made it."""


def tainted(node: Object) -> bool:
    return {"key": "test/taint", "effect": "NoSchedule"} in node["spec"].get("taints", [])


KINDS = {
    "scale": Kind(
        {"workload": "deployment/cart"},
        "workload",
        ("apps/v1", "deployments", "shop", "cart"),
        lambda found: found["spec"]["replicas"] == 0,
        {"to": 0},
        {"spec": {"replicas": 5}},
        "argocd-controller has set shop/deployment/cart to 5 replicas",
        lambda found: found["spec"]["replicas"] == 5,
    ),
    "node-cordon": Kind(
        {"node": "node-1"},
        "node",
        ("v1", "nodes", None, "node-1"),
        lambda found: found["spec"].get("unschedulable") is True,
        others={"spec": {"unschedulable": None}},
        words="argocd-controller has uncordoned node-1",
        theirs=lambda found: "unschedulable" not in found["spec"],
    ),
    "node-taint": Kind(
        {"node": "node-1"},
        "node",
        ("v1", "nodes", None, "node-1"),
        tainted,
        {"key": "test/taint"},
        {"spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}]}},
        "has no taint test/taint of this fault: argocd-controller has taken it off",
        lambda found: found["spec"]["taints"] == [{"key": "theirs", "effect": "NoSchedule"}],
    ),
    "service-blackhole": Kind(
        {"service": "cart"},
        "kube-service",
        ("v1", "services", "shop", "cart"),
        lambda found: found["spec"]["selector"] == {"app": "cart"} | NOBODY,
        others={"spec": {"selector": {"app": "other", "chaosrunner.dev/blackhole": None}}},
        words="has 0 endpoints: argocd-controller has set its selector again",
        theirs=lambda found: found["spec"]["selector"] == {"app": "other"},
    ),
    "pod-failure": Kind(
        {"service": "cart"},
        "pod",
        ("v1", "pods", "shop", "cart-5d9-1"),
        lambda found: found["spec"]["containers"][0]["image"].isupper(),
        others={"spec": {"containers": [{"name": "main", "image": "shop:2"}]}},
        words="its node keeps 0 of 1 containers down, and it is ready",
        theirs=lambda found: found["spec"]["containers"][0]["image"] == "shop:2",
    ),
    "network-policy-deny": Kind(
        {"service": "cart", "to": "pay"},
        "pod",
        ("v1", "pods", "shop", "cart-5d9-1"),
        lambda found: "chaosrunner.dev/denied" in found["metadata"]["labels"],
        others={"metadata": {"labels": {"chaosrunner.dev/denied": None}}},
        words="is answered, was answered; the policy is there",
        theirs=lambda found: found["metadata"]["labels"] == {"app": "cart"},
    ),
}
FIELDS = {"scale": "f:replicas", "node-cordon": "f:unschedulable", "node-taint": "f:taints"}
FIELDS |= {"service-blackhole": "f:selector", "pod-failure": "f:containers", "network-policy-deny": "f:none"}
ALL = pytest.mark.parametrize("kind", KINDS)


class Controllers:
    """What follows from a change in a cluster, at once: a guardian that agrees, and who acts on each object."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        api.store.reactions.append(self.react)

    def react(self, type: str, found: Object) -> None:
        act = {"Lease": self.lease, "ConfigMap": self.entry, "Deployment": self.deployment, "Node": self.node}
        act |= {"Service": self.service, "Pod": self.pod}
        if type != "DELETED" and found.get("kind") in act:
            act[found["kind"]](found)

    def lease(self, found: Object) -> None:
        found["metadata"].setdefault("annotations", {})[SEEN_BY] = "guardian-1 1"

    def entry(self, found: Object) -> None:
        found["metadata"].setdefault("annotations", {})[GUARDED] = "yes"

    def deployment(self, found: Object) -> None:
        found["status"] |= {
            "replicas": found["spec"]["replicas"],
            "observedGeneration": found["metadata"]["generation"],
        }

    def node(self, found: Object) -> None:
        key = "node.kubernetes.io/unschedulable"
        left = [each for each in found["spec"].get("taints") or () if each["key"] != key]
        left += [{"key": key, "effect": "NoSchedule"}] if found["spec"].get("unschedulable") else []
        found["spec"].pop("taints", None)
        found["spec"] |= {"taints": left} if left else {}

    def service(self, found: Object) -> None:
        slices = self.api.store.objects.get(("discovery.k8s.io/v1", "endpointslices", "shop", "cart-x"))
        if slices is not None and found["metadata"]["name"] == "cart":
            there = found["spec"]["selector"] == {"app": "cart"}
            slices["endpoints"] = [{"addresses": ["10.1.4.1"]}] if there else []

    def pod(self, found: Object) -> None:
        down = {each["name"]: each["image"].isupper() for each in found["spec"]["containers"]}
        known = {each["name"]: each for each in found["status"]["containerStatuses"]}
        states = {name: {"waiting": {"reason": "InvalidImageName"}} if down[name] else {"running": {}} for name in down}
        found["status"]["containerStatuses"] = [
            {"ready": True, "restartCount": 0} | known.get(name, {}) | {"name": name, "state": states[name]}
            for name in down
        ]
        found["status"]["conditions"] = [{"type": "Ready", "status": "False" if any(down.values()) else "True"}]


class Network(Pods):
    """Looks see what the cluster's policies deny, by the labels that the pod has."""

    def _seen(self, words: list[str], injector: InPod) -> Message:
        pod = self.api.object("v1", "pods", "shop", "cart-5d9-1") or {"metadata": {"labels": {}}}
        for policy in self.api.objects("networking.k8s.io/v1", "networkpolicies", "shop"):
            wanted = policy["spec"]["podSelector"]["matchLabels"].items()
            if wanted <= pod["metadata"]["labels"].items():
                return {"outcome": "silent", "seconds": 1.0}
        return {"outcome": "answered", "seconds": 0.002}


@pytest.fixture
def shop(api: FakeApi) -> None:
    Controllers(api)
    Network(api)
    scene.deploy(api, "cart", 1)
    scene.deploy(api, "pay", 1)
    for name in ("cart", "pay"):
        api.add(shapes.service(name))
        api.add(shapes.endpoints(name, "10.1.4.1"))
    for name in ("node-1", "node-2"):
        api.add(shapes.node(name))


def lab(api: FakeApi, folder: Path) -> KubernetesPlatform:
    file = str(api.kubeconfig(folder))
    return scene.platform(api, folder, services=SERVICES, guardian={"mode": "deployment"}, kubeconfig=file)


@pytest.fixture
async def at(api: FakeApi, shop: None, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    made = lab(api, tmp_path)
    yield made
    await made.close()


async def aimed(at: KubernetesPlatform, kind: str) -> Fault[Any]:
    """A fault that is planned, and not yet in a run."""
    plugin, what = catalog.find("faults", kind), KINDS[kind]
    found = await at.find_for(scene.selector(**what.target), frozenset({what.acts_on}))
    hold = Hold(f"{RUN}.{kind}.1", RUN, 2_000_000_000.0, 60.0)
    made: Fault[Any] = plugin(plugin.Params.model_validate(what.params), found.candidates[0], at, hold)
    return made


@asynccontextmanager
async def in_force(at: KubernetesPlatform, kind: str) -> AsyncIterator[tuple[Fault[Any], Any]]:
    """A fault that is seen in force, and what its undo needs, as the ledger's file has it."""
    fault = await aimed(at, kind)
    await fault.check()
    await at.claim(RUN, "ana@one", [fault.target])
    await at.open(RUN, lambda: True)
    await fault.ready()
    prepared = json.loads(json.dumps(await fault.prepare()))
    assert not await fault.confirm(prepared)
    await fault.inject()
    seen = await fault.confirm(prepared)
    assert seen, seen.how
    told = await fault.report(prepared)
    assert set(told) == set(fault.reports)
    assert None not in told.values()
    yield fault, prepared


def read(api: FakeApi, kind: str) -> Object:
    """The object that a fault of this kind changes."""
    found = api.object(*KINDS[kind].object)
    assert found is not None
    return found


def marked(found: Object) -> bool:
    return any(key.startswith(MARK) for key in found["metadata"].get("annotations") or {})


def essence(found: Object) -> Object:
    """What a fault may change, without what only counts changes; an injector stays in its pod."""
    spec = {key: value for key, value in found["spec"].items() if key != "ephemeralContainers"}
    return {"spec": spec, "labels": found["metadata"].get("labels"), "marked": marked(found)}


def left(api: FakeApi) -> tuple[list[Object], list[Object]]:
    """The ledger's entries, and policies."""
    maps = api.objects("v1", "configmaps", "shop")
    entries = [each for each in maps if each["metadata"].get("labels", {}).get(LEDGER) == "fault"]
    return entries, api.objects("networking.k8s.io/v1", "networkpolicies", "shop")


def changes(api: FakeApi, kind: str) -> int:
    return len(api.requests("PATCH", f"/{KINDS[kind].object[1]}/{KINDS[kind].object[3]}$"))


@ALL
async def test_it_is_seen_in_force_and_gone_and_the_object_is_as_it_was(
    api: FakeApi, at: KubernetesPlatform, kind: str
) -> None:
    before = read(api, kind)
    async with in_force(at, kind) as (fault, prepared):
        held, (entries, _) = read(api, kind), left(api)
        assert KINDS[kind].changed(held) and marked(held)
        assert [entry["data"]["hold"] for entry in entries] == [fault.hold.id]
        assert json.loads(entries[0]["data"]["undo"]) == prepared["undo"]
        assert any(KINDS[kind].object[3] in line and line.startswith("kubectl ") for line in fault.by_hand(prepared))
        await fault.undo(prepared)
        assert not await fault.confirm(prepared)
        assert essence(read(api, kind)) == essence(before)
        assert left(api) == ([], [])
        sent = changes(api, kind)
        await fault.undo(prepared)
        assert changes(api, kind) == sent, "once is enough"


@ALL
async def test_another_process_takes_it_back_by_what_the_journal_says(
    api: FakeApi, at: KubernetesPlatform, kind: str, tmp_path: Path
) -> None:
    before = read(api, kind)
    async with in_force(at, kind) as (fault, prepared):
        other = lab(api, tmp_path)
        try:
            await type(fault)(fault.params, fault.target, other, fault.hold).undo(prepared)
        finally:
            await other.close()
        assert essence(read(api, kind)) == essence(before)
        assert left(api) == ([], [])


@ALL
async def test_what_somebody_else_changes_meanwhile_is_noticed_and_stays_theirs(
    api: FakeApi, at: KubernetesPlatform, kind: str
) -> None:
    async with in_force(at, kind) as (fault, prepared):
        theirs = KINDS[kind].others
        fields = [BY_ARGO | {"fieldsV1": {"f:spec": {FIELDS[kind]: {}}}}]
        metadata = {**theirs.get("metadata", {}), "managedFields": fields}
        api.change(read(api, kind), {**theirs, "metadata": metadata})
        seen = await fault.confirm(prepared)
        assert not seen
        assert KINDS[kind].words in seen.how
        await fault.undo(prepared)
        found = read(api, kind)
        assert KINDS[kind].theirs(found) and not marked(found)
        assert left(api) == ([], [])


async def test_each_container_gets_its_image_back_but_the_one_that_has_another_by_now(
    api: FakeApi, at: KubernetesPlatform
) -> None:
    names = ("main", "side", "third")
    images = [{"name": name, "image": f"{name}:1"} for name in names]
    api.change(read(api, "pod-failure"), {"spec": {"containers": images}})
    async with in_force(at, "pod-failure") as (fault, prepared):
        held = read(api, "pod-failure")["spec"]["containers"]
        assert all(each["image"].isupper() for each in held)
        (line,) = fault.by_hand(prepared)
        assert all(f"{name}:1" in line for name in names)
        newer = [{**each, "image": "side:2"} if each["name"] == "side" else each for each in held]
        api.change(read(api, "pod-failure"), {"spec": {"containers": newer}})
        await fault.undo(prepared)
        found = read(api, "pod-failure")["spec"]["containers"]
        assert [each["image"] for each in found] == ["main:1", "side:2", "third:1"]


@ALL
async def test_an_object_without_the_mark_is_no_longer_ours(api: FakeApi, at: KubernetesPlatform, kind: str) -> None:
    async with in_force(at, kind) as (fault, prepared):
        (mark,) = [key for key in read(api, kind)["metadata"]["annotations"] if key.startswith(MARK)]
        api.change(read(api, kind), {"metadata": {"annotations": {mark: None}}})
        sent = changes(api, kind)
        await fault.undo(prepared)
        assert changes(api, kind) == sent
        assert KINDS[kind].changed(read(api, kind))
        assert left(api) == ([], [])


@ALL
async def test_another_object_of_the_same_name_is_left_alone_even_with_our_mark(
    api: FakeApi, at: KubernetesPlatform, kind: str
) -> None:
    async with in_force(at, kind) as (fault, prepared):
        held = read(api, kind)
        api.remove(held)
        fresh = copy.deepcopy(held)
        del fresh["metadata"]["uid"], fresh["metadata"]["resourceVersion"]
        api.add(fresh)
        seen = await fault.confirm(prepared)
        assert not seen
        assert seen.how.endswith(("is not there", "the policy is not there")), "a policy goes with its pod"
        sent = changes(api, kind)
        await fault.undo(prepared)
        assert changes(api, kind) == sent
        assert essence(read(api, kind)) == essence(held)
        assert left(api) == ([], [])


@ALL
async def test_an_undo_that_meets_others_changes_is_done_on_top_of_them(
    api: FakeApi, at: KubernetesPlatform, kind: str
) -> None:
    before = read(api, kind)
    async with in_force(at, kind) as (fault, prepared):
        api.answer(409, method="PATCH", path=f"/{KINDS[kind].object[3]}$", times=2)
        api.answer(409, method="DELETE", path="/networkpolicies/", times=2)
        await fault.undo(prepared)
        assert essence(read(api, kind)) == essence(before)
        assert left(api) == ([], [])


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("scale", {"spec": {"replicas": 0}}, "has 0 replicas already"),
        ("node-cordon", {"spec": {"unschedulable": True}}, "is cordoned already"),
        (
            "node-taint",
            {"spec": {"taints": [{"key": "test/taint", "effect": "NoSchedule"}]}},
            "has a taint test/taint:NoSchedule already",
        ),
        ("service-blackhole", {"spec": {"selector": {"app": "nobody"}}}, "has no endpoints already"),
        ("service-blackhole", {"spec": {"selector": None}}, "has no selector"),
        ("pod-failure", {"spec": {"restartPolicy": "Never"}}, "once ended, its containers may not start"),
        ("pod-failure", {"spec": {"terminationGracePeriodSeconds": 600}}, "gives its containers 600 s to end"),
        ("network-policy-deny", {"spec": {"hostNetwork": True}}, "node's own network|hostNetwork"),
    ],
)
async def test_what_would_change_nothing_or_could_not_come_back_is_refused_while_planning(
    api: FakeApi, at: KubernetesPlatform, kind: str, change: Object, words: str
) -> None:
    fault = await aimed(at, kind)
    await fault.check()
    if change["spec"].get("selector", ...) is None:
        change = {"spec": {"selector": {"app": None}}}
    api.change(read(api, kind), change)
    at.injectors._checked.clear()
    with pytest.raises(CannotDoHonestly, match=words):
        await fault.check()
