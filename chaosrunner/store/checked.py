"""What `check` found in files that have not changed since, so that nothing is looked at twice.

One file in the state folder. It is a cache: where it is damaged, of another version or out of reach, everything is
looked at again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.store.kept import write_file

NAME = "checked.json"
MOST = 20_000
"""Files that are remembered."""


class Memory:
    """Answers by file. `basis` stands for all that every answer depends on; another one forgets everything."""

    def __init__(self, state: Path, basis: str) -> None:
        self._path = state / NAME
        self._basis = basis
        self._changed = False
        self._found: dict[str, dict[str, Any]] = {}
        with suppress(OSError, ValueError):
            read = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(read, dict) and read.get("basis") == basis and isinstance(read.get("files"), dict):
                self._found = {name: one for name, one in read["files"].items() if isinstance(one, dict)}

    def get(self, file: str) -> dict[str, Any] | None:
        """What was kept of a file, whether it is still so or not."""
        return self._found.get(file)

    def put(self, file: str, answer: dict[str, Any]) -> None:
        """Keep an answer; JSON."""
        self._found.pop(file, None)
        self._found[file] = answer
        self._changed = True

    def save(self) -> None:
        """Onto disk, whole or not at all; where that cannot be, the next `check` looks again."""
        if not self._changed:
            return
        kept = dict(list(self._found.items())[-MOST:])
        text = json.dumps({"basis": self._basis, "files": kept}, separators=(",", ":"))
        with suppress(NotPossibleNow):
            write_file(self._path, text)
            self._changed = False
