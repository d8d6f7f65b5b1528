"""What a runbook says: what it would change, or what it changed."""

from __future__ import annotations

from chaosrunner.model.frozen import Frozen

NOTHING = "nothing"
"""How an answer begins, in words, where there was no change."""


class RunbookChange(Frozen):
    """One thing that is not as the runbook wants it, or was changed to be so."""

    where: str = ""
    """The host; empty: there is only one."""
    what: str
    """The task, or the resource with what about it changes."""
    diff: str = ""
    """How it differs, in lines, as far as the tool shows it."""

    @property
    def line(self) -> str:
        """In one line."""
        return f"{self.where}: {self.what}" if self.where else self.what


class RunbookSays(Frozen):
    """The answer of a check, or of an apply."""

    changes: tuple[RunbookChange, ...] = ()
    unknown: tuple[str, ...] = ()
    """What a check cannot tell (a command that is not run while only checking), or what an apply left alone."""
    output: str = ""
    """All that the tool said."""

    @property
    def drift(self) -> bool:
        """Whether something is not as the runbook wants it, as far as can be told."""
        return bool(self.changes)

    @property
    def as_wanted(self) -> bool:
        """Whether it is certain that there is nothing to change."""
        return not self.changes and not self.unknown

    @property
    def places(self) -> tuple[str, ...]:
        """The hosts of the changes, each once."""
        return tuple(dict.fromkeys(each.where for each in self.changes if each.where))

    @property
    def in_words(self) -> str:
        """`2 changes on 2 hosts; 1 thing cannot be told`."""
        count = len(self.changes)
        said = NOTHING if not count else "1 change" if count == 1 else f"{count} changes"
        if hosts := len(self.places):
            said += " on 1 host" if hosts == 1 else f" on {hosts} hosts"
        unknown = len(self.unknown)
        if unknown:
            said += f"; {unknown} thing{'s' if unknown > 1 else ''} cannot be told"
        return said
