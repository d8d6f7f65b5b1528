"""Messages to the kernel, and from it, over netlink: `include/uapi/linux/netlink.h`. Standard library only."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping

__all__ = ["ACK", "DONE", "DUMP", "ERROR", "REQUEST", "ask", "attribute", "attributes", "message", "messages", "number"]

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
"""Flags of a request: that it is one, that it is to be answered, that everything is asked for."""
ERROR, DONE = 2, 3
"""Kinds of answers: how it went (also when it went well), and the end of a dump."""
_HEADER = struct.Struct("=IHHII")


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One request."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, body) of each message that came in one datagram."""
    while len(data) >= _HEADER.size:
        length, kind = struct.unpack_from("=IH", data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[_padded(length) :]


def number(body: bytes) -> int:
    """The error number of an answer of the kind `ERROR`; 0: it was done."""
    if len(body) < 4:
        raise OSError(errno.EBADMSG, "netlink")
    return -int(struct.unpack_from("=i", body)[0])


def ask(protocol: int, request: bytes, patience: float) -> int:
    """Send a request that is to be answered; its error number, 0: it was done. Raises `OSError` where the kernel cannot
    be spoken to, or has not answered after so many seconds."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as kernel:
        kernel.settimeout(patience)
        kernel.send(request)
        return number(kernel.recv(1 << 16)[_HEADER.size :])


def attribute(kind: int, value: bytes) -> bytes:
    """As they stand in a body, one after the other."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> Mapping[int, bytes]:
    """By kind; what says that others are nested in it is not part of that."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[_padded(length) :]
    return found


def _padded(length: int) -> int:
    return (length + 3) & ~3
