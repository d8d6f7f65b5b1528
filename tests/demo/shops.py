"""The shop's services in the test's own event loop, on real loopback sockets, with wires between them that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from chaosrunner.demo.shop import checkout, inventory, payments, prices, recommendations, storefront
from chaosrunner.demo.shop.web import Service, Upstream


class Wire:
    """A TCP forwarder in front of one service: passes on, passes on late, keeps everything back, or is gone."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.passing = asyncio.Event()
        self.passing.set()
        self.port = 0
        self._to = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self, to: int) -> None:
        """Listen, and forward to this port; again on the same port after `cut`."""
        self._to = to
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def mend(self) -> None:
        """After `cut`: listen again."""
        await self.connect(self._to)

    async def cut(self) -> None:
        """Refuse new connections and reset the open ones."""
        if self._server is not None:
            self._server.close()
        self.reset()

    def reset(self) -> None:
        """Reset the open connections; new ones are welcome."""
        for writer in self._open:
            writer.transport.abort()

    async def close(self) -> None:
        """End it with all that is on it."""
        await self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.passing.wait()
                await asyncio.sleep(self.delay)
                sink.write(data)
        except OSError:
            pass
        finally:
            self._open.discard(sink)
            sink.close()


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own time limit ends a wait in vain."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


NAMES = ("recommendations", "prices", "inventory", "payments", "checkout")


@dataclass
class Shop:
    """The whole shop; each service but the storefront is reached through the wire of its name."""

    services: dict[str, Service]
    wires: dict[str, Wire]
    shopper: Upstream

    async def order(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self.shopper.call("POST", "/checkout", within=30)
        return answer

    async def page(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self.shopper.call("GET", "/", within=30)
        return answer

    def asked(self, service: str) -> int:
        """Requests that reached it so far."""
        return self.services[service].requests.total


async def open_shop(stack: AsyncExitStack, *, fixed: bool) -> Shop:
    """Start it; everything is closed with the stack."""
    wires = {name: Wire() for name in NAMES}
    services: dict[str, Service] = {}

    async def up(name: str, service: Service) -> int:
        port = await service.start(0)
        stack.push_async_callback(service.stop)
        services[name] = service
        if name in wires:
            await wires[name].connect(port)
            stack.push_async_callback(wires[name].close)
        return port

    for module in (recommendations, prices, inventory, payments):
        await up(module.__name__.rpartition(".")[2], module.make())
    await up("checkout", checkout.make(wires["inventory"].url, wires["payments"].url, fixed=fixed))
    urls = (wires[name].url for name in ("recommendations", "prices", "checkout"))
    port = await up("storefront", storefront.make(*urls, fixed=fixed))
    shopper = Upstream("storefront", f"http://127.0.0.1:{port}", keep=64)
    stack.callback(shopper.close)
    return Shop(services, wires, shopper)
