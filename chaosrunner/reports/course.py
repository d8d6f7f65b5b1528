"""How a measure went over a run: thinned from its readings, and drawn in letters, which every tracker shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from chaosrunner.model.course import Course, Stretch
from chaosrunner.model.quantities import UNITS, show
from chaosrunner.model.words import Phase
from chaosrunner.reports.account import Account, PhaseSpan, Series
from chaosrunner.reports.scales import BLOCKS

COLUMNS = 60
"""Of all phases together, about; it fits beside the labels in an item of any tracker."""
HIGH = 6
"""Lines of a drawing."""
_LEAST = 8
"""Columns of a phase: its name fits below."""


def course_of(account: Account, measure: str, *, low_is_worse: bool) -> Course | None:
    """How a measure went; None where it reads no numbers, or nothing was read."""
    series = account.series.get(measure)
    if series is None or series.textual or not (series.values or series.no_answers):
        return None
    spans = [span for span in account.phases if (span.end or account.seconds) > span.start]
    whole = sum(_length(span, account) for span in spans)
    if not whole:
        return None
    return Course(
        stretches=tuple(
            _stretch(series, span, account, max(_LEAST, round(COLUMNS * _length(span, account) / whole)), low_is_worse)
            for span in spans
        )
    )


def _length(span: PhaseSpan, account: Account) -> float:
    return (span.end or account.seconds) - span.start


def _stretch(series: Series, span: PhaseSpan, account: Account, columns: int, low_is_worse: bool) -> Stretch:
    width = _length(span, account) / columns
    worst = min if low_is_worse else max
    times, silent_times = series.times, [t for t, _ in series.no_answers]
    values: list[float | None] = []
    silent = []
    before: float | None = None
    for column in range(columns):
        start, end = span.start + column * width, span.start + (column + 1) * width
        here = series.values[bisect_left(times, start) : bisect_left(times, end)]
        if bisect_right(silent_times, end) > bisect_left(silent_times, start):
            silent.append(column)
            before = None
        if here:
            before = float(f"{worst(here):.4g}")
        values.append(before)  # between two readings the first still stands
    return Stretch(
        phase=Phase(span.phase), seconds=round(_length(span, account), 1), values=tuple(values), silent=tuple(silent)
    )


# ------------------------------------------------------------------------------------------------------------- drawing


def drawn(course: Course, *, limit: float | None, unit: str | None) -> Iterator[str]:
    """Lines of letters; nothing where there is no number to be drawn."""
    values = [value for stretch in course.stretches for value in stretch.values if value is not None]
    if not values:
        return
    low, high = min(0.0, *values), max([*values, *([limit] if limit is not None else [])])
    step = ((high - low) or 1.0) / HIGH
    at = None if limit is None else min(HIGH - 1, max(0, int((limit - low) / step - 1e-9)))
    labels = [""] * HIGH
    labels[0], labels[HIGH - 1] = _number(low, unit), _number(high, unit)
    if at is not None and limit is not None:
        labels[at] = _number(limit, unit)
    wide = max(map(len, labels))
    for line in range(HIGH - 1, -1, -1):
        cells = "│".join(_cells(stretch, line, low, step, line == at, line == HIGH - 1) for stretch in course.stretches)
        yield f"{labels[line]:>{wide}} {'┼' if line == at else '│'}{cells}{'  limit' if line == at else ''}".rstrip()
    yield (
        f"{'':>{wide}}  "
        + " ".join(f"{stretch.phase.value:<{len(stretch.values)}}" for stretch in course.stretches).rstrip()
    )
    if any(stretch.silent for stretch in course.stretches):
        yield f"{'':>{wide}}  ×: no answer"


def _cells(stretch: Stretch, line: int, low: float, step: float, limit: bool, top: bool) -> str:
    return "".join(
        "×" if top and column in stretch.silent else _cell(value, line, low, step, limit)
        for column, value in enumerate(stretch.values)
    )


def _cell(value: float | None, line: int, low: float, step: float, limit: bool) -> str:
    empty = "┄" if limit else " "
    if value is None:
        return empty
    eighths = round((value - low - line * step) / step * 8)
    if line == 0:
        eighths = max(1, eighths)  # a reading of nothing is one, too
    return empty if eighths <= 0 else BLOCKS[min(8, eighths) - 1]


def _number(value: float, unit: str | None) -> str:
    return show(value, unit) if unit is None or unit in UNITS else f"{value:.4g} {unit}"
