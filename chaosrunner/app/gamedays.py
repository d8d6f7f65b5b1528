"""The log of a game day, wherever it is kept: in the state folder, and in the register that many share.

What is written is on disk first; the shared register is told a moment later, by `exchange`, which also brings what
others wrote on other machines. A register that is out of reach holds nobody up: it is told, and tried again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.app.desk import Tell
from chaosrunner.clock import Clock, new_run_id
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.files.validation import nearest
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.gameday_log import Ended, GameDayEntry, HaltAsked
from chaosrunner.person import who
from chaosrunner.register import shared_register
from chaosrunner.stages.gameday import Standing, after, stands
from chaosrunner.store.gameday_log import DayLog, Days

if TYPE_CHECKING:
    from chaosrunner.register.game_days import Led, SharedGameDays

TRY_AGAIN = 5.0
"""Seconds after which a shared register that was out of reach is asked again."""
ID_IS_AT = len("20261122-105103-")
"""In a game day's id its name comes behind its time."""


class Elsewhere:
    """Game days that are shared with other machines. Connects when it is first needed, and again after it failed; each
    call raises `NotPossibleNow` where the register is out of reach."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connected: SharedGameDays | None = None
        self._guard = threading.Lock()

    def _days(self) -> SharedGameDays:
        with self._guard:
            if self._connected is None:
                from chaosrunner.register.game_days import SharedGameDays

                self._connected = SharedGameDays(self._url)
            return self._connected

    def put(self, game_day: str, entries: Sequence[tuple[str, float, JsonObject]]) -> None:
        """Keep entries (id, wall time, record) that are not there yet."""
        self._days().put(game_day, entries)

    def read(self, game_day: str, after: int = 0) -> Sequence[tuple[int, JsonObject]]:
        """(number, record) of the entries that came after the one with this number."""
        return self._days().read(game_day, after)

    def list(self) -> Sequence[str]:
        """Ids of all game days."""
        return self._days().list()

    def led(self, game_day: str) -> Led | None:
        """Who leads through it or did last; None: nobody ever has."""
        return self._days().led(game_day)

    def take(self, game_day: str, token: str, who: str, seconds: float) -> Led:
        """Lead for so long, where nobody else does; who leads now."""
        return self._days().take(game_day, token, who, seconds)

    def renew(self, game_day: str, token: str, seconds: float) -> Led | None:
        """Lead on for so long, unless somebody else has taken over; who led last."""
        return self._days().renew(game_day, token, seconds)

    def let_go(self, game_day: str, token: str) -> None:
        """From now on nobody leads, where this one did."""
        self._days().let_go(game_day, token)

    def close(self) -> None:
        """Let the connection go; idempotent."""
        if self._connected is not None:
            self._connected.close()


def shared_days() -> Elsewhere | None:
    """Where game days are shared with other machines; None: no database is."""
    url = shared_register()
    if url is None:
        return None
    from chaosrunner.register.file import file_of

    return None if file_of(url) else Elsewhere(url)


def new_id(name: str, clock: Clock) -> str:
    """`20261122-105103-payments-has-a-bad-day`: sorts by time."""
    return f"{new_run_id(clock).rpartition('-')[0]}-{name}"


def name_in(id: str) -> str:
    """The game day's name in its id."""
    return id[ID_IS_AT:]


class DayBook:
    """One game day's log, read and written. `tell` is told once of a shared register that is out of reach."""

    def __init__(self, id: str, local: DayLog | None, shared: Elsewhere | None, clock: Clock, tell: Tell) -> None:
        """`local` is None on machines that only follow; then `shared` is not."""
        self.id = id
        self.local = local
        self._shared = shared
        self._clock = clock
        self._tell = tell
        self._guard = threading.RLock()
        self._offset = 0
        self._number = 0
        self._there: set[str] = set()
        """What the shared register has."""
        self._looked = 0
        self._owed: list[GameDayEntry] = []
        """What it is still to be told."""
        self._waiting: list[GameDayEntry] = []
        """What came from it, where nothing is kept here, and nobody has asked for yet."""
        self._seen: set[str] = set()
        self._quiet_until = float("-inf")
        self._told = False
        self.is_new = False
        """Whether it begins here and now, so that nobody else can know of it."""
        self.held_back = False
        """Whether the shared register must not hear of it yet, as it does not know who leads."""
        self.standing = Standing()
        """After all that was read."""

    # -- writing

    def entry(self, event: Frozen, person: str = "", at: float | None = None) -> GameDayEntry:
        """An event as this person's entry."""
        now = self._clock.now() if at is None else at
        return GameDayEntry(id=secrets.token_hex(8), at=round(now, 3), who=person or who(), event=event.as_json())

    def write(self, *events: Frozen, person: str = "") -> None:
        """Write events. Raises `JournalFailed` or, where there is only the shared register, `NotPossibleNow`."""
        self.keep([self.entry(event, person) for event in events])

    def keep(self, entries: Sequence[GameDayEntry]) -> None:
        """The same, of entries."""
        if self.local is not None:
            self.local.add(entries)
        elif self._shared is not None:
            self._put(entries)

    # -- reading

    def news(self) -> list[GameDayEntry]:
        """What was written since the last call, by anybody, in its order; `standing` is brought up to date."""
        with self._guard:
            self.exchange()
            found: list[GameDayEntry] = []
            if self.local is not None:
                found, self._offset = self.local.since(self._offset)
            else:
                found, self._waiting = self._waiting, []
            fresh = [entry for entry in found if entry.id not in self._seen]
            self._seen |= {entry.id for entry in fresh}
            for entry in fresh:
                self.standing = after(self.standing, entry)
            return fresh

    def exchange(self) -> None:
        """Bring what others wrote elsewhere, and take there what was written here."""
        if self._shared is None or self._clock.monotonic() < self._quiet_until:
            return
        with self._guard:
            try:
                self._fetch()
                self._bring()
            except NotPossibleNow as error:
                if self.local is None:
                    raise
                self._quiet_until = self._clock.monotonic() + TRY_AGAIN
                if not self._told:
                    self._told = True
                    self._tell(f"whoever follows from another machine waits: {error}")

    def _fetch(self) -> None:
        assert self._shared is not None
        found = []
        for number, record in self._shared.read(self.id, self._number):
            self._number = number
            found.append(GameDayEntry.model_validate(record))
        self._there |= {entry.id for entry in found}
        if self.local is None:
            self._waiting += found
        elif found:
            self.local.add(found)

    def _bring(self) -> None:
        if self.local is None:
            return
        entries, self._looked = self.local.since(self._looked)
        self._owed += [entry for entry in entries if entry.id not in self._there]
        if self._owed and not self.held_back:
            self._put(self._owed)
            self._there |= {entry.id for entry in self._owed}
            self._owed.clear()

    def _put(self, entries: Sequence[GameDayEntry]) -> None:
        assert self._shared is not None
        self._shared.put(self.id, [(entry.id, entry.at, entry.as_json()) for entry in entries])

    def all(self) -> list[GameDayEntry]:
        """Every entry there is."""
        if self.local is not None:
            self.exchange()
            return self.local.since()[0]
        assert self._shared is not None
        return [GameDayEntry.model_validate(record) for _, record in self._shared.read(self.id)]

    @property
    def leader(self) -> str:
        """Who leads through it now, on this machine or another one; empty: nobody does. Raises `NotPossibleNow` where
        the shared register would have to say so."""
        if self.local is not None and self.local.is_led:
            return str((self.local.lead.holder or {}).get("who", "somebody"))
        led = self._shared.led(self.id) if self._shared is not None else None
        return led.who if led is not None and led.left > 0 else ""

    def close(self) -> None:
        """A last exchange, and let the connection go."""
        self.exchange()
        if self._shared is not None:
            self._shared.close()


class Shelf:
    """All game days that can be seen from here: those of the state folder, and those of a shared register."""

    def __init__(self, state: Path, clock: Clock, tell: Tell) -> None:
        self.state = state
        self.clock = clock
        self.tell = tell
        self._days = Days(state)
        self._shared = shared_days()
        self._told = False

    def new(self, name: str) -> DayBook:
        """One that begins now."""
        id = new_id(name, self.clock)
        book = DayBook(id, self._days.log(id), self._shared, self.clock, self._once)
        book.is_new = True
        return book

    def _once(self, words: str) -> None:
        """That the shared register is out of reach is told once, however many game days there are."""
        if not self._told:
            self._told = True
            self.tell(words)

    def ids(self) -> list[str]:
        """Newest first. Where there are some here, a shared register that is out of reach is only told of."""
        here = self._days.list()
        try:
            there = self._shared.list() if self._shared is not None else ()
        except NotPossibleNow as error:
            if not here:
                raise
            self._once(f"game days of other machines are not seen: {error}")
            there = ()
        return sorted({*here, *there}, reverse=True)

    def open(self, word: str | None) -> DayBook:
        """The game day that `word` means: an id, the beginning of one, or a name (its newest). Without a word: the
        newest that is not over, or the newest of all. Raises `UsageError` where there is none."""
        known = self.ids()
        if not known:
            raise UsageError("no game day has begun here; `chaosrunner gameday run NAME` begins one")
        return self._book(self._meant(word, known))

    def _book(self, id: str) -> DayBook:
        local = self._days.log(id) if id in self._days.list() else None
        return DayBook(id, local, self._shared, self.clock, self._once)

    def _meant(self, word: str | None, known: Sequence[str]) -> str:
        if word in (None, "last"):
            return next((id for id in known if word is None and not self._is_over(id)), known[0])
        matching = [id for id in known if word in (id, name_in(id))] or [id for id in known if id.startswith(str(word))]
        if not matching:
            near = nearest(str(word), [*known, *map(name_in, known)])
            raise UsageError(f"there is no game day {word!r}" + (f", did you mean {near!r}?" if near else ""))
        return matching[0]

    def _is_over(self, id: str) -> bool:
        return any(isinstance(event, Ended) for event in map(_event, self._book(id).all()))

    def under_way(self, word: str | None) -> DayBook | None:
        """The newest that `word` means, or of all, if it is not over."""
        known = [id for id in self.ids() if word is None or word in (id, name_in(id)) or id.startswith(word)]
        return self._book(known[0]) if known and not self._is_over(known[0]) else None

    def unfinished(self, name: str) -> DayBook | None:
        """The newest of this name that was begun here and is not over."""
        for id in self._days.list():
            if name_in(id) == name:
                book = self._book(id)
                return None if stands(book.all()).ended is not None else book
        return None

    def elsewhere(self, name: str) -> DayBook | None:
        """The newest of this name, if it was begun on another machine and is not over; to be led from here, its log is
        kept here from now on. A shared register that is out of reach is only told of."""
        try:
            newest = next((id for id in self.ids() if name_in(id) == name), None)
            if newest is None or newest in self._days.list() or self._is_over(newest):
                return None
        except NotPossibleNow as error:
            self._once(f"whether one is under way on another machine is not seen: {error}")
            return None
        return DayBook(newest, self._days.log(newest), self._shared, self.clock, self._once)

    def before(self, book: DayBook) -> tuple[str, list[GameDayEntry]] | None:
        """Id and log of the last one of the same name before this one in which something was tried."""
        for id in self.ids():
            if id < book.id and name_in(id) == name_in(book.id):
                entries = self._book(id).all()
                if any(item.facts for item in stands(entries).items):
                    return id, entries
        return None


def _event(entry: GameDayEntry) -> object:
    try:
        return entry.told
    except ValueError:
        return None


def halt_day(book: DayBook, reason: str) -> None:
    """Ask that everything of it be stopped. Where nobody leads it any more, that is its end."""
    book.write(HaltAsked(reason=reason))
    try:
        led = bool(book.leader)
    except NotPossibleNow:
        led = True  # whoever leads, or goes on with it, sees to the end
    if not led:
        book.write(Ended(ending="halted", reason=reason))
