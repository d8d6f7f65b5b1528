"""Between rows and models. Every function works inside the transaction it is handed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.model.near_miss import CLOSED, HistoryEvent, NearMiss, Occurrence, Pass
from chaosrunner.register import schema

if TYPE_CHECKING:
    from chaosrunner.register.near_misses import Wanted


class Why(NamedTuple):
    """Who makes a change, when, why, and the run that led to it."""

    actor: str
    at: float
    reason: str = ""
    run: str | None = None


def _columns(near_miss: NearMiss) -> dict[str, Any]:
    return {
        "environment_class": near_miss.environment_class,
        "service": near_miss.service,
        "state": near_miss.state.value,
        "priority": near_miss.priority.value,
        "finding": near_miss.finding.value,
        "owner": near_miss.owner,
        "due": near_miss.due,
        "waived_until": near_miss.waiver.until if near_miss.waiver else None,
        "last_seen": near_miss.last_seen,
        "record": near_miss.as_json(),
    }


def insert(connection: sa.Connection, near_miss: NearMiss) -> None:
    """A new near miss with its fingerprints."""
    connection.execute(schema.near_miss.insert().values(id=near_miss.id, **_columns(near_miss)))
    for each in (*near_miss.fingerprints.values(), *near_miss.former_fingerprints):
        add_fingerprint(connection, each, near_miss.id)


def add_fingerprint(connection: sa.Connection, fingerprint: str, near_miss: str) -> None:
    """One more that leads to this near miss."""
    connection.execute(schema.fingerprint.insert().values(fingerprint=fingerprint, near_miss=near_miss))


def save(connection: sa.Connection, before: NearMiss, after: NearMiss, why: Why) -> None:
    """Write what changed, with an event for each change that people care about."""
    if after == before:
        return
    statement = schema.near_miss.update().where(schema.near_miss.c.id == after.id).values(**_columns(after))
    connection.execute(statement)
    told_before, told_after = _told(before), _told(after)
    for what, now in told_after.items():
        if told_before[what] != now:
            note(connection, after.id, why, what, before=told_before[what], after=now)


def _told(near_miss: NearMiss) -> dict[str, str]:
    """What each change of which is an event."""
    override, waiver, item = near_miss.override, near_miss.waiver, near_miss.item
    return {
        "state": near_miss.state.value,
        "priority": near_miss.priority.value,
        "priority set by hand": f"{override.priority} by {override.by}: {override.reason}" if override else "",
        "owner": near_miss.owner or "",
        "due": near_miss.due.isoformat(),
        "class": near_miss.finding.value,
        "service": near_miss.service,
        "fix": near_miss.fixed_by or "",
        "waiver": f"until {waiver.until}, accepted by {waiver.accepted_by}" if waiver else "",
        "duplicate of": near_miss.duplicate_of or "",
        "item": f"{item.tracker} {item.key}" if item else "",
        "item's state": item.state if item else "",
    }


def note(connection: sa.Connection, near_miss: str, why: Why, what: str, *, before: str = "", after: str = "") -> None:
    """An event of the history."""
    event = HistoryEvent(
        near_miss=near_miss,
        at=why.at,
        actor=why.actor,
        what=what,
        before=before,
        after=after,
        reason=why.reason,
        run=why.run,
    )
    connection.execute(schema.history.insert().values(near_miss=near_miss, at=why.at, record=event.as_json()))


def add_occurrence(connection: sa.Connection, occurrence: Occurrence) -> None:
    """One run's evidence."""
    connection.execute(
        schema.occurrence.insert().values(
            near_miss=occurrence.near_miss,
            run=occurrence.run,
            fingerprint=occurrence.fingerprint,
            at=occurrence.at,
            record=occurrence.as_json(),
        )
    )


def add_pass(connection: sa.Connection, run: Pass) -> None:
    """One run that did not show it."""
    values = {"near_miss": run.near_miss, "run": run.run, "at": run.at, "record": run.as_json()}
    connection.execute(schema.passing.insert().values(**values))


def next_id(connection: sa.Connection, year: int) -> str:
    """`NM-2026-0001`; never given twice."""
    counter = schema.counter
    raised = counter.update().where(counter.c.year == year).values(last=counter.c.last + 1).returning(counter.c.last)
    number = connection.execute(raised).scalar()
    if number is None:
        number = 1
        connection.execute(counter.insert().values(year=year, last=number))
    return f"NM-{year}-{number:04d}"


# --------------------------------------------------------------------------------------------------------- reading


def _near_misses(connection: sa.Connection, statement: sa.Select[Any]) -> list[NearMiss]:
    return [NearMiss.model_validate(record) for record in connection.execute(statement).scalars()]


def load(connection: sa.Connection, id: str) -> NearMiss:
    """One that is there; locked for this transaction where the database can."""
    table = schema.near_miss
    statement = sa.select(table.c.record).where(table.c.id == id).with_for_update()
    return NearMiss.model_validate(connection.execute(statement).scalar_one())


def by_fingerprint(connection: sa.Connection, fingerprint: str) -> NearMiss | None:
    """The near miss that this fingerprint leads to."""
    table = schema.fingerprint
    id = connection.execute(sa.select(table.c.near_miss).where(table.c.fingerprint == fingerprint)).scalar()
    return None if id is None else load(connection, id)


def of_services(connection: sa.Connection, environment_class: str, services: Sequence[str]) -> list[NearMiss]:
    """Of these services, in environments of this class."""
    table = schema.near_miss
    statement = (
        sa.select(table.c.record)
        .where(table.c.environment_class == environment_class, table.c.service.in_(services))
        .order_by(table.c.id)
        .with_for_update()
    )
    return _near_misses(connection, statement)


def waiver_ended(connection: sa.Connection, today: date) -> list[NearMiss]:
    """Whose waiver is over."""
    table = schema.near_miss
    return _near_misses(connection, sa.select(table.c.record).where(table.c.waived_until < today))


def select(connection: sa.Connection, wanted: Wanted) -> list[NearMiss]:
    """Those that match, the most urgent first, then the one that is due first."""
    table = schema.near_miss
    statement = sa.select(table.c.record).order_by(table.c.priority, table.c.due, table.c.id)
    if wanted.states:
        statement = statement.where(table.c.state.in_(sorted(state.value for state in wanted.states)))
    elif not wanted.closed:
        statement = statement.where(table.c.state.not_in(sorted(state.value for state in CLOSED)))
    if wanted.service is not None:
        statement = statement.where(table.c.service == wanted.service)
    if wanted.priorities:
        statement = statement.where(table.c.priority.in_(sorted(each.value for each in wanted.priorities)))
    if wanted.environment_class is not None:
        statement = statement.where(table.c.environment_class == wanted.environment_class)
    return _near_misses(connection, statement)


def has_occurrence(connection: sa.Connection, run: str, fingerprint: str) -> bool:
    """Whether this run has been recorded with this fingerprint."""
    table = schema.occurrence
    statement = sa.select(table.c.n).where(table.c.run == run, table.c.fingerprint == fingerprint)
    return connection.execute(statement).first() is not None


def has_pass(connection: sa.Connection, near_miss: str, run: str) -> bool:
    """Whether this run has been held against it."""
    table = schema.passing
    statement = sa.select(table.c.n).where(table.c.near_miss == near_miss, table.c.run == run)
    return connection.execute(statement).first() is not None


def near_misses_of_run(connection: sa.Connection, run: str) -> set[str]:
    """Those that a run showed."""
    table = schema.occurrence
    return set(connection.execute(sa.select(table.c.near_miss).where(table.c.run == run)).scalars())


def _records(connection: sa.Connection, table: sa.Table, near_miss: str) -> Sequence[Any]:
    statement = sa.select(table.c.record).where(table.c.near_miss == near_miss).order_by(table.c.n)
    return connection.execute(statement).scalars().all()


def occurrences(connection: sa.Connection, near_miss: str) -> tuple[Occurrence, ...]:
    """In the order they were recorded."""
    return tuple(map(Occurrence.model_validate, _records(connection, schema.occurrence, near_miss)))


def passes(connection: sa.Connection, near_miss: str) -> tuple[Pass, ...]:
    """In the order they were recorded."""
    return tuple(map(Pass.model_validate, _records(connection, schema.passing, near_miss)))


def events(connection: sa.Connection, near_miss: str) -> tuple[HistoryEvent, ...]:
    """Its history, oldest first."""
    return tuple(map(HistoryEvent.model_validate, _records(connection, schema.history, near_miss)))


def meant(connection: sa.Connection, id: str) -> str:
    """The full id of what a person wrote: in any case, with or without `NM-` and the year where that is enough.

    Raises `UsageError` where none or several are meant.
    """
    ids = sa.select(schema.near_miss.c.id).order_by(schema.near_miss.c.id)
    known: list[str] = list(connection.execute(ids).scalars())
    written = id.strip().upper()
    if written in known:
        return written
    parts = re.fullmatch(r"(?:NM-)?(?:(\d{4})-)?(\d+)", written)
    found = []
    if parts:
        number = int(parts[2])
        found = [each for each in known if int(each[8:]) == number and parts[1] in (None, each[3:7])]
    if not found and written:
        found = [each for each in known if each.startswith(written)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{id!r} may be {', '.join(found)}: write the whole id")
    nearest = get_close_matches(written, known, n=1, cutoff=0.0)
    hint = f"; the nearest is {nearest[0]}" if nearest else "; the register is empty"
    raise UsageError(f"there is no near miss {id!r}{hint}")
