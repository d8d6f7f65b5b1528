"""The good journal with one change, and the shape of a case in the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaosrunner.model import journal as j
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.words import Answer, Ending
from tests.judging.journals import (
    NoAnswer,
    Said,
    Story,
    fault,
    measure,
    one,
    plan,
    reading,
    started,
    steps,
)

HELD, INCONCLUSIVE, BROKEN = Answer.HELD, Answer.INCONCLUSIVE, Answer.BROKEN
RELATIVE = {"baseline": {"atMost": "200ms"}, "fault": {"atMost": "4x baseline"}, "recovery": {"atMost": "2x baseline"}}


def bad(start: float, end: float, said: Said = 0.5) -> Story:
    return one(steps((start, end, said)))


def of(changes: dict[str, Any], *parts: tuple[float, float, Said], otherwise: Said = 0.1) -> Story:
    return one(steps(*parts, otherwise=otherwise), of=measure(**changes))


def two(first: dict[str, Any], second: dict[str, Any], script: Callable[[float], Said]) -> Story:
    """Two measures, of which the second follows the script."""
    a, b = measure("a", **first), measure("b", **second)
    return Story(plan(a, b), {b.key: script})


def with_line(story: Story, began: float, ended: float, said: Said) -> Story:
    """One reading more, such as one that took long."""
    found = reading("slo/p99", began, ended, said)
    assert found is not None
    return story.add(ended, found)


def event(story: Story, kind: type) -> Any:
    return next(found for _, found in story.events if isinstance(found, kind))


def moved(story: Story, kind: type, t: float) -> Story:
    found = event(story, kind)
    return story.without(kind).add(t, found)


def lost(t: float, undone: float) -> Story:
    """The fault vanishes, is undone, and the run ends for it."""
    story = Story().without(j.FaultTouched, j.UndoBegan, j.FaultUndone)
    story.add(t, j.FaultLost(fault="slow/1", how="round trip 1 ms")).add(
        t, j.UndoBegan(fault="slow/1", because="failed")
    )
    story.add(undone, j.FaultUndone(fault="slow/1", because="failed", seen_gone=True))
    return story.ending(Ending.FAULT_FAILED, "slow/1: no longer in force")


def slow_in_steps(*settings: dict[str, Any]) -> Story:
    """Faults one after the other with ten seconds between, each of ten seconds."""
    items = []
    for number, changes in enumerate(settings):
        items += [PlannedItem(wait="5s")] if number else []
        items.append(PlannedItem(faults=(fault(f"step{number}", **({"lasts": "10s"} | changes)),)))
    return Story(plan(method=items, within="10s"))


def replace(story: Story, script: Callable[[float], Said], key: str = "slo/p99") -> Story:
    story.scripts[key] = script
    return story


def together(*faults: Any) -> Story:
    return Story(plan(method=[PlannedItem(faults=faults)]))


def aborted(value: float | None = 3.0, *, blind: bool = False, t: float = 20.07) -> Story:
    """The abort limit is reached at 20.07, and everything is undone 0.4 s later."""
    story = of({"abortAt": {"atMost": "2s"}}, (20, 21, NoAnswer() if value is None else value))
    story.without(j.FaultUndone, j.UndoBegan, j.FaultTouched)
    ended = None if blind else t
    limit = j.LimitReached(measure="slo/p99", limit="at most 2s", blind=blind, value=value, reading_ended=ended)
    story.add(t, limit)
    story.add(t + 0.4, j.FaultUndone(fault="slow/1", because="aborted", seen_gone=True))
    return story.ending(Ending.ABORTED, "slo/p99: outside at most 2s")


def observed_abort() -> Story:
    story = aborted()
    watched = measure(tolerance=None, abortAt={"atMost": "2s"})
    other = measure("other")
    story.plan = plan(watched, other)
    return story.without(j.RunStarted).add(0.0, started(story.plan))


def spilled_before() -> Story:
    return Story().add(5.0, j.Spilled(what="changed", service="cart", detail="was up, is down"))


# (a sentence, the journal, the answer, the exit code, words that a reason contains)
Case = tuple[str, Callable[[], Story], Answer, int, str]
