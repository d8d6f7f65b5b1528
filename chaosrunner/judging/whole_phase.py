"""Rules that look at all readings of a phase together: `take` (one number of them) and `like baseline` (a rank test).

`like baseline` has three answers. Broken: the rank test tells the two phases apart (`falseAlarms`), and the difference
is at least `effect`. Held: it is not so, and there were enough readings that a difference of `detect` would have been
found with `power`. Inconclusive: there were not, and it says how many are needed.

Readings of which each tells of more time than lies between them are partly the same: only those count that tell of
times of their own. What is left may still hang together; see `chaosrunner.model.rank_test`.

*No answer* meets no tolerance: it counts as further from the baseline, or from the limit, than any number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from chaosrunner.judging.hold import ResolvedRule, resolve
from chaosrunner.judging.middle import median
from chaosrunner.judging.reading import Reading
from chaosrunner.model import rank_test
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import rate_of, show
from chaosrunner.model.rank_test import Compared, Question
from chaosrunner.model.tolerance import EFFECTS, Rule, quantile
from chaosrunner.model.words import Answer
from chaosrunner.records.light import dataclass

_LEAST = 3
_MOST = 20
"""So many readings in a row are looked at at the most to see a recovery."""
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Whole:
    """What a rule says of all readings of a phase."""

    answer: Answer
    reason: str
    rule: str
    """The rule for people, resolved."""
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    outside: bool = False
    """Whether the readings themselves are not in order: broken, or held up only by too few of them."""


def judge_whole(
    measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading], pieces: Sequence[Sequence[Reading]]
) -> Whole:
    """What a rule with `like` or `take` says of a phase. `pieces` are its parts, in order; missing readings and text
    are passed over."""
    if rule.like is not None:
        return _like(measure, rule, _apart(baseline, measure.lag), _all_apart(pieces, measure.lag))
    return _taken(measure, rule, baseline, pieces)


def _counts(reading: Reading) -> bool:
    return reading.is_reading and not isinstance(reading.value, str)


# --------------------------------------------------------------------------------------------------- like baseline


def _apart(readings: Iterable[Reading], lag: float) -> list[float | None]:
    """The values of readings that tell of times of their own; None: no answer."""
    found: list[float | None] = []
    until = -math.inf
    for reading in readings:
        if _counts(reading) and reading.tells_from(lag) + _ROUNDING >= until:
            assert not isinstance(reading.value, str)
            found.append(None if reading.value is None else float(reading.value))
            until = reading.ended if lag else -math.inf
    return found


def _all_apart(pieces: Iterable[Iterable[Reading]], lag: float) -> list[float | None]:
    return [value for piece in pieces for value in _apart(piece, lag)]


def question(rule: Rule) -> Question:
    """What a `like` rule asks of two samples."""
    return Question(rule.least_effect, rule.detectable, rule.found_with, rule.alarms, rule.side or "either")


def _like(
    measure: PlannedMeasure,
    rule: Rule,
    baseline: Sequence[float | None],
    phase: Sequence[float | None],
) -> Whole:
    before = [value for value in baseline if value is not None]
    if not before or not phase:
        return Whole(Answer.INCONCLUSIVE, f"there is no reading of {'it' if before else 'the baseline'}", str(rule))
    asked = question(rule)
    compared = _compared(before, phase, asked)
    away = _away(compared.effect, asked)
    enough = _needed(asked, len(before), len(phase), compared.inflation)
    few = len(before) + len(phase) < sum(enough)
    seen = [value for value in phase if value is not None]
    middles = f"median {_shown(measure, seen)} against the baseline's {_shown(measure, before)}"
    sizes = f"{len(phase)} readings against {len(before)}"
    side = "higher" if compared.effect >= 0.5 else "lower"
    pairs = _percent(max(compared.effect, 1 - compared.effect))
    if away >= asked.effect and compared.p <= asked.false_alarms:
        text = f"{middles}: {side} in {pairs} of all pairs, {_name(away)} ({_percent(asked.effect)} counts)"
        return Whole(Answer.BROKEN, f"{text}; {_chance(compared.p)}, {sizes}", str(rule), outside=True)
    if few:
        return Whole(Answer.INCONCLUSIVE, _too_few(asked, compared, enough, sizes, measure), str(rule))
    if away >= asked.effect:
        text = f"{middles}: {side} in {pairs} of all pairs, which may still be chance ({_chance(compared.p)}), {sizes}"
        return Whole(Answer.INCONCLUSIVE, text, str(rule), outside=True)
    text = f"{middles}: {side} in {pairs} of all pairs, where {_percent(asked.effect)} counts; {sizes}"
    return Whole(Answer.HELD, text, str(rule))


def _compared(before: Sequence[float], phase: Sequence[float | None], asked: Question) -> Compared:
    """With no answer further away than any number; on which side is seen where the difference is greater."""
    ends = {"higher": [math.inf], "lower": [-math.inf], "either": [math.inf, -math.inf]}[asked.side]
    if None not in phase:
        ends = ends[:1]
    found = [
        rank_test.compare(before, [end if value is None else value for value in phase], asked.side) for end in ends
    ]  # fmt: skip
    return max(found, key=lambda one: abs(one.effect - 0.5))


def _away(effect: float, asked: Question) -> float:
    """The difference on the side that counts; 0.5 and below: none."""
    return {"either": max(effect, 1 - effect), "higher": effect, "lower": 1 - effect}[asked.side]


def _needed(asked: Question, before: int, phase: int, inflation: float) -> tuple[int, int]:
    return rank_test.needed(asked, before / (before + phase), inflation)


def _too_few(asked: Question, compared: Compared, enough: tuple[int, int], sizes: str, measure: PlannedMeasure) -> str:
    why = ""
    if measure.lag > measure.every:
        why = f" (each tells of {show(measure.lag, 's')}, so that only those count which are so far apart)"
    if compared.inflation > 1.05:
        why += f" (each is like the one before, so that {compared.inflation:.1f} of them say as much as one)"
    return (
        f"too few readings for a rank test, {sizes} of the baseline{why}: to find {_name(asked.detect)} "
        f"({_percent(asked.detect)} of all pairs) with {_percent(asked.power)} probability it takes {enough[1]} "
        f"against {enough[0]}"
    )


def _name(effect: float) -> str:
    known = [name for name, least in EFFECTS.items() if effect >= least]
    return f"a {known[-1]} difference" if known else "a very small difference"


def _chance(p: float) -> str:
    if p < 1e-6:
        return "by chance less than once in 1 000 000"
    return f"by chance once in {1 / p:,.0f}".replace(",", " ") if p < 0.05 else f"by chance in {_percent(p)} of cases"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _shown(measure: PlannedMeasure, numbers: Sequence[float]) -> str:
    return show(median(numbers), measure.unit) if numbers else "no answer"


# ------------------------------------------------------------------------------------------------------------ take


def unit_of(measure: PlannedMeasure, rule: Rule) -> str | None:
    """The unit of what a `take` rule holds: a rate is a second's."""
    return rate_of(measure.unit) if rule.take == "rate" else measure.unit


def taken(rule: Rule, pieces: Sequence[Sequence[Reading]], *, away: float = math.inf) -> float | None:
    """The one number of readings; `away` stands for no answer. None: there is none.

    Quantiles by linear interpolation between the closest ranks, as Prometheus's `quantile_over_time` does. A rate is
    the growth between readings over the time between them, each piece by itself; where a counter fell it had started
    anew, from 0.
    """
    if rule.take == "rate":
        return _rate(pieces, away)
    numbers = sorted(away if value is None else value for piece in pieces for value in _apart(piece, 0.0))
    if not numbers:
        return None
    if rule.take == "mean":
        return numbers[0] if math.isinf(numbers[0]) else math.fsum(numbers) / len(numbers)
    if rule.take in ("min", "max"):
        return numbers[0] if rule.take == "min" else numbers[-1]
    place = (quantile(rule.take) or 0.0) * (len(numbers) - 1)
    low = math.floor(place)
    if place == low or numbers[low] == numbers[low + 1]:
        return numbers[low]
    return numbers[low] + (numbers[low + 1] - numbers[low]) * (place - low)


def _rate(pieces: Sequence[Sequence[Reading]], away: float) -> float | None:
    grown = lasted = 0.0
    for piece in pieces:
        last: Reading | None = None
        for reading in piece:
            if not _counts(reading):
                continue
            if reading.value is None:
                return away
            if last is not None:
                assert not isinstance(reading.value, str) and not isinstance(last.value, str) and last.value is not None
                step = float(reading.value) - float(last.value)
                grown += step if step >= 0 else float(reading.value)
                lasted += reading.ended - last.ended
            last = reading
    return grown / lasted if lasted > 0 else None


def window(measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading]) -> int | None:
    """How many readings in a row it takes to say something; None: the baseline has too few for any number."""
    if rule.like is None:
        return min(least_readings(rule), _MOST)
    few = rank_test.needed_beside(question(rule), len(_apart(baseline, measure.lag)))
    return None if few is None else few * max(1, math.ceil(measure.lag / measure.every))


def least_readings(rule: Rule) -> int:
    """So many readings a `take` rule needs: below that a quantile is nothing but the highest, or lowest, of them."""
    share = quantile(rule.take) or 0.5
    return max(_LEAST, round(1 / min(share, 1 - share)))


def resolved(measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading]) -> ResolvedRule:
    """A `take` rule with its limits in the unit of what it holds, relative ones of the same number of the baseline.

    Raises ValueError, in words.
    """
    number = taken(rule, [baseline]) if rule.relative else None
    if number is not None and math.isinf(number):
        number = None
    if rule.says_nothing(number):
        raise ValueError(f"its baseline is 0, so that {rule} says nothing")
    return resolve(rule, unit_of(measure, rule), number)


def _taken(
    measure: PlannedMeasure, rule: Rule, baseline: Sequence[Reading], pieces: Sequence[Sequence[Reading]]
) -> Whole:
    try:
        held = resolved(measure, rule, baseline)
    except ValueError as error:
        return Whole(Answer.INCONCLUSIVE, str(error), str(rule))
    return of_number(rule, held, pieces)


def of_number(rule: Rule, held: ResolvedRule, pieces: Sequence[Sequence[Reading]]) -> Whole:
    """What a resolved `take` rule says of readings."""
    low, high = held.low, held.high
    away = math.inf if high is not None else -math.inf
    number = taken(rule, pieces, away=away)
    count, text = sum(_counts(one) for piece in pieces for one in piece), f"{rule.take} {held.text}"
    if number is None:
        why = f"there are too few readings for a {rule.take}: {count}"
        return Whole(Answer.INCONCLUSIVE, why, text, low, high)
    value = "no answer" if math.isinf(number) else show(number, held.unit)
    found = f"{rule.take} of {count} readings was {value}, should be {held.text}"
    inside = not math.isinf(number) and held.allows(number)
    margin = None if math.isinf(number) else held.margin(number)
    if count < least_readings(rule) and _one_decides(held, pieces):
        why = f"{rule.take} needs {least_readings(rule)} readings and there are {count}; {found}"
        return Whole(Answer.INCONCLUSIVE, why, text, low, high, margin, outside=not inside)
    answer = Answer.HELD if inside else Answer.BROKEN
    return Whole(answer, found, text, low, high, margin, outside=not inside)


def _one_decides(held: ResolvedRule, pieces: Sequence[Sequence[Reading]]) -> bool:
    """Whether a single reading outside makes the answer of few readings: that may be luck, where two are not. A rate is
    not of single readings."""
    if held.rule.take == "rate":
        return True
    return sum(not held.inside(one) for piece in pieces for one in piece if _counts(one)) == 1
