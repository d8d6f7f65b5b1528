"""Sums of near misses beside them, so that nothing is counted anew; indexes for long lists."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

WHOLE = ("found", "waiting", "fix_ready", "verified", "regressed", "overdue", "fixes", "proofs", "outages", "uncovered")
PLACE = ("environment_class", "service", "owner")
SORTS = ("kind", "fault", "priority", "state")
NEVER = date(1, 1, 1)


def upgrade() -> None:
    """What is there is counted once, as of the day on which something last happened."""
    op.create_table(
        "sums",
        sa.Column("environment_class", sa.String(100), nullable=False),
        sa.Column("service", sa.String(100), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("sort", sa.String(10), nullable=False),
        sa.Column("value", sa.String(200), nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in WHOLE),
        sa.Column("fixed", sa.Float, nullable=False),
        sa.Column("proven", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint(*PLACE, "sort", "value", name="pk_sums"),
    )
    op.create_table(
        "counted",
        sa.Column("n", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_counted"),
    )
    _fill()
    op.drop_index("ix_near_miss_figures", "near_miss")
    for columns in (
        ("priority", "due", "id"),
        ("service", "closed", "priority", "due", "id"),
    ):
        op.create_index(f"ix_near_miss_{'_'.join(columns)}", "near_miss", list(columns))


def _fill() -> None:
    connection = op.get_bind()
    last = connection.execute(sa.text("SELECT max(at) FROM history")).scalar()
    day = NEVER if last is None else datetime.fromtimestamp(last, UTC).date()
    connection.execute(sa.table("counted", sa.column("n"), sa.column("day", sa.Date)).insert().values(n=1, day=day))
    names = (*PLACE, "sort", "value", *WHOLE, "fixed", "proven")
    for sort in SORTS:
        into = sa.table("sums", *(sa.column(name) for name in names))
        connection.execute(into.insert().from_select(names, _counted(sort, day)))


def _counted(sort: str, day: date) -> sa.Select[Any]:
    known = ("environment_class", "service", "owner", *SORTS, "regressions")
    truths = (sa.column(name, sa.Boolean) for name in ("closed", "outage", "covered"))
    times = (sa.column(name, sa.Float) for name in ("fixed_in", "verified_in"))
    table = sa.table("near_miss", *map(sa.column, known), sa.column("due", sa.Date), *truths, *times).c
    waiting = table.closed == sa.false()
    conditions = (
        waiting,
        table.state == "fix-ready",
        table.state == "verified",
        table.regressions > 0,
        waiting & (table.due < day) & table.state.not_in(("fix-ready", "waived")),
        table.fixed_in.is_not(None),
        table.verified_in.is_not(None),
        table.outage == sa.true(),
        waiting & (table.covered == sa.false()),
    )
    figures = [sa.func.count(), *(sa.func.sum(sa.case((each, 1), else_=0)) for each in conditions)]
    times_together = [sa.func.coalesce(sa.func.sum(each), 0.0) for each in (table.fixed_in, table.verified_in)]
    groups = (table.environment_class, table.service, table.owner, getattr(table, sort))
    place = (table.environment_class, table.service, sa.func.coalesce(table.owner, ""))
    return sa.select(*place, sa.literal(sort), groups[-1], *figures, *times_together).group_by(*groups)
