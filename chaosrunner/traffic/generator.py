"""The load generator's own process: `python -m chaosrunner.traffic.generator`. Standard library only.

Open loop: request *i* is due at `t0 + i / rate`, whether or not earlier ones have been answered, and its latency counts
from then (no coordinated omission). What it needs comes as one JSON line on stdin, which then stays open: its end is
the sign to stop, however the parent went away. What happened goes to stdout, one JSON line ten times a second:

    {"now": T, "next": I, "ended": [i, seconds, code, …], "late": [i, …], "unfit": [i, …],
     "why": [[code, text, was it answered], …]}

Times are of the monotonic clock, which all processes of a machine share; `seconds` from when it was due; `next` is
the first request that was not due yet; `late` were started more than `LATE` after they were due; `unfit` failed
through this machine's own fault (no file descriptors or ports left).
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import resource
import signal
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from chaosrunner.traffic.wire import Garbage, ResponseReader

LATE = 0.05
"""Seconds after its due time at which a request counts as started late, through our own fault."""
TICK = 0.1
_BATCH = 200
_IDLE = 15.0
_RESOLVED = 1.0
_BACKLOG = 32 * 1024 * 1024
_OWN_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

Ended = Callable[["Flight", str, bool], None]


class Flight:
    """One request under way."""

    __slots__ = ("connection", "due", "fresh", "index", "over", "task")

    def __init__(self, index: int, due: float) -> None:
        self.index = index
        self.due = due
        self.connection: Connection | None = None
        self.task: asyncio.Task[None] | None = None
        self.fresh = True
        self.over = False


class Connection(asyncio.Protocol):
    """One connection, with at most one request on it."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._reader = ResponseReader(is_head=load.method == "HEAD")
        self._transport: asyncio.Transport | None = None
        self.flight: Flight | None = None
        self.idle_since = 0.0
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def send(self, flight: Flight) -> None:
        flight.connection, self.flight = self, flight
        self._reader.reset()
        assert self._transport is not None
        self._transport.write(self._load.message)

    def data_received(self, data: bytes) -> None:
        if self.flight is None:
            self.abort()  # nobody asked
            return
        try:
            self._reader.feed(data)
        except Garbage as error:
            self._end(f"the answer is not HTTP: {error}", answered=False)
            return
        if self._reader.complete:
            self._done()

    def eof_received(self) -> None:
        if self.flight is not None and self._reader.end():
            self._done()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.flight is not None:
            if not self._reader.started and self._load.try_again(self.flight):
                self.flight = None
                return
            cut = "the answer was cut short" if self._reader.started else "the connection was closed without an answer"
            self._end(_words(exc) if exc is not None and not self._reader.started else cut, answered=False)

    def abort(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _done(self) -> None:
        flight, status = self.flight, self._reader.status
        self.flight = None
        assert flight is not None
        if self._reader.reusable and self.open:
            self._load.keep(self)
        else:
            self.abort()
        reason = "" if status in self._load.expect else f"answered {status}"
        self._load.ended(flight, reason, answered=True)

    def _end(self, reason: str, *, answered: bool) -> None:
        flight, self.flight = self.flight, None
        self.abort()
        if flight is not None:
            self._load.ended(flight, reason, answered=answered)


class Load:
    """The schedule, the connections, and what is told of them."""

    def __init__(self, spec: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
        self.method: str = spec["method"]
        self.message = spec["message"].encode("latin-1") + spec["body"].encode()
        self.expect = frozenset(spec["expect"])
        self._host, self._port = spec["host"], spec["port"]
        self._tls = _tls() if spec["tls"] else None
        self._rate, self._timeout = float(spec["rate"]), float(spec["timeout"])
        self._most = min(int(spec["most_open"]), _descriptors() - 64)
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._flights: deque[Flight] = deque()
        self._open = 0
        self._next = 0
        self._lookup: asyncio.Task[list[tuple[Any, ...]]] | None = None
        self._looked_up = 0.0
        self._ended: list[float] = []
        self._late: list[int] = []
        self._unfit: list[int] = []
        self._codes: dict[tuple[str, bool], int] = {("", True): 0}
        self._told = 1

    def begin(self) -> None:
        """Tell when the first request is due, and start."""
        self._t0 = self._loop.time() + 0.05
        self._tell({"t0": self._t0, "most_open": self._most})
        self._loop.call_at(self._t0, self._fire)
        self._loop.call_later(TICK, self._tick)

    # -- the schedule

    def _due(self, index: int) -> float:
        return self._t0 + index / self._rate

    def _fire(self) -> None:
        for _ in range(_BATCH):
            due = self._due(self._next)
            now = self._loop.time()
            if due > now:
                self._loop.call_at(due, self._fire)
                return
            if now - due > LATE:
                self._late.append(self._next)
            self._start(Flight(self._next, due))
            self._next += 1
        self._loop.call_soon(self._fire)  # behind: let answers in between

    def _start(self, flight: Flight) -> None:
        self._open += 1
        if self._open > self._most:
            self.ended(flight, f"not sent: {self._most} requests were open already", answered=False)
            return
        self._flights.append(flight)
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                flight.fresh = False
                connection.send(flight)
                return
        flight.task = self._loop.create_task(self._connect(flight))

    def try_again(self, flight: Flight) -> bool:
        """A kept connection was closed just as it was used again: as every HTTP client, try a new one, if the method
        may be repeated."""
        if flight.fresh or flight.over or self.method not in _REPEATABLE:
            return False
        flight.fresh, flight.connection = True, None
        flight.task = self._loop.create_task(self._connect(flight))
        return True

    async def _connect(self, flight: Flight) -> None:
        try:
            failed: OSError | None = None
            for address in await self._resolve():
                try:
                    connection = await self._dial(address)
                except OSError as error:
                    failed = error
                    continue
                flight.task = None
                if flight.over:
                    connection.abort()
                else:
                    connection.send(flight)
                return
            raise failed or OSError("the name has no address")
        except (OSError, UnicodeError) as error:
            flight.task = None
            if getattr(error, "errno", None) in _OWN_ERRNOS:
                self._unfit.append(flight.index)
            self.ended(flight, _words(error), answered=False)

    async def _dial(self, address: tuple[Any, ...]) -> Connection:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self),
            address[0],
            address[1],
            ssl=self._tls,
            server_hostname=self._host if self._tls else None,
        )
        return connection

    async def _resolve(self) -> list[tuple[Any, ...]]:
        """The host's addresses, looked up at most once a second and never twice at the same time."""
        if self._lookup is None or (self._lookup.done() and self._loop.time() - self._looked_up > _RESOLVED):
            self._lookup = self._loop.create_task(self._look_up())
        return await asyncio.shield(self._lookup)  # whoever gives up waiting does not end it for the others

    async def _look_up(self) -> list[tuple[Any, ...]]:
        try:
            found = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        finally:
            self._looked_up = self._loop.time()
        return list(dict.fromkeys(entry[4] for entry in found))

    # -- what becomes of requests

    def keep(self, connection: Connection) -> None:
        """The connection is free for the next request."""
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def ended(self, flight: Flight, reason: str, *, answered: bool) -> None:
        """A request is over: `reason` is empty for an expected answer."""
        if flight.over:
            return
        flight.over = True
        self._open -= 1
        key = (reason[:100], answered)
        if key not in self._codes and len(self._codes) >= 200:
            key = ("other failures", answered)
        code = self._codes.setdefault(key, len(self._codes))
        self._ended += (flight.index, round(self._loop.time() - flight.due, 6), code)

    def _expire(self) -> None:
        now = self._loop.time()
        while self._flights and (self._flights[0].over or now >= self._flights[0].due + self._timeout):
            flight = self._flights.popleft()
            if flight.over:
                continue
            connecting = flight.task is not None
            missing = "connection" if connecting else "answer"
            self.ended(flight, f"no {missing} within {self._timeout:g} s", answered=False)
            if flight.task is not None:
                flight.task.cancel()
            if flight.connection is not None:
                flight.connection.flight = None
                flight.connection.abort()

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        self._expire()
        now = self._loop.time()
        while self._idle and now - self._idle[0].idle_since > _IDLE:
            self._idle.pop(0).abort()
        news = [(code, *key) for key, code in self._codes.items() if code >= self._told]
        self._told = len(self._codes)
        told = {"ended": self._ended, "late": self._late, "unfit": self._unfit, "why": news}
        self._tell({"now": now, "next": self._next, **told})
        self._ended, self._late, self._unfit = [], [], []


def _words(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "connection reset"
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _descriptors() -> int:
    """How many files may be open, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def _serve(spec: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    class Out(asyncio.BaseProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            end()

    out, _ = await loop.connect_write_pipe(Out, sys.stdout)

    def tell(what: dict[str, Any]) -> None:
        if os.getppid() != spec["parent"] or out.get_write_buffer_size() > _BACKLOG:
            end()  # nobody listens any more
        out.write(json.dumps(what, separators=(",", ":")).encode() + b"\n")

    def listen() -> None:
        if not os.read(0, 4096):
            end()

    os.set_blocking(0, False)
    loop.add_reader(0, listen)
    loop.call_later(float(spec["longest"]), end)
    Load(spec, tell).begin()
    await over


def main() -> None:
    """Read what to do, do it until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the runner, which then ends this one
    line = bytearray()
    while not line.endswith(b"\n"):  # not through sys.stdin, whose buffer would hide what comes next
        letter = os.read(0, 1)
        if not letter:
            return
        line += letter
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_serve(json.loads(line)))
    os._exit(0)  # at once: connections under way need no farewell, and a look-up that hangs would hold a thread


if __name__ == "__main__":
    main()
