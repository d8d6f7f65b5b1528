"""Faults on the network of real pods while the API server, which carries the runner's heartbeat, is stopped."""

from __future__ import annotations

import asyncio

from tests.cluster.lab import Object, Run, Space, eventually, parts_stopped
from tests.cluster.test_links import FAULTS as ALL
from tests.cluster.test_links import Seen, address, call, events, fine

FAULTS = ALL[:6]
PATIENT = {"startWithin": "80s"}
"""A node that has missed its API server takes its time to ask again what it shall run."""


async def stage(space: Space) -> list[str]:
    """A front with one dependency for each fault; their names."""
    names = [f"back-{number}" for number in range(len(FAULTS))]
    if "front" not in space.services:
        await asyncio.gather(*(space.deploy(name) for name in ["front", *names]))
    return names


def all_at_once(space: Space, names: list[str], lasts: str) -> tuple[Object, Object]:
    """A step with every fault, each on a dependency of its own, and the environment."""
    steps = [
        {"fault": kind, "with": params, "target": {"service": "front", "to": name}, "for": lasts, "id": f"on-{name}"}
        for (kind, params, _), name in zip(FAULTS, names, strict=True)
    ]
    environment = space.environment()
    environment["spec"]["platform"]["kubernetes"]["injector"] |= PATIENT
    return {"together": steps}, environment


async def well(space: Space, names: list[str], within: float) -> None:
    """Until all of them are reached as before; a node that was cut off takes its Services' pods out for a while."""
    front = await address(space, "front")

    async def look() -> bool:
        return all(fine(one) for one in await called(front, names))

    await eventually(look, within, "all dependencies are reached as before", every=1.0)


async def called(front: str, names: list[str]) -> list[Seen]:
    return list(await asyncio.gather(*(call(front, f"http://{name}/", 1.0) for name in names)))


async def gone_by_itself(front: str, names: list[str]) -> None:
    """Within the ten seconds that there are for it; asks the pod itself, as there is no API to ask."""

    async def look() -> bool:
        return all(fine(one) for one in await called(front, names))

    await eventually(look, 10.0, "the faults are gone although nobody can reach their injector")


async def in_force(run: Run, count: int) -> None:
    for _ in range(count):
        await run.in_force(100.0)


async def test_without_an_api_server_they_are_gone_in_time_and_undone_when_it_is_back(space: Space) -> None:
    names = await stage(space)
    front = await address(space, "front")
    await well(space, names, 90.0)
    step, environment = all_at_once(space, names, "90s")
    file = space.write(step, environment=environment, recovery={"within": "5s"})

    async with space.running(file) as run:
        await in_force(run, len(names))
        seen = await called(front, names)
        assert all(hit(one) for one, (_, _, hit) in zip(seen, FAULTS, strict=True)), seen
        with parts_stopped("kube-apiserver") as start:
            await gone_by_itself(front, names)
            start()
        code, output = await run.ended(100.0)
    assert code in (1, 3), output  # nodes that report to nobody are seen as spill-over
    assert len(events(run, "fault-undone")) == len(names), output
    assert f"0 of {len(names)} faults did what was asked" in output
    assert "no heartbeat has reached the injector" in output
