"""The scales of a plot: where a moment and a value lie, and which ticks an axis has."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chaosrunner.model.quantities import UNITS, show
from chaosrunner.records.light import dataclass

WIDE = 1000.0
"""Of a plot, in its own units; the page stretches it to its column."""
HIGH = 100.0
TOP = 14.0
"""The strip above the values, where readings without a value are marked."""
BLOCKS = "▁▂▃▄▅▆▇█"
"""Eighths of a line of text, for plots in letters."""
_LOG_FROM = 60.0
"""Ratio of the highest to the lowest value from which a logarithmic axis shows more."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to heights: `TOP` for the highest, `HIGH` for the lowest."""

    low: float
    high: float
    log: bool = False

    def y(self, value: float) -> float:
        """The height of a value, kept inside the plot."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        share = (at - low) / (high - low) if high > low else 0.5
        return HIGH - (HIGH - TOP) * min(1.0, max(0.0, share))

    def ticks(self, unit: str | None) -> list[tuple[float, str]]:
        """Some round values with their texts, lowest first."""
        if not self.log:
            return [(value, tick_text(value, unit)) for value in round_values(self.low, self.high, 4)]
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        decades = range(first, last + 1)
        factors = (1, 2, 5) if last - first <= 1 else (1, 3) if last - first <= 2 else (1,)
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [value for value in values if self.low <= value <= self.high * 1.0001]
        step = max(1, math.ceil(len(inside) / 5))
        return [(value, tick_text(value, unit)) for value in inside[::step]]


def block(share: float) -> str:
    """The block nearest to a share of a line's height, from 0 to 1; of nothing the lowest, as 0 is a reading, too."""
    return BLOCKS[round(share * (len(BLOCKS) - 1))]


def tick_text(value: float, unit: str | None) -> str:
    """A tick's value with its unit; 0 stands alone."""
    return "0" if value == 0 else show(value, unit)


def round_values(low: float, high: float, about: int) -> list[float]:
    """About so many values of 1, 2 or 5 times a power of ten, from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999), 10 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def scale_for(values: Sequence[float], limits: Sequence[float], abort: Sequence[float], unit: str | None) -> Scale:
    """A scale for the values that shows the limits too, unless they are far beyond everything that was read; of an
    abort limit less is enough to be beyond, because it should not press the tolerance to the ground."""
    if not values:
        values = limits or (0.0, 1.0)
    least, most = min(values), max(values)
    reach = max(abs(most), abs(least))
    near = [limit for limit in limits if abs(limit) <= 4 * reach or limit <= most]
    near += [limit for limit in abort if abs(limit) <= 1.6 * reach or limit <= most]
    lowest, highest = min([least, *near]), max([most, *near])
    if least > 0 and unit in UNITS and unit not in ("%", "ratio") and most / least > _LOG_FROM:
        return Scale(max(least, 1e-12) / 1.25, highest * 1.25, log=True)
    if lowest >= 0:
        lowest = 0.0
    if highest == lowest:
        highest = lowest + (abs(lowest) or 1.0)
    return Scale(lowest, highest + (highest - lowest) * 0.06)


_TIME_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def time_ticks(seconds: float, about: int = 8) -> list[tuple[float, str]]:
    """Round moments of a run with their texts."""
    step = next((step for step in _TIME_STEPS if step * about >= seconds), _TIME_STEPS[-1])
    found = []
    for index in range(int(seconds / step + 1e-9) + 1):
        t = index * step
        if step < 60:
            text = f"{t:g} s" if seconds < 120 else f"{int(t // 60)}:{int(t % 60):02d}"
        else:
            text = f"{t / 60:g} min" if seconds < 7200 else f"{int(t // 3600)}:{int(t // 60 % 60):02d} h"
        found.append((t, text))
    return found
