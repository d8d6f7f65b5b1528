"""What people and incident tools are told: news of near misses and runs, one at a time."""

from __future__ import annotations

from enum import StrEnum

from chaosrunner.model.access import Reach
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.words import Priority


class News(StrEnum):
    """What is new."""

    FOUND = "found"
    """A near miss that nobody knew of."""
    SEEN_AGAIN = "seen-again"
    """A known one, shown by another run."""
    REGRESSED = "regressed"
    """It came back after it had been closed."""
    FIX_FAILED = "fix-failed"
    """A run showed it although its fix was said to be ready."""
    VERIFIED = "verified"
    """Passing runs verified its fix."""
    CLOSED = "closed"
    """A person closed it: rejected, obsolete, or a duplicate."""
    WAIVED = "waived"
    """A person accepted it until a date."""
    OVERDUE = "overdue"
    """Its fix should have been ready by now."""
    MOVED = "moved"
    """It came to another state, by a person, a tracker, or as its waiver ended."""
    UNDO_FAILED = "undo-failed"
    """A fault may still be in force."""
    RUN_ENDED = "run-ended"
    """A run is over, whatever it found."""
    NOT_STARTED = "not-started"
    """Something was due by schedule, and could not begin: a guard, a window, an incident, a system that is not well."""
    GAME_DAY = "game-day"
    """A game day goes, or goes on to its next experiment."""
    GAME_DAY_OVER = "game-day-over"
    """A game day is over, with what came of it."""


USUAL = (
    News.FOUND,
    News.REGRESSED,
    News.FIX_FAILED,
    News.VERIFIED,
    News.CLOSED,
    News.WAIVED,
    News.OVERDUE,
    News.UNDO_FAILED,
    News.NOT_STARTED,
)
"""What is told where nothing else is asked for: no mere repetition."""
OVER = frozenset({News.VERIFIED, News.CLOSED, News.GAME_DAY_OVER})
"""After which nobody has anything left to do."""


class Telling(Reach):
    """Which news somebody is told."""

    events: tuple[News, ...] = USUAL
    """Which news; default: all but seen-again, moved, run-ended, game-day and game-day-over. seen-again: a known near
    miss, shown by another run; moved: it came to another state; run-ended: every run; game-day: that one goes, and its
    experiments; game-day-over: its end."""
    at_least: Priority = Priority.P4
    """Near misses of this priority or a more urgent one; default P4, all of them. What is verified or closed is told in
    any case to those who were told that it is open."""


class Notice(Frozen):
    """One piece of news, with all that somebody who is told needs."""

    news: News
    id: str
    """The same when it is told again."""
    at: float
    """Wall time, epoch seconds."""
    headline: str
    """One line, for people."""
    text: str
    """What happened, for people."""
    run: str = ""
    experiment: str = ""
    service: str = ""
    owner: str | None = None
    environment: str = ""
    near_miss: str = ""
    """`NM-2026-0042`; empty: it is about a run."""
    fingerprint: str = ""
    priority: Priority | None = None
    state: str = ""
    due: str = ""
    """ISO date."""
    occurrences: int = 0
    url: str = ""
    """Of the item that fixes it, where that is one that others can open."""
    command: str = ""
    """That shows it again."""
    until: float | None = None
    """Of a game day: wall time at which it should be over."""

    @property
    def key(self) -> str:
        """What all news of one near miss share, run after run; of a run without one, its own."""
        if self.fingerprint:
            return f"chaosrunner:nm:{self.fingerprint.rpartition(':')[2][:16]}"
        return f"chaosrunner:run:{self.run}"

    @property
    def over(self) -> bool:
        """Whether nobody has anything left to do about it."""
        return self.news in OVER
