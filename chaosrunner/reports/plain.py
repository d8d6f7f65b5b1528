"""A run as plain lines: one for each important event, and every few seconds one that sums up the readings.

For pipes, logs and terminals that cannot move the cursor: no control codes, no colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosrunner.model.journal import Entry
from chaosrunner.reports.scene import Dial, Scene
from chaosrunner.reports.words import MANY, SIGNS, clean, lasting, moment, value_text

SUM_UP = 5.0
"""Seconds between two lines that sum up."""
_SHOWN = 4


class PlainView:
    """Writes lines as the run goes on."""

    def __init__(self, write: Callable[[str], object], sum_up: float = SUM_UP) -> None:
        """`write` gets one line at a time, without a line end."""
        self._write = write
        self._every = sum_up
        self._next = sum_up
        self._scene = Scene()

    def start(self) -> None:
        """Nothing to set up."""

    def stop(self) -> None:
        """Nothing to take down."""

    def observe(self, entry: Entry) -> None:
        """Take in one journal entry; writes at most two lines."""
        told = self._scene.take(entry)
        if told is not None and told.important:
            self._line(entry.t, SIGNS[told.tone], told.topic, told.text)
        if entry.t >= self._next and not self._scene.over:
            self._next = entry.t - entry.t % self._every + self._every
            self._line(entry.t, " ", self._scene.phase.value if self._scene.phase else "", self._summary(entry.t))

    def _line(self, t: float, sign: str, topic: str, words: str) -> None:
        self._write(f"{moment(t):>8} {sign} {topic:<10} {' '.join(clean(words).split())}")

    def _summary(self, t: float) -> str:
        scene = self._scene
        parts = []
        if scene.phase is not None:
            word = "up to " if scene.phase == "recovery" else ""
            parts.append(f"{t - scene.phase_began:.0f} s of {word}{lasting(scene.expected(scene.phase))}")
        dials = scene.urgent_first()
        parts += [_reading(dial) for dial in dials[:_SHOWN]]
        if len(dials) > _SHOWN:
            outside = sum(dial.state in ("outside", "no answer") for dial in dials[_SHOWN:])
            parts.append(f"{len(dials) - _SHOWN} more, {outside or 'none'} outside")
        if scene.in_force:
            parts.append("in force: " + _names([held.name for held in scene.in_force.values()]))
        return " | ".join(parts)


def _names(faults: Sequence[str]) -> str:
    return ", ".join(faults) if len(faults) <= MANY else f"{faults[0]} and {len(faults) - 1} more"


def _reading(dial: Dial) -> str:
    name = dial.measure.name
    if dial.state in ("waiting", "no reading", "no answer"):
        shown = "no reading yet" if dial.state == "waiting" else dial.state.upper()
        return f"{name} {shown}"
    shown = value_text(dial.last, dial.measure.unit)
    if dial.state == "outside" and dial.rule is not None:
        return f"{name} {shown} OUTSIDE ({dial.rule.text.partition(' (')[0]})"
    return f"{name} {shown}"
