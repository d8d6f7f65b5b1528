"""A real link to test: servers and clients on raw sockets, and a proxy between them, all in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from chaosrunner.injector.control import BEAT_LIMIT, call_async
from chaosrunner.injector.proxy import Proxy, resolve

PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed."""


class Peer:
    """One end of a connection."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self.socket, data)

    async def receive(self, most: int = 65536) -> bytes:
        """What has come; empty at the other side's end. Raises ConnectionResetError after a reset."""
        async with asyncio.timeout(PATIENCE):
            return await self._loop.sock_recv(self.socket, most)

    async def exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            data = await self.receive(min(1 << 20, count - len(got)))
            assert data, f"ended after {len(got)} of {count} bytes"
            got += data
        return bytes(got)

    async def to_the_end(self) -> bytes:
        got = bytearray()
        while data := await self.receive(1 << 20):
            got += data
        return bytes(got)

    async def says_nothing(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._loop.sock_recv(self.socket, 1)
        except TimeoutError:
            return True
        return False

    async def round_trip(self, data: bytes = b"ping") -> float:
        """Seconds until the echo is back."""
        since = self._loop.time()
        await self.send(data)
        assert await self.exactly(len(data)) == data
        return self._loop.time() - since

    async def fastest(self) -> float:
        """The shortest of some round trips, so that a machine that was busy for a moment is not taken for a delay."""
        return min([await self.round_trip() for _ in range(5)])

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


async def echo(peer: Peer) -> None:
    while data := await peer.receive(1 << 18):
        await peer.send(data)


class Server:
    """Accepts connections and does with each what it was told to."""

    def __init__(self, behaviour: Callable[[Peer], Awaitable[None]], family: int = socket.AF_INET) -> None:
        self._behaviour = behaviour
        self._listening = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family, backlog=1024
        )
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connected, _ = await loop.sock_accept(self._listening)
            connected.setblocking(False)
            self.accepted += 1
            task = loop.create_task(self._one(Peer(connected)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, peer: Peer) -> None:
        try:
            await self._behaviour(peer)
        except ConnectionError:
            pass
        finally:
            peer.close()

    async def close(self) -> None:
        self._listening.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Link:
    """A server, a proxy before it, and a way to tell the proxy what to do."""

    def __init__(self, proxy: Proxy, server: Server, control: Path) -> None:
        self.proxy = proxy
        self.server = server
        self.control = control
        self._clients: list[Peer] = []

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.proxy.addresses[0]
        return str(host), int(port)

    async def connect(self, own: bool = False) -> Peer:
        """A new client; raises ConnectionRefusedError, as any client would see it."""
        host, _ = self.address
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        peer = Peer(client)
        self._clients.append(peer)
        if own:
            client.bind((host, 0))
            await self.ask(do="own", port=peer.port)
        client.settimeout(PATIENCE)
        client.connect(self.address)  # the system answers, even while this loop waits
        client.setblocking(False)
        return peer

    async def ask(self, **request: Any) -> dict[str, Any]:
        return await call_async(self.control, request, timeout=PATIENCE)

    async def begin(self, key: str = "h", seconds: float = 60, **effect: Any) -> None:
        await self.ask(do="begin", id=key, run="R", seconds=seconds, effect=effect)

    async def end(self, key: str = "h") -> None:
        await self.ask(do="end", id=key)

    async def met(self, key: str = "h") -> int | None:
        met = (await self.ask(do="met", id=key))["met"]
        assert met is None or isinstance(met, int)
        return met

    async def stats(self) -> dict[str, Any]:
        return await self.ask(do="stats")

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await condition():
                await asyncio.sleep(0.005)

    def close(self) -> None:
        for peer in self._clients:
            peer.close()


@contextlib.asynccontextmanager
async def link(
    behaviour: Callable[[Peer], Awaitable[None]] = echo,
    *,
    beat_limit: float = BEAT_LIMIT * 10,
    listen: str = "127.0.0.1",
    connect: tuple[str, int] | None = None,
    family: int = socket.AF_INET,
) -> AsyncIterator[Link]:
    """Everything of one link, gone at the end."""
    server = Server(behaviour, family)
    serving = asyncio.create_task(server.serve())
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:
        control = Path(folder, "link.sock")
        upstream = connect or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0)
        proxy = Proxy(resolve(listen, 0), (upstream[0], upstream[1] or server.port), control, beat_limit=beat_limit)
        await proxy.open()
        it = Link(proxy, server, control)
        try:
            yield it
        finally:
            it.close()
            await proxy.close()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await server.close()
    assert proxy.held == 0, "bytes are still counted as held after everything is closed"
