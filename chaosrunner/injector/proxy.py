"""chaosrunner's own TCP proxy for one link, a program of its own that outlives the command that started it.

    python -m chaosrunner.injector.proxy --listen 127.0.0.1:8003 --connect 127.0.0.1:7003 --control /run/link.sock

Without an effect in force it passes bytes, ends and resets through as they come. Effects are begun and ended over the
control socket (see `chaosrunner.injector.control`), and end by themselves: at their deadline, or when the heartbeat of
their run stops. What it understands beside `begin`, `beat`, `end` and `holds`:

* `own {port}` -> `{known}`: the connection from this source port, which is open or will come within 10 s, is
  chaosrunner's own sample: treated like all others, and counted by nothing.
* `met {id}` -> `{met, at_least, hit, spared}`: connections, new and already open ones, that felt this effect, each
  counted once, own ones not. For `hit` and `spared` see `share`. `at_least` is true for `loss: refuse`: open
  connections that were reset are counted; attempts that the system refused while the port was closed are seen by
  nobody, so `met` is null, which says *cannot be said*, when there were none of the former.
* `stats` -> connections, bytes and failures since the start.

Several effects may be in force at once: delays add up, of several bandwidths the smallest counts, and any loss is a
loss. Bytes that an effect held back are passed on when it ends, in order, none lost.

What it cannot do: a connection is accepted by the system before the proxy hears of it, so setting one up is never
delayed, and an upstream that refuses shows as a reset right after connecting.

When told to (`--ready-fd N`) it writes one byte there as soon as it listens. It exits with 2 and says why if it cannot
listen, and with 0 on SIGTERM or SIGINT, after it has ended all effects and removed its socket. To make it a daemon,
start it in a session of its own.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # asyncio does without, and starts faster

import argparse
import asyncio
import contextlib
import errno
import math
import os
import resource
import signal
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.connection import Connection, SocketAddress
from chaosrunner.injector.control import Control, ControlError, Handler
from chaosrunner.injector.effects import Effect, Shaping
from chaosrunner.injector.holds import BEAT_LIMIT, Holds, Why
from chaosrunner.injector.listener import Listener
from chaosrunner.injector.timing import new_loop

__all__ = ["Proxy", "command", "main"]

OWN_WITHIN = 10.0
"""Seconds in which an announced sample must come: later, its port may be somebody else's."""
MOST_FILES = 65536
OTHER_FILES = 40
"""Files that are open or may be needed for something else than connections."""
REMEMBERED = 1000
"""Effects that are over and can still be asked about."""
NAMES_FOR = 1.0
"""Seconds that the addresses of a host name are used again."""


def command(listen: str, connect: str, control: str | os.PathLike[str], *, ready_fd: int | None = None) -> list[str]:
    """The command line that starts a proxy with this interpreter, fast: without `site`, and whatever the current
    folder and the environment are. Pass `ready_fd` in `pass_fds`, and start it in a session of its own."""
    root = str(Path(__file__).resolve().parents[2])
    start = f"import sys; sys.path.insert(0, {root!r}); sys.modules['ssl'] = None; "
    start += "from chaosrunner.injector.proxy import main; sys.exit(main())"
    words = [sys.executable, "-S", "-E", "-c", start]
    words += ["--listen", listen, "--connect", connect, "--control", os.fspath(control)]
    return words if ready_fd is None else [*words, "--ready-fd", str(ready_fd)]


class Proxy:
    """One link: its door, its connections, and the effects that are in force on it.

    Raises `OSError` from `open` when it cannot listen, `ControlError` when its control socket cannot be had.
    """

    def __init__(
        self,
        listen: Sequence[SocketAddress],
        connect: tuple[str, int],
        control: str | os.PathLike[str],
        *,
        beat_limit: float = BEAT_LIMIT,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.held = 0
        """Bytes that wait in all pipes together."""
        self.upstream_failed = 0
        """Connections that were reset because the upstream could not be reached."""
        self._most = most_connections()
        self._listener = Listener(listen, self._accepted, lambda: len(self._connections) < self._most, self.loop)
        self._upstream = Upstream(connect, self.loop)
        self._holds = Holds(self._begin, self._end, beat_limit=beat_limit)
        more: dict[str, Handler] = {"own": self._own, "met": self._met, "stats": self._stats}
        self._control = Control(control, {**self._holds.verbs(), **more})
        self._shapings: dict[str, Shaping] = {}
        self._past: OrderedDict[str, Shaping] = OrderedDict()
        self._connections: dict[int, Connection] = {}
        self._announced: dict[int, float] = {}
        self._accepted_count = self._own_count = 0
        self._passed = {"request": 0, "response": 0}
        self._started = time.monotonic()

    @property
    def addresses(self) -> list[tuple[str | int, ...]]:
        """What it listens on, as (host, port)."""
        return self._listener.addresses

    async def open(self) -> None:
        """Listen, for connections first: who finds the control socket finds a proxy that works."""
        self._listener.open()
        try:
            await self._control.open()
        except ControlError:
            self._listener.close()
            raise

    async def close(self) -> None:
        """End all effects, close all connections, remove the socket."""
        self._listener.close()
        await self._holds.close()
        for connection in list(self._connections.values()):
            connection.close()
        await self._control.close()

    # ------------------------------------------------------------------------------------------------- from connections

    def upstream(self, connection: Connection, then: Callable[[Sequence[SocketAddress]], None]) -> None:
        """Where to connect to, at once or when the host name has been looked up; empty if it has no address."""
        self._upstream.find(then)

    def new_socket(self, family: int) -> socket.socket:
        """A TCP socket to the upstream."""
        return socket.socket(family, socket.SOCK_STREAM)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        del self._connections[connection.number]
        for pipe in (connection.request, connection.response):
            self._passed[pipe.direction] += pipe.passed

    def _accepted(self, client: socket.socket, port: int) -> None:
        self._accepted_count += 1
        own = self._announced.pop(port, 0.0) > self.loop.time()
        self._own_count += own
        connection = Connection(self, self._accepted_count, client, port, own)
        self._connections[connection.number] = connection
        connection.begin(list(self._shapings.values()))

    # ---------------------------------------------------------------------------------------------------------- effects

    async def _begin(self, key: str, asked: Message) -> None:
        shaping = Shaping(key, Effect.read(asked), self.loop)
        if shaping.effect.loss == "refuse":
            self._listener.close(reserve=True)  # before the effect acts, so that what stood in the queue is reset too
        self._shapings[key] = shaping
        self._settle()

    async def _end(self, key: str, asked: Message, why: Why) -> None:
        self._past[key] = self._shapings.pop(key)
        while len(self._past) > REMEMBERED:
            self._past.popitem(last=False)
        self._settle()
        if not any(shaping.effect.loss == "refuse" for shaping in self._shapings.values()):
            await self._listener.reopen()

    def _settle(self) -> None:
        shapings = list(self._shapings.values())
        for connection in list(self._connections.values()):
            connection.settle(shapings)

    # ----------------------------------------------------------------------------------------------------- what it says

    def _own(self, request: Message) -> Message:
        port = request.get("port")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise RequestRefused(f"`port` is a number from 1 to 65535, not {port!r:.60}")
        now = self.loop.time()
        for stale in [known for known, until in self._announced.items() if until <= now]:
            del self._announced[stale]
        for connection in self._connections.values():
            if connection.port == port and not connection.own:
                connection.turn_out_own()
                self._own_count += 1
                return {"known": "open"}
        self._announced[port] = now + OWN_WITHIN
        return {"known": "announced"}

    def _met(self, request: Message) -> Message:
        key = request.get("id")
        shaping = self._shapings.get(str(key)) or self._past.get(str(key))
        if shaping is None:
            raise RequestRefused(f"no effect {key!r:.60} is or was in force here")
        at_least = shaping.effect.loss == "refuse"
        met = None if at_least and shaping.met == 0 else shaping.met
        return {"met": met, "at_least": at_least, "hit": shaping.hit, "spared": shaping.spared}

    def _stats(self, request: Message) -> Message:
        passed = dict(self._passed)
        for connection in self._connections.values():
            for pipe in (connection.request, connection.response):
                passed[pipe.direction] += pipe.passed
        return {
            "pid": os.getpid(),
            "seconds": round(time.monotonic() - self._started, 3),
            "listens": self._listener.is_open,
            "addresses": self.addresses,
            "connect": list(self._upstream.address),
            "connections": self._accepted_count,
            "own": self._own_count,
            "open": len(self._connections),
            "upstream_failed": self.upstream_failed,
            "bytes": passed,
            "bytes_held": self.held,
            "in_force": sorted(self._shapings),
        }


class Upstream:
    """Where a link leads to. A host name is looked up in a thread, so that nobody waits for it but those who need it;
    an address is not looked up at all."""

    def __init__(self, address: tuple[str, int], loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self._loop = loop
        self._known: Sequence[SocketAddress] = ()
        self._fresh_until = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._waiting: list[Callable[[Sequence[SocketAddress]], None]] = []
        with contextlib.suppress(OSError):
            self._known = resolve(*address, socket.AI_NUMERICHOST)
            self._fresh_until = math.inf

    def find(self, then: Callable[[Sequence[SocketAddress]], None]) -> None:
        """Call with the addresses."""
        if self._loop.time() < self._fresh_until:
            then(self._known)
            return
        self._waiting.append(then)
        if self._asking is None:
            self._asking = self._loop.create_task(self._look_up())

    async def _look_up(self) -> None:
        try:
            self._known = await self._loop.run_in_executor(None, resolve, *self.address)
            self._fresh_until = self._loop.time() + NAMES_FOR
        except OSError:
            self._known = ()
        waiting, self._waiting, self._asking = self._waiting, [], None
        for then in waiting:
            then(self._known)


def resolve(host: str, port: int, flags: int = 0) -> list[SocketAddress]:
    """Addresses of a host, in the system's order, each once. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    addresses = [(int(family), address) for family, _, _, _, address in found if isinstance(address[0], str)]
    return list(dict.fromkeys(addresses))


# ---------------------------------------------------------------------------------------------------------- the program


def host_and_port(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPV6]:PORT`. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, such as [::1]:8003")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8003")
    return host, int(port)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="chaosrunner.injector.proxy", description="TCP proxy for one link.")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where clients connect to")
    parser.add_argument("--connect", required=True, metavar="HOST:PORT", help="where connections lead to")
    parser.add_argument("--control", required=True, metavar="PATH", help="Unix socket that it is controlled by")
    parser.add_argument("--ready-fd", type=int, metavar="N", help="gets one byte when it listens")
    given = parser.parse_args(arguments)
    limit = min(BEAT_LIMIT, float(os.environ.get("CHAOSRUNNER_BEAT_LIMIT") or BEAT_LIMIT))  # shorter in tests
    _allow_many_files()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        try:
            runner.run(_serve(given, limit))
        except (OSError, ValueError) as problem:
            sys.stderr.write(f"proxy {given.listen} -> {given.connect}: {_words(problem)}\n")
            return 2
    return 0


async def _serve(given: argparse.Namespace, beat_limit: float) -> None:
    listen, connect = host_and_port(given.listen), host_and_port(given.connect)
    if connect[1] == 0:
        raise ValueError(f"{given.connect!r}: port 0 cannot be connected to")
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    proxy = Proxy(resolve(*listen), connect, given.control, beat_limit=beat_limit)
    await proxy.open()
    try:
        if given.ready_fd is not None:
            os.write(given.ready_fd, b"1")
            os.close(given.ready_fd)
        await over.wait()
    finally:
        await proxy.close()


def _words(problem: OSError | ValueError) -> str:
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return "cannot listen: the port is taken by another process"
    if isinstance(problem, OSError) and not isinstance(problem, ControlError):
        return f"cannot listen: {(problem.strerror or str(problem)).lower()}"
    return str(problem)


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many connections there may be at once, so that each finds a file for its other side, and the control socket
    one for its talks. More wait in the system's queue until one of them has ended."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)
    return max(4, (allowed - OTHER_FILES) // 2)


if __name__ == "__main__":
    sys.exit(main())
