"""Game days in a register that many share: their logs, followed and written from other machines than the
facilitator's, and who leads through them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.frozen import JsonObject
from chaosrunner.records.light import dataclass
from chaosrunner.register import schema
from chaosrunner.register.database import connect, errors_in_words, reading, written

ANSWERS_WITHIN = 10.0
"""Seconds after which a database that says nothing is out of reach: people wait for the answer at a prompt."""
_TABLE = schema.game_day_log
_LEAD = schema.game_day_lead


@dataclass(frozen=True, slots=True)
class Led:
    """Who leads through a game day, or was the last one to."""

    who: str
    token: str
    left: float
    """Seconds for which that still counts, unless it is renewed; zero or less: nobody leads."""


class SharedGameDays:
    """The logs of all game days of one register; a context manager. Each call is a transaction of its own, and raises
    `NotPossibleNow` where the register is out of reach."""

    def __init__(self, where: Path | str, answers_within: float = ANSWERS_WITHIN) -> None:
        """`where`: a URL, or the path of an SQLite file. `answers_within`: seconds, of PostgreSQL."""
        self._engine = connect(where, answers_within)
        self._where = self._engine.url.render_as_string()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """A connection on which an answer was not heard in time is of no use any more, whatever its driver calls it."""
        try:
            with errors_in_words(self._where):
                yield
        except NotPossibleNow:
            self._engine.dispose()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go; idempotent."""
        self._engine.dispose()

    def put(self, game_day: str, entries: Iterable[tuple[str, float, JsonObject]]) -> None:
        """Keep entries (id, wall time, record) that are not there yet."""
        rows = [
            {"game_day": game_day, "entry": id, "at": at, "record": record} for id, at, record in entries
        ]  # in the order of the log
        if rows:
            with self._asked():
                written(self._engine, lambda connection: _add(connection, game_day, rows))

    def read(self, game_day: str, after: int = 0) -> list[tuple[int, JsonObject]]:
        """(number, record) of the entries that came after the one with this number, in their order."""
        wanted = (
            sa.select(_TABLE.c.n, _TABLE.c.record)
            .where(_TABLE.c.game_day == game_day, _TABLE.c.n > after)
            .order_by(_TABLE.c.n)
        )
        with self._asked(), reading(self._engine) as connection:
            return [(row.n, row.record) for row in connection.execute(wanted)]

    def list(self) -> list[str]:
        """Ids of all game days, newest first."""
        with self._asked(), reading(self._engine) as connection:
            found = connection.execute(sa.select(_TABLE.c.game_day).distinct()).scalars()
            return sorted(found, reverse=True)

    def led(self, game_day: str) -> Led | None:
        """Who leads through it or did last; None: nobody ever has."""
        with self._asked(), reading(self._engine) as connection:
            return _led(connection, game_day, _now(connection))

    def take(self, game_day: str, token: str, who: str, seconds: float) -> Led:
        """Lead for so long, where nobody else does; who leads now."""

        def work(connection: sa.Connection) -> Led:
            now = _now(connection)
            led = _led(connection, game_day, now, lock=True)
            if led is not None and led.token != token and led.left > 0:
                return led
            _set(connection, game_day, led is None, token=token, who=who, until=now + seconds)
            return Led(who, token, seconds)

        with self._asked():
            return written(self._engine, work)

    def renew(self, game_day: str, token: str, seconds: float) -> Led | None:
        """Lead on for so long, unless somebody else does by now or did meanwhile; who led last."""

        def work(connection: sa.Connection) -> Led | None:
            now = _now(connection)
            led = _led(connection, game_day, now, lock=True)
            if led is None or led.token != token:
                return led
            _set(connection, game_day, False, until=now + seconds)
            return Led(led.who, token, seconds)

        with self._asked():
            return written(self._engine, work)

    def let_go(self, game_day: str, token: str) -> None:
        """From now on nobody leads, where this one did."""
        own = sa.and_(_LEAD.c.game_day == game_day, _LEAD.c.token == token)
        with self._asked():
            written(self._engine, lambda connection: connection.execute(_LEAD.update().where(own).values(until=0.0)))


def _now(connection: sa.Connection) -> float:
    """The database's time, in seconds since 1970."""
    said: sa.ColumnElement[Any]
    if connection.dialect.name == "postgresql":
        said = sa.extract("epoch", sa.func.clock_timestamp())
    else:
        said = sa.literal_column("(julianday('now') - 2440587.5) * 86400.0")
    return float(connection.execute(sa.select(said)).scalar_one())


def _led(connection: sa.Connection, game_day: str, now: float, *, lock: bool = False) -> Led | None:
    wanted = sa.select(_LEAD).where(_LEAD.c.game_day == game_day)
    row = connection.execute(wanted.with_for_update() if lock else wanted).first()
    return None if row is None else Led(row.who, row.token, row.until - now)


def _set(connection: sa.Connection, game_day: str, new: bool, **values: object) -> None:
    if new:
        connection.execute(_LEAD.insert().values(game_day=game_day, **values))
    else:
        connection.execute(_LEAD.update().where(_LEAD.c.game_day == game_day).values(**values))


def _add(connection: sa.Connection, game_day: str, rows: list[dict[str, Any]]) -> None:
    ids = [row["entry"] for row in rows]
    there = sa.select(_TABLE.c.entry).where(_TABLE.c.game_day == game_day, _TABLE.c.entry.in_(ids))
    known = set(connection.execute(there).scalars())
    fresh = [row for row in rows if row["entry"] not in known]
    if fresh:
        connection.execute(_TABLE.insert(), fresh)
