"""Each effect is seen by a client, and is gone when it is taken back."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from chaosrunner.injector.control import RequestRefused
from tests.injector.link import Link, Peer, echo, link

MEGABYTES = random.Random(5).randbytes(3 * 2**20)


async def _outcome(it: Link) -> str:
    """What becomes of a new connection that asks something."""
    try:
        client = await it.connect()
        await client.send(b"?")
        return "answered" if await client.receive() else "ended"
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


# ------------------------------------------------------------------------------------------------------------- latency


async def test_a_delay_is_felt_in_both_directions_and_is_gone_afterwards() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(delay=0.15)
        assert await client.round_trip() >= 0.3
        assert await (await it.connect()).round_trip() >= 0.3
        await it.end()
        assert await client.fastest() < 0.15


@pytest.mark.parametrize("direction", ["request", "response"])
async def test_a_delay_in_one_direction_leaves_the_other_alone(direction: str) -> None:
    arrived: list[float] = []
    loop = asyncio.get_running_loop()

    async def note_and_echo(peer: Peer) -> None:
        while data := await peer.receive():
            arrived.append(loop.time())
            await peer.send(data)

    async with link(note_and_echo) as it:
        client = await it.connect()
        await it.begin(delay=0.2, direction=direction)
        since = loop.time()
        assert 0.2 <= await client.fastest() < 0.4
        assert (arrived[0] - since >= 0.2) == (direction == "request")


async def test_order_and_content_survive_delay_and_jitter() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(delay=0.02, jitter=0.02, seed=7)
        sending = asyncio.create_task(_in_small_pieces(client, MEGABYTES))
        back = await client.exactly(len(MEGABYTES))
        await sending
        assert hashlib.sha256(back).digest() == hashlib.sha256(MEGABYTES).digest()


async def _in_small_pieces(client: Peer, data: bytes) -> None:
    sizes = random.Random(1)
    place = 0
    while place < len(data):
        size = sizes.randrange(1, 40_000)
        await client.send(data[place : place + size])
        place += size


async def test_jitter_varies_the_delay_around_its_middle() -> None:
    async with link() as it:
        clients = [await it.connect() for _ in range(30)]
        await it.begin(delay=0.3, jitter=0.3, direction="response", seed=11)
        trips = await asyncio.gather(*(client.round_trip() for client in clients))
        assert min(trips) < 0.25
        assert max(trips) > 0.35


async def test_chunks_are_delayed_side_by_side_not_one_after_the_other() -> None:
    async with link() as it:
        client = await it.connect()
        await client.round_trip()
        await it.begin(delay=0.2, direction="request")
        loop = asyncio.get_running_loop()
        since = loop.time()
        for number in range(50):
            await client.send(bytes([number]) * 100)
            await asyncio.sleep(0.002)  # so that they are chunks of their own
        back = await client.exactly(5000)
        assert back == b"".join(bytes([number]) * 100 for number in range(50))
        assert loop.time() - since < 50 * 0.2 / 4


async def test_an_end_and_a_reset_wait_their_turn_behind_delayed_bytes() -> None:
    async def answer_and_end(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"answer")

    async with link(answer_and_end) as it:
        client = await it.connect()
        await it.begin(delay=0.15, direction="response")
        await client.send(b"?")
        since = asyncio.get_running_loop().time()
        assert await client.to_the_end() == b"answer"
        assert asyncio.get_running_loop().time() - since >= 0.14


async def test_a_reset_comes_no_sooner_than_the_bytes_before_it() -> None:
    async def answer_and_slam(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"answer")
        peer.reset()

    async with link(answer_and_slam) as it:
        loop = asyncio.get_running_loop()
        await it.begin("a", delay=0.15, direction="response")
        await it.begin("b", jitter=0.05, direction="response")
        for _ in range(4):
            client = await it.connect()
            await client.send(b"?")
            since = loop.time()
            assert await client.exactly(6) == b"answer"
            with pytest.raises(ConnectionResetError):
                await client.receive()
            assert loop.time() - since >= 0.15


async def test_delayed_bytes_arrive_in_order_when_the_delay_is_taken_back() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(delay=30)
        for number in range(20):
            await client.send(b"%04d" % number)
        await it.until(lambda: _held(it))
        await it.end()
        assert await client.exactly(80) == b"".join(b"%04d" % number for number in range(20))
        assert (await it.stats())["bytes_held"] == 0


async def _held(it: Link) -> bool:
    return bool((await it.stats())["bytes_held"])


async def test_delays_of_several_effects_add_up_and_end_one_by_one() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin("a", delay=0.1, direction="response")
        await it.begin("b", delay=0.15, direction="response")
        assert await client.round_trip() >= 0.25
        await it.end("a")
        assert 0.15 <= await client.fastest() < 0.25
        await it.end("b")
        assert await client.fastest() < 0.1


async def test_a_delayed_pipe_takes_in_no_more_than_its_window() -> None:
    async def flood(peer: Peer) -> None:
        for _ in range(200):
            await peer.send(bytes(2**18))

    async with link(flood) as it:
        await it.begin(delay=60)
        client = await it.connect()
        seen = [-1]

        async def full() -> bool:
            await asyncio.sleep(0.05)
            seen.append((await it.stats())["bytes_held"])
            return seen[-1] == seen[-2] > 2**20

        await it.until(full)
        assert seen[-1] < 12 * 2**20
        await it.end()
        assert len(await client.to_the_end()) == 200 * 2**18


async def test_a_slow_reader_of_a_delayed_link_fills_no_memory_either() -> None:
    async def flood(peer: Peer) -> None:
        for _ in range(100):
            await peer.send(bytes(2**18))

    async with link(flood) as it:
        await it.begin(delay=0.001, direction="response")
        client = await it.connect()
        passed = [-1]

        async def stuck() -> bool:
            await asyncio.sleep(0.05)
            passed.append((await it.stats())["bytes"]["response"])
            return passed[-1] == passed[-2] > 0

        await it.until(stuck)
        assert (await it.stats())["bytes_held"] < 4 * 2**20
        assert len(await client.to_the_end()) == 100 * 2**18


# ----------------------------------------------------------------------------------------------------------- bandwidth


async def test_bandwidth_limits_how_fast_bytes_pass_and_only_while_it_is_in_force() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(bandwidth=200_000, direction="response")
        assert await client.round_trip(bytes(100_000)) >= 0.45
        await it.end()
        assert await client.round_trip(bytes(100_000)) < 0.4


async def test_bandwidth_is_smooth_from_the_first_byte_and_saves_nothing_up() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(bandwidth=100_000, direction="response")
        assert await client.says_nothing(0.3)
        await client.send(bytes(60_000))
        loop = asyncio.get_running_loop()
        first = await client.receive()
        since, got = loop.time(), len(first)
        assert got <= 100_000 * 0.02 * 2
        worst = 0.0
        while got < 60_000:
            got += len(await client.receive())
            worst = max(worst, got - (loop.time() - since) * 100_000)
        assert worst <= 100_000 * 0.02 * 3, "more than a burst of some 20 ms came ahead of the rate"


async def test_connections_share_the_bandwidth() -> None:
    async with link() as it:
        clients = [await it.connect() for _ in range(4)]
        await it.begin(bandwidth=200_000, direction="request")
        loop = asyncio.get_running_loop()
        since = loop.time()
        ends = await asyncio.gather(*(_end_of_trip(client, 25_000) for client in clients))
        assert loop.time() - since >= 0.45
        assert min(ends) - since >= 0.25, "one of them went first instead of taking turns"


async def _end_of_trip(client: Peer, size: int) -> float:
    await client.round_trip(bytes(size))
    return asyncio.get_running_loop().time()


async def test_the_smallest_of_several_bandwidths_counts() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin("wide", bandwidth=100e6)
        await it.begin("narrow", bandwidth=200_000)
        assert await client.round_trip(bytes(60_000)) >= 0.25
        await it.end("narrow")
        assert await client.round_trip(bytes(60_000)) < 0.25


async def test_what_waits_for_its_turn_passes_when_the_bandwidth_is_given_back() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin(bandwidth=0.01)
        await client.send(MEGABYTES[:50_000])
        await it.until(lambda: _some_passed(it))
        await it.end()
        assert await client.exactly(50_000) == MEGABYTES[:50_000]


async def _some_passed(it: Link) -> bool:
    return (await it.stats())["bytes"]["request"] > 0


async def test_delay_and_bandwidth_together_keep_order_and_content() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin("slow", delay=0.05, jitter=0.05)
        await it.begin("narrow", bandwidth=2e6)
        sending = asyncio.create_task(client.send(MEGABYTES[:500_000]))
        assert await client.exactly(500_000) == MEGABYTES[:500_000]
        await sending


# ---------------------------------------------------------------------------------------------------------------- loss


async def test_a_refusing_link_is_really_closed_and_open_again_afterwards() -> None:
    async with link() as it:
        opened = await it.connect()
        await opened.round_trip()
        await it.begin(loss="refuse")
        with pytest.raises(ConnectionResetError):
            await opened.receive()
        assert [await _outcome(it) for _ in range(3)] == ["refused"] * 3
        assert (await it.stats())["listens"] is False
        await it.end()
        assert await _outcome(it) == "answered"


async def test_nobody_can_take_the_port_while_it_refuses() -> None:
    async with link() as it:
        await it.begin(loss="refuse")
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(lambda reader, writer: None, *it.address)
        await it.end()
        assert await _outcome(it) == "answered"


async def test_it_refuses_until_the_last_of_several_refusals_has_ended() -> None:
    async with link() as it:
        await it.begin("a", loss="refuse")
        await it.begin("b", loss="refuse")
        await it.end("a")
        assert await _outcome(it) == "refused"
        await it.end("b")
        assert await _outcome(it) == "answered"


async def test_a_hanging_link_answers_nothing_and_passes_on_what_it_held() -> None:
    async with link() as it:
        opened = await it.connect()
        await opened.round_trip()
        await it.begin(loss="hang")
        new = await it.connect()
        await opened.send(b"old")
        await new.send(b"new")
        assert all(await asyncio.gather(opened.says_nothing(0.2), new.says_nothing(0.2)))
        assert it.server.accepted == 1, "a connection that hangs must not reach the server"
        await it.end()
        assert await opened.exactly(3) == b"old"
        assert await new.exactly(3) == b"new"


async def test_a_hanging_link_holds_little_and_loses_nothing_of_megabytes() -> None:
    async with link() as it:
        client = await it.connect()
        await client.round_trip()
        await it.begin(loss="hang")
        sending = asyncio.create_task(client.send(MEGABYTES))
        await it.until(lambda: _held(it))
        assert await client.says_nothing(0.1)
        assert (await it.stats())["bytes_held"] < 200_000
        await it.end()
        assert await client.exactly(len(MEGABYTES)) == MEGABYTES
        await sending


async def test_a_hanging_response_lets_requests_through() -> None:
    heard = asyncio.Queue[bytes]()

    async def hear_and_echo(peer: Peer) -> None:
        while data := await peer.receive():
            heard.put_nowait(data)
            await peer.send(data)

    async with link(hear_and_echo) as it:
        await it.begin(loss="hang", direction="response")
        client = await it.connect()
        await client.send(b"do it")
        assert await asyncio.wait_for(heard.get(), 10) == b"do it"
        assert await client.says_nothing(0.1)
        await it.end()
        assert await client.exactly(5) == b"do it"


async def test_bytes_under_way_hang_too_and_keep_the_delay_that_remains() -> None:
    async with link() as it:
        client = await it.connect()
        await it.begin("slow", delay=0.1, direction="request")
        await client.send(b"one")
        await it.begin("stuck", loss="hang")
        assert await client.says_nothing(0.3)
        await it.end("stuck")
        assert await client.exactly(3) == b"one"
        assert await client.round_trip() >= 0.1


async def test_a_client_that_gives_up_on_a_hanging_link_is_let_go() -> None:
    async with link() as it:
        await it.begin(loss="hang")
        client = await it.connect()
        await client.send(b"anybody?")
        await it.until(lambda: _held(it))
        client.reset()
        await it.until(lambda: _none_open(it))


async def test_a_client_that_gave_up_on_a_hanging_link_never_reaches_the_server() -> None:
    """Also where it had said all that it had to say, so that nothing is read from it any more."""
    async with link() as it:
        await it.begin(loss="hang")
        client = await it.connect()
        client.end()
        await it.until(lambda: _ended(it))
        client.reset()
        await it.end()
        await it.until(lambda: _none_open(it))
        assert it.server.accepted == 0


async def _ended(it: Link) -> bool:
    await asyncio.sleep(0.02)
    return (await it.stats())["open"] == 1  # type: ignore[no-any-return]


async def _none_open(it: Link) -> bool:
    return (await it.stats())["open"] == 0  # type: ignore[no-any-return]


async def test_a_resetting_link_resets_open_and_new_connections() -> None:
    async with link() as it:
        opened = await it.connect()
        await opened.round_trip()
        await it.begin(loss="reset")
        with pytest.raises(ConnectionResetError):
            await opened.receive()
        assert [await _outcome(it) for _ in range(3)] == ["reset"] * 3
        await it.end()
        assert await _outcome(it) == "answered"


async def test_a_server_sees_the_reset_too() -> None:
    outcome = asyncio.Queue[str]()

    async def listen_only(peer: Peer) -> None:
        try:
            while data := await peer.receive():
                await peer.send(data)
            outcome.put_nowait("ended")
        except ConnectionResetError:
            outcome.put_nowait("reset")

    async with link(listen_only) as it:
        await (await it.connect()).round_trip()
        await it.begin(loss="reset")
        assert await asyncio.wait_for(outcome.get(), 10) == "reset"


async def test_connections_are_reset_a_while_after_opening_or_after_the_fault_began() -> None:
    async with link() as it:
        loop = asyncio.get_running_loop()
        opened = await it.connect()
        await opened.round_trip()
        began = loop.time()
        await it.begin(reset_after=0.2)
        with pytest.raises(ConnectionResetError):
            await opened.receive()
        assert loop.time() - began >= 0.2
        new = await it.connect()
        came = loop.time()
        await new.round_trip()
        with pytest.raises(ConnectionResetError):
            await new.receive()
        assert loop.time() - came >= 0.19
        spared = await it.connect()
        await spared.round_trip()
        await it.end()
        assert await spared.says_nothing(0.3)


# --------------------------------------------------------------------------------------------------------------- share


async def _row(seed: int, share: float = 0.5) -> str:
    async with link(echo) as it:
        await it.begin(loss="reset", share=share, seed=seed)
        outcomes = [await _outcome(it) for _ in range(40)]
        said = await it.ask(do="met", id="h")
        assert said["met"] == said["hit"] == outcomes.count("reset")
        assert said["spared"] == outcomes.count("answered")
        return "".join("x" if outcome == "reset" else "." for outcome in outcomes)


async def test_a_share_hits_some_connections_and_the_seed_says_which() -> None:
    first, again, other = await _row(1), await _row(1), await _row(2)
    assert first == again != other
    assert 8 <= first.count("x") <= 32


async def test_a_share_of_open_connections_is_hit_for_good() -> None:
    async with link() as it:
        clients = [await it.connect() for _ in range(20)]
        for client in clients:
            await client.round_trip()
        await it.begin(delay=0.3, direction="response", share=0.5, seed=4)
        first = [trip >= 0.3 for trip in await asyncio.gather(*(client.round_trip() for client in clients))]
        again = [trip >= 0.3 for trip in await asyncio.gather(*(client.round_trip() for client in clients))]
        assert first == again
        assert 3 <= sum(first) <= 17
        assert await it.met() == sum(first)


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        ({}, "does nothing"),
        ({"delay": -1}, "`delay` is a number from 0"),
        ({"delay": "1s"}, "`delay` is a number"),
        ({"delay": True}, "`delay` is a number"),
        ({"delay": float("nan")}, "`delay` is a number"),
        ({"bandwidth": 0}, "`bandwidth` is a number above 0"),
        ({"loss": "drop"}, "`loss` is one of refuse, hang, reset"),
        ({"loss": ["refuse"]}, "`loss` is one of"),
        ({"delay": 1, "direction": "up"}, "`direction` is one of both, request, response"),
        ({"delay": 1, "share": 0}, "`share` is above 0"),
        ({"delay": 1, "share": 1.5}, "`share` is a number from 0 to 1"),
        ({"delay": 1, "seed": 1.5}, "`seed` is a whole number"),
        ({"delay": 1, "latency": 2}, "unknown field 'latency' of an effect; known: bandwidth, delay"),
        ({"loss": "refuse", "share": 0.5}, "a share of connections cannot be refused"),
    ],
)
async def test_an_effect_that_makes_no_sense_is_refused_and_changes_nothing(
    effect: dict[str, object], words: str
) -> None:
    async with link() as it:
        with pytest.raises(RequestRefused, match=words):
            await it.ask(do="begin", id="h", run="R", seconds=60, effect=effect)
        assert (await it.ask(do="holds"))["holds"] == []
        assert await _outcome(it) == "answered"
