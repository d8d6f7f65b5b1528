"""schedule: which experiments of a suite may start now. Pure, so that it can be tried on any suite without running one.

What starts never overlaps with what runs, nor with an earlier one that could start but for that: so an experiment is
never overtaken by one that would be in its way, and none waits for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Radius:
    """What an experiment may disturb, or be disturbed by."""

    environment: str
    keys: frozenset[str] = frozenset()
    """Targets, services, and what is read."""
    wide: bool = False
    """Whether it may disturb everything of its environment (a node, a zone)."""

    def overlaps(self, other: Radius) -> bool:
        """Whether the two must not be in force at the same time."""
        if not self.keys.isdisjoint(other.keys):
            return True
        return self.environment == other.environment and (self.wide or other.wide)


@dataclass(frozen=True, slots=True)
class Job:
    """One item of a suite, as the schedule sees it."""

    number: int
    """Its place in the suite's file."""
    radius: Radius
    seconds: float
    """How long it is expected to take."""
    after: frozenset[int] = frozenset()
    """Numbers of those that must be over before."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a suite's file says about its schedule."""

    parallel: int = 1
    longest_first: bool = False


def in_order(jobs: Sequence[Job], rules: Rules) -> list[Job]:
    """The order in which they are looked at."""
    return sorted(jobs, key=lambda job: (-job.seconds if rules.longest_first else 0.0, job.number))


def startable(
    waiting: Sequence[Job], running: Sequence[Job], over: Collection[int], rules: Rules, left: float | None = None
) -> list[Job]:
    """Those that are started now, of those that wait (in their order). `over`: numbers of those that will not run any
    more; `left`: seconds of the suite's budget, None: it has none."""
    chosen: list[Job] = []
    in_the_way = [job.radius for job in running]
    for job in waiting:
        if len(running) + len(chosen) >= rules.parallel:
            break
        if not job.after <= set(over) or not fits(job, left):
            continue
        if not any(job.radius.overlaps(other) for other in in_the_way):
            chosen.append(job)
        in_the_way.append(job.radius)
    return chosen


def fits(job: Job, left: float | None) -> bool:
    """Whether it would be over before the budget is used up."""
    return left is None or job.seconds <= left
