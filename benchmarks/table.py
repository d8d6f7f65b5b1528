"""The one table that all figures end in: as text, as Markdown, as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

HEADER = ("figure", "ours", "the comparison's", "bar", "")


@dataclass(frozen=True, slots=True)
class Spread:
    """Several runs of one thing: the median counts, the rest says how noisy it was."""

    median: float
    least: float
    most: float
    runs: int

    def text(self, unit: str, factor: float = 1.0, digits: int = 3) -> str:
        """`0.21 s (0.20-0.30)`; `factor` brings the numbers to the unit."""
        middle, low, high = (f"{value * factor:.{digits}g}" for value in (self.median, self.least, self.most))
        gap = "" if unit in ("", "%", "x") else " "
        return f"{middle}{gap}{unit}" + (f" ({low}-{high})" if self.runs > 1 else "")


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, pair by pair: what the machine did meanwhile hit both of a pair alike."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `met` is None where it is shown without a bar, or could not be measured."""

    figure: str
    ours: str
    theirs: str = ""
    bar: str = ""
    met: bool | None = None
    note: str = ""
    """Below the table: what the figure includes, or why it is missing."""

    @property
    def verdict(self) -> str:
        """The last column."""
        return "" if self.met is None else "met" if self.met else "NOT MET"


def missing(figure: str, why: str, bar: str = "") -> Row:
    """A figure that could not be measured here. It counts as neither met nor not met."""
    return Row(figure, "not measured", bar=bar, note=why)


def _cells(row: Row) -> tuple[str, ...]:
    return (row.figure, row.ours, row.theirs, row.bar, row.verdict)


def text(rows: Sequence[Row]) -> str:
    """Columns for a terminal, and the notes below."""
    lines = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    shown.insert(1, "-" * max(len(line) for line in shown))
    notes = [f"{row.figure}: {row.note}" for row in rows if row.note]
    return "\n".join(shown + (["", *notes] if notes else []))


def markdown(rows: Sequence[Row]) -> str:
    """The same for docs/benchmarks.md."""
    lines = [HEADER, ("---",) * len(HEADER), *(_cells(row) for row in rows)]
    shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"* {row.figure}: {row.note}" for row in rows if row.note]
    return "\n".join(shown + (["", *notes] if notes else []))


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The stable shape of `--json`."""
    return [asdict(row) for row in rows]
