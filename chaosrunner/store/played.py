"""What runbooks said, kept in the state folder: `STATE/runbooks/NM-2026-0042/20261122-105103-120-check.txt`."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from chaosrunner.errors import Busy, NotPossibleNow
from chaosrunner.store.kept import write_file


class PlayedRunbooks:
    """The runbooks of a state folder: what they said, and who plays one now."""

    def __init__(self, state: Path) -> None:
        self.root = state / "runbooks"

    def place(self, near_miss: str, what: str, at: float) -> Path:
        """Where what one said at this time belongs."""
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        return self.root / near_miss / f"{moment}-{what}.txt"

    def keep(self, place: Path, text: str) -> None:
        """Put down what one said. Raises `NotPossibleNow` where it cannot be written."""
        write_file(place, text)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else plays a runbook from this state folder meanwhile; two would change the same at once. Raises
        `Busy`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("a")
        except OSError as error:
            raise NotPossibleNow(f"cannot write in {self.root}: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Busy("another `chaosrunner remediate` plays a runbook from this state folder now") from None
            yield
