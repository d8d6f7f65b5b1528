"""The logs of game days, which people on several machines write and follow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of its own; nothing else is touched."""
    op.create_table(
        "game_day_log",
        sa.Column("n", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("game_day", sa.String(150), nullable=False),
        sa.Column("entry", sa.String(40), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_game_day_log"),
        sa.UniqueConstraint("game_day", "entry", name="uq_game_day_log_game_day_entry"),
    )
    op.create_index("ix_game_day_log_game_day_n", "game_day_log", ["game_day", "n"])
