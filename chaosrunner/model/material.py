"""What sources of evidence bring, before anything is made of it: points, lines and happenings, each with its wall
time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Literal

from chaosrunner.model.evidence import How, Link, What
from chaosrunner.records.light import dataclass

Point = tuple[float, float]
"""(wall time, finite number)."""
Line = tuple[float, str]
"""(wall time, text)."""
Links = Callable[[], tuple[Link, ...]]
"""Made only for what is shown."""


def no_links() -> tuple[Link, ...]:
    """Where there is nowhere further to look."""
    return ()


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time that is asked about, and what it is compared with."""

    usual_from: float
    baseline: float
    """When the run's own baseline began."""
    began: float
    ended: float
    loaded_from: float = float("-inf")
    """From when on the system is under the same load as in the stretch: when the run's own load began, if it has
    one."""
    busy: tuple[tuple[float, float], ...] = ()
    """When other runs were under way: no time to learn from what is usual."""

    @property
    def length(self) -> float:
        """Of the stretch, in seconds."""
        return self.ended - self.began

    def is_usual(self, at: float) -> bool:
        """Whether a time tells what is usual."""
        return self.usual_from <= at < self.began and not any(start <= at <= end for start, end in self.busy)

    def is_alike(self, at: float) -> bool:
        """The same, and under the same load."""
        return at >= self.loaded_from and self.is_usual(at)

    @property
    def near_from(self) -> float:
        """When the time right before the stretch began: the run's baseline, or as long as the stretch lasts."""
        return max(self.loaded_from, min(self.baseline, self.began - self.length))

    def is_meant(self, at: float) -> bool:
        """Whether it lies in the stretch that is asked about."""
        return self.began <= at <= self.ended

    def quiet_since(self, start: float) -> float:
        """Seconds from `start` (not before `usual_from`) to the stretch, without those of other runs."""
        start = max(start, self.usual_from)
        return max(0.0, self.began - start) - sum(
            max(0.0, min(end, self.began) - max(begin, start)) for begin, end in self.busy
        )


@dataclass(frozen=True, slots=True)
class Sampled:
    """One series of numbers."""

    name: str
    """The metric's; series of one name are told together."""
    labels: str
    """`{instance="…"}` in words, empty for none."""
    points: Sequence[Point]
    unit: str | None = None
    lag: float = 0.0
    """How far (seconds) a number looks back."""
    kin: str = ""
    """Labels that are the same for all replicas of one thing: series of one name and kin that move alike are one
    clue."""
    owner: str = ""
    """What it comes from, where that may go away as a whole: a scrape target."""
    whole: bool = True
    """Whether it had a value whenever there was one to be had, so that none means that it is gone."""
    says: Literal["number", "start", "version"] = "number"
    """`start`: the time at which something started; `version`: its labels say which version runs."""
    links: Links = no_links


@dataclass(frozen=True, slots=True)
class Stream:
    """Lines of one log, in order."""

    name: str
    lines: Sequence[Line]
    since: float
    """From when on the lines before the stretch are complete."""
    whole: bool = True
    """Whether all lines of the stretch are there; if not, fewer lines say nothing."""
    links: Links = no_links


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened once, or so many times."""

    at: float
    subject: str
    says: str
    what: What = "event"
    how: How = "happened"
    key: str = ""
    """Alike happenings share it, so that what happens all the time is no news."""
    weight: float = 1.0
    """Warnings weigh more."""
    last: float | None = None
    times: int = 1
    """From `at` to `last`."""


@dataclass(frozen=True, slots=True)
class Material:
    """What one source has."""

    source: str
    """What it is called in reports, without secrets."""
    series: Sequence[Sampled] = ()
    streams: Sequence[Stream] = ()
    happenings: Sequence[Happening] = ()
    looked: str = ""
    """What was looked at, as a sentence."""
    unknown: Sequence[str] = field(default_factory=tuple)
    """What is not known, and why, each a sentence."""
