"""The arithmetic of the rank test: published worked examples, and SciPy as the oracle."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosrunner.model.rank_test import EXACT, Question, compare, needed, needed_beside

AT_TERM = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
EARLIER = [1.15, 0.88, 0.90, 0.74, 1.21]


def independent(numbers: list[float]) -> list[float]:
    """In an order in which no number is like the one before: the lowest, the highest, the next lowest, …"""
    left, ordered = sorted(numbers), []
    while left:
        ordered.append(left.pop(0 if len(ordered) % 2 == 0 else -1))
    return ordered


def test_the_worked_example_of_hollander_and_wolfe() -> None:
    found = compare(independent(EARLIER), independent(AT_TERM), "higher")
    assert found.effect * 50 == 35
    assert found.inflation == 1.0
    assert found.p == pytest.approx(0.1272, abs=5e-5)


def test_the_worked_example_of_noethers_formula() -> None:
    assert needed(Question(0.5, 0.7, 0.9, 0.05), 0.5) == (44, 44)


numbers = st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=1, max_size=30, unique=True)
often_equal = st.lists(st.integers(0, 12).map(float), min_size=25, max_size=60)
SIDES = (("either", "two-sided"), ("higher", "greater"), ("lower", "less"))


def oracle(before: list[float], after: list[float], *, every_way: bool = False, **how: str) -> Any:
    """What SciPy says; imported here, as every process of the tests reads this file and one or two run it."""
    from scipy.stats import PermutationMethod, mannwhitneyu

    given = {**how, "method": PermutationMethod(n_resamples=10**6)} if every_way else how
    return mannwhitneyu(after, before, **given)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_small_samples_are_exact(before: list[float], after: list[float]) -> None:
    before, after = independent(before), independent([one + 1e-7 for one in after])
    found = compare(before, after)
    assert found.effect == pytest.approx(oracle(before, after).statistic / (len(before) * len(after)))
    few = min(len(before), len(after)) <= 8
    way = "exact" if few or len(before) + len(after) <= EXACT else "asymptotic"
    if found.inflation == 1.0 and len({*before, *after}) == len(before) + len(after):
        for side, name in SIDES:
            expected = oracle(before, after, method=way, alternative=name).pvalue
            assert compare(before, after, side).p == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(often_equal, often_equal)
def test_large_samples_are_corrected_for_ties(before: list[float], after: list[float]) -> None:
    before, after = independent(before), independent(after)
    found = compare(before, after)
    if found.inflation == 1.0 and len({*before, *after}) > 1:
        for side, name in SIDES:
            expected = oracle(before, after, method="asymptotic", alternative=name).pvalue
            assert compare(before, after, side).p == pytest.approx(min(1.0, expected))


@pytest.mark.parametrize("seed", range(4))
def test_ties_are_exact_over_all_ways_to_deal_out_the_ranks(seed: int) -> None:
    random = Random(seed)
    before = independent([float(random.randrange(4)) for _ in range(5)])
    after = independent([float(random.randrange(1, 5)) for _ in range(6)])
    assert compare(before, after).inflation == 1.0
    for side, name in (("higher", "greater"), ("lower", "less")):
        expected = oracle(before, after, every_way=True, alternative=name).pvalue
        assert compare(before, after, side).p == pytest.approx(expected)


@pytest.mark.parametrize("rounded", [None, 0], ids=["no ties", "many ties"])
def test_large_samples_are_normal_with_both_corrections(rounded: int | None) -> None:
    random = Random(5)
    before = independent(
        [round(random.gauss(10, 2), rounded) if rounded is not None else random.gauss(10, 2) for _ in range(80)]
    )
    after = independent(
        [round(random.gauss(11, 2), rounded) if rounded is not None else random.gauss(11, 2) for _ in range(120)]
    )
    found = compare(before, after)
    assert found.inflation == 1.0
    assert found.p == pytest.approx(oracle(before, after, method="asymptotic").pvalue)


def test_numbers_of_one_value_do_not_differ() -> None:
    assert compare([3.0] * 40, [3.0] * 40) == (0.5, 1.0, 1.0)
    assert compare([3.0] * 5, [3.0] * 5) == (0.5, 1.0, 1.0)


def test_infinities_are_further_than_any_number() -> None:
    assert compare([1.0, 2.0, 3.0], [math.inf, math.inf]).effect == 1.0


def test_numbers_that_hang_together_say_less() -> None:
    random = Random(3)
    walk, level = [], 0.0
    for _ in range(120):
        level = 0.9 * level + random.gauss(0, 1)
        walk.append(level)
    found = compare(walk[:60], walk[60:])
    assert found.inflation > 5
    assert found.p > compare(independent(walk[:60]), independent(walk[60:])).p


def test_more_is_needed_for_smaller_differences_surer_answers_and_numbers_that_hang_together() -> None:
    usual = sum(needed(Question(0.64, 0.8, 0.9, 0.01), 0.3))
    assert sum(needed(Question(0.64, 0.75, 0.9, 0.01), 0.3)) > usual
    assert sum(needed(Question(0.75, 0.8, 0.9, 0.01), 0.3)) > usual
    assert sum(needed(Question(0.64, 0.8, 0.99, 0.01), 0.3)) > usual
    assert sum(needed(Question(0.64, 0.8, 0.9, 0.001), 0.3)) > usual
    assert sum(needed(Question(0.64, 0.8, 0.9, 0.01, "higher"), 0.3)) < usual
    assert sum(needed(Question(0.64, 0.8, 0.9, 0.01), 0.3, 3.0)) == pytest.approx(3 * usual, abs=4)


def test_beside_too_few_of_the_first_no_number_is_enough() -> None:
    asked = Question(0.64, 0.8, 0.9, 0.01)
    assert needed_beside(asked, 5) is None
    first, second = needed(asked, 0.4)
    beside = needed_beside(asked, first)
    assert beside is not None and abs(beside - second) <= 2
