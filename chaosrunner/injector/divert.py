"""The door that a pod's connections are diverted to: a transparent TCP proxy for whatever the rules redirect to it.

A connection comes in at one of three doors, which says what it is: one that the pod opened, one that others opened to
the pod, or one of chaosrunner's own looks, which is treated like those of the pod and counted by nothing. Where it was
meant to go is asked of the kernel (SO_ORIGINAL_DST); the proxy connects there itself, from a socket that carries the
mark `OWN_MARK`, which the rules spare. Everything else (delays, order, bandwidth, resets) is what the proxy of a link
on one machine does: see `chaosrunner.injector.proxy`.

What it cannot do: the peer of a connection that others opened to the pod sees the pod's own address as its client's.
Setting up a connection is never delayed, and one to an end that refuses is reset right after it was set up.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaosrunner.injector.connection import Connection, SocketAddress, linger_not, reset_socket
from chaosrunner.injector.effects import Shaping
from chaosrunner.injector.listener import Listener
from chaosrunner.injector.matching import Match
from chaosrunner.injector.proxy import most_connections
from chaosrunner.injector.web import Aborted, Side, Web, WebEffect

__all__ = ["LED_MARK", "LOOK_MARK", "OWN_MARK", "Diversion", "Diverted", "Doors", "mark"]

OWN_MARK = 0x6368
"""Firewall mark of the injector's own sockets, and of looks that go around a fault: no rule of ours touches them."""
LOOK_MARK = 0x6369
"""Firewall mark of chaosrunner's own looks: the rules treat them like the pod's connections and do not count them."""
LED_MARK = 0x636B
"""Connection mark of datagrams of the pod that our rules led elsewhere (see `tracked`)."""

_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST of IPv4 and of IPv6: the same number
_SO_MARK = getattr(socket, "SO_MARK", 36)
_TRIES = 5
LINGER = 1.0
"""Seconds after the last diverted connection has closed before it counts as gone: its last packets are under way."""


def mark(own: socket.socket, value: int) -> None:
    """Give a socket a firewall mark. Raises `PermissionError` without NET_ADMIN."""
    own.setsockopt(socket.SOL_SOCKET, _SO_MARK, value)


@dataclass(frozen=True, slots=True)
class Doors:
    """Ports that rules redirect to."""

    out: int
    """Connections that the pod opens."""
    into: int
    """Connections that others open to the pod."""
    look: int
    """chaosrunner's own looks."""


class Diverted(Connection):
    """A connection that came through a door: where it was meant to go, and which way."""

    def __init__(self, carrier: Diversion, number: int, client: socket.socket, port: int, came: Came) -> None:
        self.came = came
        super().__init__(carrier, number, client, port, came.own)


@dataclass(frozen=True, slots=True)
class Came:
    """How a connection came: `way`, the address it was meant for, and the other end as `Match` names it."""

    way: str
    own: bool
    meant_for: SocketAddress
    peer: str
    port: int


class Diversion:
    """All diverted connections of a pod, and the effects that are in force on them.

    An effect is in force on the connections that its match covers, from `begin` to `end`. After that the connections
    are carried on, with nothing done to them, until they close; `on_idle` is called when the last one has.
    """

    def __init__(self, on_idle: Callable[[], None] = lambda: None) -> None:
        self.loop = asyncio.get_running_loop()
        self.held = 0
        self.upstream_failed = 0
        self.accepted = 0
        self._on_idle = on_idle
        self._idle_timer: asyncio.TimerHandle | None = None
        self._listeners: list[Listener] = []
        self._connections: dict[int, Diverted | DivertedWeb] = {}
        self._shapings: dict[str, tuple[Match, Shaping]] = {}
        self._webs: dict[str, tuple[Match, WebEffect]] = {}
        self._most = most_connections()
        self.doors: Doors | None = None

    @property
    def carried(self) -> int:
        """Diverted connections that are open."""
        return len(self._connections)

    @property
    def in_use(self) -> bool:
        """Connections are carried, or the last one closed a moment ago."""
        return bool(self._connections) or self._idle_timer is not None

    def own_ports(self) -> set[int]:
        """Local ports of the proxy's own connections to where the diverted ones were meant to go."""
        return {port for connection in self._connections.values() if (port := connection.upstream_port) is not None}

    def open(self) -> Doors:
        """Listen at the doors; again changes nothing. Raises `OSError`."""
        if self.doors is None:
            local = (("127.0.0.1",), ("::1",))
            ports = [
                self._listen(local, "egress", own=False),
                self._listen((("0.0.0.0",), ("::",)), "ingress", own=False),
                self._listen(local, "egress", own=True),
            ]
            self.doors = Doors(*ports)
        return self.doors

    def _listen(self, hosts: tuple[tuple[str], tuple[str]], way: str, *, own: bool) -> int:
        def accepted(client: socket.socket, port: int) -> None:
            self._accepted(client, port, way, own)

        wanted: list[SocketAddress] = [(socket.AF_INET, (*hosts[0], 0)), (socket.AF_INET6, (*hosts[1], 0, 0, 0))]
        for left in range(_TRIES, 0, -1):
            listener = Listener(wanted, accepted, lambda: len(self._connections) < self._most, self.loop)
            try:
                listener.open()
            except OSError as problem:  # the port that was free for IPv4 is taken for IPv6
                if problem.errno != errno.EADDRINUSE or left == 1:
                    raise
                continue
            self._listeners.append(listener)
            return int(listener.addresses[0][1])
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the doors and reset what is still carried, when the event loop has its next turn. Idempotent."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self.doors = None
        for connection in list(self._connections.values()):
            connection.reset()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    # ---------------------------------------------------------------------------------------------------------- effects

    def begin(self, match: Match, shaping: Shaping) -> None:
        """From now on in force on connections that the match covers, those that are carried already included."""
        self._shapings[shaping.id] = (match, shaping)
        self.settle()

    def begin_web(self, match: Match, effect: WebEffect) -> None:
        """The same for an effect on requests, which is on connections that come from now on. They are read as HTTP, and
        of all other effects they feel only those that reset connections."""
        self._webs[effect.id] = (match, effect)
        self.settle()

    def end(self, key: str) -> None:
        """No longer in force. Idempotent."""
        self._shapings.pop(key, None)
        self._webs.pop(key, None)
        self.settle()

    def settle(self) -> None:
        """Hold all connections against the effects anew: one began, ended, or its match has changed."""
        for connection in list(self._connections.values()):
            connection.settle(self._of(connection.came))

    def web_effects(self, came: Came) -> list[WebEffect]:
        """Effects on requests that are in force on such a connection."""
        return [
            effect
            for match, effect in self._webs.values()
            if match.way == came.way and match.covers(came.peer, came.port)
        ]

    def _of(self, came: Came) -> list[Shaping]:
        return [
            shaping
            for match, shaping in self._shapings.values()
            if match.way == came.way and match.covers(came.peer, came.port)
        ]

    # ------------------------------------------------------------------------------------------------- from connections

    def upstream(self, connection: Connection, then: Callable[[Sequence[SocketAddress]], None]) -> None:
        """Where it was meant to go."""
        assert isinstance(connection, Diverted)
        then([connection.came.meant_for])

    def new_socket(self, family: int) -> socket.socket:
        """A TCP socket that the rules spare."""
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            mark(made, OWN_MARK)
        except OSError:
            made.close()
            raise
        return made

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self.gone(connection.number)

    def gone(self, number: int) -> None:
        """The connection of this number is closed."""
        self._connections.pop(number, None)
        if not self._connections and self._idle_timer is None:
            self._idle_timer = self.loop.call_later(LINGER, self._idle)

    def _idle(self) -> None:
        self._idle_timer = None
        if not self._connections:
            self._on_idle()

    def _accepted(self, client: socket.socket, port: int, way: str, own: bool) -> None:
        self.accepted += 1
        try:
            came = _how(client, way, own)
        except OSError:
            came = None
        if came is None:  # nobody diverted it: it was aimed at the door itself, and leads nowhere
            reset_socket(client)
            return
        if self.web_effects(came):
            self._connections[self.accepted] = DivertedWeb(self, self.accepted, client, came)
            return
        connection = Diverted(self, self.accepted, client, port, came)
        self._connections[connection.number] = connection
        connection.begin(self._of(came))


class DivertedWeb:
    """A connection that came through a door and is read as HTTP."""

    def __init__(self, carrier: Diversion, number: int, client: socket.socket, came: Came) -> None:
        self.came = came
        self.upstream_port: int | None = None
        self._carrier = carrier
        self._number = number
        self._sockets = [client]
        self._sides: list[Side] = []
        self._web: Web | None = None
        self._life = carrier.loop.create_task(self._live())

    def settle(self, shapings: Sequence[Shaping]) -> None:
        """From now on these effects, and those on requests that cover it, are in force."""
        if self._web is not None:
            self._web.effects = self._carrier.web_effects(self.came)
        for shaping in shapings:
            if shaping.effect.loss in ("reset", "refuse"):
                shaping.met += not self.came.own
                self.reset()
                return

    def reset(self) -> None:
        """Both sides see a reset, when the event loop has its next turn."""
        self._life.cancel()
        self._reset()
        self._carrier.gone(self._number)

    def _reset(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                linger_not(one)
        for side in self._sides:
            side.sink.transport.abort()
        if not self._sides:
            for one in self._sockets:
                one.close()

    async def _live(self) -> None:
        family, address = self.came.meant_for
        try:
            server = self._carrier.new_socket(family)
            self._sockets.append(server)
            server.setblocking(False)
            await self._carrier.loop.sock_connect(server, address)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.upstream_port = int(server.getsockname()[1])
            for one in self._sockets:
                self._sides.append(Side.of(*await asyncio.open_connection(sock=one)))
            self._web = Web(self._sides[0], self._sides[1], self._carrier.web_effects(self.came), own=self.came.own)
            await self._web.carry()
            for side in self._sides:
                side.sink.close()
        except (OSError, EOFError, Aborted):
            self._reset()
        finally:
            self._carrier.gone(self._number)


def _how(client: socket.socket, way: str, own: bool) -> Came | None:
    meant_for = original_destination(client)
    if meant_for[1][:2] == client.getsockname()[:2]:
        return None
    peer = str(client.getpeername()[0]) if way == "ingress" else str(meant_for[1][0])
    return Came(way, own, meant_for, peer, int(meant_for[1][1]))


def original_destination(client: socket.socket) -> SocketAddress:
    """Where a redirected connection was meant to go. Raises `OSError` if it was not redirected."""
    if client.family == socket.AF_INET6:
        raw = client.getsockopt(socket.IPPROTO_IPV6, _ORIGINAL_DESTINATION, 28)
        port, flow, address, scope = struct.unpack("!2xHI16sI", raw[:28])
        with contextlib.suppress(OSError):
            scope = socket.ntohl(scope)
        return int(socket.AF_INET6), (socket.inet_ntop(socket.AF_INET6, address), port, flow, scope)
    raw = client.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, 16)
    port, address4 = struct.unpack("!2xH4s8x", raw)
    return int(socket.AF_INET), (socket.inet_ntop(socket.AF_INET, address4), port)
