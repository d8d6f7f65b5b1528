"""A gap as the reports show it: with what the near-miss register knows of it, where it was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.model.evidence import Clues
    from chaosrunner.model.gap import Gap
    from chaosrunner.model.near_miss import NearMiss


@dataclass(frozen=True, slots=True)
class ShownGap:
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
    regressed: bool = False
    """Whether it came back after it had been closed."""
    clues: Clues | None = None
    """What else changed meanwhile; None: nobody looked."""

    @property
    def news(self) -> str:
        """Whether it was seen before, in words; empty where that is not known."""
        if self.regressed:
            return "regressed"
        if self.occurrences == 1:
            return "new"
        return f"seen {self.occurrences} times" if self.occurrences else ""


def shown(gap: Gap, near_miss: NearMiss | None, clues: Clues | None = None) -> ShownGap:
    """A gap with its near miss, or by itself."""
    if near_miss is None:
        return ShownGap(gap, clues=clues)
    return ShownGap(
        gap=gap,
        id=near_miss.id,
        priority=near_miss.priority.value,
        state=near_miss.state.value,
        occurrences=near_miss.occurrences,
        remediation=place(near_miss.item.url or near_miss.item.key) if near_miss.item else "",
        regressed=near_miss.regressed,
        clues=clues,
    )


def place(address: str) -> str:
    """Where an item is: a file as a path, from the current folder where it lies in it; anything else as it is."""
    if not address.startswith("file://"):
        return address
    path = Path(unquote(urlsplit(address).path))
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
