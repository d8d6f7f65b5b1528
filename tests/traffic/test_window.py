"""The arithmetic of a window: who counts, as what, and how sure the quantiles are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosrunner.traffic.window import QUANTILES, Record, quantiles

RATE, TIMEOUT = 10.0, 4.0
WHY = [(1, "answered 500", True), (2, "connection refused", False), (3, "no answer within 4 s", False)]
LATENCIES = st.lists(st.floats(min_value=0, max_value=100), min_size=1, max_size=200)


class System:
    """What became of requests that were due ten times a second from time 0, as a generator tells it."""

    def __init__(self, *, rate: float = RATE, timeout: float = TIMEOUT) -> None:
        self.record = Record(rate, timeout)
        self.rate, self.timeout = rate, timeout
        self._left: list[tuple[float, int, float, int]] = []
        self._next = 0

    def run(self, until: float, latency: float = 0.1, code: int = 0) -> System:
        """Go on until then, with requests that take so long and end like this; longer than the timeout: code 3."""
        while self._next / self.rate < until:
            due = self._next / self.rate
            taken, ending = (latency, code) if latency < self.timeout else (self.timeout, 3)
            self._left.append((due + taken, self._next, taken, ending))
            self._next += 1
        ended = [one for one in self._left if one[0] <= until]
        self._left = [one for one in self._left if one[0] > until]
        told = [number for _, index, taken, ending in ended for number in (index, taken, ending)]
        self.record.learn(until, self._next, told, WHY)
        return self


def test_a_steady_system_is_seen_as_it_is():
    window = System().run(10.05).record.window(5)
    assert (window.seconds, window.due, window.answered, window.errors) == (5, 50, 50, 0)
    assert (window.p50, window.p95, window.p99) == (0.1, 0.1, 0.1)


def test_until_the_load_has_lasted_as_long_the_window_is_what_there_is():
    window = System().run(2.05).record.window(5)
    assert (window.seconds, window.due, window.answered) == (2.05, 21, 20)


def test_another_status_is_an_error_with_its_own_latency():
    window = System().run(10.05, 0.1, 1).record.window(5)
    assert (window.answered, window.errors, window.why) == (0, 50, "answered 500")
    assert window.p50 == 0.1


def test_a_refused_request_never_had_its_answer_and_counts_as_the_timeout():
    system = System().run(9.0).run(10.05, 0.001, 2)
    window = system.record.window(5)
    assert (window.answered, window.errors, window.why) == (40, 11, "connection refused")
    assert (window.p50, window.p95) == (0.1, TIMEOUT)


def test_when_nobody_answers_there_are_no_latencies():
    for latency, code in ((0.001, 2), (99.0, 0)):
        window = System().run(5.0).run(15.05, latency, code).record.window(5)
        assert (window.p50, window.p95, window.p99, window.answered) == (None, None, None, 0)
        assert window.errors > 0


def test_a_hang_is_seen_before_its_first_request_times_out():
    window = System().run(10.0).run(13.0, 99.0).record.window(5)
    assert (window.errors, window.answered) == (0, 20)
    assert window.p50 == pytest.approx(3.0), "more than half have not been answered for up to 3 s"


def test_a_hang_of_a_few_is_told_by_the_quantile_that_it_reaches():
    system = System()
    for second in range(10, 40):
        system.run(second + 0.5).run(second + 0.6, 99.0).run(second + 1.0)
    window = system.record.window(3)  # one in ten hangs
    assert window.p50 == 0.1
    assert 3.0 < window.p95 <= TIMEOUT
    assert window.errors / (window.answered + window.errors) == pytest.approx(0.1, abs=0.02)


def test_an_answer_that_takes_longer_than_the_window_is_an_error_of_that_window_only():
    system = System().run(20.0, 2.0)
    short, long = system.record.window(1), system.record.window(5)
    assert (short.answered, short.errors, short.why) == (0, 10, "no answer within 1 s")
    assert (long.errors, long.p50) == (0, 2.0)


def test_answers_slower_than_the_window_still_have_a_latency():
    assert System().run(20.0, 2.0).record.window(1).p50 == pytest.approx(1.9, abs=0.11)


def test_every_request_is_decided_exactly_once():
    system, decided = System(), 0
    pattern = [(0.05, 0), (0.3, 1), (99.0, 0), (0.001, 2), (1.5, 0)]
    for second in range(40):
        system.run(second + 1.0, *pattern[second % 5])
        window = system.record.window(1)
        decided += window.answered + window.errors
    assert decided == pytest.approx(400, abs=RATE)


def test_a_second_is_told_once_all_its_requests_have_ended():
    record = System().run(1.0).run(2.0, 99.0).run(5.5).record
    assert record.second(0) is not None
    assert record.second(1) is None
    record = System().run(1.0).run(2.0, 99.0).run(6.0, 0.2).record
    second = record.second(1)
    assert second is not None
    assert (second.due, second.ok, second.errors, second.quantiles) == (10, 0, 10, (TIMEOUT,) * 3)
    assert record.second(5) is None, "its last requests are still open"


def test_what_the_generator_spoilt_is_a_share_of_what_is_looked_at():
    record = System().run(10.0).record
    assert (record.window(2).late, record.unfit(2)) == (0, 0)
    record.spoil([99, 98, 5], [97, 4])
    assert (record.window(1.9).late, record.unfit(2)) == (2 / 38, 1 / 40)


def test_old_requests_are_forgotten():
    system = System(rate=100.0)
    for minute in range(1, 30):
        system.run(minute * 60.0)
        system.record.window(5)
        assert system.record.known < 100 * 150
    assert system.record.window(5).answered == 500


def test_a_longer_window_is_remembered_once_it_was_asked_for():
    system = System(rate=100.0)
    system.record.window(100)
    for half_minute in range(1, 30):
        system.run(half_minute * 30.0)
        window = system.record.window(100)
    assert (window.seconds, window.due, window.p50) == (100, 10_000, 0.1)


@given(LATENCIES)
def test_quantiles_of_what_is_known_are_exact(values):
    expected = tuple(sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)] for q in QUANTILES)
    assert quantiles(values, [], 0.0) == expected


@given(LATENCIES, st.floats(min_value=0.001, max_value=200))
def test_what_is_open_can_only_make_them_longer_or_leave_them(values, age):
    known = [value for value in values if value <= age]
    open_for = [age for value in values if value > age]
    if known:
        estimate, truth = quantiles(known, open_for, 0.0), quantiles(values, [], 0.0)
        assert all(guess <= real + 1e-9 for guess, real in zip(estimate, truth, strict=True))
        assert all(guess == pytest.approx(min(real, age)) for guess, real in zip(estimate, truth, strict=True))


def test_quantiles_of_a_constant_latency_are_exact_with_many_still_open():
    due = [number / 100 for number in range(500)]
    known = [2.0 for when in due if when <= 3.0]
    ages = [5.0 - when for when in due if when > 3.0]
    assert quantiles(known, ages, 2.0) == (2.0, 2.0, 2.0)


def test_the_estimate_is_kaplan_and_meiers():
    # 6 known and 4 open: the textbook's table by hand, S = 9/10 * 8/9 * 6/7 * 5/6 * 3/4 * 1/2
    known, ages = [1.0, 2.0, 4.0, 5.0, 7.0, 9.0], [3.0, 6.0, 8.0, 10.0]
    survival = [9 / 10, 8 / 10, 8 / 10 * 6 / 7, 8 / 10 * 5 / 7, 8 / 10 * 5 / 7 * 3 / 4, 8 / 10 * 5 / 7 * 3 / 4 / 2]
    median = next(value for value, left in zip(known, survival, strict=True) if left <= 0.5)
    assert quantiles(known, ages, 0.0) == (median, 10.0, 10.0)
