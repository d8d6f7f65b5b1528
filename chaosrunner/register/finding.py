"""Looking near misses up: a page of those that match, how many there are, and the one that a person means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import GapKind, Priority, Source, State
from chaosrunner.records.light import dataclass
from chaosrunner.register import schema


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which near misses to list; everything that is not given matches."""

    states: frozenset[State] = frozenset()
    service: str | None = None
    priorities: frozenset[Priority] = frozenset()
    environment_class: str | None = None
    closed: bool = False
    """With the closed ones too; named states are listed in any case."""
    owner: str | None = None
    kinds: frozenset[GapKind] = frozenset()
    fault: str | None = None
    """A class of faults."""
    overdue: date | None = None
    """Only those whose fix should have been ready before this day."""
    covered: bool | None = None
    """Only those with, or without, an experiment that shows them."""
    sources: frozenset[Source] = frozenset()
    limit: int | None = None
    """At most so many; None: all."""
    offset: int = 0


IN_TIME = tuple(state.value for state in (State.FIX_READY, State.WAIVED))
"""States that are not closed, and in which nothing is overdue."""


SHORTEST = 4
"""Digits that are taken for the beginning of a longer number; fewer count as a whole one."""


MOST_NAMED = 500
"""Runs that are asked for at once."""


def conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """What a row must be."""
    table = schema.near_miss.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        found.append(table.state.in_(sorted(state.value for state in wanted.states)))
    elif not wanted.closed:
        found.append(table.closed == sa.false())
    for column, value in ((table.service, wanted.service), (table.environment_class, wanted.environment_class)):
        if value is not None:
            found.append(column == value)
    if wanted.owner is not None:
        found.append(table.owner == wanted.owner)
    for several, values in (
        (table.priority, wanted.priorities),
        (table.kind, wanted.kinds),
        (table.source, wanted.sources),
    ):
        if values:
            found.append(several.in_(sorted(each.value for each in values)))
    if wanted.fault is not None:
        exact, first, last, middle = wanted.fault, f"{wanted.fault}+%", f"%+{wanted.fault}", f"%+{wanted.fault}+%"
        found.append((table.fault == exact) | sa.or_(*(table.fault.like(each) for each in (first, last, middle))))
    if wanted.overdue is not None:
        found += [table.due < wanted.overdue, table.state.not_in(IN_TIME), table.closed == sa.false()]
    if wanted.covered is not None:
        found.append(table.covered == wanted.covered)
    return found


def page(wanted: Wanted) -> sa.Select[Any]:
    """The records of those that match, the most urgent first, then the one that is due first. The page is found among
    the narrow rows; only its own records are read."""
    table, record = schema.near_miss, schema.near_miss_record
    order = (table.c.priority, table.c.due, table.c.id)
    ids = sa.select(*order).where(*conditions(wanted)).order_by(*order)
    if wanted.limit is not None:
        ids = ids.limit(wanted.limit)
    if wanted.offset:
        ids = ids.offset(wanted.offset)
    found = ids.subquery("found")
    joined = sa.select(record.c.record).select_from(found.join(record, record.c.near_miss == found.c.id))
    return joined.order_by(found.c.priority, found.c.due, found.c.id)


def select(connection: sa.Connection, wanted: Wanted) -> list[NearMiss]:
    """Those that match, the most urgent first, then the one that is due first."""
    return [NearMiss.model_validate(record) for record in connection.execute(page(wanted)).scalars()]


def count(wanted: Wanted) -> sa.Select[Any]:
    """How many match, on all pages."""
    return sa.select(sa.func.count()).select_from(schema.near_miss).where(*conditions(wanted))


def known_by(connection: sa.Connection, fingerprint: str) -> NearMiss | None:
    """The near miss that this fingerprint leads to."""
    known, record = schema.fingerprint, schema.near_miss_record
    joined = sa.select(record.c.record).join_from(known, record, known.c.near_miss == record.c.near_miss)
    found = connection.execute(joined.where(known.c.fingerprint == fingerprint)).scalar()
    return None if found is None else NearMiss.model_validate(found)


def referred(connection: sa.Connection, runs: Sequence[str]) -> frozenset[str]:
    """Those of these runs that a near miss which is not closed names as its first or last sight: one of those whose
    occurrences they are."""
    table, record, seen = schema.near_miss, schema.near_miss_record, schema.occurrence
    named: set[str] = set()
    for first in range(0, len(runs), MOST_NAMED):
        ids = sa.select(seen.c.near_miss).where(seen.c.run.in_(runs[first : first + MOST_NAMED]))
        open_ones = sa.select(record.c.record).join_from(table, record)
        for found in connection.execute(open_ones.where(table.c.id.in_(ids), sa.not_(table.c.closed))).scalars():
            near_miss = NearMiss.model_validate(found)
            named |= {near_miss.first_run, near_miss.last_run}
    return frozenset(named.intersection(runs))


def meant(connection: sa.Connection, id: str) -> str:
    """The full id of what a person wrote: in any case, with or without `NM-` and the year where that is enough.

    Raises `UsageError` where none or several are meant.
    """
    written = id.strip().upper()
    parts = re.fullmatch(r"(?:NM-)?(?:(\d{4})-)?(\d+)", written)
    found: list[str] = []
    if parts:
        years = [parts[1]] if parts[1] else _years(connection)
        found = _known(connection, [f"NM-{year}-{int(parts[2]):04d}" for year in years])
        found = found or _beginning_with(connection, parts[1] or "____", parts[2])
    if not found and re.fullmatch(r"[A-Z0-9-]+", written):
        table = schema.near_miss
        begins = sa.select(table.c.id).where(table.c.id.like(f"{written}%")).order_by(table.c.id).limit(10)
        found = list(connection.execute(begins).scalars())
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{id!r} may be {', '.join(found)}: write the whole id")
    raise UsageError(f"there is no near miss {id!r}{_nearest(connection, written)}")


def _years(connection: sa.Connection) -> list[str]:
    years = connection.execute(sa.select(schema.counter.c.year).order_by(schema.counter.c.year)).scalars()
    return [str(year) for year in years]


def _known(connection: sa.Connection, ids: list[str]) -> list[str]:
    table = schema.near_miss
    return list(connection.execute(sa.select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id)).scalars())


def _beginning_with(connection: sa.Connection, year: str, digits: str) -> list[str]:
    """Those whose number begins so: a number that follows from a fingerprint is too long to be typed."""
    if len(digits) < SHORTEST:
        return []
    table = schema.near_miss
    begins = sa.select(table.c.id).where(table.c.id.like(f"NM-{year}-{digits}%")).order_by(table.c.id).limit(10)
    return list(connection.execute(begins).scalars())


def _nearest(connection: sa.Connection, written: str) -> str:
    table = schema.near_miss
    newest = sa.select(table.c.id).order_by(table.c.id.desc()).limit(500)
    nearest = get_close_matches(written, list(connection.execute(newest).scalars()), n=1, cutoff=0.0)
    return f"; the nearest is {nearest[0]}" if nearest else "; the register is empty"
