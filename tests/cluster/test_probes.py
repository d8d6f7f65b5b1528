"""What probes read of real pods, and of the way to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.http import Http
from chaosrunner.platforms.kubernetes import KubernetesPlatform
from chaosrunner.platforms.kubernetes.client import path
from chaosrunner.ports import Probe, ProbeContext
from tests.cluster.lab import Space, eventually

MakeProbe = Callable[..., Probe[Any]]
SILENT = "import socket, time; s = socket.create_server(('', 8080)); time.sleep(600)"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(space: Space) -> Space:
    """The services `web` (2 pods), `sayer`, `shut` (refuses), `silent`, and `lost`, whose Service selects nothing."""
    await asyncio.gather(
        space.deploy("web", 2),
        space.deploy("sayer"),
        space.deploy("shut", container={"command": ["sleep", "600"], "readinessProbe": None}),
        space.deploy("silent", container={"command": ["python3", "-c", SILENT], "readinessProbe": None}),
    )
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    body = {"metadata": {"name": "lost"}, "spec": {"selector": {"app": "lost"}, "ports": ports}}
    await space.make("v1", "services", body)
    space.services["lost"] = {"service": "lost"}
    return space


@pytest_asyncio.fixture(loop_scope="module")
async def probe(web: Space) -> AsyncIterator[MakeProbe]:
    """A probe by kind, with its parameters as a file writes them."""
    clock = SystemClock()
    spec = KubernetesPlatform.Spec.model_validate(web.environment()["spec"]["platform"]["kubernetes"])
    platform = KubernetesPlatform(spec, "lab", web.folder, clock)
    async with Http(clock) as http:
        context = ProbeContext(clock=clock, http=http, folder=web.folder, platform=platform)

        def make(kind: str, /, **params: Any) -> Probe[Any]:
            plugin = catalog.find("probes", kind)
            return plugin(plugin.Params.model_validate(params), context)

        yield make
    await platform.close()


async def becomes(probe: Probe[Any], value: Any, within: float = 30.0) -> None:
    async def look() -> bool:
        return bool(await probe.read() == value)

    await eventually(look, within, f"it reads {value!r}")


async def pod_of(space: Space, service: str) -> str:
    return str((await space.pods(service))[0]["metadata"]["name"])


async def test_a_lost_pod_is_seen_and_its_replacement_too(web, probe):
    ready = probe("kubernetes", service="web", read="readyPods")
    replicas = probe("kubernetes", service="web", read="readyReplicas")
    killed = probe("kubernetes", selector="app=web", read="events", reason="Killing")
    rollout = probe("rollout", workload="deployment/web")
    assert (await ready.read(), await replicas.read(), await rollout.read()) == (2, 2, "complete")
    assert await probe("kubernetes", service="web").read() is True
    assert await killed.read() == 0
    await web.cluster.delete(path("v1", "pods", web.name, await pod_of(web, "web")))
    await becomes(ready, 1)
    await becomes(killed, 1)
    await becomes(ready, 2)
    await becomes(rollout, "complete")


async def test_a_restart_is_counted_and_what_was_said_before_it(web, probe):
    pod = await pod_of(web, "sayer")
    restarts = probe("kubernetes", workload="deployment/sayer", read="restarts")
    said = probe("pod-logs", service="sayer", matches="GET /trouble")
    await web.seen_from("sayer", "http://127.0.0.1:8080/trouble/before-the-run")
    await eventually(lambda: _logged(web, pod, "before-the-run"), 10, "it is in the log")
    assert (await restarts.read(), await said.read()) == (0, 0)
    await web.seen_from("sayer", "http://127.0.0.1:8080/trouble/1")
    await web.seen_from("sayer", "http://127.0.0.1:8080/no-matter")
    await becomes(said, 1)
    await web.cluster.execute(web.name, pod, "main", ["python3", "-c", _SAY_AND_DIE])  # it dies with its container
    await becomes(restarts, 1)
    await eventually(lambda: _count(said, 3), 20, "the two lines before the restart are counted")
    assert await probe("kubernetes", pod=pod, read="restarts").read() == 0  # of a run that begins now


_SAY_AND_DIE = """
import os, signal, urllib.request
for n in (2, 3):
    urllib.request.urlopen(f"http://127.0.0.1:8080/trouble/{n}").read()
os.kill(1, signal.SIGINT)
"""


async def _logged(space: Space, pod: str, words: str) -> bool:
    return words in await space.cluster.text(path("v1", "pods", space.name, pod, "log"))


async def _count(probe: Probe[Any], expected: float) -> bool:
    try:
        return bool(await probe.read() == expected)
    except NoReading as error:
        assert "begun anew" in str(error)
        return False


async def test_more_than_the_limit_is_no_reading_and_then_goes_on(web, probe):
    said = probe("pod-logs", selector={"app": "web"}, matches="GET /flood", limit="1024B")
    assert await said.read() == 0
    pod = await pod_of(web, "web")
    loop = "import urllib.request\nfor n in range(60): urllib.request.urlopen('http://127.0.0.1:8080/flood').read()"
    await web.inside(pod, "python3", "-c", loop)
    await asyncio.sleep(1.1)  # the API takes whole seconds: what one second said must fit into the limit
    with pytest.raises(NoReading, match="grew by more than 1024 bytes"):
        await said.read()


async def test_a_rollout_takes_its_time(web, probe):
    status, seconds = (probe("rollout", workload="deployment/web", read=read) for read in ("status", "seconds"))
    await becomes(status, "complete")
    assert await seconds.read() == 0
    changed = {"spec": {"template": {"metadata": {"annotations": {"made": "anew"}}}}}
    await web.cluster.patch(path("apps/v1", "deployments", web.name, "web"), changed)
    assert await status.read() == "progressing"
    await seconds.read()
    assert await seconds.read() > 0
    await becomes(status, "complete")
    assert await seconds.read() == 0


async def test_a_service_is_read_through_the_api_server(web, probe):
    assert await probe("http", service="web", url="/healthz").read() == 200
    assert 0 < await probe("http", service="web", url="/", read="latency").read() < 5
    pods = {pod["metadata"]["name"] for pod in await web.pods("web")}
    assert await probe("http", service="web", url="/", read="json", path="$.pod").read() in pods
    with pytest.raises(NoAnswer, match="no endpoints"):
        await probe("http", service="lost", url="/").read()


async def test_a_service_that_refuses_or_hangs_does_not_answer(web, probe):
    with pytest.raises(NoAnswer, match="connection refused"):
        await probe("http", service="shut", url="/").read()
    with pytest.raises(NoAnswer, match=r"no answer within 0\.5 s"):
        await probe("http", service="silent", url="/", timeout="500ms").read()


async def test_any_object_by_its_field(web, probe):
    field = probe("kubernetes", kind="Service", name="web", read="field", path="$.spec.ports[0].port")
    assert await field.read() == 80
    node = (await web.pods("web"))[0]["spec"]["nodeName"]
    assert await probe("kubernetes", node=node).read() is True
    assert await probe("kubernetes", workload="deployment/web", condition="Progressing").read() is True
    with pytest.raises(NoReading, match="has no condition Sunny; it has Available, Progressing"):
        await probe("kubernetes", workload="deployment/web", condition="Sunny").read()
    with pytest.raises(NoAnswer, match="there is no deployment/webb"):
        await probe("kubernetes", workload="deployment/webb").read()


async def test_other_namespaces_are_refused(probe):
    for params in ({"selector": "app=x"}, {"pod": "x"}, {"kind": "Service", "name": "kube-dns", "condition": "A"}):
        with pytest.raises(UsageError, match="kube-system is not one of the environment's"):
            await probe("kubernetes", namespace="kube-system", **params).read()
