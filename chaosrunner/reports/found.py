"""A gap as the reports show it: with what the near-miss register knows of it, where it was recorded."""

from __future__ import annotations

from dataclasses import dataclass

from chaosrunner.model.gap import Gap


@dataclass(frozen=True, slots=True)
class Found:
    """A gap of this run, and its near miss. A run that is judged again without a register has gaps only."""

    gap: Gap
    id: str = ""
    """The near miss's id; empty: not recorded."""
    priority: str = ""
    state: str = ""
    occurrences: int = 0
    """How often it was seen so far, this run included; 0: not known."""
    remediation: str = ""
    """Path or URL of the work that fixes it."""

    @property
    def news(self) -> str:
        """Whether it was seen before, in words; empty where that is not known."""
        if self.occurrences == 1:
            return "new"
        return f"seen {self.occurrences} times" if self.occurrences else ""
