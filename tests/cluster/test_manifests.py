"""The manifests of k8s/ on a real cluster: an account with nothing but the rights that they grant breaks pods."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import pytest_asyncio
import yaml

from chaosrunner.platforms.kubernetes import rights
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, path
from tests.cluster.lab import Space, eventually, kubectl

K8S = Path(__file__).parents[2] / "k8s"
pytestmark = pytest.mark.skipif(which("kubectl") is None, reason="kubectl builds kustomizations")


def manifests(folder: str) -> str:
    return subprocess.run(["kubectl", "kustomize", K8S / folder], capture_output=True, text=True, check=True).stdout


def placed(folder: str, namespace: str) -> str:
    """Manifests, in the test's namespace in place of `shop`."""
    documents = list(yaml.safe_load_all(manifests(folder)))
    for each in documents:
        each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", ()):
            subject["namespace"] = namespace
    return yaml.safe_dump_all(documents)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubeconfig(shop: Space) -> AsyncIterator[Path]:
    """Of the account `chaosrunner` of `k8s/`, which has no rights but those of its Roles in this namespace."""
    kubectl("apply", "-f", "-", given=placed("", shop.name))
    token = kubectl("create", "token", "chaosrunner", "-n", shop.name, "--duration", "1h").strip()
    content = yaml.safe_load(kubectl("config", "view", "--raw", "-o", "json"))
    content["users"] = [{"name": user["name"], "user": {"token": token}} for user in content["users"]]
    file = shop.folder / "kubeconfig"
    file.write_text(json.dumps(content))
    yield file


def environment(shop: Space, kubeconfig: Path, **more: Any) -> dict[str, Any]:
    found = shop.environment(**more)
    found["spec"]["platform"]["kubernetes"]["kubeconfig"] = str(kubeconfig)
    return found


async def test_the_account_has_its_namespace_and_nothing_else(shop: Space, kubeconfig: Path) -> None:
    cluster = Cluster(kubeconfig=str(kubeconfig))
    try:
        looking = rights.everywhere(rights.LOOKING, [shop.name])
        assert await rights.missing(cluster, looking) == []
        elsewhere = rights.everywhere(("list pods", "delete pods", "get nodes", "get secrets"), ["default"])
        assert len(await rights.missing(cluster, elsewhere)) == 4
        with pytest.raises(ApiError) as caught:
            await cluster.get(path("v1", "secrets", shop.name))
        assert caught.value.code == 403
    finally:
        await cluster.close()


async def test_doctor_says_that_all_is_in_order(shop: Space, kubeconfig: Path) -> None:
    file = shop.write(environment=environment(shop, kubeconfig))
    code, said = await shop.command("doctor", "lab", folder=file.parent)
    assert "WRONG" not in said, said
    assert code == 0
    assert "rights for node-" in said and "a ClusterRole grants it" in said
    assert "allowed, with NET_ADMIN" in said


async def test_a_fault_in_pods_works_with_rights_in_the_namespace_only(shop: Space, kubeconfig: Path) -> None:
    step = {"fault": "dependency-loss", "target": {"service": "front", "to": "back", "take": 1}, "for": "6s"}
    file = shop.write(step | {"with": {"mode": "refuse"}}, environment=environment(shop, kubeconfig))
    async with shop.running(file) as run:
        await run.in_force()
        seen = [await shop.seen_from("front", f"http://back.{shop.name}/", index=index) for index in (0, 1)]
        assert sorted(each["outcome"] for each in seen) == ["answered", "refused"], seen
        code, said = await run.ended()
    assert code == 0 or "met by nothing" in said or "nothing met" in said, said
    for index in (0, 1):
        assert (await shop.seen_from("front", f"http://back.{shop.name}/", index=index))["outcome"] == "answered"


async def test_a_pod_is_killed_with_rights_in_the_namespace_only(shop: Space, kubeconfig: Path) -> None:
    before = {each["metadata"]["uid"] for each in await shop.pods("back")}
    step = {"fault": "pod-kill", "target": {"service": "back", "take": 1}, "observe": "3s"}
    code, said = await shop.command(
        "run", "experiment.yaml", "--plain", folder=shop.write(step, environment=environment(shop, kubeconfig)).parent
    )
    assert code == 0, said
    after = {each["metadata"]["uid"] for each in await shop.pods("back")}
    assert len(before - after) == 1


async def test_a_fault_without_its_rights_is_refused_before_anything_is_touched(shop: Space, kubeconfig: Path) -> None:
    kubectl("delete", "role", "chaosrunner-pod-faults", "-n", shop.name)
    try:
        step = {"fault": "pod-kill", "target": {"service": "back", "take": 1}, "observe": "3s"}
        file = shop.write(step, environment=environment(shop, kubeconfig))
        code, said = await shop.command("plan", "experiment.yaml", folder=file.parent)
    finally:
        kubectl("apply", "-f", "-", given=placed("", shop.name))
    assert code == 4
    assert f"REFUSE  rights: missing in the namespace {shop.name}: delete pods" in said
    assert '(a Role there grants it: {apiGroups: [""], resources: [pods], verbs: [delete]})' in said


async def test_an_only_replica_is_kept_and_recorded_as_an_unsafe_condition(shop: Space) -> None:
    step = {"fault": "pod-kill", "target": {"service": "outside"}, "observe": "3s"}
    file = shop.write(step, environment=shop.environment(guards={"keepLastReplica": True}))
    before = await shop.pods("outside")
    code, said = await shop.command("run", "experiment.yaml", "--plain", folder=file.parent)
    assert code == 4, said
    assert "keepLastReplica refuses" in said and "NM-" in said
    _, listed = await shop.command("near-miss", "list", folder=file.parent)
    assert "outside has no redundancy" in listed
    assert [each["metadata"]["uid"] for each in await shop.pods("outside")] == [
        each["metadata"]["uid"] for each in before
    ]


async def test_a_budget_forbids_a_kill(shop: Space) -> None:
    body = {"metadata": {"name": "back"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "back"}}}}
    await shop.make("policy/v1", "poddisruptionbudgets", body)
    where = path("policy/v1", "poddisruptionbudgets", shop.name, "back")

    async def counted() -> bool:
        return bool((await shop.cluster.get(where)).get("status", {}).get("currentHealthy") == 2)

    try:
        await eventually(counted, 15, "the budget has counted its pods")
        step = {"fault": "pod-kill", "target": {"service": "back", "take": 1}, "observe": "3s"}
        code, said = await shop.command("plan", "experiment.yaml", folder=shop.write(step).parent)
    finally:
        await shop.cluster.delete(where)
    assert code == 4
    assert "REFUSE  keepDisruptionBudgets: step pod-kill takes 1 (back-" in said
    assert f"of what the budget {shop.name}/back keeps, which allows 0 now" in said


async def test_pods_of_a_cluster_that_enforces_pod_security_say_what_it_forbids(shop: Space, kubeconfig: Path) -> None:
    """What `baseline` forbids is NET_ADMIN; what needs none works even under `restricted`."""
    space = path("v1", "namespaces", None, shop.name)
    label = "pod-security.kubernetes.io/enforce"
    file = shop.write(environment=environment(shop, kubeconfig))
    try:
        await shop.cluster.patch(space, {"metadata": {"labels": {label: "baseline"}}})
        code, said = await shop.command("doctor", "lab", folder=file.parent)
        assert code == 3
        assert "network faults cannot be done there: a policy forbids the injector's ephemeral container" in said
        assert 'must not include "NET_ADMIN"' in said
        step = {"fault": "dependency-loss", "target": {"service": "front", "to": "back", "take": 1}, "for": "3s"}
        planned = shop.write(step, environment=environment(shop, kubeconfig))
        code, said = await shop.command("plan", "experiment.yaml", folder=planned.parent)
        assert code == 4 and 'must not include "NET_ADMIN"' in said
    finally:
        await shop.cluster.patch(space, {"metadata": {"labels": {label: None}}})


@pytest.mark.parametrize("folder", ["", "overlays/least", "overlays/with-nodes"])
async def test_the_api_server_takes_all_of_it(shop: Space, kubeconfig: Path, folder: str) -> None:
    text = placed(folder, shop.name)
    kubectl("apply", "--dry-run=server", "-f", "-", given=text)


async def test_our_own_pods_are_taken_by_a_restricted_namespace(shop: Space, kubeconfig: Path) -> None:
    """The guardian's Deployment, the CronJob and the Job, as pods, where nothing but `restricted` is allowed."""
    space, label = path("v1", "namespaces", None, shop.name), "pod-security.kubernetes.io/enforce"
    await shop.cluster.patch(space, {"metadata": {"labels": {label: "restricted"}}})
    try:
        for each in yaml.safe_load_all(manifests("guardian") + "---\n" + manifests("scheduled")):
            spec = each["spec"].get("jobTemplate", each)["spec"] if "spec" in each else {}
            if "template" not in spec:
                continue
            pod = {"metadata": {"generateName": "p-"}, "spec": spec["template"]["spec"]}
            await shop.cluster.create(path("v1", "pods", shop.name), pod, dryRun="All")
    finally:
        await shop.cluster.patch(space, {"metadata": {"labels": {label: None}}})
