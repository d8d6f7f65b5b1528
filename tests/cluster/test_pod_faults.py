"""Faults on pods through the cluster's API, on a real cluster: seen from outside while they act, and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.platforms.kubernetes.client import Object, path
from tests.cluster.lab import Space, eventually

KILL = {"fault": "pod-kill", "target": {"service": "back"}, "observe": "4s"}

JUDGED: Object = {
    "name": "the-machine",
    "title": "The machine of the test is there",
    "measures": [
        {
            "name": "true",
            "command": {"run": ["true"], "read": "exitCode"},
            "every": "250ms",
            "tolerance": {"equals": 0},
        }
    ],
}
"""Holds always: the answer is then the fault's own."""


def written(space: Space, step: Object) -> Path:
    """With the guard off that keeps a last replica: some services here have but one."""
    environment = space.environment(guards={"keepLastReplica": False})
    return space.write(step, hypotheses=[JUDGED], environment=environment)


async def uids(space: Space, name: str) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in await space.pods(name)}


async def ready_again(space: Space, name: str, replicas: int = 2) -> None:
    async def ready() -> bool:
        pods = await space.pods(name)
        states = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
        return len(pods) == replicas and len(states) == replicas and all(each["ready"] for each in states)

    await eventually(ready, 30, f"{name} has {replicas} ready pods")


def lost_pod(before: list[Object], uids_after: set[str]) -> Object:
    lost = [pod for pod in before if pod["metadata"]["uid"] not in uids_after]
    assert len(lost) == 1, (len(before), uids_after)
    return lost[0]


@pytest.mark.parametrize("with_", [{}, {"force": True}], ids=["in its own time", "by force"])
async def test_a_killed_pod_is_gone_from_the_network_and_another_one_comes(shop: Space, with_: Object) -> None:
    await ready_again(shop, "back")
    before = await shop.pods("back")
    async with shop.running(written(shop, {**KILL, "with": with_})) as run:
        await run.in_force()
        lost = lost_pod(before, await uids(shop, "back"))
        address = lost["status"]["podIP"]

        async def silent() -> bool:
            return (await shop.seen_from("outside", f"http://{address}:8080/", 0.5))["outcome"] != "answered"

        await eventually(silent, 5, "the killed pod does not answer any more")
        code, output = await run.ended()
    assert code == 0, output
    assert "deployment/back has 2 of 2 ready" in output
    await ready_again(shop, "back")
    assert lost["metadata"]["uid"] not in await uids(shop, "back")


async def test_a_pod_with_its_own_time_to_end_is_seen_ending(space: Space) -> None:
    """The program is process 1 without a handler for SIGTERM, so it runs on until its time is over."""
    await space.deploy("slow", terminationGracePeriodSeconds=6)
    step = {"fault": "pod-kill", "target": {"service": "slow"}, "with": {"grace": "3s"}, "observe": "5s"}
    async with space.running(written(space, step)) as run:
        await run.in_force()
        code, output = await run.ended()
        journal = run.journal
    assert code == 0, output
    seen = [event["how"] for event in journal if event["type"] == "fault-seen"]
    assert len(seen) == 2
    assert "s left to end" in seen[0]
    assert "was deleted" in seen[1] or "none of its containers runs" in seen[1]


async def test_a_pod_that_nothing_owns_is_left_alone_unless_the_file_says_so(space: Space) -> None:
    container = {"name": "main", "image": "lab/base:1", "imagePullPolicy": "Never", "command": ["sleep", "600"]}
    pod = {"metadata": {"name": "bare"}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    await space.make("v1", "pods", pod)
    where = path("v1", "pods", space.name, "bare")
    await eventually(lambda: _phase_is(space, where, "Running"), 30, "the bare pod runs")
    step = {"fault": "pod-kill", "target": {"names": ["bare"]}, "observe": "1s"}
    file = written(space, step)
    code, output = await space.command("plan", file.name, folder=file.parent)
    assert code == 4, output
    assert "nothing owns the pod" in output and "bareToo: true" in " ".join(output.split())
    file = written(space, {**step, "with": {"bareToo": True}})
    code, output = await space.command("run", file.name, "--plain", folder=file.parent)
    assert code == 0, output
    assert "it does not come back by itself" in output


async def _phase_is(space: Space, where: str, phase: str) -> bool:
    return bool((await space.cluster.get(where))["status"].get("phase") == phase)


async def test_an_eviction_that_no_budget_forbids_takes_the_pod(shop: Space) -> None:
    await ready_again(shop, "back")
    before = await shop.pods("back")
    async with shop.running(written(shop, {**KILL, "fault": "pod-evict"})) as run:
        await run.in_force()
        lost_pod(before, await uids(shop, "back"))
        code, output = await run.ended()
    assert code == 0, output
    await ready_again(shop, "back")


async def test_a_disruption_budget_is_a_barrier_that_held(shop: Space) -> None:
    await ready_again(shop, "back")
    budget = {
        "metadata": {"name": "keep-back"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "back"}}},
    }
    made = await shop.make("policy/v1", "poddisruptionbudgets", budget)
    where = path("policy/v1", "poddisruptionbudgets", shop.name, "keep-back")

    async def known() -> bool:
        return bool((await shop.cluster.get(where)).get("status", {}).get("currentHealthy") == 2)

    await eventually(known, 10, "the budget is known")
    before = await uids(shop, "back")
    try:
        step = {**KILL, "fault": "pod-evict", "with": {"keepAsking": "2s"}}
        file = written(shop, step)
        code, output = await shop.command("run", file.name, "--plain", folder=file.parent)
    finally:
        await shop.cluster.delete(where)
    assert made
    words = " ".join(output.split())
    assert code == 3, output
    assert "A BARRIER HELD" in words and "a PodDisruptionBudget does not allow the eviction" in words
    assert "asked 3 times within 2 s" in words or "asked 2 times within 2 s" in words
    assert "keep-back" in words
    assert "failed" not in words.lower()
    assert await uids(shop, "back") == before


async def test_a_rollout_replaces_every_pod(shop: Space) -> None:
    await ready_again(shop, "back")
    before = await uids(shop, "back")
    step = {"fault": "rollout-restart", "target": {"workload": "deployment/back"}, "observe": "12s"}
    async with shop.running(written(shop, step)) as run:
        await run.in_force()
        assert await uids(shop, "back") - before
        code, output = await run.ended()
    assert code == 0, output
    assert "the rollout is through: 2 of 2 ready, all of them new" in output
    assert not await uids(shop, "back") & before


# -- containers


async def restarts(space: Space, name: str) -> list[int]:
    return [
        int(status["restartCount"])
        for pod in await space.pods(name)
        for status in pod["status"].get("containerStatuses", ())
    ]


async def test_a_container_whose_program_hears_the_signal_is_started_again(space: Space) -> None:
    """Python is process 1 here, and has a handler for SIGINT alone."""
    await space.deploy("program")
    before = await uids(space, "program")
    step = {"fault": "container-kill", "target": {"service": "program"}, "with": {"signal": "INT"}, "observe": "2s"}
    async with space.running(written(space, step)) as run:
        await run.in_force()
        code, output = await run.ended()
    assert code == 0, output
    assert "restarted 1 time since" in output
    assert await restarts(space, "program") == [1]
    assert await uids(space, "program") == before


@pytest.mark.parametrize(("signal", "words"), [("KILL", "the kernel drops it"), ("TERM", "has no handler for SIGTERM")])
async def test_a_signal_that_process_1_would_not_hear_is_refused_by_the_plan(
    space: Space, signal: str, words: str
) -> None:
    if "program" not in space.services:
        await space.deploy("program")
    step = {"fault": "container-kill", "target": {"service": "program"}, "with": {"signal": signal}, "observe": "2s"}
    file = written(space, step)
    code, output = await space.command("plan", file.name, folder=file.parent)
    said = " ".join(output.split())
    assert code == 4, output
    assert words in said
    assert "shareProcessNamespace" in said and "pod-kill" in said
    if signal == "TERM":
        assert "SIGINT" in said


async def test_where_containers_share_their_processes_even_kill_works(space: Space) -> None:
    await space.deploy("shared", shareProcessNamespace=True)
    step = {"fault": "container-kill", "target": {"service": "shared"}, "with": {"signal": "KILL"}, "observe": "2s"}
    async with space.running(written(space, step)) as run:
        await run.in_force()
        code, output = await run.ended()
    assert code == 0, output
    assert await restarts(space, "shared") == [1]


# -- targets that appear


async def test_pods_that_appear_are_killed_as_well_where_the_file_follows(shop: Space) -> None:
    await ready_again(shop, "back")
    before = await uids(shop, "back")
    target = {"service": "back", "take": "all", "follow": True}
    async with shop.running(written(shop, {"fault": "pod-kill", "target": target, "observe": "10s"})) as run:
        await run.in_force()
        code, output = await run.ended()
        journal = run.journal
    assert code == 0, output
    killed = [event["target"]["details"]["uid"] for event in journal if event["type"] == "fault-prepared"]
    assert set(killed[:2]) == before
    assert len(killed) >= 4
    assert len(set(killed)) == len(killed)
    assert "appeared: step pod-kill acts on it, too" in output
    await ready_again(shop, "back")
