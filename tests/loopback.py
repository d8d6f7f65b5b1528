"""Servers on loopback that behave, well or badly, and say what they met."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs

Behaviour = Callable[["Met", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Met:
    """One request as the server met it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which connection it came over, counted from 1."""
    on_connection: int
    """Which request of that connection it is, counted from 1."""

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}


@dataclass
class HttpServer:
    """Answers by path; a path without a behaviour is a 404 page."""

    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    met: list[Met] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    tls: Any = None
    host: str = "127.0.0.1"

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str = "/") -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}{path}"

    def on(self, path: str, behaviour: Behaviour) -> str:
        self.behaviours[path] = behaviour
        return self.url(path)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer, self.connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        try:
            for number in range(1, 1_000_000):
                met = await _request(reader, connection, number)
                if met is None:
                    break
                self.met.append(met)
                await self.behaviours.get(met.path.partition("?")[0], html(404, "no such page"))(met, writer)
                if writer.is_closing():
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _request(reader: asyncio.StreamReader, connection: int, number: int) -> Met | None:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = line.split(" ", 2)
    return Met(method, path, headers, body, connection, number)


def page(body: bytes, status: int = 200, kind: str = "text/plain", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def raw(*parts: bytes, close: bool = False) -> Behaviour:
    """Send exactly these bytes."""

    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return behave


def text(body: str, status: int = 200) -> Behaviour:
    return raw(page(body.encode(), status))


def html(status: int, words: str) -> Behaviour:
    body = f"<html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>"
    return raw(page(body.encode(), status, "text/html"))


def as_json(value: Any, status: int = 200, **headers: str) -> Behaviour:
    return raw(page(json.dumps(value).encode(), status, "application/json", **headers))


def gzipped(body: bytes) -> Behaviour:
    return raw(page(gzip.compress(body), 200, "application/json", Content_Encoding="gzip"))


def chunked(*chunks: bytes) -> Behaviour:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head, *(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks), b"0\r\n\r\n")


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other; the last one for good."""
    left = list(behaviours)

    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(met, writer)

    return behave


async def hang(met: Met, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(met: Met, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def close(met: Met, writer: asyncio.StreamWriter) -> None:
    writer.close()


def reset_after(head: bytes) -> Behaviour:
    """Begin an answer, then reset the connection."""

    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.02)  # the kernel must have sent it before the reset drops what is left
        await reset(met, writer)

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await behaviour(met, writer)

    return behave


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
