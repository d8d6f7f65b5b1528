"""The lines of a register that is a file: one record each, in an order and with keys that do not depend on who wrote
them, so that what two branches changed apart lies apart.

The first line says what the file is. Then comes each near miss with all that belongs to it, by id; then the runs. A
file is also right with lines in another order, or with a line twice.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.records.light import dataclass
from chaosrunner.register import exchange, schema
from chaosrunner.register.exchange import Row

BY_FINGERPRINT = "by-fingerprint"
COUNTED = "counted"
_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)
_MARKERS = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")
Rows = dict[str, list[tuple[int, Row]]]
"""By type: the number of each line, and what it says."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file says."""

    rows: Rows
    numbers: str
    """How near misses get their numbers: by their fingerprint, or counted."""


def read(text: str, name: str) -> Lines:
    """What the file `name` says. Raises `NotPossibleNow`, with the line, for one that is no register's."""
    try:
        lines = list(_once(text))
        found: Rows = {kind: [] for kind in exchange.KINDS}
        for number, kind, row in exchange.rows_of(lines):
            found[kind].append((number, row))
        return Lines(found, _numbers(lines))
    except UsageError as error:
        raise NotPossibleNow(in_file(name, str(error))) from None


def in_file(name: str, message: str) -> str:
    """A message about a line of a file, as `file:line: message`."""
    parts = _LINE.match(message)
    return f"{name}:{parts[1]}: {parts[2]}" if parts else f"{name}: {message}"


def _once(text: str) -> Iterator[str]:
    """Each line the first time that it stands there; the later ones empty, so that they are counted."""
    met: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith(_MARKERS):
            raise UsageError(
                f"line {number}: a merge that was left undone: keep the lines of both sides and take out the lines "
                "that begin with <<<<<<<, ======= and >>>>>>>"
            )
        yield "" if line in met else line
        met.add(line)


def _numbers(lines: list[str]) -> str:
    for line in lines:
        if line.startswith('{"type": "register"'):
            header = json.loads(line)
            if str(header.get("schema", "")) > schema.HEAD:
                raise UsageError(
                    f"it was written by a newer chaosrunner (revision {header['schema']}, this one knows "
                    f"{schema.HEAD}): update chaosrunner"
                )
            if (numbers := header.get("numbers", BY_FINGERPRINT)) not in (BY_FINGERPRINT, COUNTED):
                raise UsageError(f"numbers is {numbers!r}, expected {BY_FINGERPRINT} or {COUNTED}")
            return str(numbers)
    return BY_FINGERPRINT


def written(connection: sa.Connection, numbers: str) -> str:
    """The whole register as the text of a file."""
    header = {"type": "register", "format": exchange.FORMAT, "numbers": numbers, "schema": schema.HEAD}
    return "".join(f"{line}\n" for line in (json.dumps(header), *_lines(connection)))


def _lines(connection: sa.Connection) -> Iterable[str]:
    ranked = []
    for rank, (name, kind) in enumerate(exchange.KINDS.items()):
        order = _ORDER.get(name, kind.keys)
        for row in _rows(connection, name):
            ranked.append(((_home(name, row), rank, *(row[key] for key in order)), name, row))
    ranked.sort(key=lambda each: each[0])
    again: Counter[str] = Counter()
    for _, name, row in ranked:
        line = _line(name, row)
        if name == "history":  # two events may be alike to the letter; a line that stands there twice counts once
            again[line] += 1
            line = _line(name, row | {"again": again[line]}) if again[line] > 1 else line
        yield line


_ORDER: dict[str, tuple[str, ...]] = {
    "occurrence": ("at", "run", "fingerprint"),
    "passing": ("at", "run"),
    "history": ("at",),
}
"""Of the rows of a type within a near miss, where it is not that of their keys. What happened at the same moment stays
as it is."""


def _home(name: str, row: Row) -> str:
    last = "~"  # behind every id
    return str(row["id"] if name == "near_miss" else row.get("near_miss", last))


def _rows(connection: sa.Connection, name: str) -> Iterable[Row]:
    kind = exchange.KINDS[name]
    if name == "near_miss":
        record = schema.near_miss_record
        statement: sa.Select[Any] = sa.select(record.c.near_miss.label("id"), record.c.record)
    else:
        statement = sa.select(*(kind.table.c[column] for column in kind.columns)).order_by(*kind.table.primary_key)
    return [dict(row) for row in connection.execute(statement).mappings()]


def _line(name: str, row: Row) -> str:
    return f'{{"type": "{name}", ' + json.dumps(row, ensure_ascii=False, sort_keys=True)[1:]
