"""Writes events to the journal and shows each entry to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosrunner.engine.stop import Stop
from chaosrunner.errors import JournalFailed
from chaosrunner.model.journal import Entry, Event, Noted, ReadingTaken
from chaosrunner.model.words import Ending
from chaosrunner.store.journal import Journal

Observer = Callable[[Entry], None]
"""Sees every entry; must be quick. One that raises is not shown any more."""


class Recorder:
    """A journal that cannot be written stops the run, and never stops an undo."""

    def __init__(self, journal: Journal, stop: Stop, observers: Sequence[Observer] = ()) -> None:
        self._journal = journal
        self._stop = stop
        self._observers = list(observers)
        self._n = 0
        self.trouble = ""
        """Why the journal could not be written; empty: it could."""
        self.unsaved: list[Event] = []
        """What was to be written since (readings left out): the verdict cannot count on it, the user can read it."""

    @property
    def t(self) -> float:
        """Monotonic seconds since the run's start."""
        return self._journal.t

    def record(self, event: Event) -> None:
        """Append to the journal. A journal that fails stops the run; what follows is kept in `unsaved`."""
        try:
            entry = self._journal.append(event)
        except JournalFailed as failure:
            entry = self._fall_back(event, failure)
        self._n = entry.n
        for observer in list(self._observers):
            try:
                observer(entry)
            except Exception as error:  # noqa: BLE001  a view that fails (a closed pipe) must not end the run
                self._observers.remove(observer)
                self.record(Noted(who="chaosrunner", text=f"the live view ended: {error!r}"))

    def _fall_back(self, event: Event, failure: JournalFailed) -> Entry:
        self._give_up(failure)
        if not isinstance(event, ReadingTaken):
            try:
                return self._journal.append(event)
            except JournalFailed:
                self.unsaved.append(event)
        return Entry(n=self._n + 1, t=self.t, at=0.0, event=event)

    def _give_up(self, failure: JournalFailed) -> None:
        if not self.trouble:
            self.trouble = str(failure)
            self._journal.give_up_reserve()
            self._stop.now(Ending.JOURNAL_FAILED, "journal", self.trouble)

    async def ledger(self, event: Event) -> None:
        """Append and make durable. Raises `JournalFailed`: then nothing may be injected."""
        if self.trouble:
            raise JournalFailed(self.trouble)
        self.record(event)
        if self.trouble:
            raise JournalFailed(self.trouble)
        try:
            await self._journal.durable()
        except JournalFailed as failure:
            self._give_up(failure)
            raise

    async def finish(self) -> None:
        """Make everything durable and close; a journal in trouble is closed as it is."""
        if not self.trouble:
            try:
                await self._journal.durable()
            except JournalFailed as failure:
                self.trouble = str(failure)
        self._journal.close()
