"""What breaks outside of the targets is found on real pods, and what the fault is there to do is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_asyncio

from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import Selector
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import KubernetesPlatform
from chaosrunner.platforms.kubernetes.client import path
from tests.cluster.lab import Space, eventually

EAT = """
import os, time
while not os.path.exists("/tmp/eat"): time.sleep(0.1)
eaten = b"x" * (1 << 28)
time.sleep(600)
"""
GREEDY = {
    "command": ["python3", "-c", EAT],
    "resources": {"limits": {"memory": "64Mi"}},
    "readinessProbe": None,
}
FRAIL = {"readinessProbe": {"exec": {"command": ["test", "!", "-e", "/tmp/broken"]}, "periodSeconds": 1}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def space_with_shop(space: Space) -> Space:
    """`cart` (2 pods, a target), `greedy` (little memory), `frail` (2 pods), and `stranger`, which the environment does
    not name."""
    await asyncio.gather(
        space.deploy("cart", 2, container=FRAIL),
        space.deploy("greedy", container=GREEDY),
        space.deploy("frail", 2, container=FRAIL),
        space.deploy("stranger"),
    )
    del space.services["stranger"]
    return space


@pytest_asyncio.fixture(loop_scope="module")
async def platform(space_with_shop: Space) -> AsyncIterator[KubernetesPlatform]:
    spec = KubernetesPlatform.Spec.model_validate(space_with_shop.environment()["spec"]["platform"]["kubernetes"])
    made = KubernetesPlatform(spec, "lab", space_with_shop.folder, SystemClock())
    made.spill.begin()
    yield made
    await made.close()


async def targets(platform: KubernetesPlatform, service: str, take: int = 1) -> list[Target]:
    return list((await platform.find(Selector(service=service, take="all"))).candidates)[:take]


async def told(platform: KubernetesPlatform, hit: list[Target], service: str, words: str) -> Mapping[str, str]:
    async def look() -> Any:
        seen = await platform.observe(hit)
        return seen if words in seen.get(service, "") else None

    seen: Mapping[str, str] = await eventually(look, 30, f"{service}: {words}", every=0.5)
    return seen


async def test_nothing_has_broken_at_first_and_nothing_by_a_lost_target(platform, space_with_shop):
    space = space_with_shop
    hit = await targets(platform, "cart")
    first = await platform.observe(hit)
    assert set(first) >= {"cart", "greedy", "frail", f"{space.name}/deployment/stranger"}
    assert any(name.startswith("node ") for name in first)
    assert not any(first.values())
    await space.cluster.delete(path("v1", "pods", space.name, str(hit[0].details["pod"])))
    assert not any((await platform.observe(hit)).values())
    assert len(await space.pods("cart")) == 2
    await eventually(lambda: _ready(space, "cart"), 30, "its replacement is there")
    assert not any((await platform.observe(hit)).values())


async def test_a_restart_and_an_oom_kill_elsewhere_are_told(platform, space_with_shop):
    space, hit = space_with_shop, await targets(platform, "cart")
    await platform.observe(hit)
    stranger, greedy = [(await space.pods(name))[0]["metadata"]["name"] for name in ("stranger", "greedy")]
    await space.cluster.execute(space.name, stranger, "main", ["python3", "-c", "import os; os.kill(1, 2)"])
    await space.inside(greedy, "touch", "/tmp/eat")
    seen = await told(platform, hit, f"{space.name}/deployment/stranger", f"{stranger} was restarted once (main: ")
    assert "cart" in seen and not seen["cart"]
    await told(platform, hit, "greedy", "OOMKilled, exit code 137")


async def test_a_pod_that_is_not_ready_is_told_unless_its_service_is_the_target(platform, space_with_shop):
    space, hit = space_with_shop, await targets(platform, "cart")
    await eventually(lambda: _ready(space, "cart", "frail"), 30, "all are ready")
    await platform.observe(hit)
    frail = await targets(platform, "frail")
    for pod in (hit[0], frail[0]):
        await space.inside(str(pod.details["pod"]), "touch", "/tmp/broken")
    seen = await told(platform, hit, "frail", "1 of 2 pods are ready, before 2 of 2")
    assert not seen["cart"]
    await told(platform, hit, "frail", "readiness probe failed of")
    assert not (await platform.observe([*hit, *frail])).get("frail")


async def test_a_target_nodes_pods_are_no_spill_over(platform, space_with_shop):
    space = space_with_shop
    pod = (await space.pods("greedy"))[0]
    node = (await platform.find(Selector(node=pod["spec"]["nodeName"]))).candidates
    await platform.observe(node)
    await space.cluster.delete(path("v1", "pods", space.name, pod["metadata"]["name"]))
    seen = await platform.observe(node)
    assert not seen["greedy"] and f"node {pod['spec']['nodeName']}" not in seen


async def _ready(space: Space, *services: str) -> bool:
    for name in services:
        found = await space.cluster.get(path("apps/v1", "deployments", space.name, name))
        if found["status"].get("readyReplicas") != found["spec"]["replicas"]:
            return False
    return True
