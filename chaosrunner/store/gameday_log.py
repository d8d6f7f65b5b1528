"""Game days on disk: `STATE/gamedays/ID/log.jsonl`, a line for each entry, written by several processes in turn.

Each entry is on disk, and would survive a power loss, before the call returns. A torn last line, which a machine that
died may leave, is cut off by the next writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chaosrunner.errors import JournalFailed
from chaosrunner.model.gameday_log import GameDayEntry
from chaosrunner.store.machine import Lock


class DayLog:
    """The log of one game day. Several processes, and threads, may write and read it at the same time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.jsonl"
        self._guard = threading.Lock()
        self._known: set[str] = set()
        self._read = 0
        """Bytes that `_known` is made of."""

    @property
    def lead(self) -> Lock:
        """Held by whoever leads the game day, for as long as that process lives."""
        return Lock(self.path.with_name("facilitator.lock"))

    @property
    def is_led(self) -> bool:
        """Whether anybody leads it; a lock that is somebody else's and cannot be looked at counts as held."""
        lock = self.lead
        mine = not lock.path.exists() or os.access(lock.path, os.R_OK | os.W_OK)
        return not mine or lock.holder is not None

    def add(self, entries: Sequence[GameDayEntry]) -> list[GameDayEntry]:
        """Append those that are not there yet, and make them durable; those that were added.

        Raises `JournalFailed` where it cannot be written.
        """
        with self._guard, self._alone() as file:
            for entry, end in self._entries(self._read):
                self._known.add(entry.id)
                self._read = end
            fresh = [entry for entry in entries if entry.id not in self._known]
            if not fresh:
                return []
            os.ftruncate(file, self._read)
            data = b"".join(_line(entry) for entry in fresh)
            if os.pwrite(file, data, self._read) < len(data):
                os.ftruncate(file, self._read)
                raise JournalFailed(f"cannot write {self.path}: no space left on the device")
            os.fsync(file)
            self._known |= {entry.id for entry in fresh}
            self._read += len(data)
            return fresh

    @contextmanager
    def _alone(self) -> Iterator[int]:
        file = -1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o664)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        except OSError as error:
            raise JournalFailed(f"cannot write {self.path}: {error.strerror}") from error
        finally:
            if file >= 0:
                os.close(file)

    def since(self, offset: int = 0) -> tuple[list[GameDayEntry], int]:
        """The entries from this offset on, and the offset behind them. Lines that are damaged are left out."""
        found = []
        for entry, end in self._entries(offset):
            found.append(entry)
            offset = end
        return found, offset

    def _entries(self, offset: int) -> Iterator[tuple[GameDayEntry, int]]:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    offset += len(line)
                    try:
                        yield GameDayEntry.model_validate(json.loads(line)), offset
                    except ValueError:
                        continue
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalFailed(f"cannot read {self.path}: {error.strerror}") from error


def _line(entry: GameDayEntry) -> bytes:
    return json.dumps(entry.as_json(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Days:
    """The game days of a state folder."""

    def __init__(self, state: Path) -> None:
        self.root = state / "gamedays"

    def folder(self, id: str) -> Path:
        """Where everything of one lies."""
        return self.root / id

    def log(self, id: str) -> DayLog:
        """Its log; may not be there yet."""
        return DayLog(self.folder(id))

    def list(self) -> list[str]:
        """Ids, newest first."""
        return sorted((path.parent.name for path in self.root.glob("*/log.jsonl")), reverse=True)
