"""What passes by chance: how far something must be out for it to be told, when much is looked at. Pure.

Where a hundred series are looked at, what happens to one in a hundred is seen in every run. So what may pass by chance
is set for a whole run, and shared out among all that is looked at (Bonferroni's inequality).
"""

from __future__ import annotations

import math
from functools import cache

FALSE_ALARMS = 0.0001
"""Of the runs in which nothing changes, the share that may tell of a metric, and as many of a log, if everything were
as even as the arithmetic takes it to be. Series that step and lines that burst pass more often than that."""
_FARTHEST = 1e6


def tails(looked: int) -> float:
    """The probability with which one of so many may be out by chance, on either side."""
    return FALSE_ALARMS / max(1, looked)


@cache
def student(freedom: int, chance: float) -> float:
    """Student's t that is passed on either side with this probability; at most a million.

    By bisection of the closed form of its distribution for whole degrees of freedom (Abramowitz and Stegun, "Handbook
    of Mathematical Functions", 26.7.3 and 26.7.4).
    """
    low, high = 0.0, _FARTHEST
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _beyond(middle, freedom) > chance else (low, middle)
    return high


def _beyond(t: float, freedom: int) -> float:
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    if freedom % 2:
        total, term = 0.0, cosine
        for step in range(1, (freedom - 1) // 2 + 1):
            total += term
            term *= cosine * cosine * 2 * step / (2 * step + 1)
        return 1 - 2 / math.pi * (angle + sine * total)
    total, term = 0.0, 1.0
    for step in range(1, freedom // 2 + 1):
        total += term
        term *= cosine * cosine * (2 * step - 1) / (2 * step)
    return 1 - sine * total


@cache
def chi_squared(chance: float) -> float:
    """χ² with one degree of freedom that is passed with this probability: the square of a normal one's distance."""
    low, high = 0.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) > chance else (low, middle)
    return high * high
