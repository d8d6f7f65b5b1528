"""Figures of the whole register: from the sums that are kept beside the near misses, and from narrow columns and their
indexes; no record is read, and what is counted anew is little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from chaosrunner.model.stats import Group, Month, Stats
from chaosrunner.register import schema, tallies
from chaosrunner.register.finding import Wanted
from chaosrunner.register.sums import COUNTED, PLACE, SORTS, became_overdue, counted_on

BY = ("service", "owner", *SORTS)
MOST_GROUPS = 500
"""Of each sort that are told."""
_Sums = dict[tuple[str, str], list[float]]
"""By sort and value, in the order of `sums.COUNTED`; all of them together by two empty texts."""
_LATE = COUNTED.index("overdue")


def stats(connection: sa.Connection, wanted: Wanted, today: date) -> Stats:
    """What near misses say as a whole; `wanted` may name a service, an owner and an environment class, no more."""
    place = {name: value for name in PLACE if (value := getattr(wanted, name)) is not None}
    assert wanted == Wanted(**place, closed=wanted.closed), "figures are kept by these alone"
    table = schema.near_miss.c
    matching = [table[name] == value for name, value in place.items()]
    found = _added_up(connection, place)
    for row in became_overdue(connection, counted_on(connection), today, matching):
        for key in (("", ""), *((name, getattr(row, name) or "") for name in BY)):
            found[key][_LATE] += row.late
    total = dict(zip(COUNTED, found[("", "")], strict=True))
    by: dict[str, list[Group]] = {name: [] for name in BY}
    for (sort, value), figures in found.items():
        if sort and figures[0]:
            by[sort].append(_group(value, figures))
    return Stats(
        on=today,
        total=_group("", found[("", "")]),
        by={name: tuple(sorted(groups, key=_order))[:MOST_GROUPS] for name, groups in by.items()},
        over_time=tuple(_over_time(connection, matching)),
        to_fix=_median(connection, table.fixed_in, matching, int(total["fixes"])),
        to_verify=_median(connection, table.verified_in, matching, int(total["proofs"])),
        outages=int(total["outages"]),
        runs=tallies.runs(connection, wanted.service, wanted.environment_class),
        uncovered=int(total["uncovered"]),
    )


def _order(group: Group) -> tuple[int, str]:
    return (-group.found, group.value)


def _added_up(connection: sa.Connection, place: Mapping[str, str]) -> _Sums:
    """The kept sums of a place. Each near miss is in them once for each sort, so one sort has them all."""
    table = schema.sums.c
    here = [table[name] == value for name, value in place.items()]
    added = [sa.func.sum(table[name]) for name in COUNTED]
    once = [*here, table.sort == SORTS[0]]
    parts: list[Any] = [sa.select(sa.literal("").label("sort"), sa.literal("").label("value"), *added).where(*once)]
    for name in ("service", "owner"):
        parts.append(sa.select(sa.literal(name), table[name], *added).where(*once).group_by(table[name]))
    parts.append(sa.select(table.sort, table.value, *added).where(*here).group_by(table.sort, table.value))
    found: _Sums = {}
    for sort, value, *figures in connection.execute(sa.union_all(*parts)):
        found[(sort, value)] = [0.0 if each is None else float(each) for each in figures]
    return found


def _group(value: str, added: Sequence[float]) -> Group:
    figures = dict(zip(COUNTED, added, strict=True))
    return Group(
        value=value,
        found=int(figures["found"]),
        waiting=int(figures["waiting"]),
        fix_ready=int(figures["fix_ready"]),
        verified=int(figures["verified"]),
        regressed=int(figures["regressed"]),
        overdue=int(figures["overdue"]),
        to_fix=figures["fixed"] / figures["fixes"] if figures["fixes"] else None,
        to_verify=figures["proven"] / figures["proofs"] if figures["proofs"] else None,
    )


def _median(
    connection: sa.Connection, column: sa.ColumnElement[float], matching: list[sa.ColumnElement[bool]], count: int
) -> float | None:
    known = [*matching, column.is_not(None)]
    if not count:
        return None
    middle = sa.select(column).where(*known).order_by(column).offset((count - 1) // 2).limit(2 - count % 2)
    values = [float(value) for value in connection.execute(middle).scalars()]
    return sum(values) / len(values)


def _over_time(connection: sa.Connection, matching: list[sa.ColumnElement[bool]]) -> list[Month]:
    if not matching:
        kept = tallies.events(connection)
        return [Month(month=month, event=event, count=kept[month, event]) for month, event in sorted(kept)]
    table = schema.history
    joined = table.join(schema.near_miss, schema.near_miss.c.id == table.c.near_miss)
    counted = sa.select(table.c.month, table.c.event, sa.func.count()).select_from(joined)
    grouped = counted.where(table.c.event.is_not(None), *matching).group_by(table.c.event, table.c.month)
    found = [Month(month=row.month, event=row.event, count=row[2]) for row in connection.execute(grouped)]
    return sorted(found, key=lambda each: (each.month, each.event))
