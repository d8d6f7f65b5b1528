"""Counting: every figure comes from narrow columns and their indexes; no record is read.

What is grouped is grouped once, by everything at the same time, and the few rows of that are added up in each
direction; so that 100 000 near misses are counted in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import sqlalchemy as sa

from chaosrunner.model.stats import Group, Month, Stats
from chaosrunner.model.words import State
from chaosrunner.register import finding, schema
from chaosrunner.register.finding import IN_TIME, Wanted

BY = ("service", "owner", "kind", "fault")
BY_STATE = ("priority", "state")
MOST_GROUPS = 500
"""Of each sort that are told."""
_ADDED = ("found", "waiting", "fix_ready", "verified", "regressed", "overdue", "fixes", "fixed", "proofs", "proven")


def stats(connection: sa.Connection, wanted: Wanted, today: date) -> Stats:
    """What near misses that match say as a whole; `wanted` may name a service, an owner, an environment class."""
    table = schema.near_miss.c
    matching = finding.conditions(wanted)
    by: dict[str, list[Group]] = {name: [] for name in (*BY, *BY_STATE)}
    total = _group("", [0] * len(_ADDED))
    for row in connection.execute(_added_up(matching, today)):
        if row.sort == "":
            total = _group("", row[2:])
        else:
            by[row.sort].append(_group(row.value or "", row[2:]))
    counts = connection.execute(
        sa.select(
            sa.func.count().filter(table.outage).label("outages"),
            sa.func.count().filter(sa.not_(table.covered), sa.not_(table.closed)).label("uncovered"),
        ).where(*matching)
    ).one()
    return Stats(
        on=today,
        total=total,
        by={name: tuple(sorted(groups, key=_order))[:MOST_GROUPS] for name, groups in by.items()},
        over_time=tuple(_over_time(connection, matching if _narrowed(wanted) else [])),
        to_fix=_median(connection, table.fixed_in, matching),
        to_verify=_median(connection, table.verified_in, matching),
        outages=counts.outages,
        runs=_runs(connection, wanted),
        uncovered=counts.uncovered,
    )


def _order(group: Group) -> tuple[int, str]:
    return (-group.found, group.value)


def _added_up(matching: list[sa.ColumnElement[bool]], today: date) -> sa.CompoundSelect[Any]:
    """(sort, value, then what is added), for each value of each sort."""
    table = schema.near_miss.c
    waiting = table.closed == sa.false()
    late = waiting & (table.due < today) & table.state.not_in(IN_TIME)
    each = (
        sa.func.count(),
        _how_many(waiting),
        _how_many(table.state == State.FIX_READY.value),
        _how_many(table.state == State.VERIFIED.value),
        _how_many(table.regressions > 0),
        _how_many(late),
        sa.func.count(table.fixed_in),
        sa.func.sum(table.fixed_in),
        sa.func.count(table.verified_in),
        sa.func.sum(table.verified_in),
    )
    named = [column.label(name) for column, name in zip(each, _ADDED, strict=True)]
    sorts: list[Any] = []
    for names in (BY, BY_STATE):
        groups = [table[name] for name in names]
        cube = sa.select(*groups, *named).where(*matching).group_by(*groups).cte(f"cube_{names[0]}")
        added = [sa.func.sum(cube.c[name]).label(name) for name in _ADDED]
        if not sorts:
            sorts.append(sa.select(sa.literal("").label("sort"), sa.literal("").label("value"), *added))
        sorts += [sa.select(sa.literal(name), cube.c[name], *added).group_by(cube.c[name]) for name in names]
    return sa.union_all(*sorts)


def _how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _group(value: str, added: Iterable[Any]) -> Group:
    found, waiting, ready, verified, regressed, overdue, fixes, fixed, proofs, proven = (
        0 if each is None else each for each in added
    )
    return Group(
        value=value,
        found=int(found),
        waiting=int(waiting),
        fix_ready=int(ready),
        verified=int(verified),
        regressed=int(regressed),
        overdue=int(overdue),
        to_fix=float(fixed) / int(fixes) if fixes else None,
        to_verify=float(proven) / int(proofs) if proofs else None,
    )


def _median(
    connection: sa.Connection, column: sa.ColumnElement[float], matching: list[sa.ColumnElement[bool]]
) -> float | None:
    known = [*matching, column.is_not(None)]
    count = connection.execute(sa.select(sa.func.count(column)).where(*known)).scalar_one()
    if not count:
        return None
    middle = sa.select(column).where(*known).order_by(column).offset((count - 1) // 2).limit(2 - count % 2)
    values = [float(value) for value in connection.execute(middle).scalars()]
    return sum(values) / len(values)


def _narrowed(wanted: Wanted) -> bool:
    return wanted != Wanted(closed=True)


def _over_time(connection: sa.Connection, matching: list[sa.ColumnElement[bool]]) -> list[Month]:
    table = schema.history
    counted = (table.c.month, table.c.event, sa.func.count())
    statement = sa.select(*counted).where(table.c.event.is_not(None))
    if matching:
        joined = table.join(schema.near_miss, schema.near_miss.c.id == table.c.near_miss)
        statement = statement.select_from(joined).where(*matching)
    grouped = statement.group_by(table.c.event, table.c.month)
    found = [Month(month=row.month, event=row.event, count=row[2]) for row in connection.execute(grouped)]
    return sorted(found, key=lambda each: (each.month, each.event))


def _runs(connection: sa.Connection, wanted: Wanted) -> dict[str, int]:
    table = schema.recorded_run.c
    statement = sa.select(table.answer, sa.func.count()).group_by(table.answer)
    if wanted.service is not None:
        statement = statement.where(table.service == wanted.service)
    if wanted.environment_class is not None:
        statement = statement.where(table.environment_class == wanted.environment_class)
    return {answer: int(count) for answer, count in connection.execute(statement)}
