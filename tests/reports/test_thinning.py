"""Thinning keeps what a reader must not miss."""

from __future__ import annotations

import random

from chaosrunner.reports.thinning import thin, thin_marks


def test_the_extremes_the_first_and_the_last_survive() -> None:
    chance = random.Random(3)
    times = [index * 0.5 for index in range(20_000)]
    values = [chance.gauss(100, 5) for _ in times]
    values[7_777], values[13_131] = 900.0, -300.0
    kept = thin(times, values, 200)
    assert len(kept) <= 800
    assert (7_777 * 0.5, 900.0) in kept
    assert (13_131 * 0.5, -300.0) in kept
    assert kept[0] == (times[0], values[0])
    assert kept[-1] == (times[-1], values[-1])
    assert kept == sorted(kept)


def test_the_extremes_of_every_column_survive() -> None:
    chance = random.Random(4)
    times = [float(index) for index in range(10_000)]
    values = [chance.random() for _ in times]
    kept = dict(thin(times, values, 100))
    width = times[-1] / 100
    for column in range(100):
        here = [index for index, t in enumerate(times) if min(99, int(t / width)) == column]
        assert max(values[index] for index in here) in kept.values()
        assert min(values[index] for index in here) in kept.values()


def test_a_short_series_is_left_alone() -> None:
    assert thin([1.0, 2.0], [5.0, 6.0], 10) == [(1.0, 5.0), (2.0, 6.0)]
    assert thin([], [], 10) == []


def test_readings_all_at_one_moment_are_thinned_too() -> None:
    kept = thin([1.0] * 500, [float(index) for index in range(500)], 10)
    assert kept == [(1.0, 0.0), (1.0, 499.0)]


def test_marks_that_are_put_together_say_how_many_they_stand_for() -> None:
    merged = thin_marks([(float(index), "gone") for index in range(1_000)], 50)
    assert len(merged) == 50
    assert sum(amount for _, _, amount in merged) == 1_000
