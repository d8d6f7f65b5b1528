"""HTTP/1.1 between a client and a server, understood just enough to delay, answer or break off single requests.

A connection is read as a row of requests: heads of at most 64 KiB, bodies by their length or in chunks, interim answers
(100, 103), answers to HEAD, and upgrades, after which the bytes pass as they come. Everything that no effect is for
passes unchanged. What does not begin like a request of HTTP/1 (TLS, HTTP/2, anything else) passes as it comes from the
first byte, and is counted in `other`: nothing can be done to single requests there.

An effect, as JSON: {"path": "/pay*", "methods": ["POST"], "share": 0.3, "seed": 7, "delay": 0.5, "status": 503, "body":
"…", "abort": true}. `delay` comes before everything else; `status` answers without asking the server; `abort` resets
the connection. The path is compared without its query; `*` stands for anything, slashes too.
"""

from __future__ import annotations

import asyncio
import fnmatch
import http
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.fields import number, only

__all__ = ["Aborted", "Head", "NotHttp", "Side", "Source", "Web", "WebEffect"]

LONGEST_HEAD = 64 * 1024
PIECE = 64 * 1024
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r?\n")
_BEGINS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}( [!-~]*( [!-~]*\r?)?)?\Z")
_END = re.compile(rb"\r?\n\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]")


class NotHttp(Exception):
    """These bytes are no HTTP/1; they have not been taken from their source."""


class Aborted(Exception):
    """An effect breaks the connection off."""


class WebEffect:
    """One effect on requests: which it is for, and how many met it."""

    def __init__(self, key: str, asked: Message) -> None:
        known = {"path", "methods", "share", "seed", "delay", "status", "body", "abort"}
        only(asked, known, "`http`")
        self.id = key
        self._path = str(asked.get("path") or "*")
        methods = asked.get("methods") or []
        if not isinstance(methods, list) or not all(isinstance(method, str) for method in methods):
            raise RequestRefused(f"`methods` is a list of methods, not {methods!r:.60}")
        self._methods = {method.upper() for method in methods}
        self._share = number(asked, "share", 1.0, 1.0)
        self.delay = number(asked, "delay", 0.0, 3600.0)
        status = asked.get("status")
        if status is not None and (isinstance(status, bool) or not isinstance(status, int) or not 200 <= status < 600):
            raise RequestRefused(f"`status` is a number from 200 to 599, not {status!r:.60}")
        self.status: int | None = status
        self.body = str(asked.get("body") or "").encode()
        self.abort = asked.get("abort") is True
        if not (self.delay or self.status or self.abort):
            raise RequestRefused("the effect does nothing: give one of delay, status and abort")
        if self.abort and self.status:
            raise RequestRefused("a request is either answered with `status` or broken off with `abort`")
        self._chance = random.Random(f"{asked.get('seed', 0)} share")
        self.met = 0
        """Requests that it was put on; chaosrunner's own ones are not counted."""
        self.seen = 0
        """Requests that it was for, whether its share chose them or not."""
        self.other = 0
        """Connections that it could do nothing on: not HTTP/1."""

    def hits(self, head: Head, *, own: bool) -> bool:
        """Whether this request is hit."""
        if self._methods and head.method not in self._methods:
            return False
        if not fnmatch.fnmatchcase(head.path, self._path):
            return False
        hit = self._share >= 1 or self._chance.random() < self._share
        if not own:
            self.seen += 1
            self.met += hit
        return hit


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request or an answer, and how its body is framed."""

    raw: bytes
    method: str = ""
    path: str = ""
    status: int = 0
    length: int | None = None
    """Bytes of the body, where that is said."""
    chunked: bool = False
    upgrade: bool = False
    close: bool = False
    waits: bool = False
    """The client waits for "100 Continue" before it sends the body."""

    @classmethod
    def request(cls, raw: bytes) -> Head:
        """Raises `NotHttp`."""
        line = _REQUEST.match(raw)
        if line is None:
            raise NotHttp
        target = line[2].decode("latin-1")
        if "://" in target:  # a proxy's form
            target = "/" + target.partition("://")[2].partition("/")[2]
        fields = _fields(raw)
        return cls(
            raw, line[1].decode(), target.partition("?")[0], 0, _length(fields),
            "chunked" in fields.get("transfer-encoding", ""), "upgrade" in fields.get("connection", ""),
            "close" in fields.get("connection", ""), "100-continue" in fields.get("expect", ""),
        )  # fmt: skip

    @classmethod
    def answer(cls, raw: bytes) -> Head:
        """Raises `NotHttp`."""
        line = _ANSWER.match(raw)
        if line is None:
            raise NotHttp
        fields = _fields(raw)
        chunked = "chunked" in fields.get("transfer-encoding", "")
        close = "close" in fields.get("connection", "")
        return cls(raw, status=int(line[1]), length=_length(fields), chunked=chunked, close=close)


def _fields(raw: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in raw.decode("latin-1").splitlines()[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            fields[key] = f"{fields[key]}, {value.strip().lower()}" if key in fields else value.strip().lower()
    return fields


def _length(fields: dict[str, str]) -> int | None:
    text = fields.get("content-length")
    if text is None:
        return None
    lengths = {word.strip() for word in text.split(",")}
    if len(lengths) != 1 or not text.split(",")[0].strip().isdigit():
        raise NotHttp
    return int(lengths.pop())


class Source:
    """What comes from one side. What was looked at and not taken stays."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._held = bytearray()

    async def more(self) -> bool:
        """Wait for more bytes; false at the end."""
        data = await self._reader.read(PIECE)
        self._held += data
        return bool(data)

    def spoke(self) -> bool:
        """There are bytes that nobody has taken."""
        return bool(self._held)

    async def some(self, most: int = PIECE) -> bytes:
        """At most so many bytes; none at the end."""
        if not self._held:
            await self.more()
        return self._take(min(most, len(self._held)))

    async def line(self) -> bytes:
        """A line with its end. Raises `EOFError` when there is none."""
        while b"\n" not in self._held:
            if len(self._held) > LONGEST_HEAD or not await self.more():
                raise EOFError
        return self._take(self._held.index(b"\n") + 1)

    async def head(self, *, request: bool) -> bytes:
        """A whole head, empty at the end. Raises `NotHttp` as soon as it cannot be one."""
        while True:
            while request and self._held.startswith((b"\r", b"\n")):
                del self._held[:1]  # empty lines before a request are allowed
            known = _REQUEST if b"\n" in self._held else _BEGINS
            if request and self._held and not known.match(self._held):
                raise NotHttp
            if end := _END.search(self._held):
                return self._take(end.end())
            if len(self._held) > LONGEST_HEAD:
                raise NotHttp
            if not await self.more():
                if self._held:
                    raise NotHttp
                return b""

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the connection: what comes from it, and the way to it."""

    source: Source
    sink: asyncio.StreamWriter

    @classmethod
    def of(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Side:
        """From asyncio's pair."""
        return cls(Source(reader), writer)


class Web:
    """One diverted connection, as HTTP. `effects` are those that are in force on it at the moment."""

    def __init__(self, client: Side, server: Side, effects: Sequence[WebEffect], *, own: bool = False) -> None:
        self._client = client
        self._server = server
        self.effects = effects
        self._own = own

    async def carry(self) -> None:
        """Until one of them ends. Raises `Aborted` when it is to be reset, `OSError`, `EOFError` when it broke."""
        try:
            while await self._client_speaks() and await self._one_request():
                pass
        except NotHttp:
            if not self._own:
                for effect in self.effects:
                    effect.other += 1
            await self._rest()

    async def _client_speaks(self) -> bool:
        """Wait for the next request; false when one of the two has ended. Raises `NotHttp` when the server begins."""
        if self._client.source.spoke():
            return True
        waiting = [asyncio.ensure_future(side.source.more()) for side in (self._client, self._server)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            results = await asyncio.gather(*waiting, return_exceptions=True)
        if self._client.source.spoke():
            return True
        if self._server.source.spoke():
            raise NotHttp
        for result in results:
            if isinstance(result, OSError):
                raise result
        return False

    async def _one_request(self) -> bool:
        """One request and its answer; false when it was the last one."""
        raw = await self._client.source.head(request=True)
        if not raw:
            return False
        head = Head.request(raw)
        hit = next((effect for effect in self.effects if effect.hits(head, own=self._own)), None)
        if hit is not None:
            if hit.delay:
                await asyncio.sleep(hit.delay)
            if hit.abort:
                raise Aborted
            if hit.status is not None:
                return await self._answer_myself(head, hit, hit.status)
        self._server.sink.write(head.raw)
        sending = asyncio.ensure_future(_body(self._client.source, self._server.sink, head, request=True))
        try:
            return await self._pass_answer(head, sending)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _pass_answer(self, asked: Head, sending: asyncio.Future[None]) -> bool:
        while True:
            raw = b""
            try:
                raw = await self._server.source.head(request=False)
                if not raw:
                    return False
                head = Head.answer(raw)
            except NotHttp:  # whatever it is, the client gets it
                await _put(self._client.sink, raw)
                return await self._rest()
            await _put(self._client.sink, head.raw)
            if head.status == 101 or (asked.method == "CONNECT" and head.status < 300):
                await sending
                return await self._rest()
            if head.status >= 200:
                break
        without = asked.method == "HEAD" or head.status in (204, 304)
        if not without:
            await _body(self._server.source, self._client.sink, head, request=False)
        if not sending.done() and not asked.waits:
            await sending
        to_the_end = not without and head.length is None and not head.chunked
        return sending.done() and not (to_the_end or head.close or asked.close)

    async def _answer_myself(self, head: Head, effect: WebEffect, status: int) -> bool:
        more = not head.waits and not head.close  # who waits for "100 Continue" never sends the body
        if more:
            await _body(self._client.source, None, head, request=True)
        known = {item.value: item.phrase for item in http.HTTPStatus}
        body = b"" if status in (204, 304) else effect.body
        lines = [f"HTTP/1.1 {status} {known.get(status, 'Fault')}", f"Content-Length: {len(body)}"]
        lines.append("Content-Type: text/plain; charset=utf-8")
        if not more:
            lines.append("Connection: close")
        told = "\r\n".join([*lines, "", ""]).encode() + (b"" if head.method == "HEAD" else body)
        await _put(self._client.sink, told)
        return more

    async def _rest(self) -> bool:
        """Pass both directions as they come, until both have ended."""
        ways = (_pour(self._client.source, self._server.sink), _pour(self._server.source, self._client.sink))
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return False


async def _body(source: Source, sink: asyncio.StreamWriter | None, head: Head, *, request: bool) -> None:
    """Pass a body on as it comes, or swallow it."""
    if head.chunked:
        await _chunks(source, sink)
    elif head.length is not None:
        await _bytes(source, sink, head.length)
    elif not request:
        await _pour(source, sink)


async def _bytes(source: Source, sink: asyncio.StreamWriter | None, count: int) -> None:
    while count > 0:
        data = await source.some(min(count, PIECE))
        if not data:
            raise EOFError
        count -= len(data)
        await _put(sink, data)


async def _chunks(source: Source, sink: asyncio.StreamWriter | None) -> None:
    while True:
        line = await source.line()
        await _put(sink, line)
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise EOFError from None
        if size == 0:
            break
        await _bytes(source, sink, size)
        await _put(sink, await source.line())
    while (line := await source.line()) not in (b"\r\n", b"\n"):
        await _put(sink, line)
    await _put(sink, line)


async def _pour(source: Source, sink: asyncio.StreamWriter | None) -> None:
    while data := await source.some():
        await _put(sink, data)
    if sink is not None and sink.can_write_eof():
        sink.write_eof()


async def _put(sink: asyncio.StreamWriter | None, data: bytes) -> None:
    if sink is not None and data:
        sink.write(data)
        await sink.drain()
