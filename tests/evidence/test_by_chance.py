"""What passes by chance is shared out among all that is looked at; where nothing changed, nothing is told."""

from __future__ import annotations

import random

import pytest

from benchmarks.planted import NOW, noise
from chaosrunner.judging.by_chance import FALSE_ALARMS, chi_squared, student, tails
from chaosrunner.judging.clues import clues
from chaosrunner.judging.shifts import shift
from chaosrunner.model.material import Material, Sampled, Window

WINDOW = Window(usual_from=NOW - 600, baseline=NOW - 60, began=NOW, ended=NOW + 60)


@pytest.mark.parametrize(
    ("freedom", "chance", "t"),
    [(1, 0.05, 12.706), (4, 0.05, 2.776), (9, 0.05, 2.262), (10, 0.01, 3.169), (30, 0.001, 3.646), (3, 0.001, 12.924)],
)
def test_students_t_is_that_of_the_printed_tables(freedom: int, chance: float, t: float) -> None:
    assert student(freedom, chance) == pytest.approx(t, abs=6e-4)


@pytest.mark.parametrize(("chance", "chi"), [(0.05, 3.841), (0.01, 6.635), (0.001, 10.828)])
def test_chi_squared_is_that_of_the_printed_tables(chance: float, chi: float) -> None:
    assert chi_squared(chance) == pytest.approx(chi, abs=6e-4)


def test_all_that_is_looked_at_together_may_raise_as_many_false_alarms_as_one() -> None:
    assert 500 * tails(500) == pytest.approx(FALSE_ALARMS)
    assert tails(0) == FALSE_ALARMS


def test_a_shift_that_is_told_of_one_series_may_be_chance_among_thousands() -> None:
    chance = random.Random(4)
    points = [(NOW - 600 + 5 * n, 100 + chance.gauss(0, 1) + (9 if n >= 120 else 0)) for n in range(132)]
    series = Sampled("depth", "", points)
    assert shift(series, WINDOW, looked=1) is not None
    assert shift(series, WINDOW, looked=10**6) is None


@pytest.mark.parametrize("usual", [600.0, 120.0])
def test_where_nothing_changed_nothing_is_told(usual: float) -> None:
    window = Window(usual_from=NOW - usual, baseline=NOW - 60, began=NOW, ended=NOW + 60)
    found = []
    for seed in range(12):
        series = list(noise(random.Random(seed), usual, 60.0))
        found += clues([Material("made up", series, [])], window, show=10, clean=str).found
    assert [clue.says for clue in found] == []


def test_little_history_still_shows_what_plainly_changed() -> None:
    chance = random.Random(1)
    window = Window(usual_from=NOW - 60, baseline=NOW - 60, began=NOW, ended=NOW + 60)
    points = [(NOW - 60 + 5 * n, chance.gauss(10, 1) + (300 if n >= 12 else 0)) for n in range(24)]
    found = shift(Sampled("latency", "", points), window, looked=20)
    assert found is not None
    assert found.during > 250
