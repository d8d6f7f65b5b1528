"""Many measures are asked evenly, few of them soon."""

from __future__ import annotations

from itertools import pairwise

import pytest

from chaosrunner.engine.sampler import SPREAD, offsets


def test_few_measures_are_read_soon_after_each_other() -> None:
    assert offsets([5.0, 1.0, 5.0]) == [0.0, SPREAD, 2 * SPREAD]


def test_many_measures_of_one_interval_are_spread_over_all_of_it() -> None:
    found = offsets([5.0] * 500)
    assert [after - before for before, after in pairwise(found)] == pytest.approx([0.01] * 499)
    assert found[-1] < 5.0


def test_more_measures_than_milliseconds_are_read_within_their_interval() -> None:
    found = offsets([0.1] * 50 + [10.0])
    assert max(found[:50]) < 0.1
    assert found[50] == 50 * SPREAD
