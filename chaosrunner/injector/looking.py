"""Looks at a TCP path as a client of it, with blocking sockets: for the program `look`.

The meaning of an outcome is that of `LinkSample` in `chaosrunner.ports`, which cannot be imported here.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["LookFailed", "Marks", "Path", "connect", "exchange", "push"]

OWN_MARK, LOOK_MARK = 0x6368, 0x6369  # those of `divert`, which imports too much for a short program
PIECE = 4096
"""Bytes of one request with its padding; the strictest of the usual servers take 8 KiB of headers."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_STATUS = re.compile(rb"HTTP/1\.[01] \d{3} ")
_LENGTH = re.compile(rb"(?im)^content-length:\s*(\d+)\s*$")

Answer = dict[str, Any]


class LookFailed(Exception):
    """A look could not be made; `str()` is the reason."""


class _CutOff(Exception):
    """The other side closed the connection without a whole answer."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The firewall mark of a look's sockets, and whether it is needed."""

    value: int
    needed: bool

    @classmethod
    def look(cls) -> Marks:
        """Treated like the pod's traffic, counted by nothing."""
        return cls(LOOK_MARK, False)

    @classmethod
    def around(cls) -> Marks:
        """Touched by no fault of ours."""
        return cls(OWN_MARK, True)

    def put_on(self, made: socket.socket) -> bool:
        """Whether the socket carries it now. Raises `LookFailed` if it is needed and not allowed."""
        try:
            made.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_MARK", 36), self.value)
        except OSError as problem:
            if self.needed:
                raise LookFailed("going around a fault needs a firewall mark, and that NET_ADMIN") from problem
            return False
        return True


@dataclass(frozen=True, slots=True)
class Path:
    """Where to connect, and what to say: a GET of `http`, or nothing at all."""

    host: str
    port: int
    http: str | None
    marks: Marks


class _Timer:
    """Seconds that are left of a look."""

    def __init__(self, seconds: float) -> None:
        self.began = time.monotonic()
        self._over = self.began + seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def limit(self, connection: socket.socket, most: float | None = None) -> None:
        left = self._over - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left if most is None else min(left, max(0.001, most)))


def exchange(path: Path, silent_after: float, stay: float = 0.0) -> Answer:
    """One connection and one exchange. `stay`: seconds that the connection is open and idle before it; one that is
    closed in order during that time has *answered*. Silence is told after `silent_after` seconds beyond `stay`."""

    def talk(connection: socket.socket, timer: _Timer) -> None:
        if not stay or _stays(connection, timer, stay):
            _exchange(connection, timer, path)

    return _look(path, silent_after + stay, talk)


def push(path: Path, silent_after: float, payload: int) -> Answer:
    """Push so many bytes through, in the headers of requests sent one right after the other; over when the last one is
    answered, which is when the last byte has arrived."""
    piece = min(PIECE, max(64, payload))
    began, pushed = time.monotonic(), 0
    while True:
        wanted = -(-(payload - pushed) // piece)
        answered = 0

        def talk(connection: socket.socket, timer: _Timer, count: int = wanted) -> None:
            nonlocal answered
            answered = _pipeline(connection, timer, path, piece, count)

        last = _look(path, silent_after, talk)
        pushed += answered * piece
        seconds = max(time.monotonic() - began, 1e-6)
        if last["outcome"] != "answered":
            return {**last, "seconds": seconds}
        if pushed >= payload or (pushed and seconds >= silent_after):  # servers that close each time take long
            return {**last, "seconds": seconds, "bytes_per_second": pushed / seconds}


def _look(path: Path, silent_after: float, talk: Callable[[socket.socket, _Timer], None]) -> Answer:
    timer = _Timer(silent_after)
    outcome, address, marked = "answered", None, None
    try:
        connection, address, marked = connect(path.host, path.port, path.marks, timer.limit)
        with connection:
            try:
                talk(connection, timer)
            except TimeoutError:
                _leave_nothing(connection)
                raise
    except TimeoutError:
        outcome = "silent"
    except ConnectionRefusedError:
        outcome = "refused"
    except socket.gaierror as problem:
        raise LookFailed(f"{path.host} has no address here: {problem.strerror}") from problem
    except (OSError, _CutOff):
        outcome = "reset"
    return {
        "outcome": outcome,
        "seconds": timer.seconds,
        "bytes_per_second": None,
        "address": address,
        "marked": marked,
    }


def connect(
    host: str, port: int, marks: Marks, limit: Callable[[socket.socket], None], kind: int = socket.SOCK_STREAM
) -> tuple[socket.socket, str, bool]:
    """A connection to the first address of a host, that address, and whether it is marked. Raises `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICSERV)[0]
    connection = socket.socket(family, kind, protocol)
    try:
        marked = marks.put_on(connection)
        if kind == socket.SOCK_STREAM:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit(connection)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection, str(address[0]), marked


def _leave_nothing(connection: socket.socket) -> None:
    """Whoever holds it up drops it at once: closed in order it would be carried out later."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _stays(connection: socket.socket, timer: _Timer, seconds: float) -> bool:
    """Leave it open and idle; false if the other side closed it in order meanwhile."""
    until = time.monotonic() + seconds
    try:
        while (left := until - time.monotonic()) > 0:
            timer.limit(connection, left)
            if not connection.recv(4096):
                return False
    except TimeoutError:
        pass
    return True


def _request(path: Path, padding: int = 0, *, last: bool = True) -> bytes:
    host = f"[{path.host}]" if ":" in path.host else path.host
    lines = [f"GET {path.http} HTTP/1.1", f"Host: {host}:{path.port}", "User-Agent: chaosrunner"]
    if last:
        lines.append("Connection: close")
    if padding:
        bare = len("\r\n".join([*lines, "X-Padding: ", "", ""]))
        lines.append(f"X-Padding: {'.' * max(1, padding - bare)}")
    return "\r\n".join([*lines, "", ""]).encode()


def _pipeline(connection: socket.socket, timer: _Timer, path: Path, piece: int, count: int) -> int:
    """Send so many requests of this size without waiting for answers; how many were answered before the server closed,
    which it may do after any of them."""
    requests = _request(path, piece, last=False) * (count - 1) + _request(path, piece)

    def send() -> None:
        with suppress(OSError):
            connection.sendall(requests)

    timer.limit(connection)
    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    answers, answered = bytearray(), 0
    try:
        while answered < count:
            timer.limit(connection)
            more = connection.recv(65536)
            if not more:
                break
            answers += more
            answered = len(_STATUS.findall(answers))
    except ConnectionResetError:
        if not answered:  # it closed while more was under way: what it answered counts
            raise
    finally:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sending.join(1.0)
    if not answered:
        raise _CutOff
    return answered


def _exchange(connection: socket.socket, timer: _Timer, path: Path) -> None:
    timer.limit(connection)
    if path.http is None:
        connection.shutdown(socket.SHUT_WR)
    else:
        connection.sendall(_request(path))
    answer = bytearray()
    while True:
        timer.limit(connection)
        piece = connection.recv(65536)
        if not piece:
            break
        answer += piece
        if path.http is None:
            answer.clear()
        elif _whole(answer):
            return
    if path.http is not None and not answer:
        raise _CutOff


def _whole(answer: bytearray) -> bool:
    head, end, body = bytes(answer).partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])
