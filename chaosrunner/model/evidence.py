"""Evidence of why: what else changed while a fault was in force. Hints with numbers, never a cause: the fault itself is
known, what is not known is which protection did not answer, and that is for people to find.

Times are wall time, epoch seconds.
"""

from __future__ import annotations

from typing import Literal

from chaosrunner.model.frozen import Frozen

What = Literal["metric", "log", "event", "deploy", "restart", "fault", "run"]
"""What sort of thing it is that changed."""
How = Literal["rose", "fell", "new", "burst", "dropped", "gone", "happened"]
"""How it changed."""


class Link(Frozen):
    """Where to look further."""

    name: str
    url: str


class Clue(Frozen):
    """One thing that changed while the fault was in force. A hint: it goes together in time, and nothing more."""

    what: What
    how: How
    source: str
    """Where it was seen: the name of a source, or the run itself."""
    subject: str
    """A series with its labels, a log template, an object, a run."""
    says: str
    """It all, as a plain sentence with numbers and the time."""
    at: float | None = None
    """When it was first seen changed; None: not known."""
    before: float | None = None
    """A metric: its usual median; a log template: lines a minute."""
    during: float | None = None
    """The same while the fault was in force."""
    unit: str | None = None
    strength: float = 0.0
    """What it is ranked by among its like: a metric's robust z, a log template's G²."""
    above: float | None = None
    """A metric: Cliff's delta of its values in force against the usual ones; 1: all above, -1: all below."""
    alike: int = 0
    """How many more series or templates changed with it in the same way, which are not shown by themselves."""
    sample: str = ""
    """Of a log template: one of its lines, secrets taken out."""
    links: tuple[Link, ...] = ()


class Clues(Frozen):
    """What was found for one stretch of time, and what was not."""

    began: float
    """When the first fault was injected."""
    ended: float
    """When the undo of the last one began."""
    usual_from: float
    """From when on things were looked at to know what is usual."""
    found: tuple[Clue, ...] = ()
    """The strongest first."""
    left_out: int = 0
    """How many more there were than are kept."""
    looked: tuple[str, ...] = ()
    """What was looked at, one sentence for each source."""
    unknown: tuple[str, ...] = ()
    """What could not be looked at, or cannot be told, and why."""
