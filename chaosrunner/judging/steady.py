"""The baseline: is the system steady, and what is each measure's median?

A measure is judged by the readings that were *taken* in the last `for:` seconds, where the present is the end of the
latest reading of any measure (so that the same readings always give the same answer, live and from the journal). What
a reading tells must lie wholly in the baseline, so a measure with a lag L can be judged once the baseline is
`for + L` old, and all wait for the slowest. Steady: every measure with a baseline rule is inside (throughout `for:`)
with enough readings (coverage), and every measure that is needed as a baseline has three numbers. The window slides
until `within:`, which is never taken to be shorter than one window can last.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

from chaosrunner.judging.coverage import Coverage
from chaosrunner.judging.during import needs_baseline, phases_read, rule_in
from chaosrunner.judging.hold import ResolvedRule, resolve, say
from chaosrunner.judging.middle import median
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.streaks import Violation
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Rule, Value
from chaosrunner.model.words import Answer, Phase
from chaosrunner.records.light import dataclass

NEEDED_FOR_MEDIAN = 3
_INSIDE, _OUTSIDE, _MISSING = 0, 1, 2
_NAN = float("nan")
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Where the baseline stands."""

    kind: Literal["waiting", "steady", "not-steady", "not-readable"]
    reason: str
    """Why, in words with numbers."""
    measures: tuple[str, ...] = ()
    """Keys of the measures that it hangs on."""


@dataclass(frozen=True, slots=True)
class MeasureState:
    """One measure in the window that ends now."""

    ok: bool
    readable: bool
    reason: str


class _Track:
    """One measure's readings in the baseline, compact."""

    def __init__(self, measure: PlannedMeasure, for_: float, began: float) -> None:
        self.measure = measure
        rule = rule_in(measure, Phase.BASELINE)
        self.whole: Rule | None = None
        """A rule for all readings together, in place of one for each."""
        if rule is not None and rule.over_phase:
            rule, self.whole = None, rule
        self.rule: ResolvedRule | None = None if rule is None else resolve(rule, measure.unit, None)
        self.needed = needs_baseline(measure)
        self._for = for_
        self._phase_began = began
        self._began = array("d")
        self._ended = array("d")
        self._kind = array("b")
        self._number = array("d")
        self._why = ""
        self._outside: Value | None = None
        self.text = False

    @property
    def judged(self) -> bool:
        """Whether it has a rule for the baseline."""
        return self.rule is not None or self.whole is not None

    def add(self, reading: Reading) -> None:
        if reading.tells_from(self.measure.lag) < self._phase_began:
            return
        if self.rule is not None:
            reading = self.rule.fits(reading)
        kind = _MISSING
        if reading.is_reading:
            kind = _INSIDE if self.rule is None or self.rule.inside(reading) else _OUTSIDE
        else:
            self._why = reading.missing or ""
        if kind == _OUTSIDE:
            self._outside = reading.value
        value = reading.value
        self._began.append(reading.began)
        self._ended.append(reading.ended)
        self._kind.append(kind)
        self._number.append(_NAN if value is None or isinstance(value, str) else float(value))
        self.text = self.text or isinstance(value, str)

    def first_in(self, end: float) -> int:
        """Index of the first reading of the window that ends at `end`."""
        index = len(self._began)
        while index > 0 and self._began[index - 1] >= end - self._for - _ROUNDING:
            index -= 1
        return index

    def state(self, end: float) -> MeasureState:
        """In the window that ends at `end`."""
        name = self.measure.key
        if self.whole is not None and not (state := self._whole_state(self.whole, end)).ok:
            return state
        if self.rule is not None:
            first = self.first_in(end)
            violation = Violation(self.rule.for_)
            lag = self.measure.lag
            coverage = Coverage(self.measure, self._for)
            coverage.piece(end - self._for - lag, end)
            counted = False
            for index in range(first, len(self._began)):
                kind = self._kind[index]
                coverage.add(self._began[index], self._ended[index], self._why if kind == _MISSING else None)
                if kind != _MISSING:
                    counted = violation.add(kind == _INSIDE, self._ended[index]) or counted
            if counted or violation.going_on:
                found = say(self._outside, self.measure.unit)
                return MeasureState(False, True, f"{name} was {found}, should be {self.rule.text}")
            if complaint := coverage.complaint():
                return MeasureState(False, False, f"{name}: {complaint}")
        if self.needed and len(self.numbers(end)) < NEEDED_FOR_MEDIAN:
            why = f" ({self._why})" if self._why else ""
            have = len(self.numbers(end))
            return MeasureState(False, False, f"{name}: its baseline needs three readings and has {have}{why}")
        return MeasureState(True, True, f"{name} is steady")

    def _whole_state(self, rule: Rule, end: float) -> MeasureState:
        """The window held against a rule for all its readings."""
        from chaosrunner.judging.whole_phase import judge_whole

        name, lag = self.measure.key, self.measure.lag
        coverage = Coverage(self.measure, self._for)
        coverage.piece(end - self._for - lag, end)
        readings = []
        for index in range(self.first_in(end), len(self._began)):
            missing = self._why if self._kind[index] == _MISSING else None
            coverage.add(self._began[index], self._ended[index], missing)
            readings.append(self._reading(index))
        said = judge_whole(self.measure, rule, (), [readings])
        if said.answer is Answer.BROKEN:
            return MeasureState(False, True, f"{name}: {said.reason}")
        complaint = coverage.complaint() or (said.reason if said.answer is Answer.INCONCLUSIVE else "")
        return MeasureState(not complaint, not complaint, f"{name}: {complaint or said.reason}")

    def _reading(self, index: int) -> Reading:
        began, ended, number = self._began[index], self._ended[index], self._number[index]
        if self._kind[index] == _MISSING or (number != number and self.text):
            return Reading(began, ended, missing=self._why or "it was no number")
        return Reading(began, ended, number) if number == number else Reading(began, ended, no_answer="no answer")

    def numbers(self, end: float) -> list[float]:
        """The window's numbers; where the window is too short for three, the last three without a violation."""
        return [self._number[index] for index in self._chosen(end)]

    def sample(self, end: float) -> list[Reading]:
        """The readings that `numbers` are of, in the order of time."""
        return [Reading(self._began[i], self._ended[i], self._number[i]) for i in reversed(self._chosen(end))]

    def _chosen(self, end: float) -> list[int]:
        found: list[int] = []
        first = self.first_in(end)
        for index in range(len(self._began) - 1, -1, -1):
            if index < first and (len(found) >= NEEDED_FOR_MEDIAN or self._kind[index] == _OUTSIDE):
                break
            if self._number[index] == self._number[index]:
                found.append(index)
        return found


class SteadyWatch:
    """Follows all measures through the baseline. Times are the journal's `t`; `began` is the phase's start."""

    def __init__(self, measures: Sequence[PlannedMeasure], for_: float, within: float | None, began: float) -> None:
        read = [measure for measure in measures if Phase.BASELINE in phases_read(measure.during)]
        self._tracks = {measure.key: _Track(measure, for_, began) for measure in read}
        self._watched = [track for track in self._tracks.values() if track.judged or track.needed]
        lag = max((track.measure.lag for track in self._watched), default=0.0)
        self._first_end = began + for_ + lag
        slack = max((track.measure.every + track.measure.timeout for track in self._watched), default=0.0)
        needed = for_ + lag
        self.deadline = began + max(2 * for_ + lag if within is None else within, needed) + slack
        """When waiting ends: `within:`, plus what the slowest schedule needs to have its last reading."""
        self._for = for_
        self._latest = began
        self._blocker: _Track | None = None

    def add(self, key: str, reading: Reading) -> None:
        """A reading as it comes, of any measure."""
        self._latest = max(self._latest, reading.ended)
        track = self._tracks.get(key)
        if track is not None:
            track.add(reading)

    def state(self, now: float) -> SteadyState:
        """Where the baseline stands; cheap enough to be asked after every reading."""
        if not self._watched:
            if now + _ROUNDING >= self._first_end:
                return SteadyState("steady", "no measure is judged before the fault")
            return SteadyState("waiting", f"for {show(self._for, 's')}")
        late = now > self.deadline
        if self._latest + _ROUNDING < self._first_end and not late:
            left = self._first_end - self._latest
            return SteadyState("waiting", f"{show(left, 's')} to go until there can be enough readings")
        if self._blocker is not None and not late:
            # Most often it still hangs on the same measure; then the others need not be looked at.
            state = self._blocker.state(self._latest)
            if not state.ok:
                return SteadyState("waiting", state.reason, (self._blocker.measure.key,))
        states = []
        for track in self._watched:
            state = track.state(self._latest)
            states.append((track.measure.key, state))
            if not late and not state.ok:
                self._blocker = track
                return SteadyState("waiting", state.reason, (track.measure.key,))
        bad = [(key, state) for key, state in states if not state.ok]
        if not bad and self._latest + _ROUNDING >= self._first_end:
            return SteadyState("steady", f"every judged measure was inside for {show(self._for, 's')}")
        return _given_up(bad)

    def of_measure(self, key: str) -> MeasureState | None:
        """One measure in the window that ends now; None: it is not watched."""
        track = self._tracks.get(key)
        return None if track is None or not track.judged else track.state(self._latest)

    def sample(self, key: str) -> list[Reading]:
        """The readings of the steady window that a measure's median is of, in the order of time."""
        track = self._tracks.get(key)
        return [] if track is None else track.sample(self._latest)

    def medians(self) -> dict[str, float]:
        """Medians of the steady window, by key, of measures that have three numbers in it."""
        found = {key: track.numbers(self._latest) for key, track in self._tracks.items()}
        return {key: median(numbers) for key, numbers in found.items() if len(numbers) >= NEEDED_FOR_MEDIAN}

    def counts(self) -> dict[str, int]:
        """How many readings each of the `medians` is made of."""
        found = {key: len(track.numbers(self._latest)) for key, track in self._tracks.items()}
        return {key: count for key, count in found.items() if count >= NEEDED_FOR_MEDIAN}


def _given_up(bad: list[tuple[str, MeasureState]]) -> SteadyState:
    outside = [(key, state) for key, state in bad if state.readable]
    chosen = outside or bad
    if not chosen:
        return SteadyState("not-readable", "there were no readings for long enough")
    reason = "; ".join(state.reason for _, state in chosen[:3])
    if len(chosen) > 3:
        reason += f"; and {len(chosen) - 3} more"
    return SteadyState("not-steady" if outside else "not-readable", reason, tuple(key for key, _ in chosen))
