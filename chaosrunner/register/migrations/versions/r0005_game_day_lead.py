"""Who leads through a game day, so that somebody on another machine can take it over and no two lead at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A table of its own; nothing else is touched."""
    op.create_table(
        "game_day_lead",
        sa.Column("game_day", sa.String(150), nullable=False),
        sa.Column("token", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("game_day", name="pk_game_day_lead"),
    )
