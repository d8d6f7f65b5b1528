"""The tables. A record is kept whole as JSON; what is searched, sorted or must be unique stands in columns beside it.

The tables here are what the migrations lead to (a test compares them); a new register is made from them directly.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, Float, ForeignKey, Index, Integer, MetaData, String, Table, UniqueConstraint

HEAD = "0001"
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

near_miss = Table(
    "near_miss",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("environment_class", String(100), nullable=False),
    Column("service", String(100), nullable=False),
    Column("state", String(20), nullable=False),
    Column("priority", String(2), nullable=False),
    Column("finding", String(20), nullable=False),
    Column("owner", String(200)),
    Column("due", Date, nullable=False),
    Column("waived_until", Date),
    Column("last_seen", Float, nullable=False),
    Column("record", JSON, nullable=False),
    Index(None, "environment_class", "service"),
    Index(None, "state", "priority"),
    Index(None, "waived_until"),
)

fingerprint = Table(
    "fingerprint",
    metadata,
    Column("fingerprint", String(80), primary_key=True),
    Column("near_miss", ForeignKey("near_miss.id"), nullable=False, index=True),
)
"""One near miss for each fingerprint, whoever records it first; earlier names' fingerprints too."""

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
    Column("record", JSON, nullable=False),
)

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

TABLES = (near_miss, fingerprint, occurrence, passing, history, item, counter)
