"""Each fault in the cluster's API: seen in force from outside of chaosrunner, and seen gone; also when the runner is
killed, and when the API server goes away meanwhile. All of them at once, each on a target of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaosrunner.platforms.kubernetes.client import Object, path
from tests.cluster.lab import PROGRAM, Space, eventually, nodes_to_itself, nothing_left, parts_stopped
from tests.cluster.rights import guardian_account, remove_cluster_roles

pytestmark = pytest.mark.timeout(600)  # nodes, and the API server, are waited for
GONE_WITHIN = 10.0
"""Seconds after the runner's death, or the API server's return."""
FAULTS = ("scale", "service-blackhole", "pod-failure", "network-policy-deny", "node-cordon", "node-taint")
KEY = "chaosrunner.dev/test"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(space: Space) -> AsyncIterator[Space]:
    await guardian_account(space, *FAULTS)
    async with nodes_to_itself():
        try:
            await asyncio.gather(
                *(space.deploy(name, 1) for name in ("scaled", "lost", "failing", "denied")), space.deploy("outside")
            )
            yield space
        finally:
            await space.heal()
            await remove_cluster_roles(space)


def written(space: Space, step: Object) -> Path:
    """One pod of each is enough here, and hit."""
    return space.write(step, environment=space.environment(guards={"keepLastReplica": False}))


def steps(lasts: str) -> list[Object]:
    """Every fault, on something of its own."""
    return [
        {"fault": "scale", "target": {"service": "scaled"}, "with": {"to": 0}, "for": lasts},
        {"fault": "service-blackhole", "target": {"service": "lost"}, "for": lasts},
        {"fault": "pod-failure", "target": {"service": "failing", "take": "all"}, "for": lasts},
        {
            "fault": "network-policy-deny",
            "target": {"service": "denied", "take": "all"},
            "with": {"direction": "ingress"},
            "for": lasts,
        },
        {"fault": "node-cordon", "target": {"node": "node-2"}, "for": lasts},
        {"fault": "node-taint", "target": {"node": "node-3"}, "with": {"key": KEY}, "for": lasts},
    ]


async def node(space: Space, name: str) -> Object:
    return await space.cluster.get(path("v1", "nodes", None, name))


SERVED = ("scaled", "lost", "failing", "denied")
LOOK = f"""
import concurrent.futures, json
with concurrent.futures.ThreadPoolExecutor() as pool:
    seen = pool.map(lambda name: call("http://" + name + "/", 1.0)["outcome"], {SERVED!r})
print(json.dumps(dict(zip({SERVED!r}, seen))))
"""


async def what_is_wrong(space: Space) -> set[str]:
    """What of the stage is not as it should be, as somebody else sees it: all at once, in one process of a pod."""
    (outside,) = await space.pods("outside")
    program = PROGRAM.partition('if __name__ == "__main__":')[0] + LOOK
    seen = json.loads(await space.inside(outside["metadata"]["name"], "python3", "-c", program, within=30))
    return {name for name, outcome in seen.items() if outcome != "answered"} | await nodes_changed(space)


async def nodes_changed(space: Space) -> set[str]:
    """What stands in the nodes' own objects."""
    two, three = await node(space, "node-2"), await node(space, "node-3")
    tainted = any(taint["key"] == KEY for taint in three["spec"].get("taints") or ())
    return ({"cordoned"} if two["spec"].get("unschedulable") else set()) | ({"tainted"} if tainted else set())


async def what_is_changed(space: Space) -> set[str]:
    """What stands in the objects themselves, read at once."""
    get = space.cluster.get
    names = (("apps/v1", "deployments", "scaled"), ("v1", "services", "lost"))
    scaled, lost = [await get(path(api, resource, space.name, name)) for api, resource, name in names]
    changed = set()
    if scaled["spec"]["replicas"] != 1:
        changed.add("scaled")
    if len(lost["spec"]["selector"]) > 1:
        changed.add("lost")
    if any(pod["spec"]["containers"][0]["image"].isupper() for pod in await space.pods("failing")):
        changed.add("failing")
    if (await get(path("networking.k8s.io/v1", "networkpolicies", space.name)))["items"]:
        changed.add("denied")
    changed |= await nodes_changed(space)
    marks = [*(await space.pods("denied")), *(await space.pods("failing")), scaled, lost]
    marks += [await node(space, name) for name in ("node-2", "node-3")]
    changed |= {
        f"mark on {each['metadata']['name']}"
        for each in marks
        for mark in each["metadata"].get("annotations") or {}
        if mark.startswith("hold.chaosrunner.dev/")
    }
    return changed


EVERYTHING = {"scaled", "lost", "failing", "denied", "cordoned", "tainted"}


async def in_force(space: Space) -> None:
    async def all_of_it() -> bool:
        return await what_is_wrong(space) == EVERYTHING

    await eventually(all_of_it, 45, "every fault is seen from outside")


async def test_each_fault_is_seen_in_force_and_gone(stage: Space) -> None:
    async with stage.running(written(stage, {"together": steps("40s")})) as run:
        for _ in range(6):
            await run.in_force()
        await in_force(stage)
        code, output = await run.ended(within=120)
    assert code == 0, output
    assert output.count("undone and seen gone") + sum("undone and seen gone" in line for line in run.said) >= 6, output
    assert await what_is_changed(stage) == set()
    await nothing_left(lambda: what_is_wrong(stage), 120, "everything answers again")


async def test_each_fault_of_a_killed_runner_is_taken_back(stage: Space) -> None:
    async with stage.running(written(stage, {"together": steps("600s")})) as run:
        for _ in range(6):
            await run.in_force()
        await in_force(stage)
        await run.kill()
    await nothing_left(lambda: what_is_changed(stage), GONE_WITHIN, "everything is changed back")
    await nothing_left(lambda: what_is_wrong(stage), 120, "everything answers again")


async def test_each_fault_of_a_killed_runner_is_taken_back_when_the_api_server_is_back(stage: Space) -> None:
    async with stage.running(written(stage, {"together": steps("600s")})) as run:
        for _ in range(6):
            await run.in_force()
        await in_force(stage)
        with parts_stopped("kube-apiserver") as start:
            await run.kill()
            await asyncio.sleep(8)
            start()
            await eventually(lambda: node(stage, "node-2"), 15, "the API server is back", every=0.05)
            await nothing_left(lambda: what_is_changed(stage), GONE_WITHIN, "everything is changed back")
    await nothing_left(lambda: what_is_wrong(stage), 120, "everything answers again")


async def test_a_fault_that_ends_while_the_api_server_is_away_is_taken_back_when_it_is_back(stage: Space) -> None:
    async with stage.running(written(stage, {"together": steps("12s")})) as run:
        for _ in range(6):
            await run.in_force()
        with parts_stopped("kube-apiserver") as start:
            await asyncio.sleep(14)
            start()
            await eventually(lambda: node(stage, "node-2"), 15, "the API server is back", every=0.05)
            await nothing_left(lambda: what_is_changed(stage), GONE_WITHIN, "everything is changed back")
        code, output = await run.ended(within=120)
    assert code in (0, 3), output
    await nothing_left(lambda: what_is_wrong(stage), 120, "everything answers again")
