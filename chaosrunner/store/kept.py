"""Files that are written whole or not at all, and what is kept beside a journal so that it need not be made again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from chaosrunner import __version__
from chaosrunner.errors import JournalFailed, NotPossibleNow
from chaosrunner.model.frozen import Frozen

M = TypeVar("M", bound=Frozen)


def write_file(path: Path, text: str) -> Path:
    """Put text into a file, whole or not at all. Raises `NotPossibleNow` where it cannot be written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):  # what keeps it from being written may keep it from being removed
            partial.unlink()
        raise NotPossibleNow(f"cannot write {path}: {error.strerror}") from error
    return path


class Kept(Generic[M]):
    """What was made of a journal, in a file beside it; it counts while neither the journal nor chaosrunner has changed.

    Raises `JournalFailed` where there is no journal to be read.
    """

    def __init__(self, journal: Path, name: str, model: type[M]) -> None:
        try:
            found = journal.stat()
        except OSError as error:
            raise JournalFailed(f"cannot read the journal {journal}: {error.strerror}") from error
        self.key = f"{__version__} {found.st_size} {found.st_mtime_ns}"
        """Of the journal and of chaosrunner, as they are now."""
        self._path = journal.with_name(f"{name}.json")
        self._name = name
        self._model = model

    def read(self) -> M | None:
        """None: it must be made anew."""
        try:
            found = json.loads(self._path.read_text())
            return self._model.model_validate(found[self._name]) if found["key"] == self.key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, made: M) -> None:
        """A read-only folder is no reason to fail: it is only made again."""
        try:
            write_file(self._path, json.dumps({"key": self.key, self._name: made.as_json()}))
        except NotPossibleNow:
            return
