"""The little of DNS that is needed here: questions read, answers made, a look-up past every fault (RFC 1035, 6891)."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "CODES",
    "NotDns",
    "Question",
    "Resolver",
    "addresses",
    "answer",
    "code",
    "query",
    "question",
    "resolver",
]  # fmt: skip

A, AAAA, OPT = 1, 28, 41
TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}
CODES = {"noerror": 0, "formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}
_HEADER = struct.Struct("!HHHHHH")
LARGEST = 65535
TTL = 1
"""Seconds that a made-up answer may be kept: caches must not carry a fault on."""


class NotDns(ValueError):
    """The bytes are no message, or not one that is understood."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: the name in lower case without the last dot, and the type as a number."""

    number: int
    name: str
    kind: int
    raw: bytes
    """The question as it stood in the message."""
    flags: int
    extended: bool
    """The asker speaks EDNS."""


def question(message: bytes) -> Question:
    """The question of a query. Raises `NotDns`."""
    try:
        number, flags, questions, _, _, additional = _HEADER.unpack_from(message)
        if flags & 0x8000 or questions != 1:
            raise NotDns("not a query with one question")
        name, end = _name(message, 12)
        kind, _ = struct.unpack_from("!HH", message, end)
    except (struct.error, IndexError, UnicodeDecodeError) as problem:
        raise NotDns(str(problem)) from problem
    extended = additional > 0 and b"\x00\x00\x29" in message[end + 4 :]
    return Question(number, name, kind, message[12 : end + 4], flags, extended)


def _name(message: bytes, place: int) -> tuple[str, int]:
    """A name, and where it ends."""
    labels: list[str] = []
    end = -1
    for _ in range(128):  # pointers may go in circles
        length = message[place]
        if length >= 0xC0:
            end = place + 2 if end < 0 else end
            place = (length & 0x3F) << 8 | message[place + 1]
        elif length:
            labels.append(message[place + 1 : place + 1 + length].decode("ascii").lower())
            place += length + 1
        else:
            return ".".join(labels), place + 1 if end < 0 else end
    raise NotDns("a name without an end")


def answer(
    asked: Question, code: int = 0, given: list[ipaddress.IPv4Address | ipaddress.IPv6Address] | None = None
) -> bytes:
    """An answer with this code and these addresses, as far as they are of the type that was asked for. Negative ones
    carry no SOA, so that nobody keeps them."""
    wanted = {A: 4, AAAA: 6}.get(asked.kind)
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", asked.kind, 1, TTL, len(one.packed)) + one.packed
        for one in given or ()
        if one.version == wanted
    )
    count = sum(one.version == wanted for one in given or ())
    flags = 0x8080 | (asked.flags & 0x7900) | code  # an answer; recursion available; opcode and RD as asked
    extra = b"\x00" + struct.pack("!HHIH", OPT, 1232, 0, 0) if asked.extended else b""
    return _HEADER.pack(asked.number, flags, 1, count, 0, int(asked.extended)) + asked.raw + records + extra


def query(name: str, kind: int) -> bytes:
    """A query for a name."""
    labels = b"".join(
        bytes([len(label)]) + label.encode("idna" if not label.isascii() else "ascii")
        for label in name.rstrip(".").split(".")
        if label
    )
    return _HEADER.pack(secrets.randbelow(65536), 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def code(message: bytes) -> int:
    """The answer's code. Raises `NotDns`."""
    if len(message) < 12:
        raise NotDns("too short")
    return message[3] & 0x0F


def addresses(message: bytes) -> list[str]:
    """The addresses in an answer. Raises `NotDns`."""
    found = []
    try:
        _, _, questions, answers, _, _ = _HEADER.unpack_from(message)
        place = 12
        for _ in range(questions):
            place = _name(message, place)[1] + 4
        for _ in range(answers):
            place = _name(message, place)[1]
            kind, _, _, length = struct.unpack_from("!HHIH", message, place)
            data = message[place + 10 : place + 10 + length]
            if kind in (A, AAAA):
                found.append(str(ipaddress.ip_address(data)))
            place += 10 + length
    except (struct.error, IndexError, ValueError) as problem:
        raise NotDns(str(problem)) from problem
    return found


@dataclass(frozen=True, slots=True)
class Resolver:
    """What /etc/resolv.conf says."""

    servers: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    dots: int = 1

    def forms(self, name: str) -> list[str]:
        """The names that are asked for, in order, as resolvers do."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{domain}" for domain in self.search]
        return [name, *searched] if name.count(".") >= self.dots else [*searched, name]

    def look_up(self, name: str, prepare: Callable[[socket.socket], object], seconds: float = 5.0) -> list[str]:
        """The addresses of a name, asked from sockets that `prepare` has made ready (with a mark); /etc/hosts counts.
        Raises `OSError` if no server answers or the name does not exist."""
        with suppress(ValueError):
            return [str(ipaddress.ip_address(name))]
        if known := hosts().get(name.lower().rstrip(".")):
            return known
        until = time.monotonic() + seconds
        for form in self.forms(name):
            found = [one for kind in (A, AAAA) for one in self._ask(query(form, kind), prepare, until)]
            if found:
                return found
        raise OSError(f"{name} has no address")

    def _ask(self, asked: bytes, prepare: Callable[[socket.socket], object], until: float) -> list[str]:
        for attempt in range(2):
            for server in self.servers:
                with suppress(OSError, NotDns):
                    told = ask(server, asked, prepare, min(1.0 + attempt, max(0.05, until - time.monotonic())))
                    if code(told) in (0, 3):
                        return addresses(told)
                if time.monotonic() >= until:
                    raise TimeoutError("no name server answered in time")
        return []


def ask(server: str, asked: bytes, prepare: Callable[[socket.socket], object], seconds: float, port: int = 53) -> bytes:
    """Ask a server, by TCP when the answer is too long for UDP. Raises `OSError`, among them TimeoutError."""
    until = time.monotonic() + seconds
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as door:
        prepare(door)
        door.connect((server, port))
        door.send(asked)
        while True:
            door.settimeout(max(0.001, until - time.monotonic()))
            told = door.recv(LARGEST)
            if told[:2] == asked[:2]:
                break
    if len(told) > 2 and told[2] & 0x02:  # truncated
        with socket.socket(family, socket.SOCK_STREAM) as line:
            prepare(line)
            line.settimeout(max(0.001, until - time.monotonic()))
            line.connect((server, port))
            line.sendall(struct.pack("!H", len(asked)) + asked)
            told = _exactly(line, int(struct.unpack("!H", _exactly(line, 2))[0]))
    return told


def _exactly(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = line.recv(count - len(got))
        if not more:
            raise ConnectionError("the name server closed in the middle of an answer")
        got += more
    return got


def resolver(file: Path = Path("/etc/resolv.conf")) -> Resolver:
    """What the file says; no servers if it is not there."""
    servers: list[str] = []
    search: list[str] = []
    dots = 1
    with suppress(OSError):
        for line in file.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                servers.append(words[1])
            elif words[:1] in (["search"], ["domain"]):
                search = [word.rstrip(".").lower() for word in words[1:]]
            elif words[:1] == ["options"]:
                dots = next((int(w[6:]) for w in words if w.startswith("ndots:") and w[6:].isdigit()), dots)
    return Resolver(servers, search, dots)


def hosts(file: Path = Path("/etc/hosts")) -> dict[str, list[str]]:
    """Name -> addresses of /etc/hosts."""
    known: dict[str, list[str]] = {}
    with suppress(OSError):
        for line in file.read_text().splitlines():
            words = line.partition("#")[0].split()
            for name in words[1:]:
                known.setdefault(name.lower(), []).append(words[0])
    return known
