"""How long a violation lasts, and staying inside."""

from __future__ import annotations

import pytest

from chaosrunner.judging.streaks import Staying, Violation


def run(for_: float, *readings: tuple[float, bool]) -> list[bool]:
    violation = Violation(for_)
    return [violation.add(inside, ended) for ended, inside in readings]


def test_without_for_one_reading_is_enough() -> None:
    assert run(0, (1, True), (2, False)) == [False, True]


def test_a_violation_counts_from_the_end_of_its_first_reading() -> None:
    assert run(10, (0, False), (5, False), (10, False)) == [False, False, True]


def test_a_violation_of_a_little_less_does_not_count() -> None:
    assert run(10, (0, False), (9.99, False)) == [False, False]


def test_one_reading_inside_breaks_it() -> None:
    assert run(10, (0, False), (5, True), (10, False), (15, False), (20, False)) == [False, False, False, False, True]


def test_a_missing_reading_is_not_handed_in_and_so_neither_breaks_nor_prolongs() -> None:
    # At 5 there was no reading: the violation stands at 0 and at 10.
    assert run(10, (0, False), (10, False)) == [False, True]
    assert run(10, (0, False)) == [False]


def test_rounding_of_times_does_not_matter() -> None:
    assert run(0.3, (0.1, False), (0.1 + 0.1 + 0.1 + 0.1, False)) == [False, True]


def test_the_longest_and_the_first_that_counted_are_kept() -> None:
    violation = Violation(4)
    for ended, inside in [(0, False), (3, False), (4, True), (5, False), (10, False), (11, True), (12, False)]:
        violation.add(inside, ended)
    assert (violation.longest, violation.first) == (5, 5)


def stay(for_: float, *readings: tuple[float, bool]) -> Staying:
    staying = Staying(for_)
    for ended, inside in readings:
        staying.add(inside, ended, ended)
    return staying


def test_a_stay_begins_with_the_first_reading_inside() -> None:
    assert stay(0, (1, False), (2, True), (3, True)).since == 2


def test_a_violation_ends_the_stay() -> None:
    assert stay(0, (1, True), (2, False)).since is None
    assert stay(0, (1, True), (2, False), (3, True)).since == 3


def test_an_outside_reading_that_does_not_count_neither_ends_nor_prolongs_the_stay() -> None:
    staying = stay(10, (1, True), (2, False))
    assert (staying.since, staying.latest, staying.outside) == (1, 1, True)
    staying.add(True, 3, 3)
    assert (staying.since, staying.latest, staying.outside) == (1, 3, False)


@pytest.mark.parametrize(("moment", "three"), [(1, True), (2, False)])
def test_three_readings_since_a_moment(moment: float, three: bool) -> None:
    assert stay(0, (1, True), (2, True), (3, True)).three_since(moment) is three
