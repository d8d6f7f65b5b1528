"""Thins long series for a plot: of all points that fall on one pixel column, the first, lowest, highest and last stay.

So every extreme survives, and a line drawn through what stays covers the same pixels as one through everything.
"""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def thin(times: Sequence[float], values: Sequence[float], columns: int) -> list[Point]:
    """At most `4 * columns` of the points, in order; all of them where there are no more than that."""
    size = len(times)
    if size <= 4 * columns:
        return list(zip(times, values, strict=True))
    start = min(times)
    width = (max(times) - start) / columns or 1.0
    buckets: dict[int, list[int]] = {}
    for index, t in enumerate(times):
        column = min(columns - 1, int((t - start) / width))
        kept = buckets.get(column)
        if kept is None:
            buckets[column] = [index, index, index, index]
            continue
        if values[index] < values[kept[1]]:
            kept[1] = index
        if values[index] > values[kept[2]]:
            kept[2] = index
        kept[3] = index
    chosen = sorted({index for kept in buckets.values() for index in kept})
    return [(times[index], values[index]) for index in chosen]


def thin_marks(marks: Sequence[tuple[float, str]], columns: int) -> list[tuple[float, str, int]]:
    """Marks (no answers, missing readings) with how many each stands for; neighbours are put together."""
    if len(marks) <= columns:
        return [(t, why, 1) for t, why in marks]
    start = marks[0][0]
    width = (marks[-1][0] - start) / columns or 1.0
    merged: dict[int, tuple[float, str, int]] = {}
    for t, why in marks:
        column = min(columns - 1, int((t - start) / width))
        first = merged.get(column)
        merged[column] = (first[0], first[1], first[2] + 1) if first else (t, why, 1)
    return list(merged.values())
