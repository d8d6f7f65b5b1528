"""Reads HTTP/1.1 responses byte by byte, as far as a load generator needs: status, framing, reusable or not.

Standard library only. Bodies are counted and dropped (RFC 9112, section 6: message body length).
"""

from __future__ import annotations

_LONGEST_HEAD = 64 * 1024
_WITHOUT_BODY = frozenset({204, 304})


class Garbage(Exception):
    """What came is not HTTP/1.x."""


class ResponseReader:
    """Fed with bytes as they come; `complete` once the response has ended."""

    __slots__ = ("_buffer", "_is_head", "_left", "_state", "complete", "reusable", "started", "status")

    def __init__(self, *, is_head: bool = False) -> None:
        self._is_head = is_head
        self.reset()

    def reset(self) -> None:
        """Ready for the next response of the same connection."""
        self._buffer = b""
        self._state = self._head
        self._left = 0
        self.status = 0
        self.complete = False
        self.reusable = False
        self.started = False

    def feed(self, data: bytes) -> None:
        """Take what came. Raises `Garbage`."""
        self.started = True
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer and not self.complete and self._state():
            pass
        if self.complete and self._buffer:
            self.reusable = False  # more than was asked for: whose answer would that be?

    def end(self) -> bool:
        """The connection was closed by the other side: whether the response is complete thereby."""
        if self._state == self._until_closed and not self.complete:
            self.complete = True
        return self.complete

    # Each state takes what it can from the buffer and says whether there may be more to do.

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise Garbage(f"more than {_LONGEST_HEAD} bytes of headers")
            if not b"HTTP/1.".startswith(self._buffer[:7]):
                raise Garbage(f"it begins with {self._buffer[:20]!r}")
            return False
        lines = self._buffer[:end].split(b"\r\n")
        self._buffer = self._buffer[end + 4 :]
        self._read_status(lines[0])
        headers = _headers(lines[1:])
        if 100 <= self.status < 200:
            return True  # an interim response: the real one follows
        self._frame(lines[0], headers)
        return True

    def _read_status(self, line: bytes) -> None:
        words = line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
            raise Garbage(f"it begins with {line[:20]!r}")
        self.status = int(words[1])

    def _frame(self, status_line: bytes, headers: dict[bytes, bytes]) -> None:
        connection = headers.get(b"connection", b"").lower()
        old = status_line.startswith(b"HTTP/1.0")
        self.reusable = b"keep-alive" in connection if old else b"close" not in connection
        length = headers.get(b"content-length")
        if self._is_head or self.status in _WITHOUT_BODY:
            self.complete = True
        elif headers.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
            self._state = self._chunk_size
        elif length is None:
            self.reusable = False
            self._state = self._until_closed
        elif length.isdigit():
            self._left = int(length)
            self._state = self._body
            self.complete = self._left == 0
        else:
            raise Garbage(f"its Content-Length is {length[:20]!r}")

    def _body(self) -> bool:
        taken = min(self._left, len(self._buffer))
        self._left -= taken
        self._buffer = self._buffer[taken:]
        self.complete = self._left == 0
        return False

    def _until_closed(self) -> bool:
        self._buffer = b""
        return False

    def _chunk_size(self) -> bool:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            if len(line) > _LONGEST_HEAD:
                raise Garbage("a chunk without a size")
            return False
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            raise Garbage(f"a chunk's size is {line[:20]!r}") from None
        if self._left < 0:
            raise Garbage(f"a chunk's size is {line[:20]!r}")
        self._buffer = rest
        self._state = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        taken = min(self._left, len(self._buffer))
        self._left -= taken
        self._buffer = self._buffer[taken:]
        if self._left:
            return False
        self._state = self._chunk_end
        return True

    def _chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if not self._buffer.startswith(b"\r\n"):
            raise Garbage("a chunk is longer than its size")
        self._buffer = self._buffer[2:]
        self._state = self._chunk_size
        return True

    def _trailer(self) -> bool:
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            if len(line) > _LONGEST_HEAD:
                raise Garbage("an endless trailer")
            return False
        self._buffer = rest
        self.complete = not line
        return True


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise Garbage(f"a header is {line[:20]!r}")
        key = name.strip().lower()
        headers[key] = headers[key] + b", " + value.strip() if key in headers else value.strip()
    return headers
