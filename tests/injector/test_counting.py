"""How many connections met an effect, and who is never counted."""

from __future__ import annotations

import pytest

from chaosrunner.injector.control import RequestRefused
from tests.injector.link import Link, Peer, link


async def test_a_connection_counts_once_however_often_it_is_delayed() -> None:
    async with link() as it:
        old, new, idle = await it.connect(), None, await it.connect()
        await old.round_trip()
        await idle.round_trip()
        await it.begin(delay=0.01)
        assert await it.met() == 0, "nothing has passed since it began"
        new = await it.connect()
        for _ in range(3):
            await old.round_trip()
            await new.round_trip()
        assert await it.met() == 2, "the idle one met nothing"
        await it.end()
        await idle.round_trip()
        assert await it.met() == 2, "what comes afterwards meets nothing, and the count is still there"


async def test_own_samples_feel_the_effect_and_are_not_counted() -> None:
    async with link() as it:
        await it.begin(delay=0.1, direction="response")
        assert await (await it.connect(own=True)).round_trip() >= 0.1
        assert await it.met() == 0
        await (await it.connect()).round_trip()
        assert await it.met() == 1
        stats = await it.stats()
        assert (stats["connections"], stats["own"]) == (2, 1)


async def test_a_sample_that_is_announced_late_is_taken_out_of_the_count() -> None:
    async with link() as it:
        await it.begin(delay=0.01)
        client = await it.connect()
        await client.round_trip()
        assert await it.met() == 1
        assert (await it.ask(do="own", port=client.port))["known"] == "open"
        assert await it.met() == 0


async def test_a_source_port_is_own_for_one_connection_only() -> None:
    async with link() as it:
        sample = await it.connect(own=True)
        await sample.round_trip()
        port = sample.port
        sample.reset()
        await it.until(lambda: _none_open(it))
        await it.begin(loss="reset")
        assert (await it.ask(do="own", port=port))["known"] == "announced"
        with pytest.raises(RequestRefused, match="`port` is a number from 1 to 65535"):
            await it.ask(do="own", port="http")


async def _none_open(it: Link) -> bool:
    return (await it.stats())["open"] == 0  # type: ignore[no-any-return]


async def test_own_samples_do_not_change_whom_the_seed_hits() -> None:
    async def row(samples: bool) -> list[bool]:
        async with link() as it:
            await it.begin(loss="reset", share=0.5, seed=9)
            hits = []
            for _ in range(20):
                if samples:
                    await _is_reset(await it.connect(own=True))
                hits.append(await _is_reset(await it.connect()))
        return hits

    assert await row(samples=True) == await row(samples=False)


async def _is_reset(client: Peer) -> bool:
    try:
        await client.round_trip()
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


async def test_reset_connections_are_counted() -> None:
    async with link() as it:
        opened = await it.connect()
        await opened.round_trip()
        await it.begin(loss="reset")
        client = await it.connect()
        with pytest.raises(ConnectionResetError):
            await client.receive()
        own = await it.connect(own=True)
        with pytest.raises(ConnectionResetError):
            await own.receive()
        assert await it.met() == 2


async def test_connections_that_hang_are_counted_once_something_was_withheld() -> None:
    async with link() as it:
        opened, idle = await it.connect(), await it.connect()
        await opened.round_trip()
        await idle.round_trip()
        await it.begin(loss="hang")
        await it.connect()
        await it.until(lambda: _met(it, 1))
        await opened.send(b"?")
        await it.until(lambda: _met(it, 2))
        assert await idle.says_nothing(0.05)
        assert await it.met() == 2


async def test_bytes_that_were_under_way_when_a_hang_began_met_it() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin("slow", delay=30)
        await client.send(b"?")
        await it.until(lambda: _held(it))
        await it.begin("stuck", loss="hang")
        assert await it.met("stuck") == 1


async def _held(it: Link) -> bool:
    return bool((await it.stats())["bytes_held"])


async def _met(it: Link, count: int) -> bool:
    return await it.met() == count


async def test_refused_attempts_cannot_be_counted_and_it_says_so() -> None:
    async with link() as it:
        await it.begin(loss="refuse")
        with pytest.raises(ConnectionRefusedError):
            await it.connect()
        said = await it.ask(do="met", id="h")
        assert said["met"] is None
        assert said["at_least"] is True


async def test_open_connections_that_a_refusal_reset_are_counted() -> None:
    async with link() as it:
        opened = await it.connect()
        await opened.round_trip()
        await it.begin(loss="refuse")
        assert await it.met() == 1


async def test_an_unknown_effect_has_no_count() -> None:
    async with link() as it:
        with pytest.raises(RequestRefused, match="no effect 'other'"):
            await it.ask(do="met", id="other")
