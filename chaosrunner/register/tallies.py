"""How often what happened, by month, and how runs went: kept, as counting years of both anew takes longer than people
wait.

Kept is what lies before the day as of which the sums are (`sums.counted_on`); what came since is counted by whoever
asks, and brought in with them once a day. What is written late, about a time before that day, is brought in at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chaosrunner.register import schema

NEVER = date(1, 1, 1)
"""The day of a register in which nothing is kept yet."""
Tally = Counter[tuple[str, ...]]
"""By month and event; or by environment class, service and answer."""
_EVENTS, _RUNS = ("month", "event"), ("environment_class", "service", "answer")


def midnight(day: date) -> float:
    """When a day begins, UTC, epoch seconds."""
    return 0.0 if day == NEVER else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def day_kept(connection: sa.Connection) -> date:
    """The day before which everything is kept."""
    found: date | None = connection.execute(sa.select(schema.counted.c.day)).scalar()
    return found or NEVER


def add_events(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Events were written. Call it after they were: nobody can change the day before this transaction ends."""
    _add_late(connection, schema.happened, _EVENTS, [row for row in rows if row["event"] is not None])


def add_runs(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Runs were written."""
    _add_late(connection, schema.answers, _RUNS, list(rows))


def _add_late(connection: sa.Connection, kept: sa.Table, keys: tuple[str, ...], rows: list[Mapping[str, Any]]) -> None:
    if not rows:
        return
    before = midnight(day_kept(connection))
    _change(connection, kept, keys, Counter(tuple(row[key] for key in keys) for row in rows if row["at"] < before))


def move(connection: sa.Connection, before: date, today: date) -> None:
    """Keep what lies before another day; what lies between is taken in, or out where that day is an earlier one."""
    since, until = sorted((midnight(before), midnight(today)))
    sign = 1 if before < today else -1
    for kept, keys, table, matching in (
        (schema.happened, _EVENTS, schema.history, [schema.history.c.event.is_not(None)]),
        (schema.answers, _RUNS, schema.recorded_run, []),
    ):
        columns = [table.c[key] for key in keys]
        between = sa.select(*columns, sa.func.count()).where(table.c.at >= since, table.c.at < until, *matching)
        found = Counter({tuple(row[:-1]): sign * row[-1] for row in connection.execute(between.group_by(*columns))})
        _change(connection, kept, keys, found)


def _change(connection: sa.Connection, kept: sa.Table, keys: tuple[str, ...], changes: Tally) -> None:
    rows = [dict(zip(keys, key, strict=True)) | {"count": count} for key, count in sorted(changes.items()) if count]
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(kept).values(rows)
    more = {"count": kept.c.count + new.excluded["count"]}
    connection.execute(new.on_conflict_do_update(index_elements=list(kept.primary_key), set_=more))


def events(connection: sa.Connection) -> Tally:
    """How often what happened, by month, in all."""
    table = schema.history.c
    return _together(connection, schema.happened, _EVENTS, schema.history, [table.event.is_not(None)])


def runs(connection: sa.Connection, service: str | None, environment_class: str | None) -> dict[str, int]:
    """How many runs answered what, in all, or those of a service or environment class."""
    place = {"service": service, "environment_class": environment_class}
    named = {name: value for name, value in place.items() if value is not None}
    kept = [schema.answers.c[name] == value for name, value in named.items()]
    since = [schema.recorded_run.c[name] == value for name, value in named.items()]
    return {
        key[0]: n
        for key, n in _together(connection, schema.answers, ("answer",), schema.recorded_run, since, kept).items()
    }


def _together(
    connection: sa.Connection,
    kept: sa.Table,
    keys: tuple[str, ...],
    table: sa.Table,
    since: list[sa.ColumnElement[bool]],
    among: Iterable[sa.ColumnElement[bool]] = (),
) -> Tally:
    own, added = [kept.c[key] for key in keys], [table.c[key] for key in keys]
    until_then = sa.select(*own, sa.func.sum(kept.c.count)).where(*among).group_by(*own)
    later = sa.select(*added, sa.func.count()).where(table.c.at >= midnight(day_kept(connection)), *since)
    found: Tally = Counter()
    for statement in (until_then, later.group_by(*added)):
        for row in connection.execute(statement):
            found[tuple(row[:-1])] += int(row[-1])
    return +found
