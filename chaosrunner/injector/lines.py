"""Lines of JSON over a pair of pipes, such as a container's standard input and output.

Reading never blocks the event loop, and neither does writing: whoever should read may be stuck, and a fault must end
in time all the same. What nobody takes waits, up to a limit; beyond it the oldest lines are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import deque

from chaosrunner.injector.calls import Message, as_line

__all__ = ["Lines"]

LONGEST = 4 * 2**20
"""Bytes of one request: the destinations of a large service are in it."""
WAITING = 2**20
"""Bytes that may wait for a reader."""
PATIENCE = 1.0
"""Seconds that the last lines have to get out."""


class Lines:
    """An asynchronous iterator over requests, and `say` for answers. A line that is no JSON object comes as a text that
    says so. Made inside a running event loop."""

    def __init__(self, source: int, sink: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._sink = sink
        self._came: asyncio.Queue[Message | str | None] = asyncio.Queue()
        self._part = bytearray()
        self._too_long = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._writing = False
        for file in (source, sink):
            os.set_blocking(file, False)
        try:
            self._loop.add_reader(source, self._readable)
        except PermissionError:  # a file, or nothing at all: it can be read to its end at once
            self._readable_at_once()

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> Message | str:
        request = await self._came.get()
        if request is None:
            raise StopAsyncIteration
        return request

    def say(self, message: Message) -> None:
        """Write one line, now or as soon as somebody reads."""
        line = as_line(message)
        self._waiting.append(line)
        self._size += len(line)
        while self._size > WAITING and len(self._waiting) > 2:
            dropped = self._waiting[1]  # the first one may be half written
            del self._waiting[1]
            self._size -= len(dropped)
        if not self._writing:
            self._writable()

    async def flush(self) -> None:
        """Wait until everything is written, for a while."""
        until = self._loop.time() + PATIENCE
        while self._waiting and self._loop.time() < until:  # noqa: ASYNC110 - a pipe's reader tells nobody
            await asyncio.sleep(0.01)

    def _readable(self) -> None:
        try:
            data = os.read(self._source, 65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._source)
            self._came.put_nowait(None)
            return
        self._take(data)

    def _readable_at_once(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._source, 65536):
                self._take(data)
        self._came.put_nowait(None)

    def _take(self, data: bytes) -> None:
        self._part += data
        *whole, rest = bytes(self._part).split(b"\n") if b"\n" in data else (bytes(self._part),)
        for line in whole:
            if self._too_long:
                self._too_long = False
                self._came.put_nowait(f"a request is one line of at most {LONGEST} bytes")
            elif line.strip():
                self._came.put_nowait(_read(line))
        self._part = bytearray(rest)
        if len(self._part) > LONGEST:
            self._too_long = True
            self._part.clear()

    def _writable(self) -> None:
        while self._waiting:
            line = self._waiting[0]
            try:
                written = os.write(self._sink, line)
            except (BlockingIOError, InterruptedError):
                written = 0
            except OSError:  # nobody will ever read it
                self._waiting.clear()
                self._size = 0
                break
            self._size -= written
            if written < len(line):
                self._waiting[0] = line[written:]
                self._watch()
                return
            self._waiting.popleft()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sink)

    def _watch(self) -> None:
        if not self._writing:
            self._writing = True
            try:
                self._loop.add_writer(self._sink, self._writable)
            except PermissionError:  # a file takes everything at once
                self._writing = False


def _read(line: bytes) -> Message | str:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return "a request is one line of JSON"
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        return 'a request is an object with a text `do`, such as {"do": "holds"}'
    return request
