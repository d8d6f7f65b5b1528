"""The logs of game days in a register that many share: followed, and written, from other machines than the
facilitator's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from chaosrunner.model.frozen import JsonObject
from chaosrunner.register import schema
from chaosrunner.register.database import connect, reading, written

_TABLE = schema.game_day_log


class SharedGameDays:
    """The logs of all game days of one register; a context manager. Each call is a transaction of its own, and raises
    `NotPossibleNow` where the register is out of reach."""

    def __init__(self, where: Path | str) -> None:
        """`where`: a URL, or the path of an SQLite file."""
        self._engine = connect(where)

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
            written(self._engine, lambda connection: _add(connection, game_day, rows))

    def read(self, game_day: str, after: int = 0) -> list[tuple[int, JsonObject]]:
        """(number, record) of the entries that came after the one with this number, in their order."""
        wanted = (
            sa.select(_TABLE.c.n, _TABLE.c.record)
            .where(_TABLE.c.game_day == game_day, _TABLE.c.n > after)
            .order_by(_TABLE.c.n)
        )
        with reading(self._engine) as connection:
            return [(row.n, row.record) for row in connection.execute(wanted)]

    def list(self) -> list[str]:
        """Ids of all game days, newest first."""
        with reading(self._engine) as connection:
            found = connection.execute(sa.select(_TABLE.c.game_day).distinct()).scalars()
            return sorted(found, reverse=True)


def _add(connection: sa.Connection, game_day: str, rows: list[dict[str, Any]]) -> None:
    ids = [row["entry"] for row in rows]
    there = sa.select(_TABLE.c.entry).where(_TABLE.c.game_day == game_day, _TABLE.c.entry.in_(ids))
    known = set(connection.execute(there).scalars())
    fresh = [row for row in rows if row["entry"] not in known]
    if fresh:
        connection.execute(_TABLE.insert(), fresh)
