"""Every fault inside of pods that has something to take back, all of them in force at once, each on something of its
own: gone in time when the runner is killed, and when the API server, which carries its heartbeat, is stopped.

What is in force is asked of the pods themselves, over their own addresses, as there is no API to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.cluster.lab import Object, Run, Space, nothing_left, parts_stopped
from tests.cluster.test_links import FAULTS as LINKS
from tests.cluster.test_links import Seen, address, asked, call, events, fine, late, silent, slow

pytestmark = pytest.mark.timeout(600)  # others stop the API server too, and only one at a time
MIB = 2**20
GONE_WITHIN = 10.0
"""Seconds after the runner's death, or after the API server went away."""
PATIENT = {"startWithin": "80s"}
"""A node that has missed its API server takes its time to ask again what it shall run."""

Hit = Callable[[Seen], bool]


class Way(NamedTuple):
    """A fault on the way to a service, and how that service looks while it is in force."""

    fault: str
    params: dict[str, Any]
    hit: Hit


class Strain(NamedTuple):
    """A fault on what a pod runs on, and how the pod finds that while it is in force."""

    fault: str
    params: dict[str, Any]
    hit: Hit


WAYS = (
    *(Way(*link) for link in LINKS if link[0] not in ("network-bandwidth", "network-latency")),
    # Many begin at the same time, and everything is slow meanwhile.
    Way("network-bandwidth", {"rate": "60B/s"}, silent),
    Way("network-latency", {"delay": "300ms"}, lambda seen: late(seen) or slow(seen)),
    Way("dns-fault", {"answer": "nxdomain"}, lambda seen: seen["outcome"] == "unknown host"),
    Way("http-fault", {"status": 503}, lambda seen: seen.get("status") == 503),
)
STRAINS = (
    Strain("cpu-stress", {"cores": 0.1}, lambda seen: seen["cores"] > 0.05),
    Strain("memory-stress", {"size": "100MiB"}, lambda seen: seen["resident"] > 100 * MIB),
    Strain("io-stress", {"folder": "/disk", "workers": 4}, lambda seen: seen["blocked"] > 0.1),
    Strain("disk-fill", {"folder": "/data", "size": "100MiB"}, lambda seen: seen["free"] <= 100 * MIB),
)
FAULTS = {one.fault for one in (*WAYS, *STRAINS)}
BACKS = [f"back-{number}" for number in range(len(WAYS))]
VOLUMES = [
    {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "200Mi"}},
    {"name": "disk", "emptyDir": {}},
]
STRAINED: dict[str, Any] = {
    "volumes": VOLUMES,
    "shareProcessNamespace": True,
    "container": {
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "disk", "mountPath": "/disk"}],
        "resources": {"limits": {"memory": "600Mi"}},
    },
}
"""A pod that sees everything that runs in it, has a disk and some memory, and may not use much."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(space: Space) -> Space:
    """A front with a dependency for each fault on a way, and a pod that is strained."""
    ways = (space.deploy(name, within=120) for name in ["front", *BACKS])
    await asyncio.gather(*ways, space.deploy("strained", within=120, **STRAINED))
    return space


def all_at_once(space: Space, lasts: str) -> tuple[Object, Object]:
    """A step with every fault, and the environment."""
    ways = [
        {"fault": one.fault, "with": one.params, "target": {"service": "front", "to": name}, "id": f"on-{name}"}
        for one, name in zip(WAYS, BACKS, strict=True)
    ]
    first, *others = [
        {"fault": one.fault, "with": one.params, "target": {"service": "strained"}, "id": one.fault} for one in STRAINS
    ]
    others = [{**one, "target": {"sameAs": first["id"]}} for one in others]
    environment = space.environment()
    environment["spec"]["platform"]["kubernetes"]["injector"] |= PATIENT
    return {"together": [{**one, "for": lasts} for one in [*ways, first, *others]]}, environment


class Asked(NamedTuple):
    """The pods that are asked, by their addresses."""

    front: str
    strained: str

    async def missed(self) -> list[Any]:
        """What ought to be in force, and is not seen."""
        ways, strain = await self._look()
        seen = [(one, way) for one, way in zip(WAYS, ways, strict=True)] + [(one, strain) for one in STRAINS]
        return [(one.fault, one.params, what) for one, what in seen if not one.hit(what)]

    async def left(self) -> list[Any]:
        """What ought to be gone, and is still seen."""
        ways, strain = await self._look()
        left: list[Any] = [(one.fault, one.params, way) for one, way in zip(WAYS, ways, strict=True) if not fine(way)]
        return left + [(one.fault, strain) for one in STRAINS if one.hit(strain)]

    async def _look(self) -> tuple[list[Seen], Seen]:
        ways = asyncio.gather(*(call(self.front, f"http://{name}/", 1.0) for name in BACKS))
        strain = await asked(self.strained, "/strain?folder=/data")
        return list(await ways), strain


async def those_asked(stage: Space) -> Asked:
    found = Asked(await address(stage, "front"), await address(stage, "strained"))
    # A node that was cut off takes its Services' pods out for a while.
    await nothing_left(found.left, 90.0, "all is as it should be")
    return found


async def in_force(run: Run) -> None:
    for _ in range(len(WAYS) + len(STRAINS)):
        await run.in_force(150.0)


async def test_of_a_killed_runner_nothing_stays(stage: Space) -> None:
    pods = await those_asked(stage)
    step, environment = all_at_once(stage, "300s")
    async with stage.running(stage.write(step, environment=environment)) as run:
        await in_force(run)
        assert not await pods.missed()
        await run.kill()
        await nothing_left(pods.left, GONE_WITHIN, "the faults are gone although their runner is dead")
    code, output = await stage.command("heal", folder=run.file.parent)
    assert code == 0, output
    assert len(events(run, "fault-undone")) == len(WAYS) + len(STRAINS), output


async def test_without_an_api_server_they_are_gone_in_time_and_undone_when_it_is_back(stage: Space) -> None:
    pods = await those_asked(stage)
    step, environment = all_at_once(stage, "120s")
    file = stage.write(step, environment=environment, recovery={"within": "5s"})
    count = len(WAYS) + len(STRAINS)
    async with stage.running(file) as run:
        await in_force(run)
        assert not await pods.missed()
        with parts_stopped("kube-apiserver") as start:
            await nothing_left(pods.left, GONE_WITHIN, "the faults are gone although nobody can reach their injector")
            start()
        code, output = await run.ended(150.0)
    assert code in (1, 3), output  # nodes that report to nobody are seen as spill-over
    assert len(events(run, "fault-undone")) == count, output
    assert f"0 of {count} faults did what was asked" in output
    assert "no heartbeat has reached the injector" in output
