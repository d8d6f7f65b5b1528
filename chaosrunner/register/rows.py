"""Between rows and models. Every function works inside the transaction it is handed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from chaosrunner.model.near_miss import HistoryEvent, NearMiss, Occurrence, Pass, RunFacts, Waiver
from chaosrunner.model.words import Source, State
from chaosrunner.register import schema, sums, tallies

BOTH = (schema.near_miss, schema.near_miss_record)
"""What is locked: a row that is not would be shown as it was before another process's change was waited for."""


class Why(NamedTuple):
    """Who makes a change, when, why, and the run that led to it."""

    actor: str
    at: float
    reason: str = ""
    run: str | None = None


def columns(near_miss: NearMiss) -> dict[str, Any]:
    """What is searched, sorted and counted."""
    return {
        "environment_class": near_miss.environment_class,
        "service": near_miss.service,
        "state": near_miss.state.value,
        "closed": near_miss.closed,
        "priority": near_miss.priority.value,
        "finding": near_miss.finding.value,
        "kind": near_miss.kind.value,
        "fault": "+".join(near_miss.fault_classes)[:200],
        "owner": near_miss.owner,
        "due": near_miss.due,
        "waived_until": near_miss.waiver.until if near_miss.waiver else None,
        "first_seen": near_miss.first_seen,
        "last_seen": near_miss.last_seen,
        "regressions": near_miss.regressions,
        "fixed_in": near_miss.fixed_in,
        "verified_in": near_miss.verified_in,
        "source": near_miss.source.value,
        "outage": near_miss.outage,
        "covered": near_miss.covered,
        "opened_at": near_miss.opened_at,
        "triaged": near_miss.triaged_at is not None,
    }


def insert(connection: sa.Connection, near_miss: NearMiss) -> None:
    """A new near miss with its fingerprints."""
    new = columns(near_miss)
    connection.execute(schema.near_miss.insert().values(id=near_miss.id, **new))
    sums.count(connection, [new])
    connection.execute(schema.near_miss_record.insert().values(near_miss=near_miss.id, record=near_miss.as_json()))
    for each in (*near_miss.fingerprints.values(), *near_miss.former_fingerprints):
        add_fingerprint(connection, each, near_miss.id)


def add_fingerprint(connection: sa.Connection, fingerprint: str, near_miss: str) -> None:
    """One more that leads to this near miss."""
    connection.execute(schema.fingerprint.insert().values(fingerprint=fingerprint, near_miss=near_miss))


def save(connection: sa.Connection, before: NearMiss, after: NearMiss, why: Why) -> None:
    """Write what changed, with an event for each change that people care about."""
    if after == before:
        return
    table, record = schema.near_miss, schema.near_miss_record
    now, was = columns(after), columns(before)
    if changed := {name: value for name, value in now.items() if was[name] != value}:
        connection.execute(table.update().where(table.c.id == after.id).values(**changed))
        if changed.keys() & sums.CONCERNED:
            sums.count(connection, [now], [was])
    connection.execute(record.update().where(record.c.near_miss == after.id).values(record=after.as_json()))
    told_before, told_after = _told(before), _told(after)
    for what, told in told_after.items():
        if told_before[what] != told:
            note(connection, after.id, why, what, before=told_before[what], after=told)


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
        "waiver": _waiver(waiver) if waiver else "",
        "duplicate of": near_miss.duplicate_of or "",
        "links": ", ".join(near_miss.links),
        "failure mode": near_miss.failure_mode.value if near_miss.failure_mode else "",
        "defences": "; ".join(f"{each.name}: {each.state}" for each in near_miss.barriers),
        "factors": "; ".join(f"{each.factor} ({each.basis})" for each in near_miss.factors),
        "item": f"{item.tracker} {item.key}" if item else "",
        "item's state": item.state if item else "",
        "item's assignee": item.assignee or "" if item else "",
    }


def _waiver(waiver: Waiver) -> str:
    parts = [f"until {waiver.until}, accepted by {waiver.accepted_by}"]
    if waiver.justification:
        parts.append(waiver.justification.value.replace("-", " "))
    parts += [f"meanwhile {control}" for control in waiver.controls]
    parts += [f"while {condition} holds" for condition in waiver.conditions]
    return "; ".join(parts)


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
    row = of_event(event)
    connection.execute(schema.history.insert().values(**row))
    tallies.add_events(connection, [row])


def of_event(event: HistoryEvent) -> dict[str, Any]:
    """The row of an event."""
    counted = _counted(event)
    month = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m") if counted else None
    return {
        "near_miss": event.near_miss,
        "at": event.at,
        "event": counted,
        "month": month,
        "record": event.as_json(),
    }


def _counted(event: HistoryEvent) -> str | None:
    """Under which name it is counted over time."""
    if event.what == "found":
        return "found"
    if event.what == "state" and event.after in ("fix-ready", "verified"):
        return event.after
    return event.after if event.what == "seen again" and event.after in ("regressed", "fix-failed") else None


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


def add_run(connection: sa.Connection, facts: RunFacts, gaps: int) -> None:
    """What was tried, and how it went; once for each run."""
    table = schema.recorded_run
    if connection.execute(sa.select(table.c.run).where(table.c.run == facts.run)).first() is None:
        values = {
            "run": facts.run,
            "at": facts.ended,
            "experiment": facts.experiment,
            "environment_class": facts.environment_class,
            "service": facts.service,
            "answer": facts.answer,
            "gaps": gaps,
        }
        connection.execute(table.insert().values(**values, record=facts.as_json()))
        tallies.add_runs(connection, [values])


NUMBERS_BY_FINGERPRINT = "chaosrunner_numbers_by_fingerprint"
"""A connection's execution option: numbers are not counted, as nobody knows how far another branch has counted."""
DIGITS = 8
"""Of a number that follows from a fingerprint: of a thousand that two branches found apart, two get the same number
once in two hundred times."""


def next_id(connection: sa.Connection, year: int, fingerprint: str) -> str:
    """`NM-2026-0001`; never given twice. Or a number that follows from the fingerprint, so that the same gap found on
    two branches gets the same one, and different gaps get different ones."""
    if connection.get_execution_options().get(NUMBERS_BY_FINGERPRINT):
        return _id_by_fingerprint(connection, year, fingerprint)
    counter = schema.counter
    raised = counter.update().where(counter.c.year == year).values(last=counter.c.last + 1).returning(counter.c.last)
    number = connection.execute(raised).scalar()
    if number is None:
        number = 1
        connection.execute(counter.insert().values(year=year, last=number))
    return f"NM-{year}-{number:04d}"


def _id_by_fingerprint(connection: sa.Connection, year: int, fingerprint: str) -> str:
    table = schema.near_miss
    number = int(hashlib.sha256(fingerprint.encode()).hexdigest(), 16) % 10**DIGITS
    while connection.execute(sa.select(table.c.id).where(table.c.id == f"NM-{year}-{number:0{DIGITS}d}")).first():
        number = (number + 1) % 10**DIGITS
    return f"NM-{year}-{number:0{DIGITS}d}"


# --------------------------------------------------------------------------------------------------------- reading


def _records_of() -> sa.Select[Any]:
    return sa.select(schema.near_miss_record.c.record).join_from(schema.near_miss, schema.near_miss_record)


def _near_misses(connection: sa.Connection, statement: sa.Select[Any]) -> list[NearMiss]:
    return [NearMiss.model_validate(record) for record in connection.execute(statement).scalars()]


def load(connection: sa.Connection, id: str) -> NearMiss:
    """One that is there; locked for this transaction where the database can."""
    table = schema.near_miss
    statement = _records_of().where(table.c.id == id).with_for_update(of=BOTH)
    return NearMiss.model_validate(connection.execute(statement).scalar_one())


def read(connection: sa.Connection, id: str) -> NearMiss:
    """One that is there, for looking at only."""
    statement = _records_of().where(schema.near_miss.c.id == id)
    return NearMiss.model_validate(connection.execute(statement).scalar_one())


def by_fingerprint(connection: sa.Connection, fingerprint: str) -> NearMiss | None:
    """The near miss that this fingerprint leads to."""
    known, table = schema.fingerprint, schema.near_miss
    of_it = _records_of().join(known, known.c.near_miss == table.c.id).where(known.c.fingerprint == fingerprint)
    record = connection.execute(of_it.with_for_update(of=BOTH)).scalar()
    return None if record is None else NearMiss.model_validate(record)


def add_split(connection: sa.Connection, fingerprint: str, by: str, value: str, near_miss: str) -> None:
    """From now on, occurrences with this fingerprint that are so belong to this near miss."""
    values = {"fingerprint": fingerprint, "by": by, "value": value, "near_miss": near_miss}
    connection.execute(schema.split.insert().values(**values))


def split_off(connection: sa.Connection, fingerprint: str, facts: dict[str, str]) -> NearMiss | None:
    """The near miss that a person told apart for occurrences that are so. Of several the one told apart last."""
    table = schema.split
    statement = sa.select(table.c.by, table.c.value, table.c.near_miss).where(table.c.fingerprint == fingerprint)
    found = [each.near_miss for each in connection.execute(statement) if facts.get(each.by) == each.value]
    return load(connection, max(found)) if found else None


def of_services(connection: sa.Connection, environment_class: str, services: Sequence[str]) -> list[NearMiss]:
    """Of these services, in environments of this class, that a run can pass: not closed, or verified."""
    table = schema.near_miss
    may_pass = sa.not_(table.c.closed) | (table.c.state == State.VERIFIED.value)
    statement = (
        _records_of()
        .where(table.c.environment_class == environment_class, table.c.service.in_(services), may_pass)
        .order_by(table.c.id)
        .with_for_update(of=BOTH)
    )
    return _near_misses(connection, statement)


def linked_to(connection: sa.Connection, experiment: str) -> list[NearMiss]:
    """Reported ones that were linked to this experiment by hand, and are not closed."""
    table = schema.near_miss
    statement = (
        _records_of()
        .where(table.c.source != Source.RUN.value, table.c.covered, sa.not_(table.c.closed))
        .order_by(table.c.id)
        .with_for_update(of=BOTH)
    )
    return [each for each in _near_misses(connection, statement) if experiment in each.links]


def waiver_ended(connection: sa.Connection, today: date) -> list[NearMiss]:
    """Whose waiver is over."""
    table = schema.near_miss
    return _near_misses(connection, _records_of().where(table.c.waived_until < today).with_for_update(of=BOTH))


def waived(connection: sa.Connection, environment_class: str) -> list[NearMiss]:
    """Those with a waiver, in environments of this class."""
    table = schema.near_miss
    of_class = (table.c.environment_class == environment_class, table.c.waived_until.is_not(None))
    return _near_misses(connection, _records_of().where(*of_class).with_for_update(of=BOTH))


def has_pass(connection: sa.Connection, near_miss: str, run: str) -> bool:
    """Whether this run has been held against it."""
    table = schema.passing
    statement = sa.select(table.c.n).where(table.c.near_miss == near_miss, table.c.run == run)
    return connection.execute(statement).first() is not None


def shown_by(connection: sa.Connection, run: str) -> dict[str, str]:
    """The fingerprints of a run's occurrences, with the near misses that they are counted for."""
    table = schema.occurrence
    statement = sa.select(table.c.fingerprint, table.c.near_miss).where(table.c.run == run)
    return {each.fingerprint: each.near_miss for each in connection.execute(statement)}


def lying_at(connection: sa.Connection, near_miss: str) -> list[Occurrence]:
    """Those that are counted for it; for a duplicate none, as they lie at its original."""
    return [Occurrence.model_validate(each) for each in _records(connection, schema.occurrence, near_miss)]


def _records(connection: sa.Connection, table: sa.Table, near_miss: str) -> Sequence[Any]:
    statement = sa.select(table.c.record).where(table.c.near_miss == near_miss).order_by(table.c.n)
    return connection.execute(statement).scalars().all()


def occurrences(connection: sa.Connection, near_miss: str) -> tuple[Occurrence, ...]:
    """In the order they were recorded; of a duplicate those that were its own, wherever they lie now."""
    table, known = schema.occurrence, schema.fingerprint
    own = sa.select(known.c.fingerprint).where(known.c.near_miss == near_miss)
    split = sa.select(schema.split.c.fingerprint).where(schema.split.c.near_miss == near_miss)
    here = lying_at(connection, near_miss)
    if here:
        return tuple(here)
    led = table.c.fingerprint.in_(own) | table.c.fingerprint.in_(split)
    statement = sa.select(table.c.record).where(led).order_by(table.c.n)
    only = read(connection, near_miss).only
    led_here = [Occurrence.model_validate(each) for each in connection.execute(statement).scalars()]
    return tuple(each for each in led_here if all(getattr(each, by) == value for by, value in only.items()))


def passes(connection: sa.Connection, near_miss: str) -> tuple[Pass, ...]:
    """In the order they were recorded."""
    return tuple(map(Pass.model_validate, _records(connection, schema.passing, near_miss)))


def events(connection: sa.Connection, near_miss: str) -> tuple[HistoryEvent, ...]:
    """Its history, oldest first."""
    return tuple(map(HistoryEvent.model_validate, _records(connection, schema.history, near_miss)))


def events_since(connection: sa.Connection, since: float, until: float) -> list[HistoryEvent]:
    """All events of these times, oldest first."""
    table = schema.history
    then = (table.c.at >= since, table.c.at <= until)
    statement = sa.select(table.c.record).where(*then).order_by(table.c.at, table.c.n)
    return [HistoryEvent.model_validate(record) for record in connection.execute(statement).scalars()]


def latest_runs(
    connection: sa.Connection, experiment: str, service: str, environment_class: str, most: int = 20
) -> list[RunFacts]:
    """Recorded runs of an experiment, newest first."""
    table = schema.recorded_run
    those = (
        table.c.service == service,
        table.c.experiment == experiment,
        table.c.environment_class == environment_class,
    )
    statement = sa.select(table.c.record).where(*those).order_by(table.c.at.desc(), table.c.run.desc()).limit(most)
    return [RunFacts.model_validate(record) for record in connection.execute(statement).scalars()]


def runs_named(connection: sa.Connection, runs: Sequence[str]) -> list[RunFacts]:
    """Recorded runs by their ids, a few hundred at a time."""
    table = schema.recorded_run
    found: list[RunFacts] = []
    for first in range(0, len(runs), 300):
        statement = sa.select(table.c.record).where(table.c.run.in_(runs[first : first + 300]))
        found += [RunFacts.model_validate(record) for record in connection.execute(statement).scalars()]
    return found


def runs_since(connection: sa.Connection, since: float) -> list[RunFacts]:
    """Recorded runs, oldest first."""
    table = schema.recorded_run
    statement = sa.select(table.c.record).where(table.c.at >= since).order_by(table.c.at, table.c.run)
    return [RunFacts.model_validate(record) for record in connection.execute(statement).scalars()]
