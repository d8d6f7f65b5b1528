"""The runs of a state folder: `STATE/runs/RUN/journal.jsonl` and what was made of it."""

from __future__ import annotations

from pathlib import Path

from chaosrunner.errors import UsageError


class Runs:
    """Finds runs by id, by the beginning of an id, or as `last`."""

    def __init__(self, state: Path) -> None:
        self.root = state / "runs"

    def folder(self, run: str) -> Path:
        """Where everything of one run lies."""
        return self.root / run

    def journal(self, run: str) -> Path:
        """Its journal."""
        return self.folder(run) / "journal.jsonl"

    def list(self) -> list[str]:
        """Ids, newest first."""
        if not self.root.is_dir():
            return []
        return sorted((path.parent.name for path in self.root.glob("*/journal.jsonl")), reverse=True)

    def find(self, word: str) -> str:
        """The run that `word` means: an id, the only id that begins so, `last`, or a folder's path.

        Raises `UsageError` where none or several are meant.
        """
        known = self.list()
        if word == "last":
            if not known:
                raise UsageError(f"there are no runs in {self.root}")
            return known[0]
        matching = [run for run in known if run == word] or [run for run in known if run.startswith(word)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            raise UsageError(f"{word!r} is the beginning of several runs: {', '.join(matching[:5])}")
        raise UsageError(f"no run {word!r} in {self.root}; `chaosrunner runs list` shows what there is")
