"""Figures in columns of their own, splits, recorded runs; the records apart, so that counting need not read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None

CLOSED = ("verified", "rejected", "duplicate", "obsolete")
COUNTED = ("fix-ready", "verified")
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


def upgrade() -> None:
    """Nothing that was there is lost: a column that goes has become a table."""
    _new_tables()
    _figures()
    _events()


def _new_tables() -> None:
    op.create_table(
        "near_miss_record",
        _near_miss("near_miss_record"),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("near_miss", name="pk_near_miss_record"),
        _of_near_miss("near_miss_record"),
    )
    op.execute("INSERT INTO near_miss_record (near_miss, record) SELECT id, record FROM near_miss")
    op.create_table(
        "split",
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("by", sa.String(20), nullable=False),
        sa.Column("value", sa.String(200), nullable=False),
        _near_miss("split"),
        sa.PrimaryKeyConstraint("fingerprint", "by", "value", name="pk_split"),
        _of_near_miss("split"),
    )
    op.create_index("ix_split_near_miss", "split", ["near_miss"])
    op.create_table(
        "recorded_run",
        sa.Column("run", sa.String(100), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("experiment", sa.String(200), nullable=False),
        sa.Column("environment_class", sa.String(100), nullable=False),
        sa.Column("service", sa.String(100), nullable=False),
        sa.Column("answer", sa.String(20), nullable=False),
        sa.Column("gaps", sa.Integer, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_recorded_run"),
    )
    op.create_index("ix_recorded_run_service_at", "recorded_run", ["service", "at"])
    op.create_index("ix_recorded_run_answer", "recorded_run", ["answer"])


def _near_miss(table: str) -> sa.Column[str]:
    return sa.Column("near_miss", sa.String(20), nullable=False)


def _of_near_miss(table: str) -> SchemaItem:
    return sa.ForeignKeyConstraint(["near_miss"], ["near_miss.id"], name=f"fk_{table}_near_miss")


# -------------------------------------------------------------------------------------------------------- near misses


NEW = (
    ("closed", sa.Boolean, False),
    ("kind", sa.String(20), False),
    ("fault", sa.String(200), False),
    ("first_seen", sa.Float, False),
    ("regressions", sa.Integer, False),
    ("fixed_in", sa.Float, True),
    ("verified_in", sa.Float, True),
    ("source", sa.String(10), False),
    ("outage", sa.Boolean, False),
    ("covered", sa.Boolean, False),
)


def _figures() -> None:
    for name, kind, _ in NEW:
        op.add_column("near_miss", sa.Column(name, kind))
    _fill()
    op.drop_index("ix_near_miss_state_priority", "near_miss")
    with op.batch_alter_table("near_miss") as table:
        for name, kind, nullable in NEW:
            if not nullable:
                table.alter_column(name, existing_type=kind() if isinstance(kind, type) else kind, nullable=False)
        table.drop_column("record")
    for columns in (
        ("closed", "priority", "due", "id"),
        ("state", "priority", "due", "id"),
        ("owner", "closed", "priority", "due", "id"),
        ("fixed_in",),
        ("verified_in",),
    ):
        op.create_index(f"ix_near_miss_{'_'.join(columns)}", "near_miss", list(columns))
    op.create_index(
        "ix_near_miss_figures",
        "near_miss",
        [
            *("service", "owner", "kind", "fault", "state", "closed", "due"),
            *("regressions", "fixed_in", "verified_in", "priority", "outage"),
        ],
    )


def _fill() -> None:
    connection = op.get_bind()
    records = connection.execute(sa.text("SELECT id, record FROM near_miss")).all()
    table = sa.table("near_miss", sa.column("id"), *(sa.column(name, kind) for name, kind, _ in NEW))
    for id, raw in records:
        connection.execute(table.update().where(table.c.id == id).values(**_of(_parsed(raw))))


def _parsed(raw: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(raw) if isinstance(raw, str) else raw
    return record


def _of(record: dict[str, Any]) -> dict[str, Any]:
    ready, opened = record.get("fixReadyAt"), record.get("openedAt", 0.0)
    verified = record["state"] == "verified"
    return {
        "closed": record["state"] in CLOSED,
        "kind": record["kind"],
        "fault": "+".join(record.get("faultClasses", ()))[:200],
        "first_seen": record["firstSeen"],
        "regressions": record.get("regressions", 0),
        "fixed_in": None if ready is None else max(0.0, ready - opened),
        "verified_in": max(0.0, record["stateSince"] - ready) if verified and ready is not None else None,
        "source": "run",
        "outage": False,
        "covered": bool(record.get("experiments")),
    }


# ------------------------------------------------------------------------------------------------------------ history


def _events() -> None:
    op.add_column("history", sa.Column("event", sa.String(20)))
    op.add_column("history", sa.Column("month", sa.String(7)))
    connection = op.get_bind()
    table = sa.table("history", sa.column("n"), sa.column("event"), sa.column("month"))
    for number, at, raw in connection.execute(sa.text("SELECT n, at, record FROM history")).all():
        if event := _counted(_parsed(raw)):
            month = datetime.fromtimestamp(at, UTC).strftime("%Y-%m")
            connection.execute(table.update().where(table.c.n == number).values(event=event, month=month))
    op.create_index("ix_history_event_month", "history", ["event", "month"])
    op.create_index("ix_history_at", "history", ["at"])
    for statement in REFUSE_CHANGES.get(connection.dialect.name, ()):
        op.execute(statement)


def _counted(event: dict[str, Any]) -> str | None:
    what, after = event["what"], event.get("after")
    if what == "found":
        return "found"
    if what == "state" and after in COUNTED:
        return str(after)
    return str(after) if what == "seen again" and after in ("regressed", "fix-failed") else None
