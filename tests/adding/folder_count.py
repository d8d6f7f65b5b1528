"""A probe that counts files."""

from __future__ import annotations

import asyncio
import os
from fnmatch import fnmatch
from pathlib import Path

from chaosrunner.errors import NoReading
from chaosrunner.ports import Parameters, Probe, Value


class Params(Parameters):
    """Which files of which folder."""

    path: str
    """The folder; a relative one starts in the folder of the environment's file."""
    pattern: str = "*"
    """Which names count, as a shell writes them: `*.json`; default `*`, all."""


class FolderCount(Probe[Params]):
    """Counts the files of a folder whose names match a pattern, not those of folders in it.

    A folder that is not there or that cannot be read gives no reading, an empty one gives 0.
    """

    example = 'folder-count: {path: out/queue, pattern: "*.json"}'

    async def read(self) -> Value:
        folder = self.context.folder / self.params.path
        try:
            return await asyncio.to_thread(self._count, folder)
        except OSError as error:
            raise NoReading(f"{folder}: {error.strerror}") from error

    def _count(self, folder: Path) -> int:
        with os.scandir(folder) as entries:
            return sum(entry.is_file() and fnmatch(entry.name, self.params.pattern) for entry in entries)
