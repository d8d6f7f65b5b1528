"""How many near misses there are of each sort, kept beside them: counting 100 000 anew takes longer than people wait.

A near miss is counted in the transaction that writes it, once for each of `SORTS`, under its environment class, service
and owner; so a register's figures, and those of one service or owner, are added up from a few thousand rows. What is
overdue depends on the day: it is counted as of a day that is kept too, and what became due since is counted by whoever
asks, and now and then brought into the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from chaosrunner.model.words import Priority, State
from chaosrunner.register import schema, tallies
from chaosrunner.register.finding import IN_TIME

SORTS = ("kind", "fault", "priority", "state")
PLACE = ("environment_class", "service", "owner")
COUNTED = (
    *("found", "waiting", "fix_ready", "verified", "regressed", "overdue", "fixes", "fixed", "proofs", "proven"),
    *("outages", "uncovered"),
)
CONCERNED = frozenset({*PLACE, *SORTS, "closed", "due", "regressions", "fixed_in", "verified_in", "outage", "covered"})
"""Columns whose change changes the sums."""
MOST_AT_ONCE = 500

Columns = Mapping[str, Any]
"""A near miss's columns, as `rows.columns` makes them."""
_Key = tuple[str, ...]


def count(connection: sa.Connection, added: Iterable[Columns], removed: Iterable[Columns] = ()) -> None:
    """Take near misses into the sums, and others out of them. Call it after they were written: nobody can then change
    the sums' day before this transaction ends."""
    day = counted_on(connection)
    changes: dict[_Key, list[float]] = {}
    for sign, several in ((1, added), (-1, removed)):
        for columns in several:
            figures = [sign * each for each in _figures(columns, day)]
            place = [columns[name] or "" for name in PLACE]
            for sort in SORTS:
                sums = changes.setdefault((*place, sort, columns[sort]), [0.0] * len(COUNTED))
                sums[:] = [one + other for one, other in zip(sums, figures, strict=True)]
    _add(connection, changes)


def _figures(columns: Columns, day: date) -> list[float]:
    waiting, fixed, proven = not columns["closed"], columns["fixed_in"], columns["verified_in"]
    late = waiting and columns["due"] < day and columns["state"] not in IN_TIME
    return [
        1,
        waiting,
        columns["state"] == State.FIX_READY.value,
        columns["state"] == State.VERIFIED.value,
        columns["regressions"] > 0,
        late,
        fixed is not None,
        fixed or 0.0,
        proven is not None,
        proven or 0.0,
        columns["outage"],
        waiting and not columns["covered"],
    ]


def _add(connection: sa.Connection, changes: Mapping[_Key, Sequence[float]]) -> None:
    """In an order that is the same everywhere, so that two transactions do not wait for each other."""
    rows = [
        dict(zip((*PLACE, "sort", "value", *COUNTED), (*key, *_whole(figures)), strict=True))
        for key, figures in sorted(changes.items())
        if any(figures)
    ]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    table = schema.sums
    for first in range(0, len(rows), MOST_AT_ONCE):
        new = dialect.insert(table).values(rows[first : first + MOST_AT_ONCE])
        more = {name: table.c[name] + new.excluded[name] for name in COUNTED}
        connection.execute(new.on_conflict_do_update(index_elements=list(table.primary_key), set_=more))


def _whole(figures: Sequence[float]) -> Iterator[float]:
    """Whole numbers where rows are counted, as PostgreSQL asks for them; seconds as they are."""
    for name, figure in zip(COUNTED, figures, strict=True):
        yield figure if name in ("fixed", "proven") else round(figure)


# ------------------------------------------------------------------------------------------------------ what is overdue


def counted_on(connection: sa.Connection) -> date:
    """The day as of which the sums say what is overdue."""
    return tallies.day_kept(connection)


def bring_up_to(connection: sa.Connection, today: date) -> None:
    """Count as overdue what is by now. Nothing else may be written before it in this transaction."""
    if connection.dialect.name == "postgresql":  # what is written meanwhile would be counted as of another day
        connection.execute(sa.text("LOCK TABLE recorded_run, near_miss, history IN SHARE ROW EXCLUSIVE MODE"))
    day = counted_on(connection)
    tallies.move(connection, day, today)
    changes: dict[_Key, list[float]] = {}
    for row in became_overdue(connection, day, today, ()):
        place = [getattr(row, name) or "" for name in PLACE]
        for sort in SORTS:
            sums = changes.setdefault((*place, sort, getattr(row, sort)), [0.0] * len(COUNTED))
            sums[COUNTED.index("overdue")] += row.late
    _add(connection, changes)
    table = schema.counted
    if not connection.execute(table.update().values(day=today)).rowcount:
        connection.execute(table.insert().values(n=1, day=today))


def became_overdue(
    connection: sa.Connection, day: date, today: date, matching: Sequence[sa.ColumnElement[bool]]
) -> Sequence[sa.Row[Any]]:
    """What the sums of a day lack today: `late` near misses of each environment class, service, owner and sort. Fewer
    than none where today is before that day."""
    table = schema.near_miss.c
    since, until = min(day, today), max(day, today)
    if since == until:
        return ()
    groups = [table[name] for name in (*PLACE, *SORTS)]
    how_many = sa.func.count() if day < today else -sa.func.count()
    late = (
        table.closed == sa.false(),
        table.priority.in_([each.value for each in Priority]),  # all of them: so an index leads to the few days
        table.due >= since,
        table.due < until,
        table.state.not_in(IN_TIME),
    )
    statement = sa.select(*groups, how_many.label("late")).where(*late, *matching).group_by(*groups)
    return list(connection.execute(statement))
