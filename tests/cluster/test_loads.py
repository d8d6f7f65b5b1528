"""Loads in real pods: seen by the kernel's own counting from another container of the pod, and seen gone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.lab import Object, Space, eventually

MIB = 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(space: Space) -> AsyncIterator[Space]:
    """A service whose container has a volume of 200 MiB in memory at /data, one on its node's disk at /disk, and a
    limit of memory for the whole pod."""
    volumes = [
        {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "200Mi"}},
        {"name": "disk", "emptyDir": {}},
    ]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "disk", "mountPath": "/disk"}]
    limits = {"limits": {"memory": "600Mi"}}
    await space.deploy("store", volumes=volumes, container={"volumeMounts": mounts, "resources": limits})
    yield space


def step(fault: str, lasts: str = "4s", **params: object) -> Object:
    return {"fault": fault, "target": {"service": "store"}, "with": params, "for": lasts}


async def shell(space: Space, words: str) -> str:
    (pod,) = await space.pods("store")
    return (await space.inside(pod["metadata"]["name"], "sh", "-c", words)).strip()


async def free(space: Space) -> int:
    return int((await shell(space, "df --output=avail -B1 /data")).split()[-1])


async def test_a_disk_is_filled_and_free_again(store: Space) -> None:
    before = await free(store)
    async with store.running(store.write(step("disk-fill", folder="/data", size="100MiB"))) as run:
        await run.in_force()
        assert await free(store) <= before - 100 * MIB
        code, output = await run.ended()
    assert code == 0, output
    assert await free(store) == before


async def test_a_killed_runner_s_disk_is_free_again(store: Space) -> None:
    before = await free(store)
    async with store.running(store.write(step("disk-fill", "60s", folder="/data", size="100MiB"))) as run:
        await run.in_force()
        await run.kill()
        assert await free(store) < before
        await eventually(lambda: _is(store, before), 10, "the space is free")


async def test_a_disk_is_kept_busy(store: Space) -> None:
    async with store.running(store.write(step("io-stress", folder="/disk", workers=1))) as run:
        said = await run.until("IN FORCE")
        assert "MiB a second are written" in said
        code, output = await run.ended()
    assert code == 0, output


async def test_processors_and_memory_are_used(store: Space) -> None:
    steps = {"together": [step("cpu-stress", cores=0.2), {**step("memory-stress", size="100MiB"), "target": SAME}]}
    async with store.running(store.write({**steps})) as run:
        assert "cores are used" in await run.until("cores are used")
        code, output = await run.ended()
    assert code == 0, output
    assert "MiB are resident" in output + "".join(run.said)


SAME = {"sameAs": "cpu-stress"}

REFUSED = [
    (step("memory-stress", size="700MiB"), 3, "is limited to 600MiB of memory"),
    (step("disk-fill", folder="/nowhere", size="10MiB"), 4, "is on no volume of"),
    (step("disk-fill", folder="/data", size="300MiB"), 3, "would leave less than"),
]


@pytest.mark.parametrize(("one", "code", "words"), REFUSED)
async def test_what_cannot_be_done_is_refused_in_words(store: Space, one: Object, code: int, words: str) -> None:
    file = store.write(one)
    found, output = await store.command("run", file.name, "--plain", folder=file.parent)
    assert (found, words in " ".join(output.split())) == (code, True), output


async def _is(space: Space, amount: int) -> bool:
    return await free(space) == amount
