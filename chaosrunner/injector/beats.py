"""Heartbeats as datagrams, for very many pods at once: nobody is attached to them.

A datagram is 32 bytes of HMAC-SHA256 over the rest, and the rest: a JSON object `{"run", "n", "left"}`. `n` grows with
each of them, so that an old one that is sent again counts for nothing; `left` is how many seconds the run's faults may
still last by the sender's clock, 0 ends them. The key is random, made for one run, and known to those who hold and who
beat. `sealed` makes one; `Beats` listens for them. Standard library only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from chaosrunner.injector.calls import RequestRefused

__all__ = ["Beats", "Relay", "Relays", "listening", "sealed"]

LARGEST = 1024
TOLD_FOR = 5.0
"""Seconds for which those are told to end whose relay is gone: longer than a hold lasts without beats."""


def sealed(key: bytes, run: str, counter: int, left: float) -> bytes:
    """One heartbeat of a run. `counter` must grow; `left` as above, rounded to milliseconds."""
    text = json.dumps({"run": run, "n": counter, "left": round(left, 3)}, separators=(",", ":")).encode()
    return hmac.new(key, text, hashlib.sha256).digest() + text


def opened(key: bytes, data: bytes) -> dict[str, Any] | None:
    """What a datagram says; None if it is not one of those who know the key."""
    seal, text = data[:32], data[32:]
    if not hmac.compare_digest(seal, hmac.new(key, text, hashlib.sha256).digest()):
        return None
    with suppress(ValueError):
        said = json.loads(text)
        if isinstance(said, dict):
            return said
    return None


def listening(text: str) -> tuple[int, bytes]:
    """Port and key of `udp:PORT:KEY`, the key in hexadecimal digits, 16 bytes at least. Raises `RequestRefused`."""
    words = text.split(":")
    with suppress(ValueError):
        if len(words) == 3 and words[0] == "udp" and 0 < int(words[1]) < 65536 and len(words[2]) >= 32:
            return int(words[1]), bytes.fromhex(words[2])
    raise RequestRefused("beats are told as udp:PORT:KEY, the key in at least 32 hexadecimal digits")


class Beats(asyncio.DatagramProtocol):
    """Listens on a port, IPv4 and IPv6. `on_beat(left)` is called for each heartbeat of the run that is new."""

    def __init__(self, run: str, key: bytes, on_beat: Callable[[float], None]) -> None:
        self._run = run
        self._key = key
        self._on_beat = on_beat
        self._last = -math.inf
        self._transports: list[asyncio.DatagramTransport] = []
        self.refused = 0
        """Datagrams that were none of ours, old, or of another run."""

    async def open(self, port: int) -> None:
        """Listen. Raises `OSError` if that cannot be."""
        loop = asyncio.get_running_loop()
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            door = None
            try:
                door = socket.socket(family, socket.SOCK_DGRAM)
                if family == socket.AF_INET6:
                    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                door.bind((host, port))
            except OSError:
                if door is not None:
                    door.close()
                if family == socket.AF_INET:
                    raise
                continue  # no IPv6 here
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=door)
            self._transports.append(transport)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def datagram_received(self, data: bytes, address: Any) -> None:
        """One came."""
        said = opened(self._key, data) if len(data) <= LARGEST else None
        number, left = (said or {}).get("n"), (said or {}).get("left")
        known = said is not None and said.get("run") == self._run
        if not known or not isinstance(number, int) or not isinstance(left, int | float) or number <= self._last:
            self.refused += 1
            return
        self._last = number
        self._on_beat(float(left))


@dataclass(frozen=True)
class Relay:
    """Whom heartbeats of a run are passed on to."""

    name: str
    run: str
    key: str
    """In hexadecimal digits."""
    port: int
    addresses: tuple[str, ...]
    ended: frozenset[int]
    """Places in `addresses` of those whose faults are over."""
    renewed: float
    """When the run was last seen to live, on the sender's own clock."""


class Relays:
    """Sends the heartbeats of all that it was last given."""

    def __init__(self) -> None:
        self._relays: list[Relay] = []
        self._over: list[tuple[float, Relay]] = []
        self._sockets: dict[int, socket.socket] = {}
        self._counter = time.time_ns()  # grows on after a restart, too
        self.trouble = 0
        """Datagrams that this machine did not take."""

    def replace(self, relays: list[Relay], now: float) -> None:
        """What there is from now on. Those that are not there any more are told to end for a while."""
        there = {relay.name for relay in relays}
        self._over = [each for each in self._over if each[0] > now and each[1].name not in there]
        gone = (replace(relay, renewed=-math.inf) for relay in self._relays if relay.name not in there)
        self._over += [(now + TOLD_FOR, relay) for relay in gone]
        self._relays = relays

    def send(self, now: float, stale: float) -> None:
        """One to each. Those whose faults are over, or whose run has not been seen to live for `stale` seconds, are
        told to end."""
        for relay in (*self._relays, *(relay for _, relay in self._over)):
            key = bytes.fromhex(relay.key)
            self._counter = max(self._counter + 1, time.time_ns())
            alive = now - relay.renewed < stale
            goes_on = sealed(key, relay.run, self._counter, stale)
            over = sealed(key, relay.run, self._counter, 0.0)
            for place, address in enumerate(relay.addresses):
                self._send(over if not alive or place in relay.ended else goes_on, address, relay.port)

    def close(self) -> None:
        """Send no more; idempotent."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()

    def _send(self, beat: bytes, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            if family not in self._sockets:
                self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
                self._sockets[family].setblocking(False)
            self._sockets[family].sendto(beat, (address, port))
        except OSError:  # a pod that is gone, a full queue: the next one comes in a second
            self.trouble += 1
