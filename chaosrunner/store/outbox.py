"""The outbox: news for people and incident tools, kept on disk before the first attempt to tell it.

A small SQLite file of its own (`outbox.db` of the state folder), so that telling waits for nothing else, and nothing
else for it. One receiver is told by one process at a time, in the order in which things happened.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.frozen import JsonObject
from chaosrunner.records.light import dataclass

FILE = "outbox.db"
KEPT = 24 * 3600.0
"""Seconds for which it is tried; then it is no news any more."""
CLAIM = 60.0
"""Seconds after which a process that began to tell and did not say how it went is taken to be dead."""
FIRST_PAUSE = 30.0
"""Seconds between the first two attempts."""
_LONGEST_PAUSE = 3600.0
_BUSY = 10.0

_TABLE = """
CREATE TABLE IF NOT EXISTS notice (
    n INTEGER PRIMARY KEY,
    receiver TEXT NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0,
    began_at REAL,
    ended_at REAL,
    trouble TEXT NOT NULL DEFAULT '',
    UNIQUE (receiver, id)
);
CREATE TABLE IF NOT EXISTS follower (
    receiver TEXT PRIMARY KEY,
    began REAL NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_notice_waiting ON notice (receiver, state, n);
"""


class Fate(StrEnum):
    """What became of a notice."""

    WAITING = "waiting"
    TOLD = "told"
    UNCERTAIN = "uncertain"
    """It may have been heard; telling it again could say it twice."""
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice whose turn it is."""

    n: int
    receiver: str
    event: JsonObject
    tries: int
    """This one included."""
    interrupted: bool
    """Whoever began to tell it before died: it may have been heard."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A notice as the outbox has it, for people."""

    receiver: str
    at: float
    headline: str
    fate: Fate
    tries: int
    next_at: float
    trouble: str


def outbox_exists(state: Path) -> bool:
    """Whether anything was ever put there; costs nothing."""
    return (state / FILE).exists()


class Outbox:
    """Of one state folder. Everything raises `NotPossibleNow` where the file cannot be used."""

    def __init__(self, state: Path, clock: Clock) -> None:
        self._file = state / FILE
        self._clock = clock

    def put(self, receiver: str, id: str, key: str, event: JsonObject, *, reword: bool = True) -> bool:
        """Keep it; one that is there and was not tried yet gets this wording, unless that is not wished. False: nothing
        was changed."""
        row = (receiver, id, key, self._clock.now(), json.dumps(event), Fate.WAITING)
        with self._open() as database:
            done = database.execute(
                "INSERT INTO notice (receiver, id, key, at, event, state) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT "
                "(receiver, id) DO UPDATE SET event = excluded.event WHERE state = excluded.state AND tries = 0 AND ?",
                (*row, reword),
            )
            return done.rowcount == 1

    def followed(self, receiver: str) -> tuple[float, float]:
        """Since when this receiver is told what happens, and until when that was looked at; since now, if it is new."""
        now = self._clock.now()
        with self._open() as database:
            database.execute("INSERT OR IGNORE INTO follower VALUES (?, ?, ?)", (receiver, now, now))
            began, at = database.execute("SELECT began, at FROM follower WHERE receiver = ?", (receiver,)).fetchone()
            return began, at

    def follow(self, receiver: str, until: float) -> None:
        """What happened until then was looked at."""
        with self._open() as database:
            database.execute("UPDATE follower SET at = max(at, ?) WHERE receiver = ?", (until, receiver))

    def followers(self) -> list[str]:
        """Who was ever named to be told what happens."""
        with self._open() as database:
            return [name for (name,) in database.execute("SELECT receiver FROM follower ORDER BY receiver")]

    def take(self, receiver: str, per_minute: int) -> Waiting | None:
        """The first that waits, if it is its turn: nobody else is telling this receiver, its pause is over, and fewer
        than `per_minute` were told in the last minute. It is then ours to tell, and to say how it went."""
        now = self._clock.now()
        with self._open() as database:
            self._forget_the_old(database, receiver, now)
            row = database.execute(
                "SELECT n, event, tries, next_at, began_at FROM notice WHERE receiver = ? AND state = ? ORDER BY n",
                (receiver, Fate.WAITING),
            ).fetchone()
            if row is None:
                return None
            n, event, tries, next_at, began_at = row
            recent = database.execute(
                "SELECT count(*) FROM notice WHERE receiver = ? AND ended_at > ?", (receiver, now - 60.0)
            ).fetchone()[0]
            told_by_another = began_at is not None and now - began_at < CLAIM
            if told_by_another or next_at > now or recent >= per_minute:
                return None
            database.execute("UPDATE notice SET began_at = ?, tries = tries + 1 WHERE n = ?", (now, n))
            return Waiting(n, receiver, json.loads(event), tries + 1, interrupted=began_at is not None)

    def ended(self, n: int, fate: Fate, trouble: str = "") -> None:
        """It is told, or never will be."""
        with self._open() as database:
            database.execute(
                "UPDATE notice SET state = ?, ended_at = ?, began_at = NULL, trouble = ? WHERE n = ?",
                (fate, self._clock.now(), trouble, n),
            )

    def again(self, taken: Waiting, trouble: str, after: float = 0.0, first: float = FIRST_PAUSE) -> None:
        """It was not heard: it is tried again after a pause that grows from `first`, and no sooner than `after`
        seconds."""
        pause = max(after, min(first * 2.0 ** (taken.tries - 1), _LONGEST_PAUSE))
        with self._open() as database:
            database.execute(
                "UPDATE notice SET next_at = ?, began_at = NULL, trouble = ? WHERE n = ?",
                (self._clock.now() + pause, trouble, taken.n),
            )

    def last(self, receiver: str, key: str) -> JsonObject | None:
        """What this receiver was last told, or is to be told, of a near miss."""
        with self._open() as database:
            row = database.execute(
                "SELECT event FROM notice WHERE receiver = ? AND key = ? AND state != ? ORDER BY n DESC",
                (receiver, key, Fate.GIVEN_UP),
            ).fetchone()
            found: JsonObject | None = None if row is None else json.loads(row[0])
            return found

    def open_for(self, receiver: str) -> list[JsonObject]:
        """The last news of each near miss that this receiver heard of."""
        with self._open() as database:
            rows = database.execute(
                "SELECT event FROM notice WHERE n IN (SELECT max(n) FROM notice WHERE receiver = ? AND state != ? "
                "GROUP BY key) ORDER BY n",
                (receiver, Fate.GIVEN_UP),
            ).fetchall()
            return [json.loads(event) for (event,) in rows]

    def waiting(self, receiver: str) -> int:
        """How many wait to be told."""
        with self._open() as database:
            found = database.execute(
                "SELECT count(*) FROM notice WHERE receiver = ? AND state = ?", (receiver, Fate.WAITING)
            ).fetchone()
            return int(found[0])

    def posted(self, most: int = 100) -> list[Posted]:
        """The newest, newest first."""
        with self._open() as database:
            rows = database.execute(
                "SELECT receiver, at, event, state, tries, next_at, trouble FROM notice ORDER BY n DESC LIMIT ?",
                (most,),
            ).fetchall()
        return [
            Posted(receiver, at, str(json.loads(event).get("headline", "")), Fate(state), tries, next_at, trouble)
            for receiver, at, event, state, tries, next_at, trouble in rows
        ]

    def prune(self, before: float, *, remove: bool) -> int:
        """Forget the texts of what was told, or given up, before a time, but for its headline; or only count them. That
        it was told is never forgotten, nor what each receiver heard last of a near miss: nothing is told twice."""
        old = (
            "at < ? AND state != ? AND n NOT IN (SELECT max(n) FROM notice WHERE state != ? GROUP BY receiver, key) "
            "AND event != json_object('headline', json_extract(event, '$.headline'))"
        )
        given = (before, Fate.WAITING, Fate.GIVEN_UP)
        with self._open() as database:
            if not remove:
                return int(database.execute(f"SELECT count(*) FROM notice WHERE {old}", given).fetchone()[0])
            headline = "json_object('headline', json_extract(event, '$.headline'))"
            return database.execute(f"UPDATE notice SET event = {headline}, trouble = '' WHERE {old}", given).rowcount

    def retry(self) -> None:
        """Let everything that waits have its turn now."""
        with self._open() as database:
            database.execute("UPDATE notice SET next_at = 0 WHERE state = ?", (Fate.WAITING,))

    def _forget_the_old(self, database: sqlite3.Connection, receiver: str, now: float) -> None:
        database.execute(
            "UPDATE notice SET state = ?, ended_at = NULL, began_at = NULL WHERE receiver = ? AND state = ? AND at < ?",
            (Fate.GIVEN_UP, receiver, Fate.WAITING, now - KEPT),
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which writes to disk what it says."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=_BUSY, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
                database.executescript(_TABLE)
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise NotPossibleNow(f"the outbox {self._file} cannot be used: {error}") from error
