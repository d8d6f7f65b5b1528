"""Writers of one file wait in a queue: who came first is first.

SQLite lets whoever happens to ask at the right moment have its turn, so among many writers one may wait for minutes.
Here each draws a number and waits for the one before. The kernel holds what they wait for (locks on single bytes of a
file beside the database), and lets it go when a process dies. The queue is for fairness alone: SQLite's own lock still
keeps two writers apart, so where there is no queue (no Linux, a file system without such locks, somebody who stands
still in it), writing goes on without.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 60.0
"""Seconds that one waits for the one before; then it goes ahead."""
_COUNTER = (0, 8)
"""The bytes of the last number that was drawn."""
_FIRST = 64
"""Where the bytes of the numbers begin; byte `_FIRST + n` is locked by who has number n, until its turn is over."""
_LAST = 2**62
LOCKS = sys.platform == "linux" and sys.maxsize > 2**32
"""Whether the system has locks that belong to an open file, and their shape is known."""


@contextmanager
def turn(file: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Our turn among all who write this database; `patience`: seconds."""
    handle = _opened(file) if LOCKS else None
    if handle is None:
        yield
        return
    ours = True
    try:
        with suppress(OSError):  # a file system without such locks
            ours = _queue(handle, patience)
        yield
    finally:
        if ours:
            os.close(handle)  # and with it our byte: the next one's turn


def queue_of(file: Path) -> Path:
    """The file beside a database that its writers queue at."""
    return file.with_name(f"{file.name}-queue")


def _opened(file: Path) -> int | None:
    try:
        return os.open(queue_of(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _queue(handle: int, patience: float) -> bool:
    """Draw a number and wait for the one before. False: somebody stands still, and a thread that goes on waiting has
    the handle."""
    if not _patiently(handle, patience, fcntl.F_WRLCK, *_COUNTER):
        return False
    try:
        number = (int.from_bytes(os.pread(handle, 8, 0), "little") + 1) % _LAST
        os.pwrite(handle, number.to_bytes(8, "little"), 0)
        _lock(handle, fcntl.F_WRLCK, _FIRST + number, 1)
    finally:
        _lock(handle, fcntl.F_UNLCK, *_COUNTER)
    if _patiently(handle, patience, fcntl.F_RDLCK, _FIRST + number - 1, 1):
        return True
    _lock(handle, fcntl.F_UNLCK, _FIRST + number, 1)  # those behind must not wait for us
    return False


def _patiently(handle: int, patience: float, kind: int, start: int, length: int) -> bool:
    """A lock that somebody may have. False: it did not come in time; whenever it comes, a thread closes the handle."""
    try:
        _lock(handle, kind, start, length, wait=False)
        return True
    except BlockingIOError:
        pass
    came, decided = threading.Event(), threading.Lock()

    def wait() -> None:
        _lock(handle, kind, start, length)
        if decided.acquire(blocking=False):
            came.set()
        else:
            os.close(handle)

    threading.Thread(target=wait, name="waits for its turn to write", daemon=True).start()
    return came.wait(patience) or not decided.acquire(blocking=False)


def _lock(handle: int, kind: int, start: int, length: int, *, wait: bool = True) -> None:
    """Lock or let go bytes. Raises `BlockingIOError` where somebody has them and nothing is waited for."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(handle, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0))
