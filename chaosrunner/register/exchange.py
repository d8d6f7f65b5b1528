"""The whole register as JSON Lines and back: for backups, for moving to another database, for other tools.

The first line says what it is; each other one has `type` (the table) and the row's columns. Nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.register import schema

FORMAT = "chaosrunner.register/1"
_NUMBERED = (schema.occurrence, schema.passing, schema.history)
_UNIQUE: dict[str, tuple[str, ...]] = {
    "near_miss": ("id",),
    "fingerprint": ("fingerprint",),
    "occurrence": ("run", "fingerprint"),
    "passing": ("near_miss", "run"),
    "history": ("near_miss", "at", "record"),
    "item": ("near_miss", "tracker"),
    "counter": ("year",),
}


def export(connection: sa.Connection) -> Iterator[str]:
    """Every row, in an order in which they can be added."""
    yield json.dumps({"type": "register", "format": FORMAT, "schema": schema.HEAD})
    for table in schema.TABLES:
        for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings():
            values = {name: value for name, value in row.items() if name != "n"}
            yield json.dumps({"type": table.name, **values}, ensure_ascii=False, default=_write_date)


def _write_date(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()


def load(connection: sa.Connection, lines: Iterable[str]) -> int:
    """Add every row that is not there. Raises `UsageError`, and adds nothing, where a line is no export's or says
    something else than what is there."""
    tables = {table.name: table for table in schema.TABLES}
    added = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parsed(line, number)
        kind = row.pop("type")
        if number == 1:
            if kind != "register" or row.get("format") != FORMAT:
                raise UsageError(f"line 1: expected an export of the register ({FORMAT})")
        elif kind not in tables:
            raise UsageError(f"line {number}: unknown type {kind!r}, expected one of {', '.join(tables)}")
        else:
            added += _add(connection, tables[kind], row, number)
    return added


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"line {number}: not JSON: {error}") from None
    if not isinstance(row, dict) or "type" not in row:
        raise UsageError(f"line {number}: expected an object with a type")
    return row


def _add(connection: sa.Connection, table: sa.Table, row: dict[str, Any], number: int) -> int:
    columns = {column.name for column in table.columns} - {"n"}
    if set(row) != columns:
        raise UsageError(f"line {number}: a {table.name} has {', '.join(sorted(columns))}")
    for column in table.columns:
        if isinstance(column.type, sa.Date) and row.get(column.name) is not None:
            row[column.name] = date.fromisoformat(row[column.name])
    known = _same(connection, table, row)
    if known is None:
        connection.execute(table.insert().values(**row))
        return 1
    if table is schema.counter:
        connection.execute(
            table.update().where(table.c.year == row["year"]).values(last=max(known["last"], row["last"]))
        )
    elif any(known[name] != value for name, value in row.items()):
        identity = ", ".join(str(row[name]) for name in _UNIQUE[table.name] if name != "record")
        raise UsageError(f"line {number}: {table.name} {identity} is in the register with other contents")
    return 0


def _same(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> dict[str, Any] | None:
    keys = [name for name in _UNIQUE[table.name] if name != "record"]
    statement = sa.select(table).where(*(table.c[name] == row[name] for name in keys))
    found = [dict(each) for each in connection.execute(statement).mappings()]
    if table is schema.history:
        found = [each for each in found if each["record"] == row["record"]]
    return found[0] if found else None
