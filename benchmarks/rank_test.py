"""`like baseline` on phases whose truth is known: how often it calls like phases different, and finds a known shift.

Each case is thousands of pairs of phases of made-up latencies (log-normal, 30 readings of the baseline and 60 of the
fault, as `every: 1s` gives them), judged by what judges a run. *Hanging together*: each reading is half made of the one
before (AR(1), r = 0.5). *Mostly 0*: error ratios that are 0 in four of five readings, so most are ties.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from benchmarks.measuring import Scale
from benchmarks.table import Row
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.whole_phase import judge_whole, question
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.rank_test import needed
from chaosrunner.model.tolerance import Rule
from chaosrunner.model.words import Answer

Phases = Callable[[Random, int, int, float], tuple[list[float], list[float]]]
"""(chance, readings before, readings after, A of the shift) -> the two phases."""
BEFORE, AFTER = 30, 60
ALARMS, CORRELATED_ALARMS, MISSED = 0.015, 0.025, 0.10
"""1 % is asked for; what thousands of pairs can tell, and what an r that must be estimated adds, is on top."""


def rows(scale: Scale) -> list[Row]:
    """False alarms, power, cost."""
    pairs = 1000 if scale.quick else 4000
    rule = Rule.model_validate("like baseline")
    found = []
    for name, phases, bar in (
        ("independent", independent, ALARMS),
        ("hanging together", hanging_together, CORRELATED_ALARMS),
        ("mostly 0", mostly_zero, ALARMS),
    ):
        alarms = answers(phases, rule, pairs, (BEFORE, AFTER), 0.5)
        share = alarms[Answer.BROKEN] / pairs
        note = f"{pairs} pairs, 1 % is asked for; {_percent(alarms[Answer.INCONCLUSIVE] / pairs)} too few to say"
        figure = f"like baseline, identical phases called different: {name}"
        found.append(Row(figure, _percent(share), "", f"<= {bar:.1%}", share <= bar, note))
    found += _power(rule, pairs)
    return [*found, _cost(rule)]


def _power(rule: Rule, pairs: int) -> list[Row]:
    asked = question(rule)
    enough = needed(asked, BEFORE / (BEFORE + AFTER))
    found = []
    for name, phases, sizes in (
        ("as few readings as needed", independent, enough),
        (f"{BEFORE} and {AFTER} readings", independent, (BEFORE, AFTER)),
        (f"{BEFORE} and {AFTER} readings that hang together", hanging_together, (BEFORE, AFTER)),
    ):
        told = answers(phases, rule, pairs, sizes, asked.detect)
        seen, missed = told[Answer.BROKEN] / pairs, told[Answer.HELD] / pairs
        note = f"{sizes[0]} against {sizes[1]}: found in {_percent(seen)}, inconclusive in the rest"
        figure = f"like baseline, a shift of {asked.detect:.0%} of pairs passed over: {name}"
        found.append(Row(figure, _percent(missed), "", f"<= {MISSED:.0%}", missed <= MISSED, note))
    return found


def _cost(rule: Rule) -> Row:
    random = Random(1)
    before, after = independent(random, 600, 3600, 0.5)
    measure, base, phase = _measure(), _readings(before), _readings(after)
    began = time.perf_counter()
    judge_whole(measure, rule, base, [phase])
    took = time.perf_counter() - began
    return Row("like baseline, 600 against 3 600 readings judged", f"{took * 1e3:.0f} ms")


def answers(phases: Phases, rule: Rule, pairs: int, sizes: tuple[int, int], effect: float) -> Counter[Answer]:
    """How often each answer was given; the same on every machine."""
    random, measure = Random(20), _measure()
    told: Counter[Answer] = Counter()
    for _ in range(pairs):
        before, after = phases(random, *sizes, effect)
        told[judge_whole(measure, rule, _readings(before), [_readings(after)]).answer] += 1
    return told


def independent(random: Random, before: int, after: int, effect: float) -> tuple[list[float], list[float]]:
    """Log-normal latencies."""
    shift = shift_for(effect)
    return (
        [math.exp(random.gauss(0, 1)) for _ in range(before)],
        [math.exp(random.gauss(shift, 1)) for _ in range(after)],
    )


def hanging_together(random: Random, before: int, after: int, effect: float) -> tuple[list[float], list[float]]:
    """The same, each made of the one before by half; the second phase goes on where the first one ends."""
    r = 0.5
    walk = [random.gauss(0, 1)]
    while len(walk) < before + after:
        walk.append(r * walk[-1] + math.sqrt(1 - r * r) * random.gauss(0, 1))
    shift = shift_for(effect)
    return [math.exp(one) for one in walk[:before]], [math.exp(one + shift) for one in walk[before:]]


def mostly_zero(random: Random, before: int, after: int, effect: float) -> tuple[list[float], list[float]]:
    """Error ratios; no shift."""

    def one() -> float:
        return random.choice([0.0, 0.0, 0.0, 0.0, round(random.random() / 10, 2)])

    return [one() for _ in range(before)], [one() for _ in range(after)]


def shift_for(effect: float) -> float:
    """How far two normal distributions of deviation 1 must lie apart for an A: A is the share of their difference
    (deviation sqrt 2) that is above 0."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 0.5 * math.erfc(-middle / 2) < effect else (low, middle)
    return (low + high) / 2


def _measure() -> PlannedMeasure:
    return PlannedMeasure(key="h/m", hypothesis="h", name="m", probe="noop", every=1.0, timeout=1.0, lag=0.0)


def _readings(values: list[float]) -> list[Reading]:
    return [Reading(float(at), at + 0.1, value) for at, value in enumerate(values)]


def _percent(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")
