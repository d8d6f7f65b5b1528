"""What this machine knows beyond one folder: runs under way, targets taken, local faults in force, halts.

Kept per user and machine, so that two folders cannot fight over one process and `heal` sees everything. That a runner
lives is told by a lock that the operating system drops when it dies, never by a pid.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.records.light import asdict, dataclass


def machine_folder() -> Path:
    """`$CHAOSRUNNER_MACHINE`, or a folder of this user's among the temporary ones (short: sockets live in it).

    Raises `NotPossibleNow` if somebody else made it, or it cannot be made.
    """
    named = os.environ.get("CHAOSRUNNER_MACHINE")
    folder = Path(named) if named else _among_temporary() / f"chaosrunner-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise _unusable(folder, error) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise NotPossibleNow(f"{folder} belongs to somebody else; set CHAOSRUNNER_MACHINE to a folder of your own")
    return folder


def _among_temporary() -> Path:
    import tempfile

    return Path(tempfile.gettempdir())


def _unusable(path: Path, error: OSError) -> NotPossibleNow:
    return NotPossibleNow(
        f"{path} cannot be used ({error.strerror}); CHAOSRUNNER_MACHINE can name another folder for what all runs of "
        f"this machine share"
    )


FILES_BESIDE = 256
"""Files that a process has open beside its locks, at most."""


class Lock:
    """A lock that the kernel drops with its holder. `holder` is what the holder wrote into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def take(self, words: dict[str, Any]) -> bool:
        """Take it and write who has it; False if somebody else does.

        Raises `NotPossibleNow` if it cannot be written.
        """
        file = -1
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(words).encode(), 0)
        except OSError as error:
            if file >= 0:
                os.close(file)
            if isinstance(error, BlockingIOError):
                return False
            raise _unusable(self.path, error) from error
        self._file = file
        return True

    def drop(self) -> None:
        """Let it go; idempotent. The file stays: removing it would let two holders lock different files."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def holder(self) -> dict[str, Any] | None:
        """What its living holder wrote; None if nobody holds it."""
        try:
            with self.path.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return _read(file.read())
        except OSError:
            return None
        return None


def _make_room(locks: int) -> None:
    """Each lock is an open file, and many systems allow a process a thousand unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = locks + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that was started on this machine and not yet ended tidily; it may be dead."""

    run: str
    environment: str
    journal: str
    """Path of its journal: the ledger."""
    alive: bool = False


class Machine:
    """This user's part of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- runs

    def run_lock(self, run: str) -> Lock:
        """Held by the run's process for as long as it lives."""
        return Lock(self.folder / "runs" / f"{run}.lock")

    def enter(self, run: ActiveRun) -> Lock:
        """Put a run on the list and take its lock."""
        lock = self.run_lock(run.run)
        if not lock.take({"run": run.run}):
            raise NotPossibleNow(f"run {run.run} is under way in another process")
        note = self.folder / "runs" / f"{run.run}.json"
        partial = note.with_suffix(".partial")
        try:
            partial.write_text(json.dumps(asdict(run)))
            partial.replace(note)
        except OSError as error:
            lock.drop()
            raise _unusable(note, error) from error
        return lock

    def leave(self, run: str) -> None:
        """Take a run off the list: it is over and nothing of it is in force."""
        (self.folder / "runs" / f"{run}.json").unlink(missing_ok=True)
        (self.folder / "runs" / f"{run}.lock").unlink(missing_ok=True)

    def runs(self) -> Iterator[ActiveRun]:
        """Runs on the list, oldest first; dead ones among them need healing."""
        for note in sorted((self.folder / "runs").glob("*.json")):
            try:
                found = _read(note.read_text(errors="replace"))
            except FileNotFoundError:  # it has just ended
                continue
            if {"run", "environment", "journal"} <= set(found):
                alive = self.run_lock(found["run"]).holder is not None
                yield ActiveRun(found["run"], found["environment"], found["journal"], alive)

    # -- leases

    def lease(self, key: str) -> Lock:
        """The lock on one target."""
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        return Lock(self.folder / "leases" / name)

    def lease_all(self, keys: Sequence[str], run: str) -> tuple[list[Lock], str]:
        """Take all targets, or none: (the locks, "") or ([], which target is taken by whom)."""
        taken: list[Lock] = []
        _make_room(len(keys))
        for key in sorted(set(keys)):
            lock = self.lease(key)
            if not lock.take({"run": run, "target": key}):
                other = (lock.holder or {}).get("run", "another run")
                for earlier in taken:
                    earlier.drop()
                return [], f"{key} is in the hands of run {other}"
            taken.append(lock)
        return taken, ""

    # -- halts

    def _halt_file(self, environment: str | None, run: str | None) -> Path:
        name = f"run-{run}" if run else f"environment-{environment}" if environment else "all"
        return self.folder / "halts" / name

    def halt(self, by: str, reason: str, *, environment: str | None = None, run: str | None = None) -> None:
        """Ask one run, all runs on an environment, or all of this machine's runs to stop."""
        path = self._halt_file(environment, run)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps({"by": by, "reason": reason, "token": os.urandom(8).hex()}))
        partial.replace(path)

    def halts(self, environment: str, run: str) -> dict[str, str]:
        """The halts that concern a run now: file -> content. One that was not there at the run's start stops it."""
        found = {}
        for path in (
            self._halt_file(environment, None),
            self._halt_file(None, run),
            self._halt_file(None, None),
        ):
            try:
                found[path.name] = path.read_text(errors="replace")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                found[path.name] = str(error)  # that something is there is enough
        return found
