"""The fault that leaves the breaking to Chaos Mesh, against a stand-in of Chaos Mesh's controller. The real one was not
tried."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.injector.api import Api
from chaosrunner.injector.guardian import GUARDED, LEDGER, SEEN_BY, Guardian
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Fault, Hold
from tests.kubernetes import scene
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import Object

RUN = "20261122-105103-4f2a9c"
GROUP = "chaos-mesh.org/v1alpha1"
DELAY: Object = {"kind": "NetworkChaos", "spec": {"action": "delay", "delay": {"latency": "200ms"}}}
FINALIZER = "chaos-mesh/records"
PAUSE = "experiment.chaos-mesh.org/pause"


class ChaosMesh:
    """Its controller: hits the pods that a resource selects until it is paused or deleted, a moment after it was told;
    and a guardian that agrees to whatever is in the ledger."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.hit: dict[str, Object] = {}
        """By pod: the spec that is in force there."""
        self.ended_by: list[str] = []
        """Whether a fault was taken back for a pause or for a deletion."""
        self.daemon = True
        """Whether the daemon on the node answers: without it nothing is injected, and nothing recovers."""
        self.others: list[str] = []
        """Hit in place of what is selected."""
        api.serve(GROUP, "networkchaos", "NetworkChaos")
        api.store.reactions.append(self._hears)

    def _hears(self, type: str, found: Object) -> None:
        if found.get("kind") == "Lease":
            found["metadata"].setdefault("annotations", {})[SEEN_BY] = "guardian-1 1"
        if found.get("kind") == "ConfigMap":
            found["metadata"].setdefault("annotations", {})[GUARDED] = "yes"
        if found.get("apiVersion") == GROUP and type != "DELETED":
            space, name = found["metadata"]["namespace"], found["metadata"]["name"]
            asyncio.get_running_loop().call_soon(self._reconcile, space, name)

    def _reconcile(self, space: str, name: str) -> None:
        found = self.api.object(GROUP, "networkchaos", space, name)
        if found is None:
            return
        metadata = found["metadata"]
        leaving = "deletionTimestamp" in metadata
        stop = leaving or (metadata.get("annotations") or {}).get(PAUSE) == "true"
        chosen = self.others or [
            f"{at}/{pod}" for at, pods in found["spec"]["selector"]["pods"].items() for pod in pods
        ]
        if self.daemon and stop and any(pod in self.hit for pod in chosen):
            self.ended_by.append("deletion" if leaving else "pause")
        if self.daemon:
            for pod in chosen:
                self.hit.pop(pod, None) if stop else self.hit.update({pod: found["spec"]})
        injected = [pod for pod in chosen if pod in self.hit]
        keeps = [FINALIZER] if not (leaving and not injected) else None
        status = self._status(chosen, injected, paused=stop and not leaving)
        if metadata.get("finalizers") != keeps or found.get("status") != status:
            self.api.change(found, {"metadata": {"finalizers": keeps}, "status": status})

    def _status(self, chosen: list[str], injected: list[str], *, paused: bool) -> Object:
        said = {
            "Selected": True,
            "AllInjected": injected == chosen,
            "AllRecovered": not injected,
            "Paused": paused,
        }
        wrong = [] if self.daemon else [{"type": "Failed", "operation": "Apply", "message": "no daemon on node-1"}]
        records = [
            {"id": pod, "phase": "Injected" if pod in injected else "Not Injected", "events": wrong} for pod in chosen
        ]
        conditions = [{"type": name, "status": "True" if true else "False"} for name, true in said.items()]
        return {"conditions": conditions, "experiment": {"containerRecords": records}}


@pytest.fixture
def mesh(api: FakeApi) -> ChaosMesh:
    scene.deploy(api, "cart", 2)
    return ChaosMesh(api)


def lab(api: FakeApi, folder: Path, clock: SystemClock | None = None) -> KubernetesPlatform:
    services = {"cart": {"workload": "deployment/cart"}}
    file = str(api.kubeconfig(folder))
    settings = {"namespaces": ["shop"], "services": services, "guardian": {"mode": "deployment"}, "kubeconfig": file}
    made = KubernetesPlatform(Spec.model_validate(settings), "lab", folder, clock or SystemClock(), api.cluster())
    made.kind = "kubernetes"
    return made


@asynccontextmanager
async def healer(api: FakeApi, folder: Path, fault: Fault[Any]) -> AsyncIterator[Fault[Any]]:
    """The same fault in another process, whose waits take no time."""
    other = lab(api, folder, scene.QuickClock())
    try:
        yield type(fault)(fault.params, fault.target, other, fault.hold)
    finally:
        await other.close()


@pytest.fixture
async def at(api: FakeApi, mesh: ChaosMesh, tmp_path: Path) -> AsyncIterator[KubernetesPlatform]:
    made = lab(api, tmp_path)
    yield made
    await made.close()


async def aimed(at: KubernetesPlatform, params: Object = DELAY) -> Fault[Any]:
    plugin = catalog.find("faults", "chaos-mesh")
    found = await at.find_for(scene.selector(service="cart"), frozenset({"pod"}))
    hold = Hold(f"{RUN}.mesh.1", RUN, 2_000_000_000.0, 70.0)
    made: Fault[Any] = plugin(plugin.Params.model_validate(params), found.candidates[0], at, hold)
    return made


@asynccontextmanager
async def injected(at: KubernetesPlatform) -> AsyncIterator[tuple[Fault[Any], Any]]:
    """What the runner does until the fault is to be looked for; `prepared` as the ledger's file has it."""
    fault = await aimed(at)
    await fault.check()
    await at.claim(RUN, "ana@one", [fault.target])
    await at.open(RUN, lambda: True)
    prepared = json.loads(json.dumps(await fault.prepare()))
    assert not await fault.confirm(prepared)
    await fault.inject()
    yield fault, prepared


async def eventually(look: Any) -> Any:
    while not (found := look()):
        await asyncio.sleep(0.01)
    return found


def left(api: FakeApi) -> tuple[list[Object], list[Object]]:
    """Resources of Chaos Mesh, and entries of the ledger."""
    maps = api.objects("v1", "configmaps", "shop")
    entries = [each for each in maps if each["metadata"].get("labels", {}).get(LEDGER) == "fault"]
    return api.objects(GROUP, "networkchaos", "shop"), entries


async def test_chaos_mesh_hits_the_one_pod_for_the_step_s_time_and_takes_it_back(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    async with injected(at) as (fault, prepared):
        await eventually(lambda: mesh.hit)
        seen = await fault.confirm(prepared)
        assert seen, seen.how
        assert "AllInjected" in seen.how
        assert (await fault.report(prepared))["object"] in [each["metadata"]["name"] for each in left(api)[0]]
        ((pod, spec),) = mesh.hit.items()
        assert pod == fault.target.name
        assert spec["delay"] == {"latency": "200ms"}
        assert (spec["mode"], spec["duration"]) == ("all", "70s")
        (made,), (entry,) = left(api)
        assert json.loads(entry["data"]["undo"]) == prepared["undo"]
        assert any(made["metadata"]["name"] in line and "kubectl delete" in line for line in fault.by_hand(prepared))
        await fault.undo(prepared)
        gone = await fault.confirm(prepared)
        assert not gone
        assert "is not there" in gone.how
        assert mesh.hit == {}
        assert mesh.ended_by == ["pause"], "so that AllRecovered could be seen before the resource went"
        assert left(api) == ([], [])
        await fault.undo(prepared)


async def test_an_undo_without_an_injection_is_harmless(api: FakeApi, at: KubernetesPlatform) -> None:
    fault = await aimed(at)
    await fault.undo(await fault.prepare())
    assert left(api) == ([], [])


async def test_another_process_takes_it_back_by_what_the_journal_says(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform, tmp_path: Path
) -> None:
    async with injected(at) as (fault, prepared):
        await eventually(lambda: mesh.hit)
        other = lab(api, tmp_path)
        try:
            await type(fault)(fault.params, fault.target, other, fault.hold).undo(prepared)
        finally:
            await other.close()
        assert mesh.hit == {}
        assert left(api) == ([], [])


async def test_a_guardian_takes_it_back_when_its_time_is_over(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    async with injected(at):
        await eventually(lambda: mesh.hit)
        now = 100.0
        guardian = Guardian(Api(api.url), "shop", "guardian-1", clock=lambda: now)
        try:
            await asyncio.to_thread(guardian.look)
            assert mesh.hit
            now += 75.0
            await asyncio.to_thread(guardian.look)
        finally:
            guardian.api.close()
        await eventually(lambda: not mesh.hit and left(api) == ([], []))
        assert mesh.ended_by == ["deletion"]


async def test_it_is_not_in_force_until_chaos_mesh_says_so_and_its_reason_is_told(
    mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    mesh.daemon = False
    async with injected(at) as (fault, prepared):
        told = await fault.confirm(prepared)
        while "no daemon" not in told.how:
            assert not told
            told = await fault.confirm(prepared)
        assert not told


async def test_a_fault_that_chaos_mesh_took_back_by_itself_is_seen_gone(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    async with injected(at) as (fault, prepared):
        await eventually(lambda: mesh.hit)
        (made,), _ = left(api)
        api.change(made, {"metadata": {"annotations": {PAUSE: "true"}}})
        await eventually(lambda: not mesh.hit)
        seen = await fault.confirm(prepared)
        assert not seen
        assert "AllRecovered" in seen.how
        await fault.undo(prepared)


async def test_a_fault_on_another_pod_is_not_the_one_that_was_asked_for(
    mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    mesh.others = ["shop/somebody-else"]
    async with injected(at) as (fault, prepared):
        await eventually(lambda: mesh.hit)
        seen = await fault.confirm(prepared)
        assert not seen
        assert "into something else" in seen.how
        await fault.undo(prepared)


async def test_a_pod_that_was_replaced_is_no_longer_hit(api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform) -> None:
    async with injected(at) as (fault, prepared):
        await eventually(lambda: mesh.hit)
        pod = api.object("v1", "pods", "shop", fault.target.details["pod"])
        assert pod is not None
        api.remove(pod)
        fresh = copy.deepcopy(pod)
        del fresh["metadata"]["uid"], fresh["metadata"]["resourceVersion"]
        api.add(fresh)
        seen = await fault.confirm(prepared)
        assert not seen
        assert "is not there any more" in seen.how
        await fault.undo(prepared)


async def test_what_chaos_mesh_does_not_let_go_of_is_a_failed_undo_with_the_commands(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform, tmp_path: Path
) -> None:
    async with injected(at) as (fault, prepared), healer(api, tmp_path, fault) as other:
        await eventually(lambda: mesh.hit)
        mesh.daemon = False
        with pytest.raises(UndoFailed, match="has not let go of the NetworkChaos") as failure:
            await other.undo(prepared)
        assert any("kubectl delete networkchaos" in line for line in failure.value.commands)
        assert await fault.confirm(prepared), "it is still in force, and is not said to be gone"
        mesh.daemon = True
        (made,), _ = left(api)
        mesh._reconcile("shop", made["metadata"]["name"])
        await other.undo(prepared)
        assert mesh.hit == {}


async def test_what_cannot_be_paused_is_deleted_all_the_same(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform, tmp_path: Path
) -> None:
    async with injected(at) as (fault, prepared), healer(api, tmp_path, fault) as other:
        await eventually(lambda: mesh.hit)
        api.refuse_admission("pausing is not allowed", method="PATCH", path="/networkchaos/")
        await other.undo(prepared)
        assert (mesh.hit, mesh.ended_by) == ({}, ["deletion"])
        assert left(api) == ([], [])


async def test_what_its_webhook_refuses_is_a_fault_that_failed(
    api: FakeApi, mesh: ChaosMesh, at: KubernetesPlatform
) -> None:
    api.refuse_admission("spec.delay.latency is wrong", method="POST", path="/networkchaos$")
    with pytest.raises(FaultFailed, match=r"spec\.delay\.latency is wrong"):
        async with injected(at):
            pass
    assert mesh.hit == {}


async def test_a_cluster_without_chaos_mesh_is_refused_while_planning(api: FakeApi, at: KubernetesPlatform) -> None:
    del api.resources[GROUP]
    with pytest.raises(CannotDoHonestly, match="this cluster has no Chaos Mesh"):
        await (await aimed(at)).check()


async def test_a_kind_that_its_version_does_not_know_is_refused_while_planning(at: KubernetesPlatform) -> None:
    with pytest.raises(CannotDoHonestly, match=r"knows no BlockChaos \(there is no blockchaos\.chaos-mesh\.org\)"):
        await (await aimed(at, {"kind": "BlockChaos", "spec": {"action": "delay"}})).check()


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        ("StressChaos", {"duration": "5m"}, "the step's `for` says how long"),
        ("StressChaos", {"selector": {"namespaces": ["other"]}}, "the step's `target` says which pods"),
        ("StressChaos", {"mode": "all"}, "the step's `target` says how many"),
        ("StressChaos", {"value": "2"}, "the step's `target` says how many"),
        ("NetworkChaos", {"remoteCluster": "two"}, "its pods are not this environment's"),
        ("PodChaos", {"action": "pod-kill"}, "use the fault pod-kill"),
        ("PodChaos", {"action": "container-kill"}, "use the fault container-kill"),
        ("NetworkChaos", {"action": "loss", "direction": "both", "target": {}}, "pods that are no targets"),
        ("AWSChaos", {}, "Input should be"),
    ],
)
def test_a_spec_that_says_what_the_step_says_or_reaches_further_is_refused(kind: str, spec: Object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        catalog.find("faults", "chaos-mesh").Params.model_validate({"kind": kind, "spec": spec})
