"""The TCP connections that are open in this network namespace, and how one of them is broken.

Read from /proc/net/tcp and tcp6; broken by SOCK_DESTROY (Linux with CONFIG_INET_DIAG_DESTROY; needs NET_ADMIN), which
resets the other end and makes the socket's owner see an error. Standard library only.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaosrunner.injector import netlink

__all__ = ["Established", "destroy", "established"]

_ESTABLISHED, _LISTENING = "01", "0A"
_SOCK_DIAG, _SOCK_DESTROY = 4, 21
_ANY_COOKIE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Established:
    """An open connection: its own end and the other one."""

    family: int
    address: str
    port: int
    peer: str
    peer_port: int
    incoming: bool
    """Something listens on its own port, so others opened it."""


def established(net: Path = Path("/proc/self/net")) -> list[Established]:
    """All open TCP connections, those over loopback left out."""
    rows = [
        (family, row)
        for family, name in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6"))
        for row in _rows(net / name)
    ]
    doors = {row[1].rpartition(":")[2] for _, row in rows if row[3] == _LISTENING}
    found = []
    for family, row in rows:
        if row[3] != _ESTABLISHED:
            continue
        (address, port), (peer, peer_port) = _end(row[1]), _end(row[2])
        if not (peer == "::1" or peer.startswith("127.") or peer == address):
            found.append(Established(family, address, port, peer, peer_port, row[1].rpartition(":")[2] in doors))
    return found


def _rows(file: Path) -> Iterator[list[str]]:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for line in file.read_text().splitlines()[1:]:
            yield line.split()


def _end(text: str) -> tuple[str, int]:
    digits, _, port = text.partition(":")
    words = [int(digits[place : place + 8], 16) for place in range(0, len(digits), 8)]
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw), int(port, 16)
    if raw[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, raw[12:]), int(port, 16)
    return socket.inet_ntop(socket.AF_INET6, raw), int(port, 16)


def destroy(connection: Established) -> bool:
    """Break it, for both ends; false where the kernel cannot or it is gone."""
    mapped = connection.family == socket.AF_INET6 and "." in connection.peer and ":" not in connection.peer
    ends = [_packed(text, connection.family, mapped) for text in (connection.address, connection.peer)]
    identity = struct.pack("!HH16s16s", connection.port, connection.peer_port, *ends)
    identity += struct.pack("=III", 0, _ANY_COOKIE, _ANY_COOKIE)
    request = struct.pack("=BBBBI", connection.family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
    try:
        return netlink.ask(_SOCK_DIAG, netlink.message(_SOCK_DESTROY, netlink.REQUEST | netlink.ACK, request), 1.0) == 0
    except OSError:
        return False


def _packed(text: str, family: int, mapped: bool) -> bytes:
    if family == socket.AF_INET6 and not mapped:
        return socket.inet_pton(socket.AF_INET6, text)
    raw = socket.inet_pton(socket.AF_INET, text)
    return b"\0" * 10 + b"\xff\xff" + raw if mapped else raw + b"\0" * 12
