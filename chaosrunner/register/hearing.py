"""Runs under way, and what is told meanwhile: alerts that a run itself causes are kept as evidence of that run, at its
near misses too. Every function works inside the transaction it is handed.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from chaosrunner.model.description import Description, described
from chaosrunner.model.heard import Heard, UnderWay, ended
from chaosrunner.model.near_miss import RunFacts
from chaosrunner.model.report import Report
from chaosrunner.model.words import DetectedBy, GapKind, Source
from chaosrunner.register import rows, schema
from chaosrunner.register.rows import Why

SEEN = "alert seen"
"""What the history of a near miss says of an alert that somebody got while a run showed it."""
_FORGOTTEN = 86400.0
"""Seconds after which nothing is the doing of a run any more."""


def begins(connection: sa.Connection, run: UnderWay) -> None:
    """A run is about to break something."""
    table = schema.under_way
    connection.execute(table.delete().where(table.c.until < run.began - _FORGOTTEN))
    connection.execute(table.delete().where(table.c.run == run.run))
    connection.execute(table.insert().values(**run.as_json()))


def ends(connection: sa.Connection, facts: RunFacts) -> list[Heard]:
    """A run has ended, and is recorded. What was taken for its doing although nothing was broken, which nobody has
    looked at then: it is forgotten here, to be recorded as if there had been no run."""
    table, told = schema.under_way, schema.heard
    same = table.c.run == facts.run
    if facts.acted:
        over = ended(facts)
        known = connection.execute(table.update().where(same).values(until=over.until)).rowcount
        if not known:
            begins(connection, over)
        return []
    connection.execute(table.delete().where(same))
    wrong = list(during(connection, facts.run))
    connection.execute(told.delete().where(told.c.run == facts.run))
    return wrong


def explained_by(connection: sa.Connection, report: Report, now: float) -> UnderWay | None:
    """The run that explains what is told, the latest of several; None: none does."""
    table = schema.under_way
    there = table.select().where(table.c.environment == report.environment, table.c.until >= now)
    found = [
        UnderWay.model_validate(dict(row))
        for row in connection.execute(there.order_by(table.c.began.desc()).with_for_update()).mappings()
    ]
    return next((run for run in found if run.explains(report, now)), None)


def hear(connection: sa.Connection, run: UnderWay, report: Report, actor: str, now: float) -> Heard:
    """Keep what a run explains; told again, it is kept once."""
    heard = Heard(run=run.run, at=report.at or now, by=actor, report=report)
    table = schema.heard
    same = sa.select(table.c.record).where(table.c.run == run.run, table.c.delivery == report.id)
    if (known := connection.execute(same).scalar()) is not None:
        return Heard.model_validate(known)
    row = {"run": run.run, "delivery": report.id, "at": heard.at, "record": heard.as_json()}
    connection.execute(table.insert().values(**row))
    _add(connection, {*rows.shown_by(connection, run.run).values()}, [heard], now)
    return heard


def add_to(connection: sa.Connection, shown: Iterable[str], run: str, now: float) -> None:
    """Tell the near misses that a run showed what was heard during that run."""
    if heard := list(during(connection, run)):
        _add(connection, shown, heard, now)


def during(connection: sa.Connection, run: str) -> Iterable[Heard]:
    """What was heard during a run, oldest first."""
    table = schema.heard
    told = sa.select(table.c.record).where(table.c.run == run).order_by(table.c.at, table.c.n)
    return map(Heard.model_validate, connection.execute(told).scalars())


def since(connection: sa.Connection, at: float, until: float) -> list[Heard]:
    """What was heard in a time, oldest first."""
    table = schema.heard
    told = sa.select(table.c.record).where(table.c.at >= at, table.c.at <= until).order_by(table.c.at, table.c.n)
    return [Heard.model_validate(each) for each in connection.execute(told).scalars()]


def _add(connection: sa.Connection, near_misses: Iterable[str], heard: list[Heard], now: float) -> None:
    for id in sorted({*near_misses}):
        before = rows.load(connection, id)
        for each in heard:
            why = Why(each.by, now, "somebody's alerting saw it", each.run)
            rows.note(connection, id, why, SEEN, after=each.report.title)
        unnoticed = before.detected_by in (None, DetectedBy.CHAOSRUNNER) and before.source is Source.RUN
        unnoticed = unnoticed and before.kind is not GapKind.UNDETECTED  # that alert did not fire, whatever else did
        if unnoticed and before.last_run == heard[0].run:
            after = described(before, Description(detected_by=DetectedBy.ALERT))
            rows.save(connection, before, after, Why(heard[0].by, now, heard[0].report.title, heard[0].run))
