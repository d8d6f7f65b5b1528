"""One connection through the proxy: a client, an upstream, and a pipe for each direction between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from chaosrunner.injector.effects import Shaping
from chaosrunner.injector.pipe import Pipe

__all__ = ["Carrier", "Connection", "SocketAddress", "linger_not", "reset_socket"]

SocketAddress = tuple[int, tuple[str | int, ...]]
"""Address family, and what `connect` and `bind` take for it."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def linger_not(victim: socket.socket) -> None:
    """Whoever closes it closes with RST instead of FIN. Raises `OSError` if it is broken already."""
    victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def reset_socket(victim: socket.socket) -> None:
    """Close with RST instead of FIN; what was not sent yet is thrown away."""
    with contextlib.suppress(OSError):  # it is broken already, and nobody is left to tell
        linger_not(victim)
    victim.close()


class Carrier(Protocol):
    """What carries connections: the proxy of a link, or the door that a pod's connections are diverted to."""

    loop: asyncio.AbstractEventLoop
    held: int
    """Bytes that wait in all pipes together."""
    upstream_failed: int
    """Connections that were reset because the upstream could not be reached."""

    def upstream(self, connection: Connection, then: Callable[[Sequence[SocketAddress]], None]) -> None:
        """Find out where this connection leads to; no address if nowhere."""

    def new_socket(self, family: int) -> socket.socket:
        """A TCP socket to the upstream. Raises `OSError`."""

    def forget(self, connection: Connection) -> None:
        """It is closed."""


class Connection:
    """A client that connected, until both directions have ended or one side was reset."""

    def __init__(self, proxy: Carrier, number: int, client: socket.socket, port: int, own: bool) -> None:
        self.proxy = proxy
        self.number = number
        self.port = port
        """The client's own port."""
        self.own = own
        """chaosrunner's own sample: treated like the others, never counted."""
        self.open = True
        self._client = client
        self._upstream: socket.socket | None = None
        self._trying: socket.socket | None = None
        self._asked = False
        self._chosen: dict[str, bool] = {}
        self._met: dict[str, Shaping] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.request = Pipe(self, "request")
        self.response = Pipe(self, "response")
        self.request.back, self.response.back = self.response, self.request
        self.response.write_to(client)

    @property
    def upstream_port(self) -> int | None:
        """The local port of its other side, if there is one yet."""
        other = self._upstream or self._trying
        with contextlib.suppress(OSError):
            return None if other is None else int(other.getsockname()[1])
        return None

    # ---------------------------------------------------------------------------------------------------------- effects

    def begin(self, shapings: Sequence[Shaping]) -> None:
        """It has just been accepted while these effects are in force."""
        self.settle(shapings)
        if not self.open:
            return
        if self.request.hung:
            for shaping in self._hit(shapings):
                if shaping.effect.loss == "hang" and shaping.effect.acts_on("request"):
                    self.meet(shaping)
        self.request.read_from(self._client)

    def settle(self, shapings: Sequence[Shaping]) -> None:
        """From now on these effects, and no others, are in force on those connections that each of them chooses."""
        hits = self._hit(shapings)
        fatal = [shaping for shaping in hits if shaping.effect.loss in ("reset", "refuse")]
        for shaping in fatal:
            self.meet(shaping)
        if fatal:
            self.reset()
            return
        self._set_timers(hits)
        self.request.shape(hits)
        self.response.shape(hits)
        if self.open and not self._asked and not self.request.hung:
            if self._client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.reset()  # it hung, and its client gave up
                return
            self._asked = True
            self.proxy.upstream(self, self._connect)

    def meet(self, shaping: Shaping) -> None:
        """The effect was felt; counts once."""
        if shaping.id not in self._met:
            self._met[shaping.id] = shaping
            if not self.own:
                shaping.met += 1

    def turn_out_own(self) -> None:
        """It is one of chaosrunner's own, as was only said after it came."""
        if not self.own:
            self.own = True
            for shaping in self._met.values():
                shaping.met -= 1

    def _hit(self, shapings: Sequence[Shaping]) -> list[Shaping]:
        hits = []
        for shaping in shapings:
            chosen = self._chosen.get(shaping.id)
            if chosen is None:
                chosen = self._chosen[shaping.id] = shaping.chooses(self.own)
            if chosen:
                hits.append(shaping)
        return hits

    def _set_timers(self, hits: Sequence[Shaping]) -> None:
        in_force = {shaping.id for shaping in hits}
        for key in [key for key in self._timers if key not in in_force]:
            self._timers.pop(key).cancel()
        for shaping in hits:
            after = shaping.effect.reset_after
            if after is not None and shaping.id not in self._timers:
                self._timers[shaping.id] = self.proxy.loop.call_later(after, self._time_is_up, shaping)

    def _time_is_up(self, shaping: Shaping) -> None:
        self.meet(shaping)
        self.reset()

    # --------------------------------------------------------------------------------------------------------- upstream

    def _connect(self, addresses: Sequence[SocketAddress]) -> None:
        """Try one after the other; with none left, the client is reset, so that its caller sees the failure at
        once."""
        for place, (family, address) in enumerate(addresses):
            if not self.open:
                return
            try:
                trying = self.proxy.new_socket(family)
            except OSError:
                break
            trying.setblocking(False)
            try:
                trying.connect(address)
            except BlockingIOError:
                self._trying = trying
                self.proxy.loop.add_writer(trying.fileno(), self._tried, trying, addresses[place + 1 :])
                return
            except OSError:
                trying.close()
                continue
            self._connected(trying)
            return
        if self.open:
            self.proxy.upstream_failed += 1
            self.reset()

    def _tried(self, trying: socket.socket, others: Sequence[SocketAddress]) -> None:
        self.proxy.loop.remove_writer(trying.fileno())
        self._trying = None
        if trying.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            trying.close()
            self._connect(others)
        else:
            self._connected(trying)

    def _connected(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):  # reset already: the first read will tell
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream = upstream
        self.response.read_from(upstream)
        self.request.write_to(upstream)

    # -------------------------------------------------------------------------------------------------------------- end

    def reset_if_alone(self) -> bool:
        """One side was reset. If there is no other yet, that is the end of all."""
        if self._upstream is None:
            self.reset()
        return not self.open

    def half_done(self) -> None:
        """One direction has ended."""
        if self.request.finished and self.response.finished:
            self.close()

    def close(self) -> None:
        """End it in order: both sides see the end."""
        self._finish(socket.socket.close)

    def reset(self) -> None:
        """Both sides see a reset."""
        self._finish(reset_socket)

    def _finish(self, close: Callable[[socket.socket], None]) -> None:
        if not self.open:
            return
        self.open = False
        self.request.release()
        self.response.release()
        for timer in self._timers.values():
            timer.cancel()
        if self._trying is not None:
            self.proxy.loop.remove_writer(self._trying.fileno())
            self._trying.close()
        close(self._client)
        if self._upstream is not None:
            close(self._upstream)
        self.proxy.forget(self)
