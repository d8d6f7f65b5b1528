"""A probe that counts the lines of a log file as they come."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from chaosrunner.errors import NoReading
from chaosrunner.model.expression import Expression
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, Size, write_duration, write_size
from chaosrunner.ports import Parameters, Probe, Value

_CHUNK = 256 * 1024
_LONGEST_LINE = 64 * 1024
_LATE = 0.5
"""How much later than `every` a reading may come, as a share of it (and at least a second)."""


class Params(Parameters):
    """Which file, which lines."""

    path: str = Field(min_length=1)
    """The file; a relative one starts in the folder of the environment's file."""
    matches: Expression
    """A regular expression that must be found in a line; `""` counts all lines. The first 64 KiB of a line are looked
    at; what is no UTF-8 is replaced."""
    every: Duration = Field(default=5.0, gt=0)
    """The measure's own `every`, from which the lines of a reading are: its lag. Default 5s, as a measure's."""
    limit: Size = Field(default=16 * 1024 * 1024, gt=0)
    """A file that grew by more since the last reading is no reading, and is read on from its end; default 16MiB."""


class LogFile(Probe[Params]):
    """Counts the lines that were added to a log file since the last reading and match a regular expression.

    It begins at the file's end. A line counts once it has its line end. A file that is renamed and made anew (rotation)
    is read to its end before the new one. One that became shorter (truncation) gives *no reading* once, since lines may
    be lost, and is then read from its beginning; so does a file that grew by more than `limit`, and a reading that
    comes much later than `every`. A file that is not there, cannot be read or is no regular file is *no reading*; one
    that appears is read from its beginning.
    """

    example = 'log-file: {path: logs/checkout.log, matches: "ERROR|panic", every: 5s}'

    _tail: _Tail | None = None
    _read_at: float | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.every

    async def open(self) -> None:
        if self._tail is not None:
            return
        self._tail = _Tail(
            _place(self.context.folder, self.params.path), re.compile(self.params.matches), int(self.params.limit)
        )
        self._read_at = self.context.clock.monotonic()
        await asyncio.to_thread(self._tail.begin)

    async def read(self) -> Value:
        if self._tail is None:
            await self.open()
        assert self._tail is not None and self._read_at is not None
        now = self.context.clock.monotonic()
        since, self._read_at = now - self._read_at, now
        count = await asyncio.to_thread(self._tail.count)
        allowed = self.params.every + max(1.0, _LATE * self.params.every)
        if since > allowed:
            raise NoReading(
                f"{self.params.path}: the last reading was {since:.1f} s ago, so lines of before "
                f"{write_duration(self.params.every)} would be counted: set `every` to the measure's"
            )
        return float(count)

    async def close(self) -> None:
        if self._tail is not None:
            self._tail.close()


def _place(folder: Path, path: str) -> Path:
    return folder / Path(path).expanduser()


class _Tail:
    """A file that is read as it grows. A reading that was given up may be at work in its thread: the next one waits."""

    def __init__(self, path: Path, pattern: re.Pattern[str], limit: int) -> None:
        self._path = path
        self._pattern = pattern
        self._limit = limit
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._rest = b""
        """The beginning of a line whose end has not come yet."""
        self._torn = False
        """That line began before what was read, so nobody knows whether it matches."""

    def begin(self) -> None:
        """Open it at its end, if it is there; if not, `count` says so."""
        with self._lock, suppress(NoReading):
            self._open()
            self._to_the_last_line()

    def close(self) -> None:
        """Give the file up; idempotent."""
        with self._lock:
            self._close()

    def count(self) -> int:
        """The lines that have come and match. Raises `NoReading`."""
        with self._lock:
            return self._count()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest, self._torn = None, b"", False

    def _count(self) -> int:
        if self._file is None:
            self._open()
            return self._count_to_the_end()
        at, size = self._file.tell(), os.fstat(self._file.fileno()).st_size
        if size < at:
            self._file.seek(0)
            self._rest, self._torn = b"", False
            raise NoReading(
                f"{self._path}: became shorter ({at} to {size} bytes): lines since the last reading may be lost"
            )
        count = self._count_to_the_end()
        if self._is_another():
            self._close()  # its last line has no end and gets none
            self._open()
            count += self._count_to_the_end()
        return count

    def _is_another(self) -> bool:
        """Whether another file has the name now; none has: perhaps it is being made."""
        assert self._file is not None
        mine = os.fstat(self._file.fileno())
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NoReading(f"{self._path}: {error.strerror}") from error
        return (mine.st_dev, mine.st_ino) != (now.st_dev, now.st_ino)

    def _open(self) -> None:
        try:
            # Without waiting: opening a pipe would wait for somebody who writes into it.
            number = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NoReading(f"{self._path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise NoReading(f"{self._path}: expected a regular file")
        self._file = os.fdopen(number, "rb", buffering=0)

    def _to_the_last_line(self) -> None:
        """Go to the beginning of the line that has no end yet, or to the end if all have theirs."""
        assert self._file is not None
        size = self._file.seek(0, os.SEEK_END)
        start = self._file.seek(max(0, size - _LONGEST_LINE))
        before = self._file.read(size - start)
        begins = before.rfind(b"\n") + 1
        self._torn = begins == 0 and start > 0
        self._rest = b""
        self._file.seek(size if self._torn else start + begins)

    def _count_to_the_end(self) -> int:
        assert self._file is not None
        left = os.fstat(self._file.fileno()).st_size - self._file.tell()
        if left > self._limit:
            self._to_the_last_line()
            raise NoReading(f"{self._path}: grew by {left} bytes, more than {write_size(self._limit)}")
        count = 0
        while left > 0 and (chunk := self._file.read(min(_CHUNK, left))):
            left -= len(chunk)
            count += self._lines(chunk)
        return count

    def _lines(self, chunk: bytes) -> int:
        """How many lines end in a chunk and match; what is behind the last line end is kept."""
        *ended, rest = chunk.split(b"\n")
        count = 0
        for line in ended:
            count += not self._torn and self._matches(self._rest + line)
            self._rest, self._torn = b"", False
        self._rest = (self._rest + rest)[:_LONGEST_LINE]
        return count

    def _matches(self, line: bytes) -> bool:
        text = line[:_LONGEST_LINE].decode(errors="replace").removesuffix("\r")
        return self._pattern.search(text) is not None
