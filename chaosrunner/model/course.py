"""How a measure went over a run, small enough to be kept with a near miss and to be drawn in letters."""

from __future__ import annotations

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.words import Phase


class Stretch(Frozen):
    """One phase, in parts of equal length."""

    phase: Phase
    seconds: float
    values: tuple[float | None, ...]
    """The worst reading of each part, in the measure's unit; None: there was none."""
    silent: tuple[int, ...] = ()
    """The parts in which what was asked did not answer."""


class Course(Frozen):
    """A measure over baseline, fault and recovery."""

    stretches: tuple[Stretch, ...]
