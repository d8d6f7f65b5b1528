"""Faults on pods where something is in the way, on a real cluster: a defined outcome, clear words, nothing left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.platforms.kubernetes.client import Object, path
from chaosrunner.platforms.kubernetes.guardian import RIGHTS
from tests.cluster import lab
from tests.cluster.lab import Space, eventually, parts_stopped
from tests.cluster.rights import RBAC, binding, rules

KILL = {"fault": "pod-kill", "target": {"service": "back"}, "observe": "4s"}


def said(output: str) -> str:
    return " ".join(output.split())


async def uids(space: Space) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in await space.pods("back")}


async def ready(space: Space) -> None:
    async def two() -> bool:
        pods = await space.pods("back")
        states = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
        return len(pods) == 2 and len(states) == 2 and all(each["ready"] for each in states)

    await eventually(two, 60, "back has two ready pods")


async def leftovers(space: Space) -> list[str]:
    """Leases, claims and ledger entries of runs."""
    found = []
    for api, resource in (("v1", "configmaps"), ("coordination.k8s.io/v1", "leases")):
        labels = "app.kubernetes.io/managed-by=chaosrunner"
        items = (await space.cluster.get(path(api, resource, space.name), labelSelector=labels))["items"]
        found += [f"{resource}/{each['metadata']['name']}" for each in items]
    return found


async def run(space: Space, step: Object, **kubernetes: Any) -> tuple[int, str]:
    file = space.write(step, environment=space.environment(kubernetes=kubernetes))
    return await space.command("run", file.name, "--plain", folder=file.parent)


async def account(space: Space, name: str, *rights: str) -> Path:
    """A kubeconfig for a service account with these rights in the namespace and nothing else."""
    await space.make("v1", "serviceaccounts", {"metadata": {"name": name}})
    await space.make(f"{RBAC}/v1", "roles", {"metadata": {"name": name}, "rules": rules(rights)})
    await space.make(f"{RBAC}/v1", "rolebindings", binding(space, name, "Role", name))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = await space.cluster.create(path("v1", "serviceaccounts", space.name, name, "token"), request)
    given: Any = json.loads(json.dumps(await asyncio.to_thread(_kubeconfig)))
    given["users"] = [{"name": each["name"], "user": {"token": token["status"]["token"]}} for each in given["users"]]
    file = space.folder / f"{name}.kubeconfig"
    file.write_text(json.dumps(given))
    return file


def _kubeconfig() -> Any:
    import yaml

    return yaml.safe_load(Path(lab.KUBECONFIG).read_text())


async def test_without_a_target_the_run_is_inconclusive_in_words(shop: Space) -> None:
    step = {"fault": "pod-kill", "target": {"selector": {"app": "nobody"}}, "observe": "2s"}
    code, output = await run(shop, step)
    assert code == 3, output
    assert "no target matched" in said(output) or "matched no target" in said(output)


async def test_a_missing_right_is_found_before_anything_is_touched(shop: Space) -> None:
    await ready(shop)
    before = await uids(shop)
    needs = [right for right in catalog.find("faults", "pod-kill").needs if right != "delete pods"]
    runner = RIGHTS["runner"]
    rights = ("list pods", "list replicasets.apps", *needs, *runner.ledger, *runner.targets)
    config = await account(shop, "reader", *(right for right in rights if right != "delete pods"))
    code, output = await run(shop, KILL, kubeconfig=str(config))
    assert code == 4, output
    assert "delete pods" in said(output)
    assert await uids(shop) == before


async def test_a_pod_that_vanishes_between_plan_and_injection_is_a_failure_in_words(shop: Space) -> None:
    await ready(shop)
    file = shop.write(KILL, baseline={"for": "6s"})
    async with shop.running(file) as going:
        await going.until("baseline begins")
        for pod in await shop.pods("back"):
            await shop.cluster.delete(path("v1", "pods", shop.name, pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
        code, output = await going.ended()
    assert code == 3, output
    assert "the target is not there any more" in said(output) and "was deleted" in said(output)
    assert await leftovers(shop) == []


async def test_an_admission_policy_that_says_no_is_told_in_its_own_words(shop: Space) -> None:
    await ready(shop)
    before = await uids(shop)
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    name = f"{shop.name}-friday"
    here = {"matchLabels": {"kubernetes.io/metadata.name": shop.name}}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": here,
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}
            ],
        },
        "validations": [{"expression": "false", "message": "nothing is deleted on a Friday"}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    await shop.cluster.create(policies, {"metadata": {"name": name}, "spec": spec})
    await shop.cluster.create(bindings, {"metadata": {"name": name}, "spec": bound})
    try:
        await eventually(lambda: _refuses(shop), 30, "the policy is in force")
        code, output = await run(shop, KILL)
    finally:
        await shop.cluster.delete(f"{bindings}/{name}")
        await shop.cluster.delete(f"{policies}/{name}")
    assert code == 3, output
    assert "nothing is deleted on a Friday" in said(output)
    assert await uids(shop) == before
    assert await leftovers(shop) == []


async def _refuses(space: Space) -> bool:
    """Whether a deletion that is only tried is refused."""
    pod = (await space.pods("back"))[0]
    try:
        await space.cluster.delete(path("v1", "pods", space.name, pod["metadata"]["name"]), dryRun="All")
    except lab.ApiError as error:
        return "Friday" in error.message
    return False


async def test_a_runner_killed_after_a_kill_leaves_a_system_that_recovers(shop: Space) -> None:
    await ready(shop)
    async with shop.running(shop.write({**KILL, "observe": "60s"})) as going:
        await going.in_force()
        await going.kill()
    await ready(shop)
    file = shop.write(KILL)
    code, output = await shop.command("run", file.name, "--plain", folder=file.parent)
    assert code == 0, output
    assert "took back pod-kill" in said(output), "the next run heals what the dead one left"
    await ready(shop)


@pytest.mark.timeout(400)  # others stop it, too, and only one at a time
async def test_an_api_server_that_goes_away_after_the_kill_is_told_and_nothing_is_left(shop: Space) -> None:
    await ready(shop)
    async with shop.running(shop.write({**KILL, "observe": "8s"})) as going:
        await going.in_force()
        with parts_stopped("kube-apiserver") as start:
            await asyncio.sleep(3)
            start()
        code, output = await going.ended(90)
    assert code in (0, 3), output
    assert "UNDO FAILED" not in output
    await ready(shop)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["pod-kill", "rollout-restart", "container-kill"])
async def test_while_the_api_server_is_away_a_fault_fails_in_words(shop: Space, kind: str) -> None:
    await ready(shop)
    step: Object = {"fault": kind, "target": {"service": "back"}, "observe": "4s"}
    if kind == "rollout-restart":
        step["target"] = {"workload": "deployment/back"}
    if kind == "container-kill":
        step["with"] = {"signal": "INT"}
    before = await uids(shop)
    async with shop.running(shop.write(step, baseline={"for": "3s"})) as going:
        await going.until("baseline begins")
        with parts_stopped("kube-apiserver") as start:
            await going.until("ended:", 60)
            start()
        code, output = await going.ended(90)
    assert code == 3, output
    assert "cannot be reached" in said(output) or "did not end within" in said(output), output
    await ready(shop)
    assert await uids(shop) == before
