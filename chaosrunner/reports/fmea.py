"""The failure-mode-and-effects sheet as text, CSV or a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date

from chaosrunner.model.fmea import COLUMNS, NEVER, FmeaRow
from chaosrunner.reports.tables import table
from chaosrunner.reports.words import count
from chaosrunner.reports.xlsx import Cell, workbook

HEADS = {"near_miss": "near miss", "last_tried": "last tried", "failure_mode": "fails as"}
"""Where a column's head is not its field's name."""
_SHOWN = ("mode", "result", "runs", "effect", "defences", "detection", "priority", "near_miss", "state", "action")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _cell(row: FmeaRow, column: str) -> Cell:
    value = getattr(row, column)
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else value


def _head(column: str) -> str:
    return HEADS.get(column, column)


def fmea_csv(rows: Sequence[FmeaRow]) -> str:
    """Comma-separated, with a head. Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_head(column) for column in COLUMNS])
    for row in rows:
        writer.writerow([_harmless(_cell(row, column)) for column in COLUMNS])
    return out.getvalue()


def _harmless(value: Cell) -> str:
    text = value.isoformat() if isinstance(value, date) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def fmea_xlsx(rows: Sequence[FmeaRow]) -> bytes:
    """A workbook with one sheet for each service."""
    heads = [_head(column) for column in COLUMNS]
    sheets: dict[str, list[list[Cell]]] = {}
    for row in rows:
        sheets.setdefault(row.service, [list(heads)]).append([_cell(row, column) for column in COLUMNS])
    return workbook(sheets or {"nothing yet": [list(heads)]})


def fmea_text(rows: Sequence[FmeaRow]) -> Iterator[str]:
    """A table for each service, and below it what was never tried."""
    for service in dict.fromkeys(row.service for row in rows):
        mine = [row for row in rows if row.service == service]
        tried = [row for row in mine if row.result != NEVER]
        never = [row.mode for row in mine if row.result == NEVER]
        yield f"{service}: {count(len(tried), 'failure mode')} tried"
        if tried:
            lines = [[_short(_cell(row, column)) for column in _SHOWN] for row in tried]
            yield table([_head(column).upper() for column in _SHOWN], lines)
        if never:
            yield f"never tried: {', '.join(never)}"
        yield ""


def _short(value: Cell, most: int = 48) -> str:
    text = value.isoformat() if isinstance(value, date) else str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
