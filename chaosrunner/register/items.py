"""The ledger of remediation items: which near miss has which item in which tracker, and what the item was last told.

An item is claimed here before it is made, so that two processes do not both make it; and looked for by its marker
before it is made, so that a crash between making and writing it down does not lead to a second one.
"""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import CHAOSRUNNER, ItemLink, NearMiss
from chaosrunner.register import rows, schema
from chaosrunner.register.database import reading, written
from chaosrunner.register.rows import Why

CLAIM_SECONDS = 60.0
"""After so long a claim that led to no item is taken to be of a process that died."""


class ItemRecord(Frozen):
    """What the ledger knows of an item."""

    near_miss: str
    tracker: str
    key: str | None = None
    """None: it is being made."""
    url: str = ""
    state: Literal["open", "closed", "gone"] = "open"
    """As last seen."""
    seen_at: float = 0.0
    told: dict[str, str] = {}
    """What of the near miss the item was last told."""
    claimed_at: float | None = None
    sent_at: float | None = None
    """When a tracker was asked to make it, where nobody said yet whether it did."""
    assignee: str | None = None
    """As last seen."""


class Items:
    """The ledger's interface."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, near_miss: str, tracker: str) -> ItemRecord | None:
        """The item that is known, or being made."""
        with reading(self._engine) as connection:
            return _read(connection, near_miss, tracker, lock=False)

    def unfinished(self, tracker: str, default: str) -> list[str]:
        """Ids of those whose item is in this tracker, or belongs there, and that are not closed or whose item is not.
        `default`: the tracker of those that name none. The database looks into the records; none is made here."""
        table, record, item = schema.near_miss, schema.near_miss_record, schema.item
        of_item, named = record.c.record["item", "tracker"].as_string(), record.c.record["tracker"].as_string()
        joined = sa.select(table.c.id, table.c.priority, table.c.due).join_from(table, record)
        waiting = joined.where(sa.not_(table.c.closed), sa.func.coalesce(of_item, named, default) == tracker)
        of_closed = sa.select(table.c.id, table.c.priority, table.c.due).join_from(table, item)
        still_open = (table.c.closed, item.c.tracker == tracker, item.c.key.is_not(None))
        left = of_closed.where(*still_open, item.c.record["state"].as_string() == "open")
        found = sa.union_all(waiting, left).subquery()
        with reading(self._engine) as connection:
            ordered = sa.select(found.c.id).order_by(found.c.priority, found.c.due, found.c.id)
            return list(connection.execute(ordered).scalars())

    def claim(self, near_miss: str, tracker: str, at: float) -> ItemRecord | None:
        """The right to make the item. The record that stands in the way if another process has made it, or is making
        it; None: it is ours to make."""

        def write(connection: sa.Connection) -> ItemRecord | None:
            known = _read(connection, near_miss, tracker)
            if known is not None:
                making = known.key is None and at - (known.claimed_at or 0.0) < CLAIM_SECONDS
                made = known.key is not None and known.state != "gone"
                if made or making:
                    return known
            sent = known.sent_at if known is not None and known.key is None else None
            claimed = ItemRecord(near_miss=near_miss, tracker=tracker, claimed_at=at, sent_at=sent)
            _write(connection, claimed, new=known is None)
            return None

        return written(self._engine, write)

    def sending(self, near_miss: str, tracker: str, claimed_at: float, at: float | None) -> bool:
        """Before the tracker is asked to make it: from now on one may be there, although nobody said so. None: none
        was made. False: the claim is no longer ours, and nothing may be sent."""

        def write(connection: sa.Connection) -> bool:
            known = _read(connection, near_miss, tracker)
            if known is None or known.key is not None or known.claimed_at != claimed_at:
                return False
            _write(connection, known.model_copy(update={"sent_at": at}), new=False)
            return True

        return written(self._engine, write)

    def give_up(self, near_miss: str, tracker: str) -> None:
        """The item could not be made: the next one may try at once."""

        def write(connection: sa.Connection) -> None:
            known = _read(connection, near_miss, tracker)
            if known is not None and known.key is None:
                _write(connection, known.model_copy(update={"claimed_at": None}), new=False)

        written(self._engine, write)

    def keep(self, record: ItemRecord, why: str = "") -> NearMiss:
        """Write down how the item is now; what changed of it is an event of the near miss."""

        def write(connection: sa.Connection) -> NearMiss:
            known = _read(connection, record.near_miss, record.tracker)
            _write(connection, record.model_copy(update={"claimed_at": None, "sent_at": None}), new=known is None)
            before = rows.load(connection, record.near_miss)
            link = ItemLink(
                tracker=record.tracker,
                key=record.key or "",
                url=record.url,
                state=record.state,
                seen_at=record.seen_at,
                assignee=record.assignee,
            )
            after = before.model_copy(update={"item": link})
            rows.save(connection, before, after, Why(CHAOSRUNNER, record.seen_at, why))
            return after

        return written(self._engine, write)


def _read(connection: sa.Connection, near_miss: str, tracker: str, *, lock: bool = True) -> ItemRecord | None:
    table = schema.item
    statement = sa.select(table.c.record).where(table.c.near_miss == near_miss, table.c.tracker == tracker)
    record = connection.execute(statement.with_for_update() if lock else statement).scalar()
    return None if record is None else ItemRecord.model_validate(record)


def _write(connection: sa.Connection, record: ItemRecord, *, new: bool) -> None:
    table = schema.item
    values = {"key": record.key, "claimed_at": record.claimed_at, "record": record.as_json()}
    if new:
        connection.execute(table.insert().values(near_miss=record.near_miss, tracker=record.tracker, **values))
        return
    same = (table.c.near_miss == record.near_miss) & (table.c.tracker == record.tracker)
    connection.execute(table.update().where(same).values(**values))
