"""One measure's readings in one part of a run, counted and held against a rule."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from chaosrunner.judging.coverage import Coverage
from chaosrunner.judging.hold import ResolvedRule, say
from chaosrunner.judging.middle import median
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.streaks import Violation
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Value
from chaosrunner.model.verdict import PhaseVerdict
from chaosrunner.model.words import Answer, Phase


class Tally:
    """Call `piece` for each part in order, with the readings that lie wholly inside it; then ask."""

    def __init__(self, measure: PlannedMeasure, rule: ResolvedRule | None, length: float) -> None:
        """`length`: of all pieces together, seconds. Without a rule readings are only counted."""
        self.measure = measure
        self.rule = rule
        self.coverage = Coverage(measure, length)
        self.no_answers = 0
        self.outside = 0
        self.longest = 0.0
        self.first: Reading | None = None
        """The first reading of the first violation that counted."""
        self.completed: Reading | None = None
        """The reading that completed it."""
        self.worst: Reading | None = None
        """The reading with the least room; no answer has none at all."""
        self._least_room = float("inf")
        self._numbers = array("d")

    def piece(self, start: float, end: float, readings: Iterable[Reading]) -> None:
        """The next part. Violations do not go on from one part to the next: in between nothing is judged."""
        violation = Violation(self.rule.for_ if self.rule is not None else 0.0)
        began: Reading | None = None
        self.coverage.piece(start, end)
        for reading in readings:
            if self.rule is not None:
                reading = self.rule.fits(reading)
            self.coverage.add(reading.began, reading.ended, reading.missing)
            if not reading.is_reading:
                continue
            inside = self._count(reading)
            if self.rule is None:
                continue
            began = None if inside else (began or reading)
            if violation.add(inside, reading.ended) and self.completed is None:
                self.first, self.completed = began, reading
            self.longest = max(self.longest, violation.longest)

    def _count(self, reading: Reading) -> bool:
        """Count a reading; whether it is inside."""
        value = reading.value
        self.no_answers += value is None
        if value is not None and not isinstance(value, str):
            self._numbers.append(float(value))
        if self.rule is None:
            return True
        inside = self.rule.inside(reading)
        self.outside += not inside
        room = float("-inf") if value is None else self.rule.room(value)
        if room is None:
            # No measure of room: any reading outside is worse than any inside.
            room = 0.0 if inside else -1.0
        if self.worst is None or room < self._least_room:
            self.worst, self._least_room = reading, room
        return inside

    @property
    def margin(self) -> float | None:
        """Of the worst reading, as a share of the limit."""
        if self.rule is None or self.worst is None or self.worst.value is None:
            return None
        return self.rule.margin(self.worst.value)

    def verdict(self, phase: Phase, answer: Answer, reason: str, rule: str | None = None) -> PhaseVerdict:
        """These numbers with an answer. `rule`: its words, where it could not be resolved."""
        held, numbers = self.rule, self._numbers
        return PhaseVerdict(
            phase=phase,
            judged=held is not None or bool(rule),
            answer=answer,
            reason=reason,
            rule=held.text if held is not None else rule or None,
            low=held.low if held is not None else None,
            high=held.high if held is not None else None,
            readings=self.coverage.readings,
            missing=self.coverage.missing + self.coverage.unsaid,
            no_answers=self.no_answers,
            median=median(numbers) if numbers else None,
            least=min(numbers, default=None),
            most=max(numbers, default=None),
            worst=self.worst.value if self.worst is not None else None,
            worst_at=self.worst.ended if self.worst is not None else None,
            margin=self.margin,
            violated_for=self.longest,
            first_violation=self.first.ended if self.first is not None else None,
        )

    # -- sentences

    def words_of_violation(self) -> str:
        """`was 512 ms at 34.2 s, should be at most 200 ms; outside for 40 s, 9 of 12 readings`."""
        assert self.rule is not None
        worst = self.worst
        found, when = self._found(worst), worst.ended if worst is not None else 0.0
        lasting = f"outside for {show(self.longest, 's')}, " if self.longest else ""
        count = f"{self.outside} of {self.coverage.readings} readings outside"
        if lasting:
            count = f"{lasting}{self.outside} of {self.coverage.readings} readings"
        return f"{found} at {when:.1f} s, should be {self.rule.text}; {count}"

    def words_of_holding(self) -> str:
        """`152 ms at worst in 12 readings, should be at most 200 ms: 24 % room`."""
        assert self.rule is not None
        value: Value | None = self.worst.value if self.worst is not None else None
        margin = self.margin
        room = "" if margin is None else f": {share(margin)} room"
        count = f"{self.coverage.readings} reading{'s' if self.coverage.readings != 1 else ''}"
        return f"{say(value, self.measure.unit)} at worst in {count}, should be {self.rule.text}{room}"

    def _found(self, reading: Reading | None) -> str:
        if reading is None:
            return "nothing"
        if reading.value is None:
            return f"no answer ({reading.no_answer})" if reading.no_answer else "no answer"
        return f"was {say(reading.value, self.measure.unit)}"


def share(part: float) -> str:
    """A share for people: `24 %`, `3.5 %`."""
    percent = part * 100
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.2g} %"
