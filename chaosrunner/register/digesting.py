"""What happened in some days and what waits, and how things stand now: from narrow columns, for lists that people read
and metrics; only the records that are listed are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

import sqlalchemy as sa

from chaosrunner.model.digest import LISTED, SOON, Chapter, seen_by
from chaosrunner.model.figures import AGE_DAYS, NearMissGroup
from chaosrunner.model.near_miss import CLOSED, NearMiss
from chaosrunner.model.priority import TRIAGED_SOON
from chaosrunner.model.words import Source, State
from chaosrunner.register import schema
from chaosrunner.register.finding import IN_TIME
from chaosrunner.register.tallies import midnight

_ENDED = (State.REJECTED.value, State.DUPLICATE.value, State.OBSOLETE.value)
_DAY = 86400.0
_Condition = sa.ColumnElement[bool]


def chapters(connection: sa.Connection, since: float, until: float, today: date) -> dict[str, Chapter]:
    """Each chapter of a digest; empty ones too."""
    found = {name: _urgent(connection, wanted, few=True) for name, wanted in _happened(since, until)}
    found |= {name: _urgent(connection, wanted, few=False) for name, wanted in _waits(today)}
    records = _read(connection, {id for _, ids in found.values() for id in ids})
    return {name: Chapter(count, tuple(records[id] for id in ids)) for name, (count, ids) in found.items()}


def _happened(since: float, until: float) -> Iterator[tuple[str, list[_Condition]]]:
    table = schema.near_miss.c
    for name, event in (("new", "found"), ("regressed", "regressed"), ("fixFailed", "fix-failed")):
        yield name, [_told(since, until, event)]
    yield "verified", [table.state == State.VERIFIED.value, _told(since, until, "verified")]
    yield "fixReady", [table.state == State.FIX_READY.value]
    yield "closed", [table.state.in_(_ENDED), _closed(since, until)]


def _waits(today: date) -> Iterator[tuple[str, list[_Condition]]]:
    table = schema.near_miss.c
    unfixed = [table.closed == sa.false(), table.state.not_in(IN_TIME)]
    fresh = [table.state == State.OPEN.value, table.triaged == sa.false()]
    urgent = table.priority.in_(sorted(each.value for each in TRIAGED_SOON))
    late = table.opened_at < midnight(seen_by(today) + timedelta(days=1))
    yield "overdue", [*unfixed, table.due < today]
    yield "unseen", [*fresh, urgent, late]
    yield "dueSoon", [*unfixed, table.due >= today, table.due <= today + SOON]
    yield "waiversEnding", [table.closed == sa.false(), table.waived_until <= today + SOON]
    yield "drafts", [*fresh, table.source != Source.RUN.value]


def _told(since: float, until: float, event: str) -> _Condition:
    table = schema.history.c
    then = (table.at >= since, table.at <= until, table.event == event)
    return schema.near_miss.c.id.in_(sa.select(table.near_miss).where(*then))


def _closed(since: float, until: float) -> _Condition:
    table = schema.history.c
    then = (table.at >= since, table.at <= until, table.event.is_(None))
    said = (table.record["what"].as_string() == "state", table.record["after"].as_string().in_(_ENDED))
    return schema.near_miss.c.id.in_(sa.select(table.near_miss).where(*then, *said))


def _urgent(connection: sa.Connection, wanted: list[_Condition], *, few: bool) -> tuple[int, list[str]]:
    """How many there are, and the ids of the most urgent. `few` of all: they are found first and sorted then; otherwise
    an index that is sorted is read until there are enough."""
    table = schema.near_miss.c
    count = sa.select(sa.func.count()).select_from(schema.near_miss).where(*wanted)
    if not (number := int(connection.execute(count).scalar_one())):
        return 0, []
    chosen = sa.select(table.id, table.priority, table.due).where(*wanted)
    found = (chosen.offset(0) if few else chosen).subquery("found").c
    told = sa.select(found.id).order_by(found.priority, found.due, found.id).limit(LISTED)
    return number, list(connection.execute(told).scalars())


def _read(connection: sa.Connection, ids: Iterable[str]) -> dict[str, NearMiss]:
    record = schema.near_miss_record.c
    told = sa.select(record.near_miss, record.record).where(record.near_miss.in_(sorted(ids)))
    return {id: NearMiss.model_validate(found) for id, found in connection.execute(told)}


# ------------------------------------------------------------------------------------------------------- how it stands


def standing(connection: sa.Connection, now: float, today: date) -> list[NearMissGroup]:
    """Those that are not closed, by service, environment class, state and priority: from an index alone."""
    table = schema.near_miss.c
    groups = [table[name] for name in ("service", "environment_class", "state", "priority")]
    overdue = (table.due < today) & table.state.not_in(IN_TIME)
    younger = [table.opened_at > now - days * _DAY for days in AGE_DAYS]
    sums = [sa.func.sum(sa.case((each, 1), else_=0)) for each in (overdue, *younger)]
    told = sa.select(*groups, sa.func.count(), sa.func.min(table.opened_at), *sums)
    found = []
    for row in connection.execute(told.where(table.closed == sa.false()).group_by(*groups)):
        service, environment_class, state, priority, count, oldest, late, *ages = row
        found.append(
            NearMissGroup(
                service=service,
                environment_class=environment_class,
                state=state,
                priority=priority,
                count=int(count),
                oldest=float(oldest),
                overdue=int(late),
                younger=tuple(map(int, ages)),
            )
        )
    return found


def closed(connection: sa.Connection) -> dict[str, int]:
    """How many are closed, by state; from the sums."""
    table = schema.sums.c
    states = sorted(state.value for state in CLOSED)
    of_states = (table.sort == "state", table.value.in_(states))
    told = sa.select(table.value, sa.func.sum(table.found)).where(*of_states).group_by(table.value)
    return dict.fromkeys(states, 0) | {state: int(count) for state, count in connection.execute(told)}
