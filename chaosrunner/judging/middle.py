"""The median. Python's own comes with fractions, decimals and random numbers: a tenth of a command's start."""

from __future__ import annotations

from collections.abc import Sequence


def median(numbers: Sequence[float]) -> float:
    """The one in the middle, or the mean of the two there. There must be at least one."""
    ordered = sorted(numbers)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
