"""Recovery: from the first reading wholly after the undo from which every judged measure stays inside for `holds`.

A reading stands for the moment `ended - lag` (its end, for a measure without lag): a measure with a lag L cannot show
anything sooner than L after the undo, and that is not the system's slowness. The stay of all begins when the last
measure came in; it must begin within `within`. It holds when each measure has an inside reading at least `holds` after
that beginning; without `holds`: three inside readings since then, at least 5 s apart from first to last. The stay
counts only with enough readings in it (coverage). So a run may wait for `within`, plus `holds`, plus the slowest lag
and schedule, and no longer.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from chaosrunner.judging.coverage import Coverage
from chaosrunner.judging.during import rule_in
from chaosrunner.judging.hold import ResolvedRule, fits, resolve, say
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.streaks import Staying
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Rule, Value
from chaosrunner.model.words import Phase
from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.judging.window_stay import WindowStay

DEFAULT_READINGS = 3
DEFAULT_HOLDS = 5.0
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """Where the recovery stands."""

    kind: Literal["waiting", "recovered", "not-recovered", "unreadable"]
    reason: str
    """Why, in words with numbers."""
    seconds: float | None = None
    """Recovered: from the undo to the beginning of the stay that held; None: no measure is judged."""
    measures: tuple[str, ...] = ()
    """Keys of the measures that it hangs on."""


class _Track:
    """One measure after the undo."""

    def __init__(
        self, measure: PlannedMeasure, rule: ResolvedRule | None, holds: float | None, together: WindowStay | None
    ) -> None:
        self.measure = measure
        self.rule = rule
        """None: relative, and there is no baseline."""
        self.together = together
        """Of a rule that looks at many readings together."""
        self.single = Staying(rule.for_ if rule is not None else 0.0)
        self.holds = holds
        self.readings = 0
        self.outside: Value | None = None
        self.why = ""
        self.began = array("d")
        self.ended = array("d")
        self.lost = array("b")

    def add(self, reading: Reading) -> None:
        reading = fits(reading) if self.rule is None else self.rule.fits(reading)
        self.began.append(reading.began)
        self.ended.append(reading.ended)
        self.lost.append(not reading.is_reading)
        if not reading.is_reading:
            self.why = reading.missing or ""
            return
        self.readings += 1
        if self.together is not None:
            self.together.add(reading)
            return
        assert self.rule is not None
        inside = self.rule.inside(reading)
        if not inside:
            self.outside = reading.value
        self.single.add(inside, reading.ended - self.measure.lag, reading.ended)

    @property
    def stay(self) -> Staying | WindowStay:
        """How long it has stayed inside."""
        return self.single if self.together is None else self.together

    @property
    def waits(self) -> float:
        """Seconds that it takes, beyond its lag, until anything can be said."""
        return 0.0 if self.together is None else self.together.seconds

    @property
    def judgeable(self) -> bool:
        """Whether its rule means anything: a relative one needs a baseline."""
        return self.rule is not None or self.together is not None

    def held_since(self, start: float) -> bool:
        """Whether it has stayed inside for long enough, from `start` on, with enough readings."""
        stay = self.stay
        if stay.since is None or stay.latest is None or stay.outside:
            return False
        needed = DEFAULT_HOLDS if self.holds is None else self.holds
        if stay.latest - start + _ROUNDING < needed:
            return False
        if self.holds is None and not stay.three_since(start - _ROUNDING):
            return False
        return not self.complaint(start, self.ended[-1])

    def complaint(self, start: float, end: float) -> str:
        """Why there are not enough readings that stand for moments from `start` on, and ended by `end`; or empty."""
        coverage = Coverage(self.measure, max(end - start, 0.0))
        coverage.piece(start, end)
        for index in range(len(self.began)):
            if self.ended[index] - self.measure.lag + _ROUNDING >= start and self.ended[index] <= end + _ROUNDING:
                coverage.add(self.began[index], self.ended[index], self.why if self.lost[index] else None)
        return coverage.complaint()


def _together(measure: PlannedMeasure, rule: Rule, sample: Callable[[str], Sequence[Reading]]) -> WindowStay | None:
    """None: the baseline has too few readings to be compared with."""
    from chaosrunner.judging.window_stay import window_stay

    return window_stay(measure, rule, sample(measure.key))


def no_sample(key: str) -> Sequence[Reading]:
    """Where no baseline was read."""
    return ()


class RecoveryWatch:
    """Follows all measures after the last undo. Times are the journal's `t`."""

    def __init__(
        self,
        measures: Sequence[PlannedMeasure],
        baselines: Mapping[str, float],
        within: float,
        holds: float | None,
        undone_at: float,
        sample: Callable[[str], Sequence[Reading]] = no_sample,
    ) -> None:
        """`sample`: the baseline's readings of a measure, for rules that compare with all of them."""
        self._undone_at = undone_at
        self._deadline = undone_at + within
        self._within = within
        self._tracks: dict[str, _Track] = {}
        for measure in measures:
            rule = rule_in(measure, Phase.RECOVERY)
            if rule is not None and rule.over_phase:
                self._tracks[measure.key] = _Track(measure, None, holds, _together(measure, rule, sample))
            elif rule is not None:
                median = baselines.get(measure.key)
                known = not rule.relative or (median is not None and not rule.says_nothing(median))
                resolved = resolve(rule, measure.unit, median) if known else None
                self._tracks[measure.key] = _Track(measure, resolved, holds, None)
        self._order = list(self._tracks.values())
        self._blocker = 0
        self._recovered: RecoveryState | None = None
        hold = DEFAULT_HOLDS if holds is None else holds
        patience = [
            track.measure.lag + max(hold, DEFAULT_READINGS * track.measure.every if holds is None else 0.0)
            + track.waits
            + 2 * (track.measure.every + track.measure.timeout)
            for track in self._order
        ]  # fmt: skip
        self.latest_end = self._deadline + max(patience, default=0.0)
        """When waiting ends, whatever comes."""

    def add(self, key: str, reading: Reading) -> None:
        """A reading as it comes, of any measure; what tells of a time before the undo is left out."""
        track = self._tracks.get(key)
        if track is None or not track.judgeable or self._recovered is not None:
            return
        if reading.tells_from(track.measure.lag) + _ROUNDING < self._undone_at:
            return
        track.add(reading)
        # Only readings of the measure that it hangs on can complete the recovery: no other can move its stay.
        if track is self._order[self._blocker]:
            self._look()

    def _look(self) -> None:
        starts = [track.stay.since for track in self._order]
        for index, since in enumerate(starts):
            if since is None:
                self._blocker = index
                return
        start = max(since for since in starts if since is not None)
        # From the one that it hung on, round to the one before: most often the next one is what it hangs on now.
        for step in range(len(self._order)):
            index = (self._blocker + step) % len(self._order)
            if not self._order[index].held_since(start):
                self._blocker = index
                return
        if start > self._deadline + _ROUNDING:
            return
        seconds = max(0.0, start - self._undone_at)
        self._recovered = RecoveryState("recovered", f"recovered in {show(seconds, 's')}", seconds)

    def state(self, now: float) -> RecoveryState:
        """Where the recovery stands."""
        if not self._order:
            return RecoveryState("recovered", "no measure is judged after the fault")
        if self._recovered is not None:
            return self._recovered
        without = [track for track in self._order if not track.judgeable]
        if without:
            keys = tuple(track.measure.key for track in without)
            rules = [rule_in(track.measure, Phase.RECOVERY) for track in without]
            few = any(rule is not None and rule.like is not None for rule in rules)
            what = "there are too few readings of the baseline" if few else "there is no baseline"
            return RecoveryState("unreadable", f"{', '.join(keys)}: {what} to compare with", None, keys)
        late = [track for track in self._order if self._too_late(track, now)]
        if seen := [track for track in late if not self._complaint(track)]:
            return self._not_recovered(seen)
        if late:
            return self._unreadable(late)
        if now <= self.latest_end:
            track = self._order[self._blocker]
            return RecoveryState("waiting", f"for {track.measure.key}", None, (track.measure.key,))
        blocking = [track for track in self._order if not track.readings] or [self._order[self._blocker]]
        return self._unreadable(blocking)

    def _too_late(self, track: _Track, now: float) -> bool:
        """Whether no stay of this measure can begin in time any more, and it had readings that say so."""
        if track.stay.since is not None:
            return track.stay.since > self._deadline + _ROUNDING
        grace = track.measure.lag + track.waits + track.measure.every + track.measure.timeout
        return track.readings > 0 and now > self._deadline + grace

    def _not_recovered(self, late: list[_Track]) -> RecoveryState:
        reasons = []
        for track in late:
            if track.together is not None:
                reasons.append(f"{track.measure.key}: {track.together.reason}")
                continue
            assert track.rule is not None
            found = say(track.outside, track.measure.unit)
            reasons.append(f"{track.measure.key} was still {found}, should be {track.rule.text}")
        reason = f"no recovery within {show(self._within, 's')}: " + "; ".join(reasons)
        return RecoveryState("not-recovered", reason, None, tuple(track.measure.key for track in late))

    def _complaint(self, track: _Track) -> str:
        if track.together is not None and not track.together.broken:
            return track.together.reason
        return track.complaint(self._undone_at, self._deadline + track.measure.lag)

    def _unreadable(self, blocking: list[_Track]) -> RecoveryState:
        keys = tuple(track.measure.key for track in blocking)
        said = [track.why if track.together is None else track.together.reason for track in blocking]
        why = next((f" ({one})" for one in said if one), "")
        return RecoveryState("unreadable", f"{', '.join(keys)}: too few readings after the undo{why}", None, keys)
