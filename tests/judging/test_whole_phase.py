"""Rules that look at all readings of a phase together: `like baseline`, and `take`."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from chaosrunner.model.quantities import show
from chaosrunner.model.verdict import MeasureVerdict, PhaseVerdict
from chaosrunner.model.words import Answer, Phase
from chaosrunner.stages.judge import judge
from tests.judging.journals import IN_FORCE, UNDONE, Missing, NoAnswer, Said, Story, measure, plan

Level = Callable[[Random], Said]


def around(middle: float, spread: float = 0.01) -> Level:
    return lambda random: random.gauss(middle, spread)


def judged(rule: Any, before: Level, fault: Level, after: Level | None = None, **changes: Any) -> MeasureVerdict:
    """A measure with this tolerance, read five times a second, with one level for each phase."""
    one = measure(tolerance=rule, **{"every": "200ms", "timeout": "200ms", **changes})
    random = Random(4)

    def script(t: float) -> Said:
        level = before if t < IN_FORCE else fault if t < UNDONE else after or before
        return level(random)

    story = Story(plan(one, within="5s"), scripts={one.key: script})
    return judge(story.entries()).hypotheses[0].measures[0]


def phase(verdict: MeasureVerdict, wanted: Phase = Phase.FAULT) -> PhaseVerdict:
    return next(one for one in verdict.phases if one.phase is wanted)


LIKE = {"fault": "like baseline"}


def test_a_fault_phase_like_the_baseline_holds() -> None:
    found = judged(LIKE, around(0.1), around(0.1))
    assert found.answer is Answer.HELD
    assert "of all pairs, where 64 % counts; 150 readings against 45" in found.reason


def test_a_fault_phase_that_differs_is_broken_with_its_numbers() -> None:
    found = judged(LIKE, around(0.1), around(0.13))
    assert found.answer is Answer.BROKEN
    assert found.reason.startswith("median 131 ms against the baseline's 98.2 ms: higher in 98.9 % of all pairs")
    assert "a large difference (64 % counts); by chance less than once in 1 000 000" in found.reason


def test_only_the_side_that_counts_breaks_it() -> None:
    faster = around(0.07)
    assert judged(LIKE, around(0.1), faster).answer is Answer.BROKEN
    assert judged({"fault": {"like": "baseline", "side": "higher"}}, around(0.1), faster).answer is Answer.HELD
    assert judged({"fault": {"like": "baseline", "side": "lower"}}, around(0.1), faster).answer is Answer.BROKEN


def test_a_difference_that_is_sure_but_small_holds() -> None:
    found = judged({"fault": {"like": "baseline", "effect": "85%"}}, around(0.1), around(0.11))
    assert found.answer is Answer.HELD and "where 85 % counts" in found.reason


def test_too_few_readings_are_inconclusive_and_it_is_said_how_many_are_needed() -> None:
    found = judged(LIKE, around(0.1), around(0.1), every="1s")
    assert found.answer is Answer.INCONCLUSIVE
    assert "too few readings for a rank test, 30 readings against 9 of the baseline" in found.reason
    assert "to find a large difference (80 % of all pairs) with 90 % probability it takes" in found.reason


def test_few_readings_that_are_worlds_apart_are_broken() -> None:
    assert judged(LIKE, around(0.1), around(0.5), every="1s").answer is Answer.BROKEN


def test_readings_that_overlap_count_once() -> None:
    found = judged(LIKE, around(0.1), around(0.1), lag="2s")
    assert found.answer is Answer.INCONCLUSIVE
    assert "(each tells of 2 s, so that only those count which are so far apart)" in found.reason


def test_no_answer_is_further_from_the_baseline_than_any_number() -> None:
    found = judged(LIKE, around(0.1), lambda _: NoAnswer())
    assert found.answer is Answer.BROKEN and "median no answer against the baseline's" in found.reason
    lower = {"fault": {"like": "baseline", "side": "lower"}}
    assert judged(lower, around(0.1), lambda _: NoAnswer()).answer is Answer.BROKEN


def test_missing_readings_hold_nothing() -> None:
    found = judged(LIKE, around(0.1), lambda random: Missing() if random.random() < 0.5 else random.gauss(0.1, 0.01))
    assert found.answer is Answer.INCONCLUSIVE and "readings are missing, more than 20 %" in found.reason
    found = judged(LIKE, around(0.1), lambda _: "text")
    assert found.answer is Answer.INCONCLUSIVE


def test_the_system_has_recovered_when_readings_are_like_the_baseline_again() -> None:
    found = judged({"recovery": "like baseline"}, around(0.1), around(0.5))
    recovery = phase(found, Phase.RECOVERY)
    assert recovery.answer is Answer.HELD and "should be like the baseline" in recovery.reason
    found = judged({"recovery": "like baseline"}, around(0.1), around(0.5), around(0.2))
    recovery = phase(found, Phase.RECOVERY)
    assert recovery.answer is Answer.BROKEN
    assert "no recovery within 5 s: slo/p99: median" in recovery.reason


def test_readings_after_the_undo_that_hang_together_say_nothing_of_a_recovery() -> None:
    seen = [0.1] * 9

    def sticking(random: Random) -> Said:
        seen.append(random.gauss(0.1, 0.01) if len(seen) % 10 == 0 else seen[-1])
        return seen[-1]

    found = judged({"recovery": "like baseline"}, around(0.1), around(0.5), sticking, every="100ms", timeout="100ms")
    recovery = phase(found, Phase.RECOVERY)
    assert recovery.answer is Answer.INCONCLUSIVE
    assert "too few readings after the undo (too few readings for a rank test" in recovery.reason


def test_too_few_readings_of_the_baseline_say_nothing_of_a_recovery() -> None:
    found = judged({"recovery": "like baseline"}, around(0.1), around(0.1), every="1s")
    recovery = phase(found, Phase.RECOVERY)
    assert recovery.answer is Answer.INCONCLUSIVE
    assert "there are too few readings of the baseline to compare with" in recovery.reason


# ------------------------------------------------------------------------------------------------------------ take


def test_a_quantile_of_the_phase_forgives_what_single_readings_would_not() -> None:
    def rare(random: Random) -> Said:
        return 0.9 if random.random() < 0.03 else random.gauss(0.1, 0.01)

    assert judged({"fault": {"atMost": "200ms"}}, around(0.1), rare).answer is Answer.BROKEN
    found = judged({"fault": {"atMost": "200ms", "take": "p95"}}, around(0.1), rare)
    assert found.answer is Answer.HELD
    assert found.reason.startswith("p95 of 150 readings was 1")
    assert phase(found).high == 0.2 and phase(found).rule == "p95 at most 200 ms"
    assert judged({"fault": {"atMost": "200ms", "take": "p99"}}, around(0.1), rare).answer is Answer.BROKEN


@pytest.mark.parametrize(("take", "expected"), [("mean", 0.1), ("p50", 0.1), ("min", 0.1), ("max", 0.1), ("p90", 0.1)])
def test_numbers_of_a_steady_phase_are_its_level(take: str, expected: float) -> None:
    def level(_: Random) -> Said:
        return expected

    found = judged({"fault": {"atMost": "150ms", "take": take}}, level, level)
    assert found.answer is Answer.HELD
    assert found.reason == f"{take} of 150 readings was {show(expected, 's')}, should be at most 150 ms"


def test_a_single_reading_among_too_few_decides_no_quantile() -> None:
    def high(*numbers: int) -> Level:
        count = iter(range(1000))
        return lambda _: 0.9 if next(count) in numbers else 0.1

    rule = {"fault": {"atMost": "200ms", "take": "p99"}}
    found = judged(rule, around(0.1), high(12), every="1s")
    assert found.answer is Answer.INCONCLUSIVE and "p99 needs 100 readings and there are 30" in found.reason
    assert judged(rule, around(0.1), high(), every="1s").answer is Answer.HELD
    assert judged(rule, around(0.1), high(12, 20), every="1s").answer is Answer.BROKEN


def test_a_limit_relative_to_the_baseline_is_of_the_same_number_of_it() -> None:
    def wild(random: Random) -> Said:
        return random.choice([0.1, 0.5])

    rule = {"fault": {"atMost": "1.2x baseline", "take": "p95"}}
    found = judged(rule, wild, wild)
    assert found.answer is Answer.HELD and phase(found).high == pytest.approx(0.6)


def counter(*paces: float) -> list[Level]:
    state = {"now": 0.0}

    def at(pace: float) -> Level:
        def level(_: Random) -> Said:
            state["now"] += pace
            if state["now"] > 40:
                state["now"] = pace  # the counted program restarted
            return state["now"]

        return level

    return [at(pace) for pace in paces]


def test_the_rate_of_a_counter_over_the_phase_with_restarts() -> None:
    before, fault = counter(1, 2)
    found = judged({"fault": {"atMost": "9/s", "take": "rate"}}, before, fault, unit=None, room=None)
    assert found.answer is Answer.BROKEN
    assert found.reason == "rate of 150 readings was 10/s, should be at most 9/s"
    before, fault = counter(1, 2)
    rule = {"fault": {"atMost": "1.9x baseline", "take": "rate"}}
    assert judged(rule, before, fault, unit=None, room=None).answer is Answer.BROKEN
    before, fault = counter(1, 1)
    assert judged(rule, before, fault, unit=None, room=None).answer is Answer.HELD


def test_no_answer_is_worse_than_any_number() -> None:
    def rare(random: Random) -> Said:
        return NoAnswer() if random.random() < 0.2 else 0.1

    for take in ("mean", "max", "p95"):
        found = judged({"fault": {"atMost": "200ms", "take": take}}, around(0.1), rare)
        assert found.answer is Answer.BROKEN and "was no answer, should be at most 200 ms" in found.reason
    assert judged({"fault": {"atMost": "200ms", "take": "p50"}}, around(0.1), rare).answer is Answer.HELD


def test_a_rule_for_the_whole_baseline_decides_whether_it_is_steady() -> None:
    def rare(random: Random) -> Said:
        return 0.9 if random.random() < 0.06 else 0.1

    assert phase(judged({"atMost": "200ms", "take": "p90"}, rare, rare), Phase.BASELINE).answer is Answer.HELD
    found = phase(judged({"atMost": "200ms", "take": "max"}, rare, rare), Phase.BASELINE)
    assert found.answer is Answer.INCONCLUSIVE and "max of" in found.reason
