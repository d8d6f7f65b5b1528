"""Effects that begin and end at random while bytes flow: none is lost, none changes its place, nothing stays behind."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from chaosrunner.injector.control import call_async
from tests.injector.link import Link, Peer, link


def _some_effect(chance: random.Random) -> dict[str, Any]:
    effect: dict[str, Any] = {"direction": chance.choice(["both", "request", "response"]), "seed": chance.randrange(9)}
    kind = chance.randrange(4)
    if kind == 0:
        effect |= {"delay": chance.uniform(0, 0.05), "jitter": chance.uniform(0, 0.05)}
    elif kind == 1:
        effect |= {"bandwidth": chance.uniform(1e4, 1e7)}
    elif kind == 2:
        effect |= {"loss": "hang"}
    else:
        effect |= {"delay": 0.01, "bandwidth": 1e6}
    return effect | {"share": chance.choice([1, 1, 0.5])}


EFFECTS = 30
"""As many as begin and end while everybody speaks."""


async def _trouble(it: Link, chance: random.Random) -> None:
    """Begins and ends effects, at most four at once."""
    number, in_force = 0, []
    while number < EFFECTS:
        if len(in_force) < 4 and chance.random() < 0.6:
            number += 1
            await it.begin(f"h{number}", **_some_effect(chance))
            in_force.append(f"h{number}")
        elif in_force:
            await it.end(in_force.pop(chance.randrange(len(in_force))))
        await asyncio.sleep(chance.uniform(0, 0.02))
    for key in in_force:
        await it.end(key)


async def _talk(peer: Peer, chance: random.Random, over: asyncio.Event) -> int:
    """Speak until it is over, and hear every byte again; how many they were."""
    data = chance.randbytes(2**20)
    said, heard = 0, 0

    async def say() -> None:
        nonlocal said
        while not over.is_set():
            piece = data[said % len(data) :][: chance.choice([1, 100, 5_000, 100_000])]
            await peer.send(piece)
            said += len(piece)
            await asyncio.sleep(chance.choice([0, 0.005]))
        peer.end()

    saying = asyncio.create_task(say())
    while got := await peer.receive(1 << 20):
        while got:
            expected = data[heard % len(data) :][: len(got)]
            assert got.startswith(expected), f"something else came after {heard} bytes"
            heard += len(expected)
            got = got[len(expected) :]
    await saying
    assert heard == said
    return said


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_begins_and_ends_every_byte_arrives_in_order(seed: int) -> None:
    chance = random.Random(seed)
    async with link() as it:
        over = asyncio.Event()
        talks = [asyncio.create_task(_talk(await it.connect(), random.Random(number), over)) for number in range(8)]
        await _trouble(it, chance)
        over.set()
        assert min(await asyncio.wait_for(asyncio.gather(*talks), 30)) > 0
        await it.until(lambda: _nothing_left(it))


async def _nothing_left(it: Link) -> bool:
    stats = await it.stats()
    return bool(stats["open"] == 0 and stats["bytes_held"] == 0 and not stats["in_force"])


async def test_clients_that_come_and_go_in_any_way_leave_nothing_behind() -> None:
    chance = random.Random(8)
    async with link() as it:
        trouble = asyncio.create_task(_trouble(it, chance))

        async def come_and_go(number: int) -> None:
            mine = random.Random(number)
            await asyncio.sleep(mine.uniform(0, 0.3))
            client = await it.connect()
            try:
                await asyncio.wait_for(client.send(mine.randbytes(mine.choice([0, 10, 300_000]))), mine.uniform(0, 0.1))
                await asyncio.wait_for(client.receive(), mine.uniform(0, 0.1))
            except (TimeoutError, ConnectionError):
                pass
            mine.choice([client.reset, client.close])()

        await asyncio.gather(*(come_and_go(number) for number in range(150)))
        await trouble
        await it.until(lambda: _nothing_left(it))
        assert (await call_async(it.control, {"do": "stats"}))["connections"] == 150
        await (await it.connect()).round_trip()
