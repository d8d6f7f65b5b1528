"""Runs under way, and the alerts that they cause: kept as evidence of the run instead of as draft near misses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tables of their own; nothing else is touched."""
    op.create_table(
        "under_way",
        sa.Column("run", sa.String(100), nullable=False),
        sa.Column("environment", sa.String(100), nullable=False),
        sa.Column("services", sa.JSON, nullable=False),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_under_way"),
    )
    op.create_index("ix_under_way_environment_until", "under_way", ["environment", "until"])
    op.create_table(
        "heard",
        sa.Column("n", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("run", sa.String(100), nullable=False),
        sa.Column("delivery", sa.String(100), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_heard"),
        sa.UniqueConstraint("run", "delivery", name="uq_heard_run_delivery"),
    )
    op.create_index("ix_heard_at", "heard", ["at"])
