"""Abort limits."""

from __future__ import annotations

import pytest

from chaosrunner.judging.abort import AbortWatch
from chaosrunner.judging.reading import Reading
from chaosrunner.model.plan import PlannedMeasure
from tests.judging.journals import measure


def watched(**changes: object) -> PlannedMeasure:
    return measure(**({"abortAt": {"atMost": "2s", "for": "10s"}} | changes))


def at(ended: float, value: float | None = 3.0) -> Reading:
    return Reading(ended - 0.05, ended, value, no_answer=None if value is not None else "refused")


def test_the_hit_comes_with_the_reading_that_completes_its_time() -> None:
    watch = AbortWatch(watched())
    assert [watch.add(at(ended)) is not None for ended in (0, 5, 9.9, 10)] == [False, False, False, True]


def test_a_hit_says_what_and_when_in_words() -> None:
    watch = AbortWatch(watched())
    watch.add(at(0))
    hit = watch.add(at(12))
    assert hit is not None
    assert (hit.measure, hit.value, hit.reading_ended, hit.lasted) == ("slo/p99", 3.0, 12, 12)
    assert hit.reason == "slo/p99 is 3 s and has been outside for 12 s; its abort limit is at most 2 s, for 10 s"


def test_a_reading_inside_breaks_it() -> None:
    watch = AbortWatch(watched())
    hits = [watch.add(reading) for reading in (at(0), at(5, 0.1), at(10), at(15))]
    assert hits == [None] * 4


def test_no_answer_counts_as_outside() -> None:
    watch = AbortWatch(watched(abortAt={"atMost": "2s"}))
    hit = watch.add(at(1, None))
    assert hit is not None
    assert hit.value is None
    assert "no answer" in hit.reason


def test_a_missing_reading_is_not_a_hit_and_does_not_break_one() -> None:
    watch = AbortWatch(watched())
    assert watch.add(at(0)) is None
    assert watch.add(Reading(4, 5, missing="down")) is None
    assert watch.add(at(10)) is not None


def test_every_reading_counts_at_once_whatever_the_lag() -> None:
    watch = AbortWatch(watched(lag="45s", abortAt={"atMost": "2s"}))
    assert watch.add(at(1)) is not None


def test_a_relative_limit_is_watched_once_the_baseline_is_known() -> None:
    watch = AbortWatch(watched(abortAt={"atMost": "10x baseline"}))
    assert watch.add(at(1)) is None
    watch.baseline(0.1)
    assert watch.add(at(2, 0.9)) is None
    assert watch.add(at(3, 1.1)) is not None


def test_garbage_is_not_a_hit() -> None:
    watch = AbortWatch(watched(abortAt={"atMost": "2s"}))
    assert watch.add(Reading(0, 1, "<html>")) is None


def test_blind_after_fifteen_seconds_without_a_reading() -> None:
    watch = AbortWatch(watched())
    watch.add(at(100, 0.1))
    assert not watch.blind(115.0, 90.0)
    assert watch.blind(115.1, 90.0)


def test_missing_readings_do_not_keep_it_from_being_blind() -> None:
    watch = AbortWatch(watched())
    watch.add(at(100, 0.1))
    watch.add(Reading(110, 111, missing="down"))
    assert watch.blind(115.1, 90.0)


def test_no_answer_is_seeing() -> None:
    watch = AbortWatch(watched())
    watch.add(at(110, None))
    assert not watch.blind(115.1, 90.0)


def test_without_any_reading_the_time_counts_from_the_fault() -> None:
    watch = AbortWatch(watched())
    assert not watch.blind(115.0, 100.0)
    assert watch.blind(115.1, 100.0)


def test_blind_is_at_least_twice_the_lag() -> None:
    watch = AbortWatch(watched(lag="45s"))
    assert not watch.blind(190.0, 100.0)
    assert watch.blind(190.1, 100.0)


def test_a_measure_read_seldom_is_not_blind_between_two_readings() -> None:
    watch = AbortWatch(watched(every="60s", timeout="10s"))
    assert not watch.blind(170.0, 100.0)
    assert watch.blind(170.1, 100.0)


@pytest.mark.parametrize("during", ["start", "end", "edge"])
def test_a_measure_that_is_not_read_during_faults_is_never_blind(during: str) -> None:
    assert not AbortWatch(watched(during=during)).blind(1e6, 0.0)


def test_a_measure_without_an_abort_limit_is_never_blind() -> None:
    assert not AbortWatch(measure()).blind(1e6, 0.0)
