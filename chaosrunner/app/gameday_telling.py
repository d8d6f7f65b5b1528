"""Tells people outside of a game day: that it goes, that an experiment begins, what came of it. Through the outbox, so
that a receiver that is out of reach is told later; nothing here holds up a game day for long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaosrunner.app.desk import Desk, Tell
from chaosrunner.app.telling import Receiver, deliver, post, receivers_of
from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.model.gameday_log import Checked
from chaosrunner.model.news import News, Notice
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday_file import LoadedDay
from chaosrunner.stages.news import of_not_started

When = Literal["before", "during", "after"]
WITHIN = 5.0
"""Seconds that telling everybody may hold up the game day."""


@dataclass(frozen=True)
class _Named(Receiver):
    """One whom the game day's file names: told everything about it, whatever else it is told of runs."""

    def wants(self, notice: Notice, before: Notice | None) -> bool:
        return notice.news not in self.messenger.cannot_tell


def told_of(loaded: LoadedDay, desk: Desk) -> list[Receiver]:
    """Those whom the file names, and those of the environment, in their order."""
    said = loaded.day.spec.communications
    environment = loaded.environment
    own = environment.model_copy(
        update={
            "metadata": environment.metadata.model_copy(update={"name": loaded.day.name}),
            "spec": environment.spec.model_copy(update={"notify": said.notify}),
        }
    )
    named = receivers_of(own, loaded.path.parent, desk)
    found: list[Receiver] = [_Named(each.name, each.messenger) for each in named]
    return found + receivers_of(environment, loaded.environment_folder, desk)


async def announce(loaded: LoadedDay, id: str, when: When, headline: str, text: str, desk: Desk) -> tuple[str, ...]:
    """Tell everybody; their names. What was told before, by `when` and `headline`, is not told again."""
    receivers = told_of(loaded, desk)
    if not receivers:
        return ()
    now = desk.clock.now()
    notice = Notice(
        news=News.GAME_DAY_OVER if when == "after" else News.GAME_DAY,
        id=f"{id}:{when}:{headline}"[:200],
        at=now,
        headline=headline,
        text=text,
        run=id,
        experiment=loaded.day.name,
        environment=loaded.environment.name,
        until=now + loaded.day.spec.lasts,
    )
    meant = [each for each in receivers if isinstance(each, _Named) or notice.news in each.messenger.params.events]
    post([notice], meant, desk)
    await deliver(meant, desk, WITHIN)
    return tuple(each.name for each in meant)


async def tell_the_time(loaded: LoadedDay, checks: Sequence[Checked], state: Path, tell: Tell) -> tuple[str, ...]:
    """At the time that its file says: tell everybody that it may go, or why it cannot start; their names."""
    clock, day = SystemClock(), loaded.day
    reasons = [f"{each.check}: {each.reason}" for each in checks if not each.go]
    id = f"{day.name}:{clock.now():.0f}"
    async with Http(clock, folder=loaded.environment_folder) as http:
        desk = Desk(state, clock, http, tell)
        if not reasons:
            said = f"{day.spec.title}. Everything says go: chaosrunner gameday run {day.name}"
            return await announce(loaded, id, "before", f"It is time: {day.spec.title}", said, desk)
        receivers = told_of(loaded, desk)
        if not receivers:
            tell(f"nobody is named who could be told: {'; '.join(reasons)}")
        post(
            [of_not_started(f"the game day {day.name}", id, loaded.environment.name, reasons, clock.now())],
            receivers,
            desk,
        )
        await deliver(receivers, desk, WITHIN)
    return tuple(each.name for each in receivers)
