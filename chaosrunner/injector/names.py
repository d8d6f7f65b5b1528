"""Wrong answers to look-ups: a name server's place taken by a forwarder that answers some questions by itself.

Each name server that the pod asks has a door of its own here, UDP and TCP, that the rules divert port 53 to, and a
second one for chaosrunner's own looks. A question that an effect is for is delayed, answered wrongly, or not at all;
everything else goes to the server it was meant for and comes back unchanged, byte by byte.

An effect, as JSON: {"names": ["payments.shop.svc.cluster.local", "*.example.com"], "answer": "nxdomain" | "servfail" |
"refused" | "silent" | "wrong", "address": "192.0.2.1", "delay": 0.5, "share": 0.3, "seed": 7}. A name also stands for
itself followed by one of the pod's search domains; `*` stands for anything, dots too; no names are all names.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import functools
import ipaddress
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from chaosrunner.injector import dns
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.divert import OWN_MARK, mark
from chaosrunner.injector.fields import number, only

__all__ = ["NameDoor", "NameEffect", "Names"]

PATIENCE = 10.0
"""Seconds that a server has for its answer; whoever asked has long given up."""
ANSWERS = ("nxdomain", "servfail", "refused", "silent", "wrong")


@dataclass(frozen=True, slots=True)
class NameDoor:
    """A name server, and the ports that questions to it are diverted to: the pod's, and chaosrunner's own."""

    server: str
    door: int
    look: int


class NameEffect:
    """One effect on look-ups: which it is for, and how many met it."""

    def __init__(self, key: str, asked: Message, search: Iterable[str]) -> None:
        known = {"names", "answer", "delay", "address", "share", "seed"}
        only(asked, known, "`dns`")
        names = asked.get("names") or ["*"]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise RequestRefused(f"`names` is a list of names, not {names!r:.60}")
        self.id = key
        self._names = [name.lower().rstrip(".") for name in names]
        self._search = list(search)
        self.answer = asked.get("answer")
        if self.answer not in (None, *ANSWERS):
            raise RequestRefused(f"`answer` is one of {', '.join(ANSWERS)}, not {self.answer!r:.60}")
        self.delay = number(asked, "delay", 0.0, 3600.0)
        if not self.answer and not self.delay:
            raise RequestRefused("the effect does nothing: give `answer` or `delay`")
        self.share = number(asked, "share", 1.0, 1.0)
        try:
            self.address = ipaddress.ip_address(asked.get("address", "192.0.2.1"))
        except ValueError as problem:
            raise RequestRefused(f"`address` is an address, not {asked.get('address')!r:.60}") from problem
        self._chance = random.Random(f"{asked.get('seed', 0)} share")
        self.met = 0
        self.seen = 0

    def means(self, name: str) -> bool:
        """Whether it is for this name."""
        for pattern in self._names:
            forms = (pattern, *(f"{pattern}.{domain}" for domain in self._search))
            if any(fnmatch.fnmatchcase(name, form) for form in forms):
                return True
        return False

    def hits(self, *, own: bool) -> bool:
        """Whether this question is hit."""
        hit = self.share >= 1 or self._chance.random() < self.share
        if not own:
            self.seen += 1
            self.met += hit
        return hit


class Names:
    """The doors for look-ups of a pod, and the effects that are in force on them. Doors once open stay open until
    `close`, and forward: the kernel goes on diverting a socket that asks again and again."""

    def __init__(self, resolver: dns.Resolver | None = None, port: int = 53) -> None:
        self.resolver = resolver or dns.resolver()
        self._port = port
        self._effects: dict[str, NameEffect] = {}
        self._doors: dict[str, NameDoor] = {}
        self._open: list[asyncio.BaseTransport | asyncio.Server] = []
        self._working: set[asyncio.Task[Any]] = set()

    def begin(self, effect: NameEffect) -> None:
        """In force from now on."""
        self._effects[effect.id] = effect

    def end(self, key: str) -> None:
        """No longer in force. Idempotent."""
        self._effects.pop(key, None)

    async def doors(self, servers: Iterable[str]) -> list[NameDoor]:
        """The doors for these name servers, opened if they are not yet. Raises `RequestRefused`."""
        found = []
        for server in dict.fromkeys(servers):
            if ipaddress.ip_address(server).is_loopback:
                raise RequestRefused(f"the name server {server} is on the loopback device, which is never touched")
            if server not in self._doors:
                ports = [await self._opened(server, own=own) for own in (False, True)]
                self._doors[server] = NameDoor(server, *ports)
            found.append(self._doors[server])
        return found

    @property
    def ports(self) -> set[int]:
        """The ports that questions may be diverted to."""
        return {port for one in self._doors.values() for port in (one.door, one.look)}

    def close(self) -> None:
        """Close the doors. Idempotent."""
        for opened in self._open:
            opened.close()
        for task in list(self._working):
            task.cancel()
        self._open.clear()
        self._doors.clear()

    async def _opened(self, server: str, *, own: bool) -> int:
        """One port, for UDP and TCP."""
        loop = asyncio.get_running_loop()
        host = "::1" if ":" in server else "127.0.0.1"
        for left in range(5, 0, -1):
            udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self, server, own), (host, 0))
            port = int(udp.get_extra_info("sockname")[1])
            try:
                tcp = await asyncio.start_server(self._talker(server, own), host, port)
            except OSError:
                udp.close()
                if left == 1:
                    raise
                continue
            self._open += [udp, tcp]
            return port
        raise AssertionError("unreachable")

    def work(self, work: Awaitable[None]) -> None:
        """Do it beside everything else."""
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def answered(self, asked: bytes, own: bool, forward: Callable[[bytes], Awaitable[bytes]]) -> bytes | None:
        """What whoever asked gets; None: nothing. Raises `OSError`, `EOFError` when the server does not answer."""
        try:
            question = dns.question(asked)
        except dns.NotDns:
            return await forward(asked)
        for effect in list(self._effects.values()):
            if not effect.means(question.name) or not effect.hits(own=own):
                continue
            if effect.delay:
                await asyncio.sleep(effect.delay)
            if effect.answer == "silent":
                return None
            if effect.answer == "wrong":
                return dns.answer(question, 0, [effect.address])
            if effect.answer:
                return dns.answer(question, dns.CODES[effect.answer])
        return await forward(asked)

    async def by_datagram(self, server: str, asked: bytes) -> bytes:
        """Ask the server itself. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            mark(line, OWN_MARK)
            _from_afar(line)
            line.connect((server, self._port))
            await loop.sock_sendall(line, asked)
            async with asyncio.timeout(PATIENCE):
                while True:
                    told = await loop.sock_recv(line, dns.LARGEST)
                    if told[:2] == asked[:2]:
                        return told

    def _talker(
        self, server: str, own: bool
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def forward(asked: bytes) -> bytes:
            return await self._by_stream(server, asked)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._working.add(task)
            try:
                while True:
                    asked = await _message(reader)
                    told = await self.answered(asked, own, forward)
                    if told is not None:
                        writer.write(struct.pack("!H", len(told)) + told)
                        await writer.drain()
            except (OSError, EOFError):
                pass  # one of the two is gone: so is the other
            finally:
                self._working.discard(task)
                writer.close()

        return talk

    async def _by_stream(self, server: str, asked: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        line = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_STREAM)
        try:
            line.setblocking(False)
            mark(line, OWN_MARK)
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(line, (server, self._port))
                reader, writer = await asyncio.open_connection(sock=line)
                try:
                    writer.write(struct.pack("!H", len(asked)) + asked)
                    return await _message(reader)
                finally:
                    writer.close()
        except BaseException:
            line.close()
            raise


def _from_afar(line: socket.socket) -> None:
    """Give it a port that the system gives to nobody: the kernel remembers for minutes that questions from a port are
    diverted, whoever asks from there next, and ours would come back to us."""
    for _ in range(20):
        with contextlib.suppress(OSError):  # taken
            line.bind(("", random.choice(_ports_apart())))
            return


@functools.cache
def _ports_apart() -> range:
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        low, high = 32768, 60999
    above, below = range(high + 1, 65536), range(1024, low)
    return max(above, below, key=len) if len(above) < 1000 else above


async def _message(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    return await reader.readexactly(length)


class _Datagrams(asyncio.DatagramProtocol):
    """The UDP half of a door."""

    def __init__(self, names: Names, server: str, own: bool) -> None:
        self._names = names
        self._server = server
        self._own = own
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._names.work(self._reply(data, address))

    async def _reply(self, asked: bytes, address: Any) -> None:
        async def forward(data: bytes) -> bytes:
            return await self._names.by_datagram(self._server, data)

        with contextlib.suppress(OSError, EOFError):  # the server is silent or gone: so are we
            told = await self._names.answered(asked, self._own, forward)
            if told is not None and self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(told, address)
