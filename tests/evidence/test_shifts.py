"""A series moved if its values in force are unlike those right before, and more so than it ever moves by itself."""

from __future__ import annotations

import random

import pytest

from chaosrunner.judging.shifts import MOST_Z, cliffs_delta, robust_z, shift
from chaosrunner.model.material import Sampled, Window

WINDOW = Window(usual_from=0.0, baseline=540.0, began=600.0, ended=660.0)


def series(value, *, step: float = 5.0, **more) -> Sampled:
    count = int(660 / step)
    return Sampled("m", "", [(index * step, float(value(index * step))) for index in range(count + 1)], **more)


def noisy(seed: int = 1):
    chance = random.Random(seed)
    return lambda: chance.gauss(0, 1)


def test_a_step_at_the_fault_is_told_with_both_levels_and_its_time() -> None:
    noise = noisy()
    found = shift(series(lambda t: (10 if t < 620 else 50) + noise()), WINDOW)
    assert found is not None
    assert found.before == pytest.approx(10, abs=1)
    assert found.during == pytest.approx(50, abs=1)
    assert found.at == 620
    assert found.delta == 1
    assert found.z > 10
    assert found.meant == 7


def test_a_fall_has_a_negative_z() -> None:
    noise = noisy()
    found = shift(series(lambda t: (50 if t < 600 else 10) + noise()), WINDOW)
    assert found is not None and found.z < 0 and found.delta == -1


@pytest.mark.parametrize("seed", range(20))
def test_what_only_wanders_is_no_shift(seed: int) -> None:
    noise, at = noisy(seed), [100.0]

    def walk(_: float) -> float:
        at[0] += noise()
        return at[0]

    assert shift(series(walk), WINDOW) is None


@pytest.mark.parametrize(
    "value",
    [
        lambda t: 7.0,
        lambda t: t,  # it grows all the time
        lambda t: 100.0 if 300 <= t < 360 or t >= 600 else 0.0,  # it did the same before
        lambda t: 0.0 if t < 300 else 100.0,  # it moved long before
        lambda t: 1000.0 if t < 600 else 1020.0,  # hardly
        lambda t: 100.0 if t == 610 else 0.0,  # one value
    ],
)
def test_what_moves_otherwise_is_no_shift(value) -> None:
    assert shift(series(value), WINDOW) is None


def test_what_never_moved_before_has_the_greatest_z_there_is() -> None:
    found = shift(series(lambda t: 0.0 if t < 600 else 3.0), WINDOW)
    assert found is not None and found.z == MOST_Z


def test_too_few_values_say_nothing() -> None:
    assert shift(series(lambda t: 0.0 if t < 600 else 3.0, step=40.0), WINDOW) is None


def test_values_that_look_back_to_before_the_fault_do_not_count() -> None:
    lagging = series(lambda t: 0.0 if t < 650 else 50.0, lag=50.0)
    assert shift(series(lambda t: 0.0 if t < 650 else 50.0), WINDOW) is None
    found = shift(lagging, WINDOW)
    assert found is not None and found.during == 50.0
    assert found.meant == 3


def test_time_of_other_runs_tells_nothing_of_what_is_usual() -> None:
    moved = series(lambda t: 100.0 if 300 <= t < 360 or t >= 600 else 0.0)
    busy = Window(usual_from=0.0, baseline=540.0, began=600.0, ended=660.0, busy=((295.0, 365.0),))
    assert shift(moved, WINDOW) is None
    assert shift(moved, busy) is not None


def test_what_moved_with_the_runs_own_load_is_compared_with_the_time_since_then() -> None:
    load = series(lambda t: 0.0 if t < 530 else 20.0 if t < 600 else 0.0)
    loaded = Window(usual_from=0.0, baseline=540.0, began=600.0, ended=660.0, loaded_from=530.0)
    assert shift(load, WINDOW) is None
    found = shift(load, loaded)
    assert found is not None and (found.before, found.during) == (20.0, 0.0)
    assert shift(series(lambda t: 0.0 if t < 530 else 20.0), loaded) is None


def test_cliffs_delta_is_the_share_of_greater_pairs_less_that_of_smaller_ones() -> None:
    assert cliffs_delta([3, 4], [1, 2]) == 1
    assert cliffs_delta([1], [1, 2]) == -0.5
    assert cliffs_delta([2], [1, 2, 3]) == 0


def test_the_robust_z_has_a_floor_of_one_per_cent_and_a_greatest_value() -> None:
    assert robust_z(10.0, [100.0] * 9, 100.0) == pytest.approx(10.0)
    assert robust_z(-10.0, [0.0] * 9, 0.0) == -MOST_Z
    spread = [90.0, 95.0, 100.0, 105.0, 110.0]
    assert robust_z(7.4, spread, 100.0) == pytest.approx(1.0)  # 1.48 times the MAD of 5
