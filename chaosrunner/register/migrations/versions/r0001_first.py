"""The first schema: near misses, fingerprints, occurrences, passing runs, history, items and the counter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "near_miss",
        sa.Column("id", sa.String(20), nullable=False),
        sa.Column("environment_class", sa.String(100), nullable=False),
        sa.Column("service", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("priority", sa.String(2), nullable=False),
        sa.Column("finding", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(200)),
        sa.Column("due", sa.Date, nullable=False),
        sa.Column("waived_until", sa.Date),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_near_miss"),
    )
    op.create_index("ix_near_miss_environment_class_service", "near_miss", ["environment_class", "service"])
    op.create_index("ix_near_miss_state_priority", "near_miss", ["state", "priority"])
    op.create_index("ix_near_miss_waived_until", "near_miss", ["waived_until"])
    op.create_table(
        "fingerprint",
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("near_miss", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_fingerprint"),
        sa.ForeignKeyConstraint(["near_miss"], ["near_miss.id"], name="fk_fingerprint_near_miss"),
    )
    op.create_index("ix_fingerprint_near_miss", "fingerprint", ["near_miss"])
    _evidence()
    op.create_table(
        "counter",
        sa.Column("year", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("last", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("year", name="pk_counter"),
    )


def _of_a_near_miss(table: str) -> list[SchemaItem]:
    return [
        sa.Column("n", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("near_miss", sa.String(20), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("n", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["near_miss"], ["near_miss.id"], name=f"fk_{table}_near_miss"),
    ]


def _evidence() -> None:
    op.create_table(
        "occurrence",
        *_of_a_near_miss("occurrence"),
        sa.Column("run", sa.String(100), nullable=False),
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.UniqueConstraint("run", "fingerprint", name="uq_occurrence_run_fingerprint"),
    )
    op.create_index("ix_occurrence_run", "occurrence", ["run"])
    op.create_table(
        "passing",
        *_of_a_near_miss("passing"),
        sa.Column("run", sa.String(100), nullable=False),
        sa.UniqueConstraint("near_miss", "run", name="uq_passing_near_miss_run"),
    )
    op.create_table("history", *_of_a_near_miss("history"))
    for table in ("occurrence", "passing", "history"):
        op.create_index(f"ix_{table}_near_miss", table, ["near_miss"])
    op.create_table(
        "item",
        sa.Column("near_miss", sa.String(20), nullable=False),
        sa.Column("tracker", sa.String(100), nullable=False),
        sa.Column("key", sa.String(300)),
        sa.Column("claimed_at", sa.Float),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("near_miss", "tracker", name="pk_item"),
        sa.ForeignKeyConstraint(["near_miss"], ["near_miss.id"], name="fk_item_near_miss"),
    )
