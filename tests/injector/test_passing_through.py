"""Without an effect the proxy is not there: bytes, ends and resets pass as they come."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from pathlib import Path

import pytest

from chaosrunner.injector.control import ControlError
from chaosrunner.injector.proxy import Proxy, host_and_port, resolve
from tests.injector.link import Peer, Server, echo, link

MEGABYTES = random.Random(3).randbytes(5 * 2**20 + 77)


async def _send_and_hash(peer: Peer, data: bytes) -> tuple[str, str]:
    sending = asyncio.create_task(peer.send(data))
    back = await peer.exactly(len(data))
    await sending
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(back).hexdigest()


async def test_megabytes_pass_unchanged_in_both_directions_at_once() -> None:
    async with link() as it:
        sent, came = await _send_and_hash(await it.connect(), MEGABYTES)
        assert sent == came
        stats = await it.stats()
        assert stats["bytes"] == {"request": len(MEGABYTES), "response": len(MEGABYTES)}


async def test_a_client_that_has_said_everything_still_gets_its_answer() -> None:
    async def answer_at_the_end(peer: Peer) -> None:
        whole = await peer.to_the_end()
        await peer.send(b"got " + whole)

    async with link(answer_at_the_end) as it:
        client = await it.connect()
        await client.send(b"all")
        client.end()
        assert await client.to_the_end() == b"got all"
        await it.until(lambda: _none_open(it))


async def test_a_server_that_has_said_everything_still_hears_the_client() -> None:
    heard = asyncio.Queue[bytes]()

    async def speak_first(peer: Peer) -> None:
        await peer.send(b"bye")
        peer.end()
        await heard.put(await peer.to_the_end())

    async with link(speak_first) as it:
        client = await it.connect()
        assert await client.to_the_end() == b"bye"
        await client.send(b"one more thing")
        client.end()
        assert await asyncio.wait_for(heard.get(), 10) == b"one more thing"
        await it.until(lambda: _none_open(it))


async def _none_open(it: object) -> bool:
    return (await it.stats())["open"] == 0  # type: ignore[attr-defined]


async def test_a_reset_by_the_client_reaches_the_server_as_a_reset() -> None:
    outcome = asyncio.Queue[str]()

    async def listen_only(peer: Peer) -> None:
        try:
            while await peer.receive():
                pass
        except ConnectionResetError:
            await outcome.put("reset")
        else:
            await outcome.put("ended")

    async with link(listen_only) as it:
        client = await it.connect()
        await client.send(b"hello")
        await it.until(lambda: _passed(it, 5))
        client.reset()
        assert await asyncio.wait_for(outcome.get(), 10) == "reset"
        await it.until(lambda: _none_open(it))


async def _passed(it: object, count: int) -> bool:
    return (await it.stats())["bytes"]["request"] >= count  # type: ignore[attr-defined]


async def test_a_reset_by_the_server_reaches_the_client_as_a_reset() -> None:
    async def slam(peer: Peer) -> None:
        await peer.receive()
        peer.reset()

    async with link(slam) as it:
        client = await it.connect()
        await client.send(b"hello")
        with pytest.raises(ConnectionResetError):
            await client.receive()


async def test_the_last_words_before_a_reset_arrive() -> None:
    async def answer_and_slam(peer: Peer) -> None:
        await peer.receive()
        await peer.send(b"last words")
        peer.close()  # with the client's second message unread, this is a reset

    async with link(answer_and_slam) as it:
        client = await it.connect()
        await client.send(b"x" * 200_000)
        assert await client.exactly(10) == b"last words"


async def test_a_server_that_is_down_shows_as_a_reset_at_once() -> None:
    nobody = socket.create_server(("127.0.0.1", 0))
    port = int(nobody.getsockname()[1])
    nobody.close()
    async with link(connect=("127.0.0.1", port)) as it:
        client = await it.connect()
        with pytest.raises(ConnectionResetError):
            await client.receive()
        assert (await it.stats())["upstream_failed"] == 1


async def test_a_host_name_without_address_shows_as_a_reset() -> None:
    async with link(connect=("no-such-host.invalid", 80)) as it:
        client = await it.connect()
        with pytest.raises(ConnectionResetError):
            await client.receive()


async def test_host_names_are_looked_up_and_their_addresses_tried_in_turn() -> None:
    async with link(connect=("localhost", 0)) as it:  # ::1 first on many machines, where nobody listens
        for _ in range(3):
            await (await it.connect()).round_trip()


async def test_it_works_over_ipv6() -> None:
    async with link(listen="::1", family=socket.AF_INET6) as it:
        await (await it.connect()).round_trip()


async def test_a_slow_reader_slows_the_sender_and_fills_no_memory() -> None:
    total = 64 * 2**20
    chunk = bytes(range(256)) * 1024
    sent = 0

    async def flood(peer: Peer) -> None:
        nonlocal sent
        while sent < total:
            await peer.send(chunk)
            sent += len(chunk)

    async with link(flood) as it:
        client = await it.connect()

        async def stuck() -> bool:
            before = sent
            await asyncio.sleep(0.1)
            return 0 < sent == before

        await it.until(stuck)
        assert sent < total, "the sender was never slowed down"
        assert (await it.stats())["bytes_held"] <= 512 * 1024
        digest, left = hashlib.sha256(), total
        while data := await client.receive(1 << 20):
            digest.update(data)
            left -= len(data)
        assert left == 0
        assert digest.digest() == hashlib.sha256(chunk * (total // len(chunk))).digest()


async def test_hundreds_of_connections_at_once_each_get_their_own_bytes() -> None:
    async with link() as it:
        clients = [await it.connect() for _ in range(400)]

        async def talk(number: int, client: Peer) -> None:
            words = f"I am {number}. ".encode() * 500
            sent, came = await _send_and_hash(client, words)
            assert sent == came

        await asyncio.gather(*(talk(number, client) for number, client in enumerate(clients)))
        assert (await it.stats())["open"] == 400
        for client in clients:
            client.close()
        await it.until(lambda: _none_open(it))


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    server = Server(echo)
    try:
        proxy = Proxy(resolve("127.0.0.1", server.port), ("127.0.0.1", 1), tmp_path / "c.sock")
        with pytest.raises(OSError, match="in use"):
            await proxy.open()
        assert not (tmp_path / "c.sock").exists()
    finally:
        await server.close()


async def test_a_control_socket_that_cannot_be_had_frees_the_port_again(tmp_path: Path) -> None:
    (tmp_path / "c.sock").write_text("a file of somebody's")
    proxy = Proxy(resolve("127.0.0.1", 0), ("127.0.0.1", 1), tmp_path / "c.sock")
    with pytest.raises(ControlError, match="is there already and is not a socket"):
        await proxy.open()
    host, port = proxy.addresses[0]
    socket.create_server((str(host), int(port))).close()


@pytest.mark.parametrize(
    ("text", "meant"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0))],
)
def test_addresses_are_host_and_port(text: str, meant: tuple[str, int]) -> None:
    assert host_and_port(text) == meant


@pytest.mark.parametrize("text", ["80", ":80", "host:", "host:http", "host:70000", "::1:80", "host:-1", "host:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        host_and_port(text)
