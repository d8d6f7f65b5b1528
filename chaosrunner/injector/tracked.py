"""What the kernel remembers of datagrams that our rules led elsewhere, and how it is made to forget it.

Where a flow of datagrams is translated to is decided at its first one. The kernel remembers it until nothing has been
said for half a minute (two minutes after a longer talk), whatever became of the rule: a socket that asks again, or
another one that gets the same port, is led to where nobody listens any more. Rules that are gone do not change that, so
the entries are deleted.

Spoken to by netlink, as in Linux' `include/uapi/linux/netfilter/nfnetlink_conntrack.h`; needs NET_ADMIN. Standard
library only.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from chaosrunner.injector import netlink
from chaosrunner.injector.divert import LED_MARK, LOOK_MARK

__all__ = ["forget"]

_NETFILTER = 12
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102
"""Messages of conntrack (subsystem 1)."""
_NESTED = 0x8000
_ORIGINAL, _REPLY, _MARK, _ID, _MARK_MASK = 1, 2, 8, 12, 21
"""Attributes of an entry: CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_MARK, CTA_ID, CTA_MARK_MASK."""
_IP, _PROTOCOL = 1, 2
_SOURCES = (1, 3)
"""CTA_IP_V4_SRC, CTA_IP_V6_SRC."""
_NUMBER, _SOURCE_PORT = 1, 2
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A flow that is tracked: what identifies it, and where its answers come from."""

    family: int
    original: bytes
    number: bytes
    mark: int
    protocol: int
    answers: str
    port: int

    @property
    def led(self) -> bool:
        """Datagrams that our rules led to this pod's loopback device."""
        mine = self.protocol == socket.IPPROTO_UDP and self.mark in (LED_MARK, LOOK_MARK)
        return mine and bool(self.answers) and ipaddress.ip_address(self.answers).is_loopback


def forget(doors: Collection[int] = ()) -> int:
    """Make the kernel forget all datagrams that our rules led to another port than these; how many flows there were.
    The next one of each is treated as the rules of then say. Raises `OSError` where the kernel cannot, or may not."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as kernel:
        kernel.settimeout(_PATIENCE)
        stale = [entry for entry in _entries(kernel) if entry.led and entry.port not in doors]
        for entry in stale:
            body = netlink.attribute(_ORIGINAL | _NESTED, entry.original) + netlink.attribute(_ID, entry.number)
            kernel.send(_message(_DELETE, netlink.ACK, entry.family, body))
            for _ in _answers(kernel):
                pass
    return len(stale)


def _entries(kernel: socket.socket) -> Iterator[_Entry]:
    # one mask for both marks, which differ in a single bit; a kernel that cannot choose by it tells of everything
    chosen = netlink.attribute(_MARK, struct.pack("!I", LED_MARK & LOOK_MARK))
    chosen += netlink.attribute(_MARK_MASK, struct.pack("!I", 0xFFFFFFFF ^ LED_MARK ^ LOOK_MARK))
    kernel.send(_message(_GET, netlink.DUMP, socket.AF_UNSPEC, chosen))
    for body in _answers(kernel):
        found = netlink.attributes(body[4:])
        reply = netlink.attributes(found.get(_REPLY, b""))
        addresses, ports = netlink.attributes(reply.get(_IP, b"")), netlink.attributes(reply.get(_PROTOCOL, b""))
        source = next((addresses[one] for one in _SOURCES if one in addresses), b"")
        family = socket.AF_INET6 if len(source) == 16 else socket.AF_INET
        yield _Entry(
            family,
            found.get(_ORIGINAL, b""),
            found.get(_ID, b""),
            int.from_bytes(found.get(_MARK, b""), "big"),
            int.from_bytes(ports.get(_NUMBER, b""), "big"),
            socket.inet_ntop(family, source) if source else "",
            int.from_bytes(ports.get(_SOURCE_PORT, b""), "big"),
        )


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    """The messages that answer a request, without their headers. Raises `OSError`; an entry that is gone is none."""
    while True:
        for kind, body in netlink.messages(kernel.recv(1 << 20)):
            if kind == netlink.DONE:
                return
            if kind == netlink.ERROR:
                code = netlink.number(body)
                if code and code != errno.ENOENT:
                    raise OSError(code, "conntrack")
                return
            if kind == _NEW:
                yield body


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    return netlink.message(kind, netlink.REQUEST | flags, struct.pack("!BBH", family, 0, 0) + body)
