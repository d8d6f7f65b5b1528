"""What keeping and reporting take beside a run, and the look at what is kept before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.plan import Plan
from chaosrunner.ports import ProbeContext
from chaosrunner.records.light import dataclass

Tell = Callable[[str], None]
"""Something to know beside the answer, for people."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What keeping and reporting take beside the run itself."""

    state: Path
    clock: Clock
    http: Http
    tell: Tell


async def look_at_items(plan: Plan, desk: Desk, run: str = "") -> None:
    """Before a run: items that were closed in the tracker make their near misses fix-ready, so that this run counts.
    `run`: its id where it has yet to begin, so that alerts which it causes are known to be its doing."""
    from chaosrunner.register import open_register, register_exists

    if not register_exists(desk.state):
        return
    from chaosrunner.model.heard import under_way
    from chaosrunner.register.near_misses import Wanted
    from chaosrunner.stages.remediate import follow, open_tracker

    try:
        with open_register(desk.state, desk.clock) as book:
            concerned = Wanted(service=plan.service, environment_class=plan.environment.class_name)
            if waiting := [each.id for each in book.list(concerned)]:
                await follow(book, open_tracker(plan.environment, context_of(plan, desk)), desk.clock, waiting)
            if run:
                book.announce(under_way(plan, run, desk.clock.now()))
    except NotPossibleNow as error:
        desk.tell(f"the register cannot be asked: {error}")


def context_of(plan: Plan, desk: Desk) -> ProbeContext:
    """What a tracker may use."""
    folder = Path(plan.folder)
    return ProbeContext(desk.clock, desk.http, folder, environment=plan.environment, state=desk.state)
