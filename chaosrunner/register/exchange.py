"""The whole register as JSON Lines and back: for backups, for moving to another database, for other tools.

The first line says what it is; each other one has `type` (the table) and the row's own columns. Nothing is lost. What
is computed from a record (the columns that are searched and counted) is not in it, and is computed anew when it is
read; so exports of earlier schemas are read too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.model.near_miss import HistoryEvent, NearMiss
from chaosrunner.register import rows, schema, sums, tallies
from chaosrunner.register.pruning import slimmed

FORMAT = "chaosrunner.register/1"
CHUNK = 500
"""Lines that are held against the register, and added, at once."""

Row = dict[str, Any]


class _Kind(NamedTuple):
    """How rows of one table are told apart, read and written."""

    table: sa.Table
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    """That a line has; what else stands in a line of an earlier schema is computed."""
    computed: Callable[[Row], Row] = lambda row: row
    """The whole row."""


def _event(row: Row) -> Row:
    return row | rows.of_event(HistoryEvent.model_validate(row["record"]))


def _near_miss(row: Row) -> Row:
    return {"id": row["id"], **rows.columns(NearMiss.model_validate(row["record"]))}


_EVIDENCE = ("near_miss", "at", "record")
KINDS: dict[str, _Kind] = {
    "near_miss": _Kind(schema.near_miss, ("id",), ("id", "record"), _near_miss),
    "fingerprint": _Kind(schema.fingerprint, ("fingerprint",), ("fingerprint", "near_miss")),
    "split": _Kind(schema.split, ("fingerprint", "by", "value"), ("fingerprint", "by", "value", "near_miss")),
    "occurrence": _Kind(schema.occurrence, ("run", "fingerprint"), (*_EVIDENCE, "run", "fingerprint")),
    "passing": _Kind(schema.passing, ("near_miss", "run"), (*_EVIDENCE, "run")),
    "history": _Kind(schema.history, ("near_miss", "at"), _EVIDENCE, _event),
    "recorded_run": _Kind(
        schema.recorded_run,
        ("run",),
        ("run", "at", "experiment", "environment_class", "service", "answer", "gaps", "record"),
    ),
    "item": _Kind(schema.item, ("near_miss", "tracker"), ("near_miss", "tracker", "key", "claimed_at", "record")),
    "counter": _Kind(schema.counter, ("year",), ("year", "last")),
    "game_day_log": _Kind(schema.game_day_log, ("game_day", "entry"), ("game_day", "entry", "at", "record")),
    "heard": _Kind(schema.heard, ("run", "delivery"), ("run", "delivery", "at", "record")),
}
_ALWAYS_COMPUTED = {
    "near_miss": {column.name for column in schema.near_miss.columns},
    "history": {"event", "month", "again"},
}
"""What a line may have beside, and is not read."""


def export(connection: sa.Connection) -> Iterator[str]:
    """Every row, in an order in which they can be added."""
    yield json.dumps({"type": "register", "format": FORMAT, "schema": schema.HEAD})
    for name, kind in KINDS.items():
        statement = _with_records().order_by("id") if name == "near_miss" else _ordered(kind)
        for row in connection.execution_options(yield_per=CHUNK).execute(statement).mappings():
            yield json.dumps({"type": name, **row}, ensure_ascii=False)


def _ordered(kind: _Kind) -> sa.Select[Any]:
    return sa.select(*(kind.table.c[name] for name in kind.columns)).order_by(*kind.table.primary_key)


def _with_records() -> sa.Select[Any]:
    record = schema.near_miss_record
    return sa.select(record.c.near_miss.label("id"), record.c.record)


def load(connection: sa.Connection, lines: Iterable[str]) -> int:
    """Add every row that is not there. Raises `UsageError`, and adds nothing, where a line is no export's or says
    something else than what is there."""
    loading, added = _Loading(connection), 0
    chunk: list[tuple[int, Row]] = []
    now = ""
    for number, name, row in rows_of(lines):
        if name != now or len(chunk) >= CHUNK:
            added += loading.add(now, chunk)
            now, chunk = name, []
        chunk.append((number, row))
    return added + loading.add(now, chunk)


def rows_of(lines: Iterable[str]) -> Iterator[tuple[int, str, Row]]:
    """Each row with the number of its line and its type. The first line may stand there again, where two exports became
    one file. Raises `UsageError` for a line that is none of an export."""
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parsed(line, number)
        name = row.pop("type")
        if first or name == "register":
            first = False
            if name != "register" or row.get("format") != FORMAT:
                raise UsageError(f"line {number}: expected an export of the register ({FORMAT})")
            continue
        if name not in KINDS:
            raise UsageError(f"line {number}: unknown type {name!r}, expected one of {', '.join(KINDS)}")
        yield number, name, _checked(row, name, number)


def _parsed(line: str, number: int) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UsageError(f"line {number}: not JSON: {error}") from None
    if not isinstance(row, dict) or "type" not in row:
        raise UsageError(f"line {number}: expected an object with a type")
    return row


def _checked(row: Row, name: str, number: int) -> Row:
    kind = KINDS[name]
    surplus = set(row) - set(kind.columns) - _ALWAYS_COMPUTED.get(name, set())
    if surplus or not set(kind.columns) <= set(row):
        raise UsageError(f"line {number}: a {name} has {', '.join(sorted(kind.columns))}")
    return {column: row[column] for column in kind.columns}


def _slimmer(name: str, known: Row, row: Row) -> bool:
    """Whether it is the same occurrence, of which one side has removed evidence that was old."""
    if name != "occurrence":
        return False
    slim = [each | {"record": slimmed(each["record"])} for each in (known, row)]
    return slim[0] == slim[1]


def tally(connection: sa.Connection, name: str, whole: list[Row]) -> None:
    """Take rows of a table into the counts that are kept; after they were written."""
    if name == "history":
        tallies.add_events(connection, whole)
    elif name == "recorded_run":
        tallies.add_runs(connection, whole)


class _Loading:
    """Adds rows chunk by chunk."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._events: dict[tuple[str, float, str], int] = {}
        """How many events in the same words were there before the first of them was added."""
        self._met: Counter[tuple[str, float, str]] = Counter()

    def add(self, name: str, chunk: list[tuple[int, Row]]) -> int:
        """How many of these were not there."""
        if not chunk:
            return 0
        if name == "counter":
            return sum(self._count(row) for _, row in chunk)
        fresh = self._new_events(chunk) if name == "history" else self._new(KINDS[name], name, chunk)
        if fresh:
            self._insert(name, fresh)
        return len(fresh)

    def _insert(self, name: str, fresh: list[tuple[int, Row]]) -> None:
        kind, whole = KINDS[name], []
        for number, row in fresh:
            try:
                whole.append(kind.computed(row))
            except ValueError as error:
                raise UsageError(f"line {number}: this is no {name}: {error}") from None
        self._connection.execute(kind.table.insert(), whole)
        if name == "near_miss":
            records = [{"near_miss": row["id"], "record": row["record"]} for _, row in fresh]
            self._connection.execute(schema.near_miss_record.insert(), records)
            sums.count(self._connection, whole)
        tally(self._connection, name, whole)

    def _new(self, kind: _Kind, name: str, chunk: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
        known = self._known(kind, name, [row for _, row in chunk])
        fresh = []
        for number, row in chunk:
            key = tuple(row[column] for column in kind.keys)
            if key not in known:
                known[key] = row
                fresh.append((number, row))
            elif known[key] != row and not _slimmer(name, known[key], row):
                identity = ", ".join(map(str, key))
                raise UsageError(f"line {number}: {name} {identity} is in the register with other contents")
        return fresh

    def _known(self, kind: _Kind, name: str, chunk: list[Row]) -> dict[tuple[Any, ...], Row]:
        first = kind.keys[0]
        among = sorted({row[first] for row in chunk})
        statement = _ordered(kind).where(kind.table.c[first].in_(among)) if name != "near_miss" else _with_records()
        if name == "near_miss":
            statement = statement.where(schema.near_miss_record.c.near_miss.in_(among))
        found = [dict(row) for row in self._connection.execute(statement).mappings()]
        return {tuple(row[column] for column in kind.keys): row for row in found}

    def _new_events(self, chunk: list[tuple[int, Row]]) -> list[tuple[int, Row]]:
        """Two events may be alike to the letter; an export that has both is to bring both."""
        keys = [(row["near_miss"], row["at"], json.dumps(row["record"], sort_keys=True)) for _, row in chunk]
        if unknown := sorted({key[0] for key in keys if key not in self._events}):
            table = schema.history
            statement = sa.select(table.c.near_miss, table.c.at, table.c.record).where(table.c.near_miss.in_(unknown))
            there = Counter(
                (row.near_miss, row.at, json.dumps(row.record, sort_keys=True))
                for row in self._connection.execute(statement)
            )
            for key in keys:
                self._events.setdefault(key, there[key] - self._added(key))
        fresh = []
        for key, each in zip(keys, chunk, strict=True):
            self._met[key] += 1
            if self._met[key] > self._events[key]:
                fresh.append(each)
        return fresh

    def _added(self, key: tuple[str, float, str]) -> int:
        return max(0, self._met[key] - self._events.get(key, 0))

    def _count(self, row: Row) -> int:
        table = schema.counter
        same = table.c.year == row["year"]
        last = self._connection.execute(sa.select(table.c.last).where(same)).scalar()
        if last is None:
            self._connection.execute(table.insert().values(**row))
            return 1
        self._connection.execute(table.update().where(same).values(last=max(last, row["last"])))
        return 0
