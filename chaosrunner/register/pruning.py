"""What need not be kept for ever of near misses that are closed: the curves of their measures, samples of log lines,
and alerts that were a run's doing. Near misses, occurrences with numbers and stories, passes and the history stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from chaosrunner.model.near_miss import NearMiss, Occurrence
from chaosrunner.records.light import dataclass
from chaosrunner.register import rows, schema
from chaosrunner.register.rows import Why

REMOVED = "evidence removed"
"""What the history says."""
AT_ONCE = 200
"""Near misses that are seen to in one transaction: others wait no longer than for these."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be."""

    near_misses: tuple[str, ...] = ()
    """Closed for so long, whether or not anything of theirs was left to be removed."""
    occurrences: int = 0
    """That lost their curves and samples of log lines."""
    alerts: int = 0
    """That were the doing of runs."""


def old_ones(connection: sa.Connection, before: float) -> list[str]:
    """Near misses that were closed before this time, and not seen since."""
    table, record = schema.near_miss.c, schema.near_miss_record
    joined = sa.select(record.c.record).join_from(schema.near_miss, record)
    found = connection.execute(joined.where(table.closed == sa.true(), table.last_seen < before).order_by(table.id))
    return [each.id for each in map(NearMiss.model_validate, found.scalars()) if each.state_since < before]


def prune(connection: sa.Connection, ids: Sequence[str], before: float, why: Why | None) -> int:
    """Take curves and samples from the occurrences before this time of near misses; how many had some. `why`: None:
    only say."""
    table, count = schema.occurrence, 0
    mine = sa.select(table.c.n, table.c.near_miss, table.c.record).where(
        table.c.near_miss.in_(ids), table.c.at < before
    )
    lost: dict[str, int] = {}
    for row in connection.execute(mine.order_by(table.c.n)).all():
        slim = slimmed(row.record)
        if slim == row.record:
            continue
        count += 1
        lost[row.near_miss] = lost.get(row.near_miss, 0) + 1
        if why is not None:
            connection.execute(table.update().where(table.c.n == row.n).values(record=slim))
    if why is not None:
        for id, number in lost.items():
            rows.note(connection, id, why, REMOVED, after=f"{number} occurrence{'s' if number > 1 else ''}")
    return count


def slimmed(record: Any) -> Any:
    """An occurrence's record without curves and samples of log lines; with all of its numbers and words."""
    seen = Occurrence.model_validate(record)
    evidence = tuple(each.model_copy(update={"course": None}) for each in seen.evidence)
    clues = seen.clues
    if clues is not None:
        found = tuple(each.model_copy(update={"sample": ""}) for each in clues.found)
        clues = clues.model_copy(update={"found": found})
    slim = seen.model_copy(update={"evidence": evidence, "clues": clues})
    return record if slim == seen else slim.as_json()


def prune_alerts(connection: sa.Connection, before: float, *, remove: bool) -> int:
    """Alerts before this time that were the doing of runs, and of which no near miss that is not closed speaks."""
    table, seen, near_miss = schema.heard, schema.occurrence, schema.near_miss
    waiting = sa.select(seen.c.run).join(near_miss, near_miss.c.id == seen.c.near_miss)
    old = (table.c.at < before, table.c.run.not_in(waiting.where(near_miss.c.closed == sa.false())))
    count = connection.execute(sa.select(sa.func.count()).select_from(table).where(*old)).scalar_one()
    if remove and count:
        connection.execute(table.delete().where(*old))
    return int(count)
