"""Enough readings: no more than 20 % missing, no hole of more than a quarter."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from chaosrunner.judging.coverage import Coverage
from tests.judging.journals import measure


def complaint(
    length: float = 40.0, *, missing: Collection[int] = (), absent: Collection[int] = (), every: int = 1, lag: float = 0
) -> str:
    """Of readings at 0.02, 1.02, … of which some are missing or of which the journal says nothing."""
    coverage = Coverage(measure(every=f"{every}s", lag=f"{lag}s"), length)
    coverage.piece(0.0, length)
    for began in range(int(lag), int(length), every):
        if began not in absent:
            coverage.add(began + 0.02, began + 0.07, "down" if began in missing else None)
    return coverage.complaint()


def spread(count: int) -> set[int]:
    return {index * 40 // count for index in range(count)}


def test_all_readings_there_is_enough() -> None:
    assert complaint() == ""


def test_twenty_percent_missing_is_enough() -> None:
    assert complaint(missing=spread(8)) == ""


def test_more_than_twenty_percent_missing_is_not() -> None:
    assert complaint(missing=spread(9)) == (
        "9 of 40 readings are missing, more than 20 % (the last for this reason: down)"
    )


def test_readings_of_which_the_journal_says_nothing_are_missing_too() -> None:
    # One at the very start cannot be told: nobody knows when it was due.
    assert complaint(absent=spread(8)) == ""
    assert complaint(absent=spread(10)).startswith("9 of 39 readings are missing")


def hanging(began: float, ended: float, length: float = 40.0) -> str:
    """Of readings each second, but one that hung and came to nothing: one of about thirty, and a hole."""
    coverage = Coverage(measure(timeout="1s"), length)
    coverage.piece(0.0, length)
    for second in range(int(length)):
        if second + 0.1 <= began or second >= ended:
            coverage.add(second + 0.02, second + 0.07)
        elif second - 1 < began <= second:
            coverage.add(began, ended, "it hung")
    return coverage.complaint()


def test_a_hole_of_less_than_a_quarter_is_allowed() -> None:
    assert hanging(10.02, 18.9) == ""


@pytest.mark.parametrize(
    ("began", "ended"),
    [(10.02, 22.9), (0.02, 11.9), (28.02, 39.9)],
    ids=["in the middle", "at the start", "at the end"],
)
def test_a_hole_of_more_than_a_quarter_is_not(began: float, ended: float) -> None:
    assert "without a reading, which is too long (the last for this reason: it hung)" in hanging(began, ended)


def test_one_missing_of_six_is_a_hole_of_more_than_a_quarter() -> None:
    coverage = Coverage(measure(every="5s", timeout="5s"), 30.0)
    coverage.piece(0.0, 30.0)
    for began in range(0, 30, 5):
        coverage.add(began + 0.02, began + 0.07, "down" if began == 10 else None)
    assert "a hole of 9.95 s" in coverage.complaint()


def test_a_schedule_coarser_than_a_quarter_is_no_hole() -> None:
    assert complaint(40, every=15) == ""


def test_no_reading_at_all_is_told_with_its_reason() -> None:
    assert complaint(missing=range(40)) == "there is no reading (the last for this reason: down)"
    assert complaint(absent=range(40)) == "there is no reading"


def test_a_measure_with_a_lag_is_not_missing_before_its_first_reading_could_be() -> None:
    assert complaint(lag=20) == ""


def test_a_reading_that_took_longer_than_its_schedule_is_no_hole() -> None:
    coverage = Coverage(measure(every="1s", timeout="3s"), 40.0)
    coverage.piece(0.0, 40.0)
    for began in range(0, 39, 3):
        coverage.add(float(began), began + 2.9)
    assert coverage.complaint() == ""


def test_pieces_are_counted_together_and_the_time_between_is_no_hole() -> None:
    coverage = Coverage(measure(), 20.0)
    for start in (0, 100):
        coverage.piece(start, start + 10)
        for began in range(start, start + 10):
            coverage.add(began + 0.02, began + 0.07)
    assert coverage.complaint() == ""
    assert coverage.readings == 20
