"""Which sorts of log lines are new, burst, dropped or gone while a fault was in force. Pure.

Ranked by the log-likelihood ratio G² of so many lines in force against so many in the usual time, divided by how
unevenly the lines come by themselves (their index of dispersion): a job that says twenty lines at once is one thing,
not twenty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from chaosrunner.judging import by_chance
from chaosrunner.judging.templates import Miner, Template
from chaosrunner.model.evidence import How
from chaosrunner.model.material import Stream, Window
from chaosrunner.records.light import dataclass

FEWEST = 5
"""Lines in force (or, for those that are gone, lines that were to be expected); fewer are no clue."""
BURST, DROP = 2.0, 0.5
"""A rate so many times the usual one, half a line added to both counts."""
LEAST_G2_TROUBLE = 5.0
"""The same of lines that tell of trouble by their words and are new: of 40 such sorts one has more by chance."""
_TROUBLE = re.compile(
    r"\b(?:warn(?:ing)?|err(?:or)?|fatal|critical|panic|traceback|exception|fail(?:ed|ure|s)?|time[d -]?outs?|refused|"
    r"reset|unavailable|rejected|exhausted|denied|killed|oom|deadlock|aborted|no (?:free|more|such))\b",
    re.IGNORECASE,
)
TROUBLE = 2.0
"""So many times as heavy are new lines that tell of trouble by their words: they say more than that others are
missing."""
_MORE: Mapping[str, bool] = {"new": True, "burst": True, "dropped": False, "gone": False}
_SLICES = 12
"""Of the stretch that is asked about, for how unevenly lines come."""


@dataclass(frozen=True, slots=True)
class LogChange:
    """One sort of line that came otherwise than usual."""

    template: Template
    how: How
    g2: float
    lines: int
    usual: int
    before: float
    """Lines a minute."""
    during: float
    at: float | None
    """The first line in force; of what is gone, the last one before."""


class Log:
    """One log, its lines sorted."""

    def __init__(self, stream: Stream, window: Window) -> None:
        self.stream = stream
        self._window = window
        self.templates: Sequence[Template] = ()
        if window.length > 0 and window.quiet_since(max(stream.since, window.loaded_from)) > 0:
            miner = Miner(stream.name)
            for at, line in stream.lines:
                meant = window.is_meant(at)
                if meant or window.is_usual(at):
                    miner.add(at, line, meant=meant)
            self.templates = miner.templates

    def changes(self, looked: int) -> list[LogChange]:
        """The strongest first. `looked`: how many sorts of lines are looked at in all, of which each may come more
        often by chance."""
        least = by_chance.chi_squared(by_chance.tails(looked))
        found = [_change(template, self._window, self.stream.since, least) for template in self.templates]
        fewer = () if self.stream.whole else ("dropped", "gone")
        kept = [change for change in found if change is not None and change.how not in fewer]
        return sorted(kept, key=lambda change: -change.g2)


def log_changes(stream: Stream, window: Window) -> list[LogChange]:
    """Of one log alone, the strongest first."""
    log = Log(stream, window)
    return log.changes(len(log.templates))


def _change(template: Template, window: Window, since: float, least: float) -> LogChange | None:
    inside = [at for at in template.times if window.is_meant(at)]
    usual = [at for at in template.times if window.is_alike(at)]
    quiet = window.quiet_since(max(since, window.loaded_from))
    how = _how(len(inside), len(usual), window.length, quiet)
    if how is None or not _as_right_before(how, template.times, len(inside), window, since):
        return None
    if how == "new" and len(inside) + len(usual) < len(template.times):
        how = "burst"  # it is known from before the load
    strength = g2(len(inside), len(usual), window.length, quiet) / dispersion([*usual, *inside], window, quiet)
    trouble = how == "new" and _TROUBLE.search(template.text) is not None
    at_once = how == "new" and max(inside) - min(inside) < window.length / _SLICES
    if strength < (LEAST_G2_TROUBLE if trouble else least) or (at_once and not trouble):
        return None  # what is said once, in many lines, and tells of no trouble, may be said once an hour
    first = min(inside) if inside else max(usual)
    before, during = 60 * len(usual) / quiet, 60 * len(inside) / window.length
    strength *= TROUBLE if trouble else 1.0
    return LogChange(template, how, strength, len(inside), len(usual), before, during, first)


def _as_right_before(how: How, times: Sequence[float], lines: int, window: Window, since: float) -> bool:
    """Whether it is so, too, against the time right before alone: what became so earlier is not of this stretch."""
    start = max(since, window.near_from)
    near = sum(window.is_alike(at) and at >= start for at in times)
    found = _how(lines, near, window.length, window.quiet_since(start))
    return found is not None and _MORE[found] is _MORE[how]


def _how(lines: int, usual: int, length: float, quiet: float) -> How | None:
    if quiet <= 0:
        return None
    ratio = ((lines + 0.5) / length) / ((usual + 0.5) / quiet)
    if lines >= FEWEST and usual == 0:
        return "new"
    if lines >= FEWEST and ratio > BURST:
        return "burst"
    if ratio < DROP and usual * length / quiet >= FEWEST:
        return "dropped" if lines else "gone"
    return None


def g2(lines: int, usual: int, length: float, quiet: float) -> float:
    """The log-likelihood ratio of two counts over two lengths of time, against one rate for both."""
    total, whole = lines + usual, length + quiet
    parts = ((lines, total * length / whole), (usual, total * quiet / whole))
    return 2 * sum(count * math.log(count / expected) for count, expected in parts if count)


def dispersion(times: Sequence[float], window: Window, quiet: float) -> float:
    """The variance of the counts of equal slices of time over their mean; 1 (as of lines that come independently) where
    it is less. Of the usual time; of what is new, from its first slice to its last: that it began late is no
    unevenness."""
    width = window.length / _SLICES
    usual = [int((window.began - at) / width) for at in times if not window.is_meant(at)]
    if usual:
        return _index(usual, max(2, round(quiet / width)))
    meant = [int((at - window.began) / width) for at in times]
    return _index(meant, max(meant) - min(meant) + 1)


def _index(places: Sequence[int], slices: int) -> float:
    if slices < 2:
        return 1.0
    counts: dict[int, int] = {}
    for place in places:
        counts[place] = counts.get(place, 0) + 1
    mean = len(places) / slices
    variance = sum((count - mean) ** 2 for count in counts.values()) + mean**2 * max(0, slices - len(counts))
    return max(1.0, variance / (slices - 1) / mean)
