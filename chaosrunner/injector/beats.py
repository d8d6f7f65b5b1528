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
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from chaosrunner.injector.calls import RequestRefused

__all__ = ["Beats", "listening", "sealed"]

LARGEST = 1024


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
