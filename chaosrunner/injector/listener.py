"""The proxy's door: listening sockets that can really be closed for a while, and opened again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Sequence

from chaosrunner.injector.connection import SocketAddress

__all__ = ["Listener"]

BACKLOG = 1024
AT_ONCE = 64
"""Connections accepted in one go, before others get their turn."""
OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PATIENCE = 0.1
"""Seconds without accepting when there is no room for more; those who connect wait in the backlog."""
RETRY = 0.02
"""Seconds between two tries to open a door that somebody else stands in."""


class Listener:
    """Listens on some addresses and hands each connection to `accepted(client, source_port)`, while there is
    `room()` for one more."""

    def __init__(
        self,
        addresses: Sequence[SocketAddress],
        accepted: Callable[[socket.socket, int], None],
        room: Callable[[], bool],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._wanted = list(addresses)
        self._accepted = accepted
        self._room = room
        self._loop = loop
        self._doors: list[socket.socket | None] = []
        self.is_open = False
        self._closings = 0

    @property
    def addresses(self) -> list[tuple[str | int, ...]]:
        """What it listens on; ports are known even when 0 was asked for."""
        return [address[:2] for _, address in self._wanted]

    def open(self) -> None:
        """Listen. An address that this machine has not is left out if there is another one. Raises `OSError`."""
        there: list[SocketAddress] = []
        missing: OSError | None = None
        port: int | None = None
        for family, address in self._wanted:
            if port is not None and address[1] == 0:
                address = (address[0], port, *address[2:])
            try:
                door = _bound(family, address)
                door.listen(BACKLOG)
            except OSError as problem:
                if problem.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    self._shut()
                    raise
                missing = problem
                continue
            self._doors.append(door)
            there.append((family, door.getsockname()))
            port = door.getsockname()[1]
        if missing is not None and not there:
            raise missing
        self._wanted = there
        self._watch()

    def close(self, *, reserve: bool = False) -> None:
        """Stop listening: whoever connects is refused by the system. What had connected and was not accepted yet is
        accepted now. With `reserve` the ports stay ours: bound without listening, which refuses connections and
        keeps others from taking the ports meanwhile."""
        if self.is_open:
            for door in self._doors:
                assert door is not None
                self._accept(door, BACKLOG + 1)
        self._shut()
        self._closings += 1
        if reserve:
            self._doors = [self._reserved(*wanted) for wanted in self._wanted]

    async def reopen(self) -> None:
        """Listen again. Returns when all doors are open, however long somebody stands in one, or when it is closed
        again meanwhile."""
        closings = self._closings
        while not self.is_open and self._doors and closings == self._closings:
            for place, (family, address) in enumerate(self._wanted):
                door = self._doors[place] or self._reserved(family, address)
                self._doors[place] = door
                with contextlib.suppress(OSError):
                    if door is not None:
                        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        door.listen(BACKLOG)
                        continue
                break
            else:
                self._watch()
                return
            await asyncio.sleep(RETRY)

    def _reserved(self, family: int, address: tuple[str | int, ...]) -> socket.socket | None:
        """Bound for us alone if that can be had. Where connections have lately ended it cannot, and the system then
        lets others, who also set SO_REUSEADDR, in beside us."""
        for reuse in (False, True):
            with contextlib.suppress(OSError):
                return _bound(family, address, reuse)
        return None

    def _shut(self) -> None:
        for door in self._doors:
            if door is not None:
                if self.is_open:
                    self._loop.remove_reader(door.fileno())
                door.close()
        self._doors = []
        self.is_open = False

    def _watch(self) -> None:
        self.is_open = True
        for door in self._doors:
            assert door is not None
            self._loop.add_reader(door.fileno(), self._accept, door)

    def _accept(self, door: socket.socket, most: int = AT_ONCE) -> None:
        for _ in range(most):
            if not self._room():
                self._pause(door)
                return
            try:
                client, address = door.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # it left while it stood in the queue
            except OSError as problem:
                if problem.errno not in OUT_OF_FILES:
                    raise
                self._pause(door)
                return
            client.setblocking(False)
            with contextlib.suppress(OSError):  # reset already: the first read will tell
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(client, address[1])

    def _pause(self, door: socket.socket) -> None:
        self._loop.remove_reader(door.fileno())
        self._loop.call_later(PATIENCE, self._resume, door)

    def _resume(self, door: socket.socket) -> None:
        if self.is_open and door in self._doors:
            self._loop.add_reader(door.fileno(), self._accept, door)


def _bound(family: int, address: tuple[str | int, ...], reuse: bool = True) -> socket.socket:
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        door.setblocking(False)
        door.bind(address)
    except OSError:
        door.close()
        raise
    return door
