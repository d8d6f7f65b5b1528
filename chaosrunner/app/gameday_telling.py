"""Tells people outside of a game day: that it goes, that an experiment begins, what came of it. Through the outbox, so
that a receiver that is out of reach is told later; nothing here holds up a game day for long."""

from __future__ import annotations

from typing import Literal

from chaosrunner.app.desk import Desk
from chaosrunner.app.telling import Receiver, deliver, post, receivers_of
from chaosrunner.model.news import News, Notice
from chaosrunner.records.light import dataclass
from chaosrunner.stages.gameday_file import LoadedDay

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
