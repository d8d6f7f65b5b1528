"""What runbooks said, kept in the state folder: `STATE/runbooks/NM-2026-0042/20261122-105103-120-check.txt`; and which
program plays one now, as it goes on when its chaosrunner is killed.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from chaosrunner.errors import Busy, NotPossibleNow
from chaosrunner.programs import Begun
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

    def prune(self, near_misses: Iterable[str], before: float, *, remove: bool) -> int:
        """Remove what runbooks of these said before a time, or only count it. Raises `NotPossibleNow`."""
        latest, found = self.place("", "", before).name, 0
        for id in near_misses:
            for path in sorted((self.root / id).glob("*.txt")):
                if path.name < latest:
                    found += 1
                    if remove:
                        _remove(path)
        return found

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
            self._refuse_while_one_goes_on()
            try:
                yield
            finally:
                with suppress(OSError):  # it names a process that has ended
                    self._running.unlink(missing_ok=True)

    # ---------------------------------------------------------------------------------------- a program that goes on

    @property
    def _running(self) -> Path:
        return self.root / ".running.json"

    def runs_in(self, near_miss: str, what: str, program: Begun) -> None:
        """A program was started that checks, or applies, the runbook of a near miss. Call it while `alone`; raises
        `NotPossibleNow`, as nobody would know of it."""
        told = {"nearMiss": near_miss, "what": what, "process": program.process, "began": program.began}
        write_file(self._running, json.dumps(told) + "\n")

    def _refuse_while_one_goes_on(self) -> None:
        """Raises `Busy` while a program still runs whose chaosrunner was killed: it would change the same."""
        try:
            told = json.loads(self._running.read_text())
            near_miss, what, process, began = (told[name] for name in ("nearMiss", "what", "process", "began"))
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing was told, or not whole: then the disk was full, and it was not started
        if Begun(process, began).goes_on:
            raise Busy(
                f"what `chaosrunner remediate {near_miss} --{what}` started still runs (process {process}): that "
                f"chaosrunner was killed, and its tool was not; wait for its end, or end it"
            )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise NotPossibleNow(f"cannot remove {path}: {error.strerror}") from error
