"""Whether two samples differ: the rank-sum test of Wilcoxon, Mann and Whitney, and how big the difference is.

Only the order of the numbers counts, so no shape is assumed of them, and a few wild ones do no harm.

* The effect is A of Vargha and Delaney ("A critique and improvement of the CL common language effect size statistics",
  2000): in what share of all pairs the later sample's number is the higher one, ties counted half. 50 %: no difference.
  Cliff's delta is 2A - 1. Their names: small from 56 %, medium from 64 %, large from 71 %.
* The test: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
  other", 1947. Small samples: exact, over all ways to deal out the ranks that are there (so ties are right, too).
  Large ones: normal, with the correction for ties and for continuity of Lehmann, "Nonparametrics", 1975, ch. 1.
* How many numbers it takes: Noether, "Sample size determination for some common nonparametric tests", 1987, JASA 82.
* Numbers that hang together (each like the one before) say less than so many that do not: their count is divided by
  (1 + r) / (1 - r), where r is the correlation of ranks with the next one; von Storch, "Misuses of statistical
  analysis in climate research", 1995.

Worked example: Hollander and Wolfe, "Nonparametric statistical methods", 1973, pages 69 to 71 (permeability of human
membranes at term and at 12 to 26 weeks): W = 35 of 50, so A = 70 %, and one-sided p = 0.1272.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

EXACT = 40
"""Up to so many numbers in both samples together the test is exact, where they do not hang together."""
EXACT_BESIDE_FEW = 100
"""The same where one of the samples has no more than 8."""
_FEW = 8
_SHORT = 6
"""Numbers in a sample of which nothing more can be said than that its own r is too low."""
_MOST = 0.95
"""No r is taken for more: then 39 numbers say as much as one."""
Side = Literal["either", "higher", "lower"]


class Compared(NamedTuple):
    """Two samples, compared."""

    effect: float
    """A: in what share of pairs the second sample's number is the higher one, ties counted half."""
    p: float
    """How likely so much difference, or more, would be between samples of the same source."""
    inflation: float
    """By how much the count of numbers is divided because they hang together; 1: they do not."""


def compare(before: Sequence[float], after: Sequence[float], side: Side = "either") -> Compared:
    """Whether `after` differs from `before`, each in the order of time. Infinities are numbers here; there must be at
    least one number in each."""
    ranks, ties = _ranks([*before, *after])
    m, n = len(before), len(after)
    u = math.fsum(ranks[m:]) - n * (n + 1) / 2
    inflation = _inflation([ranks[:m], ranks[m:]])
    if inflation == 1.0 and m + n <= (EXACT if min(m, n) > _FEW else EXACT_BESIDE_FEW):
        lower, higher = _exact(ranks, m, u)
    else:
        lower, higher = _normal(u, (m, n), ties, inflation)
    p = {"either": min(1.0, 2 * min(lower, higher)), "higher": higher, "lower": lower}[side]
    return Compared(u / (m * n), p, inflation)


def _ranks(numbers: Sequence[float]) -> tuple[list[float], list[int]]:
    """(rank of each, equal ones share the mean of theirs; sizes of the groups of equal ones)."""
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ranks = [0.0] * len(numbers)
    ties = []
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and numbers[order[end]] == numbers[order[start]]:
            end += 1
        for place in range(start, end):
            ranks[order[place]] = (start + 1 + end) / 2
        ties.append(end - start)
        start = end
    return ranks, ties


def _exact(ranks: Sequence[float], m: int, u: float) -> tuple[float, float]:
    """(P(U <= u), P(U >= u)) over all ways to choose which of these ranks are the second sample's.

    The ways are counted by a product of polynomials: for each rank r, one more chosen multiplies by q^2r (twice, as
    ranks of ties are halves). A polynomial is one long integer with a slot for each power, so that the
    multiplication is a shift. Where the first sample is the smaller one, its ranks are chosen instead: what they add up
    to and what the others do is always the same together.
    """
    n = len(ranks) - m
    few = min(m, n)
    slot = (math.comb(len(ranks), few).bit_length() + 7) // 8
    ways = [1] + [0] * few
    for count, rank in enumerate(ranks, start=1):
        shift = round(2 * rank) * slot * 8
        for chosen in range(min(count, few), 0, -1):
            ways[chosen] += ways[chosen - 1] << shift
    seen = round(2 * (u + n * (n + 1) / 2))
    if few < n:
        seen = round(2 * math.fsum(ranks)) - seen
    raw = ways[few].to_bytes(-(-ways[few].bit_length() // 8 // slot) * slot + slot, "little")
    counts = [int.from_bytes(raw[at : at + slot], "little") for at in range(0, len(raw), slot)]
    total, at_most, at_least = sum(counts), sum(counts[: seen + 1]), sum(counts[seen:])
    lower, higher = at_most / total, at_least / total
    return (lower, higher) if few == n else (higher, lower)


def _normal(u: float, sizes: tuple[int, int], ties: Iterable[int], inflation: float) -> tuple[float, float]:
    m, n = sizes
    both = m + n
    tied = sum(t**3 - t for t in ties) / (both * (both - 1)) if both > 1 else 0.0
    variance = m * n / 12 * (both + 1 - tied) * inflation
    if variance <= 0:
        return 1.0, 1.0
    middle, deviation = m * n / 2, math.sqrt(variance)
    return _below((u - middle + 0.5) / deviation), _below(-(u - middle - 0.5) / deviation)


def _below(z: float) -> float:
    """The standard normal distribution's share below z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _quantile(share: float) -> float:
    """The z below which this share of the standard normal distribution lies."""
    low, high = -40.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle) < share else (low, middle)
    return (low + high) / 2


def _inflation(parts: Sequence[Sequence[float]]) -> float:
    """(1 + r) / (1 - r) of how ranks hang together with the next one in their own sample, at least 1.

    A short sample's own r is too low, as its mean was taken from it; that is put right (Marriott and Pope, "Bias in the
    estimation of autocorrelations", 1954), for an r that may be there and does not show.
    """
    next_to = around = 0.0
    for part in parts:
        mean = math.fsum(part) / len(part)
        off = [rank - mean for rank in part]
        next_to += math.fsum(one * other for one, other in pairwise(off))
        around += math.fsum(one * one for one in off)
    if around == 0:
        return 1.0
    length = sum(map(len, parts)) / len(parts)
    r = next_to / around + 1 / length
    if length > _SHORT:
        r /= 1 - 3 / length
    r = min(max(r, 0.0), _MOST)
    return (1 + r) / (1 - r)


class Question(NamedTuple):
    """What is asked of two samples."""

    effect: float
    """The least A that counts as a difference."""
    detect: float
    """The A that must be found."""
    power: float
    """With what probability."""
    false_alarms: float
    """With what probability samples of the same source may be called different."""
    side: Side = "either"


def needed(asked: Question, share: float, inflation: float = 1.0) -> tuple[int, int]:
    """How many numbers the samples must have, of which this `share` is the first one's.

    Noether's formula, and as many as it takes for an A of `detect` to be seen above `effect`. Worked example of the
    former (statpsych, `size.test.mann(.05, .90, .3)`): 44 in each of two samples for A of 30 % or 70 %, 90 % power and
    5 % false alarms.
    """
    spread = share * (1 - share)
    both = _information(asked) * inflation / spread
    return math.ceil(both * share), math.ceil(both * (1 - share))


def needed_beside(asked: Question, first: int, inflation: float = 1.0) -> int | None:
    """How many numbers the second sample must have beside so many of the first; None: no number is enough."""
    wanted = _information(asked) * inflation
    return math.ceil(wanted * first / (first - wanted)) if first > wanted else None


def _information(asked: Question) -> float:
    """What mn / (m + n) must be, for samples of m and n numbers."""
    sides = 2 if asked.side == "either" else 1
    surely, found = _quantile(1 - asked.false_alarms / sides), _quantile(asked.power)
    wanted = ((surely + found) / (asked.detect - 0.5)) ** 2
    return max(wanted, (found / (asked.detect - asked.effect)) ** 2) / 12
