"""The kubernetes probe, on a cluster whose pods and objects do what they are told."""

from __future__ import annotations

import dataclasses

import pytest

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading, NotPossibleNow
from tests.probes.cluster import FakeCluster, Pod


@pytest.fixture
def cluster():
    made = FakeCluster()
    made.pods_there = [Pod("a"), Pod("b")]
    return made


@pytest.fixture
def read(probe, context, cluster):
    within = dataclasses.replace(context, platform=cluster)
    return lambda **params: probe("kubernetes", within=within, **params)


async def test_ready_pods_are_those_that_are_ready_and_stay(read, cluster):
    ready, all_ready = read(service="checkout", read="readyPods"), read(service="checkout")
    assert (await ready.read(), await all_ready.read()) == (2, True)
    a, b = cluster.pods_there
    a.container.ready = False
    assert (await ready.read(), await all_ready.read()) == (1, False)
    a.leaving = True
    assert (await ready.read(), await all_ready.read()) == (1, True)
    b.phase = "Succeeded"
    assert await ready.read() == 0
    with pytest.raises(NoAnswer, match="there is no pod of service checkout"):
        await all_ready.read()


async def test_restarts_count_from_the_beginning_whatever_becomes_of_the_pod(read, cluster):
    a, b = cluster.pods_there
    a.container.restarts = 7
    restarts = read(selector={"app": "checkout"}, read="restarts")
    assert await restarts.read() == 0
    a.container.restarts = 8
    assert await restarts.read() == 1
    cluster.pods_there = [b, Pod("c")]
    cluster.pods_there[1].container.restarts = 2
    assert await restarts.read() == 3


async def test_restarts_within_a_time_pass(read, cluster, context):
    restarts = read(service="checkout", read="restarts", over="40ms")
    await restarts.read()
    cluster.pods_there[0].container.restarts = 1
    assert await restarts.read() == 1
    await context.clock.sleep(0.05)
    assert await restarts.read() == 0
    assert type(restarts).lag(restarts.params) == 0.04


def event(about: str, count: int, reason: str = "Unhealthy", uid: str = "e1") -> dict:
    return {"metadata": {"uid": uid}, "involvedObject": {"uid": about}, "reason": reason, "count": count}


async def test_events_about_its_pods_are_counted_as_often_as_they_came(read, cluster):
    cluster.the_events = [event("uid-a", 5)]
    events = read(service="checkout", read="events", reason="Unhealthy")
    assert await events.read() == 0
    cluster.the_events = [
        event("uid-a", 7),
        event("uid-b", 1, uid="e2"),
        event("uid-stranger", 9, uid="e3"),
        event("uid-a", 9, "Killing", uid="e4"),
    ]
    assert await events.read() == 3
    cluster.pods_there = []
    cluster.the_events = [event("uid-a", 8)]
    assert await events.read() == 4, "of a pod that is gone now, and an event that is no longer kept"


async def test_a_condition_of_an_object(read, cluster):
    cluster.objects["Node/n1"] = {
        "kind": "Node",
        "metadata": {"name": "n1", "uid": "u"},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"}]},
    }
    assert await read(node="n1").read() is False
    assert await read(node="n1", condition="DiskPressure").read() is True
    with pytest.raises(NoReading, match="Node n1 has no condition Sunny; it has DiskPressure, Ready"):
        await read(node="n1", condition="Sunny").read()
    with pytest.raises(NoAnswer, match="there is no node n2"):
        await read(node="n2").read()


async def test_a_field_of_any_object(read, cluster):
    cluster.objects["Widget/w"] = {"kind": "Widget", "metadata": {"name": "w"}, "status": {"size": 4, "parts": [1, 2]}}
    widget = {"kind": "Widget", "name": "w", "api": "example.com/v1", "read": "field"}
    assert await read(**widget, path="$.status.size").read() == 4
    with pytest.raises(NoReading, match=r"Widget w: \$.status.parts is a list"):
        await read(**widget, path="$.status.parts").read()


async def test_ready_replicas_that_a_workload_does_not_mention_are_none(read, cluster):
    cluster.the_workload = {"kind": "Deployment", "metadata": {"name": "x", "uid": "u"}, "status": {}}
    assert await read(workload="deployment/x", read="readyReplicas").read() == 0
    cluster.the_workload = None
    with pytest.raises(NoAnswer, match="there is no deployment/x"):
        await read(workload="deployment/x", read="readyReplicas").read()


async def test_an_api_server_in_trouble_is_no_reading(read, cluster):
    cluster.down = True
    with pytest.raises(NotPossibleNow, match="the API server answers 503"):
        await read(service="checkout").read()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "expected one of service, workload"),
        ({"service": "a", "pod": "b"}, "expected one of service, workload"),
        ({"node": "a", "read": "readyPods"}, "`read: readyPods` is of service, workload, selector; found node"),
        ({"kind": "Widget"}, "kind and name go together"),
        ({"kind": "Widget", "name": "w"}, "say which condition of the Widget is meant"),
        ({"pod": "a", "read": "field"}, "`read: field` needs a path"),
        ({"service": "a", "read": "events"}, "needs their reason"),
        ({"service": "a", "path": "$.a"}, "path goes with `read: field`"),
        ({"service": "a", "over": "1s"}, "over goes with `read: restarts`"),
        ({"service": "a", "read": "events", "reason": "a,b"}, "expected a word as the cluster writes it"),
    ],
)
def test_what_a_file_may_not_say(params, words):
    with pytest.raises(ValueError, match=words):
        catalog.find("probes", "kubernetes").Params.model_validate(params)
