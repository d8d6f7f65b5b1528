"""The journal on disk: append-only JSON lines, one file for each run.

A line is handed to the operating system when it is recorded, so that it survives the death of the process; what must
survive the death of the machine too (the undo ledger) is followed by `durable()`. A write that fails half-way is cut
back to the last whole line, and a small reserve of disk space is given up so that the undo can still be recorded.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from chaosrunner.clock import Clock
from chaosrunner.errors import JournalFailed
from chaosrunner.model.journal import Entry, Event, Known, ReadingTaken, Unknown

RESERVE = 128 * 1024
"""Bytes kept on disk beside the journal, given up when the disk is full."""

_KNOWN = {event.model_default("type"): event for event in get_args(Known)}
"""What `type` says -> the event's class."""


async def _fsync_in_thread(descriptor: int) -> None:
    await asyncio.to_thread(os.fsync, descriptor)


class Journal:
    """Appends lines. Not shared between processes; a reader may read along at any time."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        fsync: Callable[[int], Awaitable[None]] = _fsync_in_thread,
    ) -> None:
        """Create the file, or go on at the end of one that a dead runner left (a torn last line is cut off).

        Raises `JournalFailed` where it cannot be written.
        """
        self.path = path
        self._clock = clock
        self._fsync = fsync
        self._reserve = path.with_name("reserve")
        self._n = 0
        self._durable = 0
        self._syncing: asyncio.Future[None] | None = None
        self._size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._lock()
            began_at = self._take_up()
            os.ftruncate(self._file, self._size)
            self._set_aside()
        except OSError as error:
            raise JournalFailed(f"cannot write the journal {path}: {error.strerror}") from error
        self._zero = clock.monotonic() - began_at

    def _lock(self) -> None:
        """Nobody else may write, such as a healer that takes a living run for dead. Goes with the process."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JournalFailed(f"the journal {self.path} is being written by another process") from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):  # a file system without locks
                raise

    def _take_up(self) -> float:
        last: Entry | None = None
        for entry, end in _lines(self.path, skip_damaged=True):
            last, self._size = entry or last, end
        if last is None:
            return 0.0
        self._n = last.n
        return last.t + max(0.0, self._clock.now() - last.at)

    def _set_aside(self) -> None:
        with self._reserve.open("wb") as reserve:
            reserve.write(b"\0" * RESERVE)

    @property
    def t(self) -> float:
        """Monotonic seconds since the run's start."""
        return self._clock.monotonic() - self._zero

    def append(self, event: Event) -> Entry:
        """Write one line. Raises `JournalFailed` when the disk is full or gone; the file stays whole."""
        entry = Entry(n=self._n + 1, t=round(self.t, 6), at=round(self._clock.now(), 3), event=event)
        self._write(write_line(entry))
        self._n += 1
        return entry

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, "no space left on device")
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise JournalFailed(f"cannot write the journal {self.path}: {error.strerror}") from error
        self._size += len(line)

    def give_up_reserve(self) -> None:
        """Free the space that was set aside, so that the undo can still be recorded on a full disk."""
        self._reserve.unlink(missing_ok=True)

    async def durable(self) -> None:
        """Return when everything appended so far would survive a power loss. Many who ask at once share one fsync."""
        wanted = self._n
        try:
            while self._durable < wanted:
                if self._syncing is None:
                    self._syncing = asyncio.ensure_future(self._sync())
                await asyncio.shield(self._syncing)  # one who is cancelled takes it away from nobody
        except OSError as error:
            raise JournalFailed(f"cannot make the journal {self.path} durable: {error.strerror}") from error

    async def _sync(self) -> None:
        """What is appended while this is under way needs the next one."""
        covered = self._n
        try:
            await self._fsync(self._file)
            self._durable = covered
        finally:
            self._syncing = None

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._reserve.unlink(missing_ok=True)


def write_line(entry: Entry) -> bytes:
    """One journal line of an entry, line end included."""
    head = {"n": entry.n, "t": entry.t, "at": entry.at}
    return json.dumps(head | entry.event.as_json(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_journal(path: Path, *, skip_damaged: bool = False) -> Iterator[Entry]:
    """The entries of a journal, in order; may still be growing. A torn last line is left out.

    Raises `JournalFailed` where the file is missing, unreadable, or damaged before its end; `skip_damaged` reads what
    can be read, for taking faults back.
    """
    for entry, _ in _lines(path, skip_damaged=skip_damaged):
        if entry is not None:
            yield entry


def _lines(path: Path, *, skip_damaged: bool) -> Iterator[tuple[Entry | None, int]]:
    """Each whole line's entry (None: damaged), and the offset of the line's end."""
    try:
        with path.open("rb") as file:
            end = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield _read_line(path, number, line, skip_damaged), end
    except OSError as error:
        raise JournalFailed(f"cannot read the journal {path}: {error.strerror}") from error


def _read_line(path: Path, number: int, line: bytes, skip_damaged: bool) -> Entry | None:
    try:
        found = json.loads(line)
        return Entry(n=found["n"], t=found["t"], at=found["at"], event=_event(found))
    except (ValueError, KeyError, TypeError) as error:
        if skip_damaged:
            return None
        reason = str(error).partition("\n")[0]
        raise JournalFailed(f"{path}:{number}: this line is damaged: {reason}") from error


def _event(found: dict[str, Any]) -> Event:
    kind = found["type"]
    if kind == "reading":
        # The one event that comes by the hundred thousand: its shape is simple and was checked when it was written.
        return ReadingTaken.model_construct(
            measure=found["measure"],
            began=found["began"],
            ended=found["ended"],
            value=found.get("value"),
            no_answer=found.get("noAnswer"),
            missing=found.get("missing"),
        )
    if kind not in _KNOWN:
        return Unknown(type=kind)
    event: Event = _KNOWN[kind].model_validate(found)
    return event
