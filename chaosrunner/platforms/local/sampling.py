"""Looks at a TCP path as a client of it: connects, makes a short exchange, and tells what became of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Literal

from chaosrunner.clock import Clock
from chaosrunner.ports import LinkSample
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

Announce = Callable[[int], Awaitable[None]]
"""Called with the local port of a connection before it is opened, so that it is not counted as the system's."""

PIECE = 4096
"""Bytes of one request with its padding; the strictest of the usual servers take 8 KiB of headers."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_STATUS = pattern(rb"HTTP/1\.[01] \d{3} ")
_LENGTH = pattern(rb"(?im)^content-length:\s*(\d+)\s*$")


@dataclass(frozen=True, slots=True)
class Path:
    """Where to connect, and what to say: a GET of `http`, or nothing at all."""

    host: str
    port: int
    http: str | None
    """None: say nothing, shut down writing, and wait for the other side to do the same, as every TCP server does."""
    announce: Announce | None = None


class _CutOff(Exception):
    """The other side closed the connection without a whole answer."""


async def sample(path: Path, clock: Clock, silent_after: float, stay: float = 0.0) -> LinkSample:
    """One connection and one exchange. `stay`: seconds that the connection is open and idle before it.

    A connection that is closed in order during that time has *answered*: servers may do so. Silence is told after
    `silent_after` seconds beyond `stay`.
    """
    return await _one(path, clock, silent_after, stay=stay)


async def push(path: Path, clock: Clock, silent_after: float, payload: int) -> LinkSample:
    """Push so many bytes through, in the headers of requests sent one right after the other, and measure how fast.

    It is over when the last request is answered, which is when the last byte has arrived. Only where HTTP is spoken:
    nobody can tell what another server does with bytes that mean nothing to it, so there is one plain exchange then,
    and no speed.
    """
    if path.http is None:
        return await sample(path, clock, silent_after)
    piece = min(PIECE, max(64, payload))
    began, pushed = clock.monotonic(), 0
    while True:
        wanted = -(-(payload - pushed) // piece)
        answered = 0

        async def exchange(connection: socket.socket, count: int = wanted) -> None:
            nonlocal answered
            answered = await _pipeline(connection, path, piece, count)

        last = await _look(path, clock, silent_after, exchange)
        pushed += answered * piece
        seconds = max(clock.monotonic() - began, 1e-6)
        if last.outcome != "answered":
            return LinkSample(last.outcome, seconds)
        if pushed >= payload:
            return LinkSample("answered", seconds, pushed / seconds)


async def _one(path: Path, clock: Clock, silent_after: float, *, stay: float = 0.0) -> LinkSample:
    async def exchange(connection: socket.socket) -> None:
        if not stay or await _stays(connection, stay):
            await _exchange(connection, path)

    return await _look(path, clock, silent_after + stay, exchange)


async def _look(
    path: Path, clock: Clock, silent_after: float, exchange: Callable[[socket.socket], Awaitable[None]]
) -> LinkSample:
    """Connect, make the exchange, and tell what became of it."""
    began = clock.monotonic()
    outcome: Literal["answered", "refused", "reset", "silent"] = "answered"
    try:
        async with asyncio.timeout(silent_after):
            with await _connect(path) as connection:
                try:
                    await exchange(connection)
                except asyncio.CancelledError:
                    _leave_nothing(connection)
                    raise
    except TimeoutError:
        outcome = "silent"
    except ConnectionRefusedError:
        outcome = "refused"
    except (OSError, _CutOff):
        outcome = "reset"
    return LinkSample(outcome, clock.monotonic() - began)


def _leave_nothing(connection: socket.socket) -> None:
    """Whoever holds it up drops it at once: closed in order it would be carried out later, and the looks of a whole
    step would come down on the other end together."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _connect(path: Path) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (
        await loop.getaddrinfo(path.host, path.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICSERV)
    )[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if path.announce is not None:
            connection.bind(("", 0))
            await path.announce(connection.getsockname()[1])
        await loop.sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


async def _stays(connection: socket.socket, seconds: float) -> bool:
    """Leave it open and idle; false if the other side closed it in order meanwhile."""
    try:
        async with asyncio.timeout(seconds):
            while await asyncio.get_running_loop().sock_recv(connection, 4096):
                pass  # a greeting
    except TimeoutError:
        return True
    return False


def _request(path: Path, padding: int = 0, *, last: bool = True) -> bytes:
    lines = [f"GET {path.http} HTTP/1.1", f"Host: {path.host}:{path.port}", "User-Agent: chaosrunner"]
    if last:
        lines.append("Connection: close")
    if padding:
        bare = len("\r\n".join([*lines, "X-Padding: ", "", ""]))
        lines.append(f"X-Padding: {'.' * max(1, padding - bare)}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _pipeline(connection: socket.socket, path: Path, piece: int, count: int) -> int:
    """Send so many requests of this size without waiting for answers; how many were answered before the server
    closed, which it may do after any of them."""
    loop = asyncio.get_running_loop()
    requests = _request(path, piece, last=False) * (count - 1) + _request(path, piece)
    sending = asyncio.ensure_future(loop.sock_sendall(connection, requests))
    answers, answered = bytearray(), 0
    try:
        while answered < count:
            more = await loop.sock_recv(connection, 65536)
            if not more:
                break
            answers += more
            answered = len(_STATUS.findall(answers))
    except ConnectionResetError:
        if not answered:  # it closed while more was under way: what it answered counts
            raise
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    if not answered:
        raise _CutOff
    return answered


async def _exchange(connection: socket.socket, path: Path) -> None:
    loop = asyncio.get_running_loop()
    if path.http is None:
        connection.shutdown(socket.SHUT_WR)
    else:
        await loop.sock_sendall(connection, _request(path))
    answer = bytearray()
    while piece := await loop.sock_recv(connection, 65536):
        answer += piece
        if path.http is not None and _whole(answer):
            return
        if path.http is None:
            answer.clear()
    if path.http is not None and not answer:
        raise _CutOff


def _whole(answer: bytearray) -> bool:
    head, end, body = bytes(answer).partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])


async def http_status(host: str, port: int, path: str) -> int:
    """The status that a GET answers with. Raises OSError if there is no answer; the caller limits the time."""
    loop = asyncio.get_running_loop()
    with await _connect(Path(host, port, path)) as connection:
        await loop.sock_sendall(connection, _request(Path(host, port, path)))
        answer = bytearray()
        while b"\r\n" not in answer and (piece := await loop.sock_recv(connection, 4096)):
            answer += piece
    words = bytes(answer).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionError("what answers does not speak HTTP")
    return int(words[1])


async def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections there. Raises OSError if not; the caller limits the time."""
    (await _connect(Path(host, port, None))).close()
    return True
