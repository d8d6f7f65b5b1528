"""Kept counts of what happened and of how runs went; columns for digests, and an index for metrics."""

from __future__ import annotations

from datetime import UTC, date, datetime

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"
branch_labels = None
depends_on = None

NEVER = date(1, 1, 1)
STANDING = ["closed", "environment_class", "service", "state", "priority", "due", "opened_at"]


def upgrade() -> None:
    """What is there is counted once, up to the day that the sums have."""
    op.create_table(
        "happened",
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("month", "event", name="pk_happened"),
    )
    op.create_table(
        "answers",
        sa.Column("environment_class", sa.String(100), nullable=False),
        sa.Column("service", sa.String(100), nullable=False),
        sa.Column("answer", sa.String(20), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("environment_class", "service", "answer", name="pk_answers"),
    )
    connection = op.get_bind()
    day = connection.execute(sa.select(sa.column("day", sa.Date)).select_from(sa.table("counted"))).scalar() or NEVER
    until = 0.0 if day == NEVER else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    for into, keys, table, more in (
        ("happened", "month, event", "history", " AND event IS NOT NULL"),
        ("answers", "environment_class, service, answer", "recorded_run", ""),
    ):
        counted = f"SELECT {keys}, count(*) FROM {table} WHERE at < :until{more} GROUP BY {keys}"
        connection.execute(sa.text(f"INSERT INTO {into} ({keys}, count) {counted}"), {"until": until})
    _columns(connection)
    op.drop_index("ix_recorded_run_answer", "recorded_run")
    op.create_index("ix_recorded_run_at", "recorded_run", ["at", "answer"])
    op.drop_index("ix_history_event_month", "history")
    op.drop_index("ix_history_at", "history")
    op.create_index("ix_history_at_event_month_near_miss", "history", ["at", "event", "month", "near_miss"])
    op.create_index("ix_near_miss_standing", "near_miss", STANDING)


def _columns(connection: sa.Connection) -> None:
    op.add_column("near_miss", sa.Column("opened_at", sa.Float))
    op.add_column("near_miss", sa.Column("triaged", sa.Boolean))
    if connection.dialect.name == "postgresql":
        opened, triaged = "CAST(r.record ->> 'openedAt' AS FLOAT)", "r.record ->> 'triagedAt'"
    else:
        opened, triaged = "json_extract(r.record, '$.openedAt')", "json_extract(r.record, '$.triagedAt')"
    of_it = "FROM near_miss_record r WHERE r.near_miss = near_miss.id"
    connection.execute(
        sa.text(
            f"UPDATE near_miss SET opened_at = (SELECT {opened} {of_it}), "
            f"triaged = (SELECT {triaged} IS NOT NULL {of_it})"
        )
    )
