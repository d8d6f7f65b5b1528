"""How much a series moved while a fault was in force, against what is usual for it. Pure.

Ranked by a robust z: the shift of the medians, in units of the usual spread with a floor. Measured on 300 synthetic
series of mixed kinds (noise, random walks, seasons, heavy tails, sparse, constant), it found more of ten planted shifts
than Kolmogorov-Smirnov, Mann-Whitney, mean over sigma or the largest z, see docs/evidence.md. Two more conditions keep
out what moves by itself: Cliff's delta, and that the series never *wandered* nearly as far in the time before.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from chaosrunner.judging import by_chance
from chaosrunner.judging.middle import median
from chaosrunner.model.material import Point, Sampled, Window
from chaosrunner.records.light import dataclass, replace

LEAST_Z = 3.0
"""A smaller robust z is no clue; few points need more, see `needed`."""
LEAST_DELTA = 0.8
"""Of Cliff's delta: at least nine of ten pairs (one in force, one usual) must go the same way."""
LEAST_RELATIVE = 0.05
"""A shift of less than this share of the greater of both medians is no clue."""
LEAST_RELATIVE_UNKNOWN = 0.5
"""The same where so little is known from before that a step now and then would not have shown."""
FEWEST_USUAL, FEWEST_MEANT = 4, 3
"""Points; with fewer nothing is said of a series."""
NEAR = 8
"""Points right before the fault that a stretch is compared with at least, where there are so many."""
WANDER = 3.0
"""A shift counts only if it is so many times as large as any between neighbouring stretches of the same length before,
and less likely among them, by Student's t, than what may pass by chance (`by_chance`)."""
FEWEST_SHIFTS = 4
"""With fewer shifts between neighbouring stretches of that length before, those of shorter ones are looked at, until
they are `ENOUGH_SHIFTS`."""
ENOUGH_SHIFTS = 8
MOST_PARTS = 32
"""Of a stretch, when shorter ones are looked at."""
MOST_Z = 1000.0
"""Beyond this all are alike: a series that never moved at all has no spread to compare with."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A series that moved."""

    z: float
    """Positive: it rose."""
    delta: float
    """Cliff's: 1 if all points in force are above all usual ones."""
    before: float
    during: float
    at: float
    """When the first point in force was nearer to its new level than to the old one."""
    usual: int
    """Points that say what is usual."""
    meant: int
    """Points in force."""
    known: float
    """Seconds before, in which it was looked at how far it wanders by itself."""


def shift(series: Sampled, window: Window, looked: int = 1) -> Shift | None:
    """How a series moved; None where it did not, or where there are too few points to say. `looked`: how many series
    are looked at in all, of which each may move by chance."""
    usual = [point for point in series.points if window.is_alike(point[0])]
    near = _right_before(usual, window)
    meant = _wholly_inside([point for point in series.points if window.is_meant(point[0])], series.lag, window)
    if len(near) < FEWEST_USUAL or len(meant) < FEWEST_MEANT:
        return None
    known, least = window.quiet_since(usual[0][0]), wandered(usual, near, window, looked)
    late = meant[len(meant) // 2 :]  # what piles up shows later
    stretches_known = len(_shifts(usual, window, max(window.length, 1e-9), FEWEST_MEANT))
    relative = LEAST_RELATIVE if stretches_known >= FEWEST_SHIFTS else LEAST_RELATIVE_UNKNOWN
    for values in (meant, late) if len(late) >= FEWEST_MEANT else (meant,):
        found = _against(near, values, least, relative)
        if found is not None:
            middle = (found.before + found.during) / 2
            at = next(at for at, value in meant if (value - middle) * found.z > 0)
            return replace(found, at=at, known=known)
    return None


def _against(near: Sequence[Point], meant: Sequence[Point], least: float, relative: float) -> Shift | None:
    """How values moved against those right before; None if by less than `least`, by a smaller share than `relative`, or
    not plainly."""
    ordered = sorted(value for _, value in near)
    before, during = median(ordered), median([value for _, value in meant])
    moved = during - before
    if moved == 0 or abs(moved) < max(least, relative * max(abs(before), abs(during))):
        return None
    delta = cliffs_delta([value for _, value in meant], ordered)
    z = robust_z(moved, ordered, before)
    if abs(delta) <= LEAST_DELTA or abs(z) < needed(min(len(near), len(meant))):
        return None
    return Shift(z, delta, before, during, meant[0][0], len(near), len(meant), 0.0)


def _right_before(usual: Sequence[Point], window: Window) -> Sequence[Point]:
    """What the stretch is compared with: as much time right before it, or a few more points where those are few."""
    near = [point for point in usual if point[0] >= window.began - window.length]
    return near if len(near) >= NEAR else usual[-NEAR:]


def _wholly_inside(meant: Sequence[Point], lag: float, window: Window) -> Sequence[Point]:
    """Points whose look back does not reach before the stretch; half of them where too few would be left."""
    inside = [point for point in meant if point[0] >= window.began + lag]
    return inside if len(inside) >= FEWEST_MEANT else meant[len(meant) // 2 :] if lag else meant


def needed(points: int) -> float:
    """The least robust z for so many points: by chance the medians of few points differ more."""
    return LEAST_Z + 12.0 / points


def robust_z(moved: float, ordered: Sequence[float], middle: float) -> float:
    """A shift in units of the usual spread: the largest of 1.48 MAD, a quarter of the range from the 5th to the 95th
    percentile, and 1 % of the median."""
    mad = median([abs(value - middle) for value in ordered])
    spread = max(1.48 * mad, 0.25 * (_at(ordered, 0.95) - _at(ordered, 0.05)), 0.01 * abs(middle))
    if spread <= abs(moved) / MOST_Z:
        return math.copysign(MOST_Z, moved)
    return moved / spread


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def cliffs_delta(these: Sequence[float], ordered: Sequence[float]) -> float:
    """Of all pairs (one of these, one of the sorted others): the share in which this is greater, less that in which it
    is smaller."""
    score = sum(bisect_left(ordered, value) - (len(ordered) - bisect_right(ordered, value)) for value in these)
    return score / (len(these) * len(ordered))


def wandered(usual: Sequence[Point], near: Sequence[Point], window: Window, looked: int = 1) -> float:
    """How far it must move to be more than it does by itself: by the shifts between the medians of neighbouring
    stretches before, each as long as the one that is asked about, and between both halves of the time right before
    it.

    Where those are few, by the shifts between shorter stretches: what wanders goes farther in a longer time, at most
    with its square root (a random walk).
    """
    half = len(near) // 2
    halves = [median([value for _, value in part]) for part in (near[:half], near[half:])]
    length, farther = max(window.length, 1e-9), 1.0
    moved = _shifts(usual, window, length, FEWEST_MEANT)
    farthest = WANDER * max([*moved, abs(halves[0] - halves[1])])
    enough = FEWEST_SHIFTS
    while len(moved) < enough and length > window.length / MOST_PARTS:
        length, farther, enough = length / 2, farther * math.sqrt(2), ENOUGH_SHIFTS
        moved = _shifts(usual, window, length, 1)
    if not moved:
        return farthest
    t = by_chance.student(len(moved), by_chance.tails(2 * looked))  # the whole stretch, and its second half
    return max(farthest, t * farther * math.sqrt(sum(shift * shift for shift in moved) / len(moved)))


def _shifts(usual: Sequence[Point], window: Window, length: float, fewest: int) -> list[float]:
    return [abs(now - then) for now, then in pairwise(stretches(usual, window, length, fewest))]


def stretches(usual: Sequence[Point], window: Window, length: float, fewest: int) -> list[float]:
    """The medians of stretches before, each so long and of so many points at least, the latest first."""
    parts: dict[int, list[float]] = {}
    for at, value in usual:
        parts.setdefault(int((window.began - at) / length), []).append(value)
    return [median(values) for _, values in sorted(parts.items()) if len(values) >= fewest]
