"""Faults in the cluster's API are taken back whoever dies: seen from outside of chaosrunner, on a real cluster."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from chaosrunner.platforms.kubernetes.client import path
from tests.cluster.lab import Space, eventually
from tests.cluster.rights import guardian_account

GONE_WITHIN = 10.0
"""Seconds after the runner's death."""
SCALE = {"fault": "scale", "target": {"workload": "deployment/back"}, "with": {"to": 0}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(shop: Space) -> Space:
    await guardian_account(shop, "scale")
    return shop


async def replicas(space: Space, name: str = "back") -> int:
    found = await space.cluster.get(path("apps/v1", "deployments", space.name, name))
    return int(found["spec"]["replicas"])


async def ledger(space: Space) -> list[dict[str, Any]]:
    found = await space.cluster.get(path("v1", "configmaps", space.name), labelSelector="chaosrunner.dev/ledger=fault")
    return list(found["items"])


async def leftovers(space: Space) -> list[str]:
    """Whatever of chaosrunner's is in the namespace, and is not on its way out."""
    found = []
    for api, resource in (("v1", "configmaps"), ("coordination.k8s.io/v1", "leases"), ("v1", "pods")):
        labels = "app.kubernetes.io/managed-by=chaosrunner"
        items = (await space.cluster.get(path(api, resource, space.name), labelSelector=labels))["items"]
        found += [
            f"{resource}/{each['metadata']['name']}" for each in items if "deletionTimestamp" not in each["metadata"]
        ]
    return found


async def answers(space: Space) -> bool:
    return bool((await space.seen_from("outside", "http://back/"))["outcome"] == "answered")


async def silent(space: Space) -> bool:
    return not await answers(space)


async def test_a_whole_run_leaves_nothing_behind(guarded: Space) -> None:
    file = guarded.write(SCALE | {"for": "6s"})
    async with guarded.running(file) as run:
        await run.in_force()
        assert await replicas(guarded) == 0
        assert len(await ledger(guarded)) == 1, "the cluster knows of it while it is in force"
        await eventually(lambda: silent(guarded), 4, "nobody answers for it: its pods end, and the nodes hear of it")
        code, output = await run.ended()
    assert code == 0, output
    assert await replicas(guarded) == 2
    await eventually(lambda: answers(guarded), 15, "the service answers again")
    await eventually(lambda: _none(leftovers(guarded)), 15, "nothing of chaosrunner's is left")


async def test_two_machines_never_act_on_one_target(guarded: Space) -> None:
    async with guarded.running(guarded.write(SCALE | {"for": "60s"}), machine="one") as run:
        await run.in_force()
        file = guarded.write(SCALE | {"with": {"to": 1}, "for": "1s"})
        code, output = await guarded.command("run", file.name, "--plain", folder=file.parent, machine="two")
        assert code == 4, output
        assert "deployment/back is in the hands of run" in output
        code, output = await guarded.command("heal", "-e", "experiment.yaml", folder=file.parent, machine="two")
        assert (code, "is under way" in output) == (3, True), "a living run's fault is no leftover"
        assert await replicas(guarded) == 0
        asked = ("halt", "-e", "experiment.yaml", "--reason", "the shop burns")
        code, output = await guarded.command(*asked, folder=file.parent, machine="two")
        assert (code, output.strip().rpartition(": ")[2]) == (0, "halted"), output
        code, output = await run.ended()
        assert (code, "the shop burns" in output) == (6, True), output
    assert await replicas(guarded) == 2
    await eventually(lambda: _none(leftovers(guarded)), 15, "nothing of chaosrunner's is left")


async def test_what_runner_and_guardian_left_is_healed_from_another_machine(guarded: Space) -> None:
    file = guarded.write(SCALE | {"for": "120s"})
    async with guarded.running(file, machine="one") as run:
        await run.in_force()
        (guardian,) = await _guardians(guarded)
        await guarded.cluster.delete(path("v1", "pods", guarded.name, guardian), {"gracePeriodSeconds": 0})
        await run.kill()
    assert await replicas(guarded) == 0
    assert len(await ledger(guarded)) == 1
    elsewhere = guarded.write(SCALE | {"for": "1s"}, environment=guarded.environment())
    code, output = await guarded.command("heal", "-e", "experiment.yaml", folder=elsewhere.parent, machine="two")
    assert code == 0, output
    assert f"took back scale on {guarded.name}/deployment/back" in output
    assert await replicas(guarded) == 2
    assert await ledger(guarded) == []
    code, output = await guarded.command("heal", "-e", "experiment.yaml", folder=elsewhere.parent, machine="two")
    assert (code, "nothing is in force" in output) == (0, True), output
    code, output = await guarded.command("heal", folder=file.parent, machine="one")
    assert code == 0, f"the first machine's own journal: {output}"
    assert await replicas(guarded) == 2


async def test_a_run_without_its_guardian_stops_and_takes_everything_back(guarded: Space) -> None:
    async with guarded.running(guarded.write(SCALE | {"for": "60s"})) as run:
        await run.in_force()
        (guardian,) = await _guardians(guarded)
        await guarded.cluster.delete(path("v1", "pods", guarded.name, guardian), {"gracePeriodSeconds": 0})
        code, output = await run.ended(within=30)
    assert (code, "has been silent" in output) == (3, True), output
    assert await replicas(guarded) == 2


async def _guardians(space: Space) -> list[str]:
    labels = "app.kubernetes.io/name=chaosrunner-guardian"
    items = (await space.cluster.get(path("v1", "pods", space.name), labelSelector=labels))["items"]
    return [each["metadata"]["name"] for each in items if "deletionTimestamp" not in each["metadata"]]


async def _none(found: Any) -> bool:
    left = await found
    return not left


async def test_a_killed_runner_s_fault_is_taken_back_by_the_guardian(guarded: Space) -> None:
    async with guarded.running(guarded.write(SCALE | {"for": "120s"})) as run:
        await run.in_force()
        await run.kill()

    async def back() -> bool:
        return await replicas(guarded) == 2

    await eventually(back, GONE_WITHIN, "the old number of replicas")
    await eventually(lambda: _none(ledger(guarded)), 3, "the ledger is empty")
    await eventually(lambda: _none(_but_claims(guarded)), 45, "nothing but the claim, which the next run takes over")


async def _but_claims(space: Space) -> list[str]:
    return [each for each in await leftovers(space) if each != "configmaps/chaosrunner-claims"]
