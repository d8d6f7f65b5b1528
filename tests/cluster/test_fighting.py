"""What fights back on a real cluster, and what is less usual: somebody reverts a change, endpoints change in force,
datagrams, a policy for what a pod opens, a node whose pods are thrown out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from chaosrunner.platforms.kubernetes.client import path
from tests.cluster.lab import DATAGRAMS, Space, eventually, nodes_to_itself, to_back
from tests.cluster.rights import guardian_account, remove_cluster_roles

NODE = "node-3"
SAY = f"""
import socket
door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
door.settimeout(1.0)
door.connect(("back", {DATAGRAMS}))
try:
    door.send(b"x")
    door.recv(10)
    print("answered")
except ConnectionRefusedError:
    print("refused")
except TimeoutError:
    print("silent")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(space: Space) -> AsyncIterator[Space]:
    """`front` calls `back`; `outside` looks."""
    await guardian_account(space, "scale", "network-policy-deny", "node-taint")
    async with nodes_to_itself():
        try:
            await asyncio.gather(space.deploy("back", 2), space.deploy("front"), space.deploy("outside"))
            yield space
        finally:
            await space.heal()
            await remove_cluster_roles(space)


async def said(space: Space, service: str) -> str:
    """What becomes of a datagram from a pod of this service to back."""
    pod = (await space.pods(service))[0]
    return (await space.inside(pod["metadata"]["name"], "python3", "-c", SAY)).strip()


async def replicas(space: Space, name: str, many: int) -> None:
    await space.cluster.patch(path("apps/v1", "deployments", space.name, name), {"spec": {"replicas": many}})


@contextlib.asynccontextmanager
async def kept_at(space: Space, name: str, many: int) -> AsyncIterator[None]:
    """As a GitOps tool or an autoscaler does: whatever anybody sets, it sets it back."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(0.5)
            await replicas(space, name, many)

    keeping = asyncio.ensure_future(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_scale_that_somebody_reverts_is_no_fault_that_was_in_force(stage: Space) -> None:
    step = {"fault": "scale", "target": {"service": "back"}, "with": {"to": 1}, "for": "12s", "id": "it"}
    async with stage.running(stage.write(step)) as run:
        await run.in_force()
        async with kept_at(stage, "back", 2):
            code, output = await run.ended()
    assert code == 3, output
    assert "LOST" in output.upper() and "replicas" in output, output
    back = await stage.cluster.get(path("apps/v1", "deployments", stage.name, "back"))
    assert back["spec"]["replicas"] == 2
    assert not [key for key in back["metadata"].get("annotations") or {} if key.startswith("hold.chaosrunner.dev/")]


async def test_an_endpoint_that_appears_in_force_is_lost_too(stage: Space) -> None:
    try:
        async with stage.running(stage.write(to_back("dependency-loss", "40s", mode="refuse"))) as run:
            await run.in_force()
            known = {str(pod["metadata"]["name"]) for pod in await stage.pods("back")}
            await replicas(stage, "back", 3)

            async def appeared() -> str:
                for pod in await stage.pods("back"):
                    states = pod["status"].get("containerStatuses") or [{}]
                    if pod["metadata"]["name"] not in known and states[0].get("ready"):
                        return str(pod["status"]["podIP"])
                return ""

            ip = await eventually(appeared, 30, "a third pod of back is ready")

            async def lost() -> bool:
                return bool((await stage.seen_from("front", f"http://{ip}:8080/"))["outcome"] == "refused")

            await eventually(lost, 15, "front loses the new pod of back, too")
            assert (await stage.seen_from("outside", f"http://{ip}:8080/"))["outcome"] == "answered"
            code, output = await run.ended()
        assert code in (0, 3), output
        assert (await stage.seen_from("front", f"http://{ip}:8080/"))["outcome"] == "answered"
    finally:
        await replicas(stage, "back", 2)


@pytest.mark.parametrize(("how", "outcome"), [("refuse", "refused"), ("hang", "silent")])
async def test_datagrams_are_lost_like_connections(stage: Space, how: str, outcome: str) -> None:
    assert await said(stage, "front") == "answered"
    async with stage.running(stage.write(to_back("dependency-loss", "15s", mode=how))) as run:
        await run.in_force()
        assert await said(stage, "front") == outcome
        assert await said(stage, "outside") == "answered"
        code, output = await run.ended()
    assert code in (0, 3), output
    assert await said(stage, "front") == "answered"


async def test_a_policy_for_what_a_pod_opens_cuts_one_dependency(stage: Space) -> None:
    async with stage.running(stage.write(to_back("network-policy-deny", "20s"))) as run:
        await run.in_force()
        assert (await stage.seen_from("front", "http://back/"))["outcome"] == "silent"
        assert (await stage.seen_from("front", "http://outside/"))["outcome"] == "answered"
        assert (await stage.seen_from("outside", "http://back/"))["outcome"] == "answered"
        code, output = await run.ended()
    assert code in (0, 3), output

    async def answered() -> bool:
        return bool((await stage.seen_from("front", "http://back/"))["outcome"] == "answered")

    await eventually(answered, 10, "front reaches back again")
    found = await stage.cluster.get(path("networking.k8s.io/v1", "networkpolicies", stage.name))
    assert found["items"] == [], json.dumps(found["items"])


async def test_a_node_s_pods_are_thrown_out_by_a_taint(stage: Space) -> None:
    there: Any = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    there["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] = [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}]}
    ]
    await stage.deploy("thrown", 1, affinity={"nodeAffinity": there})
    (before,) = await stage.pods("thrown")
    step = {"fault": "node-taint", "target": {"node": NODE}, "with": {"effect": "NoExecute"}, "for": "15s", "id": "it"}
    environment = stage.environment(guards={"keepLastReplica": False})
    async with stage.running(stage.write(step, environment=environment)) as run:
        await run.in_force()

        async def gone() -> bool:
            return before["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in await stage.pods("thrown")}

        await eventually(gone, 10, "its pod was evicted")

        async def silent() -> bool:
            return bool((await stage.seen_from("outside", "http://thrown/"))["outcome"] != "answered")

        await eventually(silent, 10, "nobody answers in its place")
        code, output = await run.ended()
    assert code in (0, 3), output
    node = await stage.cluster.get(path("v1", "nodes", None, NODE))
    assert not node["spec"].get("taints")

    async def answers() -> bool:
        return bool((await stage.seen_from("outside", "http://thrown/"))["outcome"] == "answered")

    await eventually(answers, 40, "a pod runs on the node again")
