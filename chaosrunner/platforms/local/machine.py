"""Where the daemons of this machine keep their sockets, records and logs: one folder for each user."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from chaosrunner.errors import NotPossibleNow


def machine_folder() -> Path:
    """`$CHAOSRUNNER_MACHINE`, or a folder of this user's among the temporary ones. Short: Unix sockets, whose paths
    may have 103 bytes, live in it.

    Raises `NotPossibleNow` if somebody else made it.
    """
    named = os.environ.get("CHAOSRUNNER_MACHINE")
    if named:
        return _own(Path(named))
    import tempfile

    return _own(Path(tempfile.gettempdir()) / f"chaosrunner-{os.getuid()}")


def daemons_folder(machine: Path) -> Path:
    """The part of it that belongs to the local platform."""
    return _own(_own(machine) / "local")


def _own(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise NotPossibleNow(f"{folder} belongs to somebody else; set CHAOSRUNNER_MACHINE to a folder of your own")
    return folder


def short_name(*words: str) -> str:
    """Twelve characters that stand for these words in the name of a file."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]
