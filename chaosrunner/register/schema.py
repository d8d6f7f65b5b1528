"""The tables. A record is kept whole as JSON; what is searched, sorted or must be unique stands in columns beside it.

The tables here are what the migrations lead to (a test compares them); a new register is made from them directly.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_mock_engine,
    event,
)

HEAD = "0007"
"""The newest migration; a register with another one is upgraded when it is opened."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)

version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Alembic's own; kept apart so that migrations do not compare it."""

_STANDING = ("closed", "environment_class", "service", "state", "priority", "due", "opened_at")
"""Whatever the metrics say of near misses, so that an index alone answers them."""

near_miss = Table(
    "near_miss",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("environment_class", String(100), nullable=False),
    Column("service", String(100), nullable=False),
    Column("state", String(20), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("priority", String(2), nullable=False),
    Column("finding", String(20), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("fault", String(200), nullable=False),
    Column("owner", String(200)),
    Column("due", Date, nullable=False),
    Column("waived_until", Date),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("regressions", Integer, nullable=False),
    Column("fixed_in", Float),
    Column("verified_in", Float),
    Column("source", String(10), nullable=False),
    Column("outage", Boolean, nullable=False),
    Column("covered", Boolean, nullable=False),
    Column("opened_at", Float),
    Column("triaged", Boolean),
    Index("ix_near_miss_standing", *_STANDING),
    Index(None, "environment_class", "service"),
    Index(None, "closed", "priority", "due", "id"),
    Index(None, "priority", "due", "id"),
    Index(None, "state", "priority", "due", "id"),
    Index(None, "owner", "closed", "priority", "due", "id"),
    Index(None, "waived_until"),
    Index(None, "fixed_in"),
    Index(None, "verified_in"),
    Index(None, "service", "closed", "priority", "due", "id"),
)
"""What is searched, sorted and counted; narrow, so that all of it is read in a moment."""

_SUMMED = (
    *("found", "waiting", "fix_ready", "verified", "regressed", "overdue", "fixes", "proofs", "outages", "uncovered"),
)

sums = Table(
    "sums",
    metadata,
    Column("environment_class", String(100), primary_key=True),
    Column("service", String(100), primary_key=True),
    Column("owner", String(200), primary_key=True),
    Column("sort", String(10), primary_key=True),
    Column("value", String(200), primary_key=True),
    *(Column(name, Integer, nullable=False) for name in _SUMMED),
    Column("fixed", Float, nullable=False),
    Column("proven", Float, nullable=False),
)
"""How many near misses there are whose `sort` (kind, fault, priority, state) is `value`: see `register.sums`."""

counted = Table(
    "counted",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("day", Date, nullable=False),
)
"""One row: the day as of which the sums say what is overdue."""

happened = Table(
    "happened",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("event", String(20), primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How often what happened in a month, before the day that `counted` has: see `register.tallies`."""

answers = Table(
    "answers",
    metadata,
    Column("environment_class", String(100), primary_key=True),
    Column("service", String(100), primary_key=True),
    Column("answer", String(20), primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How many runs of a service answered what, before that day."""

near_miss_record = Table(
    "near_miss_record",
    metadata,
    Column("near_miss", ForeignKey("near_miss.id"), primary_key=True),
    Column("record", JSON, nullable=False),
)
"""Everything about it."""

fingerprint = Table(
    "fingerprint",
    metadata,
    Column("fingerprint", String(80), primary_key=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
)
"""One near miss for each fingerprint, whoever records it first; earlier names' fingerprints too."""

split = Table(
    "split",
    metadata,
    Column("fingerprint", String(80), primary_key=True),
    Column("by", String(20), primary_key=True),
    Column("value", String(200), primary_key=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
)
"""What a person told apart by hand: occurrences with this fingerprint that are so (`by` the experiment, or the
environment) belong to another near miss than the fingerprint's own."""

occurrence = Table(
    "occurrence",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
    Column("run", String(100), nullable=False, index=True),
    Column("fingerprint", String(80), nullable=False),
    Column("at", Float, nullable=False),
    Column("record", JSON, nullable=False),
    UniqueConstraint("run", "fingerprint"),
)
"""A run adds to a near miss once, however often it is recorded."""

passing = Table(
    "passing",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
    Column("run", String(100), nullable=False),
    Column("at", Float, nullable=False),
    Column("record", JSON, nullable=False),
    UniqueConstraint("near_miss", "run"),
)

history = Table(
    "history",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("event", String(20)),
    Column("month", String(7)),
    Column("record", JSON, nullable=False),
    Index(None, "at", "event", "month", "near_miss"),
)
"""Append-only: the database itself refuses to change or remove an event. `event` is set for what is counted over time
(found, fix-ready, verified, regressed, fix-failed), `month` is its UTC month."""

recorded_run = Table(
    "recorded_run",
    metadata,
    Column("run", String(100), primary_key=True),
    Column("at", Float, nullable=False),
    Column("experiment", String(200), nullable=False),
    Column("environment_class", String(100), nullable=False),
    Column("service", String(100), nullable=False),
    Column("answer", String(20), nullable=False),
    Column("gaps", Integer, nullable=False),
    Column("record", JSON, nullable=False),
    Index(None, "service", "at"),
    Index("ix_recorded_run_at", "at", "answer"),
)
"""Every run that was recorded, also those that found nothing: what was tried, and how it went."""

item = Table(
    "item",
    metadata,
    Column("near_miss", ForeignKey("near_miss.id"), primary_key=True),
    Column("tracker", String(100), primary_key=True),
    Column("key", String(300)),
    Column("claimed_at", Float),
    Column("record", JSON, nullable=False),
)
"""The remediation items; a row without a key is one that somebody is making."""

counter = Table(
    "counter",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)
"""The last number given out in a year; numbers are never given twice."""

game_day_log = Table(
    "game_day_log",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("game_day", String(150), nullable=False),
    Column("entry", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Column("record", JSON, nullable=False),
    UniqueConstraint("game_day", "entry"),
    Index(None, "game_day", "n"),
)
"""What happened on game days and who said what, for those who follow from other machines; in the order in which it came
here. An entry has an id of its own, so it is here once, whoever brings it."""

game_day_lead = Table(
    "game_day_lead",
    metadata,
    Column("game_day", String(150), primary_key=True),
    Column("token", String(40), nullable=False),
    Column("who", String(200), nullable=False),
    Column("until", Float, nullable=False),
)
"""Who leads through a game day, and until when that counts unless it is renewed: by the database's own time, so that
machines need not agree on what time it is. A token stands for a state folder, not for a process."""

under_way = Table(
    "under_way",
    metadata,
    Column("run", String(100), primary_key=True),
    Column("environment", String(100), nullable=False),
    Column("services", JSON, nullable=False),
    Column("began", Float, nullable=False),
    Column("until", Float, nullable=False),
    Index(None, "environment", "until"),
)
"""Runs that break something now, or have just ended: what is told of their services meanwhile is their doing. Rows of
runs that are long over are removed."""

heard = Table(
    "heard",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("run", String(100), nullable=False),
    Column("delivery", String(100), nullable=False),
    Column("at", Float, nullable=False),
    Column("record", JSON, nullable=False),
    UniqueConstraint("run", "delivery"),
    Index(None, "at"),
)
"""Alerts and incidents that a run explains; each once for a run, however often it is told."""

TABLES = (
    near_miss, near_miss_record, fingerprint, split, occurrence, passing, history, recorded_run, item, counter,
    game_day_log, game_day_lead, sums, counted, happened, answers, under_way, heard,
)  # fmt: skip

REFUSE_CHANGES = {
    "sqlite": (
        "CREATE TRIGGER history_is_not_changed BEFORE UPDATE ON history "
        "BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END",
        "CREATE TRIGGER history_is_not_removed BEFORE DELETE ON history "
        "BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the history is append-only'; END $$",
        "CREATE TRIGGER history_is_not_changed BEFORE UPDATE OR DELETE ON history "
        "FOR EACH ROW EXECUTE FUNCTION history_is_append_only()",
    ),
}
"""By dialect, what makes the database itself keep the history; part of revision 0002."""

for _dialect, _statements in REFUSE_CHANGES.items():
    for _statement in _statements:
        event.listen(history, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]


@cache
def sqlite_statements() -> tuple[str, ...]:
    """What makes all tables in an empty SQLite database: composed once for a process, which takes longer than running
    it."""
    said: list[str] = []

    def say(statement: Any, *_: object, **__: object) -> None:
        said.append(str(statement.compile(dialect=mock.dialect)).strip())

    mock = create_mock_engine("sqlite://", say)
    metadata.create_all(mock, checkfirst=False)
    version.create(mock, checkfirst=False)
    return (*said, f"INSERT INTO {version.name} VALUES ('{HEAD}')")
