"""The rollout probe: what is complete, what is under way, and what is stuck."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading
from tests.probes.cluster import FakeCluster

Object = dict[str, Any]


def deployment(updated: int = 2, there: int = 2, available: int = 2, seen: int = 3, **more: Any) -> Object:
    status = {"replicas": there, "updatedReplicas": updated, "availableReplicas": available, "observedGeneration": seen}
    conditions = [{"type": "Progressing", "reason": more.pop("reason", "NewReplicaSetAvailable")}]
    return {
        "kind": "Deployment",
        "metadata": {"name": "checkout", "generation": 3},
        "spec": {"replicas": 2, **more},
        "status": status | {"conditions": conditions},
    }


def stateful_set(ready: int = 3, updated: int = 3, revision: str = "new", **strategy: Any) -> Object:
    status = {"readyReplicas": ready, "updatedReplicas": updated, "updateRevision": "new", "currentRevision": revision}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "store", "generation": 1},
        "spec": {"replicas": 3, "updateStrategy": strategy},
        "status": status | {"observedGeneration": 1},
    }


def daemon_set(updated: int = 3, available: int = 3) -> Object:
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available}
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "generation": 1},
        "spec": {"updateStrategy": {"type": "RollingUpdate"}},
        "status": status | {"observedGeneration": 1},
    }


@pytest.fixture
def cluster():
    return FakeCluster()


@pytest.fixture
def rollout(probe, context, cluster):
    within = dataclasses.replace(context, platform=cluster)
    return lambda read="status", **more: probe("rollout", within=within, service="checkout", read=read, **more)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (deployment(), "complete"),
        (deployment(seen=2), "progressing"),
        (deployment(updated=1), "progressing"),
        (deployment(there=3), "progressing"),
        (deployment(available=1), "progressing"),
        (deployment(available=1, reason="ProgressDeadlineExceeded"), "stuck"),
        (deployment(available=1, paused=True), "stuck"),
        (deployment(paused=True), "complete"),
        (stateful_set(), "complete"),
        (stateful_set(revision="old"), "progressing"),
        (stateful_set(ready=2), "progressing"),
        (stateful_set(revision="old", updated=1, rollingUpdate={"partition": 2}), "complete"),
        (stateful_set(revision="old", updated=1, rollingUpdate={"partition": 1}), "progressing"),
        (daemon_set(), "complete"),
        (daemon_set(updated=2), "progressing"),
        (daemon_set(available=2), "progressing"),
    ],
)
async def test_it_says_how_far_it_is(rollout, cluster, found, status):
    cluster.the_workload = found
    assert await rollout().read() == status
    assert await rollout("complete").read() is (status == "complete")


async def test_seconds_grow_until_it_is_complete(rollout, cluster, context):
    seconds = rollout("seconds")
    assert type(seconds).unit(seconds.params) == "s"
    cluster.the_workload = deployment()
    assert await seconds.read() == 0
    cluster.the_workload = deployment(updated=1)
    first = await seconds.read()
    await context.clock.sleep(0.02)
    assert await seconds.read() >= first + 0.02
    cluster.the_workload = deployment()
    assert await seconds.read() == 0


async def test_without_progress_for_too_long_it_is_stuck(rollout, cluster, context):
    status = rollout(stuckAfter="30ms")
    cluster.the_workload = daemon_set(updated=1)
    assert await status.read() == "progressing"
    await context.clock.sleep(0.04)
    assert await status.read() == "stuck"
    cluster.the_workload = daemon_set(updated=2)
    assert await status.read() == "progressing"


async def test_one_that_is_not_there_does_not_answer_and_one_without_a_rollout_cannot_be_read(rollout, cluster):
    with pytest.raises(NoAnswer, match="there is no workload of checkout"):
        await rollout().read()
    cluster.the_workload = stateful_set(type="OnDelete")
    with pytest.raises(NoReading, match="is updated by hand"):
        await rollout().read()
    cluster.the_workload = {"kind": "Job", "metadata": {"name": "x"}}
    with pytest.raises(NoReading, match="a Job has no rollout"):
        await rollout().read()


def test_exactly_one_way_to_name_it():
    for params in ({}, {"service": "a", "workload": "deployment/a"}):
        with pytest.raises(ValueError, match="expected one of workload and service"):
            catalog.find("probes", "rollout").Params.model_validate(params)
