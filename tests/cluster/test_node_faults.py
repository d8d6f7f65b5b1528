"""A node drained and a zone lost, on a real cluster: what of the environment runs there goes, what is not its own
stays, and the nodes take pods again whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chaosrunner.platforms.kubernetes.client import Object, path
from tests.cluster import lab
from tests.cluster.lab import Space, eventually, nodes_to_itself, outages_to_itself
from tests.cluster.rights import guardian_account, remove_cluster_roles

pytestmark = pytest.mark.timeout(600)  # the nodes, and the API server, are waited for: one module at a time has them
NODE, ZONE = "node-3", "zone-3"
GONE_WITHIN = 10.0
"""Seconds after the runner's death, or the API server's return."""
DRAIN = {"fault": "node-drain", "target": {"node": NODE}, "with": {"within": "20s"}}
OUTAGE = {"fault": "zone-outage", "target": {"zone": ZONE}}
HERE: Object = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "preference": {
                    "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]
                },
            }
        ]
    }
}
"""Runs on the node while that takes pods, and anywhere else otherwise."""
SLEEPS: Object = {
    "name": "main",
    "image": lab.BASE,
    "imagePullPolicy": "Never",
    "command": ["sleep", "3600"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(space: Space) -> AsyncIterator[Space]:
    """Two pods on the node, a pod of a daemon set there."""
    await guardian_account(space, "node-drain", "zone-outage")
    async with nodes_to_itself():
        try:
            await space.deploy("moved", 2, affinity=HERE)
            labels = {"app": "everywhere"}
            metadata = {"metadata": {"labels": labels}}
            spec = {"terminationGracePeriodSeconds": 0, "containers": [SLEEPS]}
            daemons = {"selector": {"matchLabels": labels}, "template": {**metadata, "spec": spec}}
            await space.make("apps/v1", "daemonsets", {"metadata": {"name": "everywhere"}, "spec": daemons})
            yield space
        finally:
            # The guardian and the ledger go with the namespace: not before it has done its work.
            await eventually(lambda: as_before(space), 20, "the node takes pods")
            await remove_cluster_roles(space)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Space]:
    """A namespace that is not of the environment, with a pod on the node."""
    made = await lab.made_space(tmp_path_factory.mktemp("neighbour"), "neighbour")
    try:
        await made.deploy("bystander", affinity=HERE)
        yield made
    finally:
        await lab.remove(made)


def written(space: Space, step: Object) -> Path:
    return space.write(step, environment=space.environment(guards={"keepLastReplica": False}))


async def cordoned(space: Space) -> bool:
    return bool((await space.cluster.get(path("v1", "nodes", None, NODE)))["spec"].get("unschedulable"))


async def as_before(space: Space) -> bool:
    node = await space.cluster.get(path("v1", "nodes", None, NODE))
    marks = [key for key in node["metadata"].get("annotations") or {} if key.startswith("hold.chaosrunner.dev/")]
    return not node["spec"].get("unschedulable") and not marks


async def on_the_node(space: Space, name: str) -> list[str]:
    return [str(pod["metadata"]["uid"]) for pod in await space.pods(name) if pod["spec"].get("nodeName") == NODE]


async def ready(space: Space, name: str, where: str = "") -> int:
    """How many of its pods are ready, on that node or anywhere."""
    pods = [pod for pod in await space.pods(name) if where in ("", pod["spec"].get("nodeName"))]
    states: list[Any] = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
    return sum(bool(each["ready"]) for each in states)


async def back_on_the_node(space: Space) -> None:
    """The pods do not come back by themselves; they are made anew."""
    if await ready(space, "moved", NODE) == 2:
        return
    for pod in await space.pods("moved"):
        await space.cluster.delete(path("v1", "pods", space.name, pod["metadata"]["name"]))

    async def there() -> bool:
        return await ready(space, "moved", NODE) == 2

    await eventually(there, 60, "two pods run on the node")


@pytest.mark.parametrize("step", [DRAIN, OUTAGE], ids=["drained", "zone lost"])
async def test_its_pods_go_elsewhere_and_only_they(stage: Space, neighbour: Space, step: Object) -> None:
    await back_on_the_node(stage)
    stays = await on_the_node(stage, "everywhere"), await on_the_node(neighbour, "bystander")
    assert all(stays)
    async with stage.running(written(stage, {**step, "for": "25s"})) as run:
        await run.in_force()
        assert await cordoned(stage)
        assert await on_the_node(stage, "moved") == []

        async def elsewhere() -> bool:
            return await ready(stage, "moved") == 2

        await eventually(elsewhere, 24, "both pods run elsewhere")
        assert (await on_the_node(stage, "everywhere"), await on_the_node(neighbour, "bystander")) == stays
        code, output = await run.ended()
    assert "undone and seen gone" in output, output
    assert code == 0, output
    assert await as_before(stage)


@pytest.mark.parametrize("step", [DRAIN, OUTAGE], ids=["drained", "zone lost"])
async def test_of_a_killed_runner_the_node_takes_pods_again(stage: Space, step: Object) -> None:
    await back_on_the_node(stage)
    async with stage.running(written(stage, {**step, "for": "120s"})) as run:
        await run.in_force()
        assert await cordoned(stage)
        await run.kill()
    await eventually(lambda: as_before(stage), GONE_WITHIN, "the node takes pods again")


@pytest.mark.parametrize("step", [DRAIN, OUTAGE], ids=["drained", "zone lost"])
async def test_of_a_killed_runner_the_node_takes_pods_when_the_api_server_is_back(stage: Space, step: Object) -> None:
    async with outages_to_itself() as outage:
        await back_on_the_node(stage)
        async with stage.running(written(stage, {**step, "for": "120s"})) as run:
            await run.in_force()
            with outage() as start:
                await run.kill()
                await asyncio.sleep(6)
                start()
                await eventually(lambda: on_the_node(stage, "everywhere"), 15, "the API server is back", every=0.05)
                await eventually(lambda: as_before(stage), GONE_WITHIN, "the node takes pods again")


async def test_a_budget_that_holds_ends_the_drain_as_a_barrier(stage: Space) -> None:
    await back_on_the_node(stage)
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "moved"}}}
    await stage.make("policy/v1", "poddisruptionbudgets", {"metadata": {"name": "keep-moved"}, "spec": spec})
    where = path("policy/v1", "poddisruptionbudgets", stage.name, "keep-moved")

    async def known() -> bool:
        return bool((await stage.cluster.get(where)).get("status", {}).get("currentHealthy") == 2)

    await eventually(known, 10, "the budget is known")
    before = await on_the_node(stage, "moved")
    try:
        environment = stage.environment(guards={"keepLastReplica": False})
        file = stage.write({**DRAIN, "with": {"within": "2s"}, "for": "20s"}, environment=environment)
        code, output = await stage.command("run", file.name, "--plain", folder=file.parent)
    finally:
        await stage.cluster.delete(where)
    words = " ".join(output.split())
    assert code == 3, output
    assert "A BARRIER HELD" in words and "keep-moved" in words
    assert await on_the_node(stage, "moved") == before
    assert await as_before(stage)


async def test_scratch_data_is_not_lost_unless_the_file_says_so(stage: Space) -> None:
    volumes = [{"name": "cache", "emptyDir": {}}]
    await stage.deploy("caching", affinity=HERE, volumes=volumes)
    file = written(stage, {**DRAIN, "for": "20s"})
    code, output = await stage.command("plan", file.name, folder=file.parent)
    await stage.cluster.delete(path("apps/v1", "deployments", stage.name, "caching"))
    words = " ".join(output.split())
    assert code == 4, output
    assert "emptyDir volumes (cache)" in words and "deleteEmptyDirData: true" in words
