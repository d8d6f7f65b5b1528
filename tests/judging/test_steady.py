"""Is the baseline steady? Every second a reading, from second 100 on; steady means ten seconds inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chaosrunner.judging.reading import Reading
from chaosrunner.judging.steady import SteadyState, SteadyWatch
from chaosrunner.model.plan import PlannedMeasure
from tests.judging.journals import AT_MOST, Missing, NoAnswer, Said, measure

BEGAN = 100.0
RELATIVE = {"fault": {"atMost": "4x baseline"}}


def as_reading(began: float, said: Said, takes: float = 0.05) -> Reading:
    ended = began + takes
    if isinstance(said, NoAnswer):
        return Reading(began, ended, no_answer=said.why)
    if isinstance(said, Missing):
        return Reading(began, ended, missing=said.why)
    assert not isinstance(said, type)
    return Reading(began, ended, said)


def until_decided(
    script: Callable[[float, str], Said], *measures: PlannedMeasure, within: float | None = 30.0
) -> tuple[SteadyState, float, SteadyWatch]:
    """(the decision, seconds into the baseline, the watch). The script is asked by seconds into it, and by key."""
    watch = SteadyWatch(measures, 10.0, within, BEGAN)
    for tenth in range(3000):
        into = tenth / 10
        for one in measures:
            if tenth % round(one.every * 10) == 0:
                said = script(into, one.key)
                if not isinstance(said, type):
                    watch.add(one.key, as_reading(BEGAN + into + 0.02, said))
        state = watch.state(BEGAN + into + 0.08)
        if state.kind != "waiting":
            return state, into, watch
    raise AssertionError("never decided")


def test_inside_for_all_of_the_time_is_steady() -> None:
    state, into, watch = until_decided(lambda into, key: 0.1, measure())
    assert state.kind == "steady"
    assert 10 <= into < 11
    assert watch.medians() == {"slo/p99": 0.1}


def test_the_window_slides_until_all_of_it_is_inside() -> None:
    state, into, _ = until_decided(lambda into, key: 0.5 if into < 8 else 0.1, measure())
    assert state.kind == "steady"
    assert 17 <= into < 19


def test_outside_until_the_end_is_not_steady() -> None:
    state, into, _ = until_decided(lambda into, key: 0.5, measure())
    assert (state.kind, state.measures) == ("not-steady", ("slo/p99",))
    assert state.reason == "slo/p99 was 500 ms, should be at most 200 ms"
    assert 30 < into < 34


def test_one_reading_outside_in_every_window_is_not_steady() -> None:
    state, _, _ = until_decided(lambda into, key: 0.5 if into % 9 == 0 else 0.1, measure())
    assert state.kind == "not-steady"


def test_no_answer_is_not_steady() -> None:
    state, _, _ = until_decided(lambda into, key: NoAnswer(), measure())
    assert state.kind == "not-steady"
    assert "no answer" in state.reason


def test_no_readings_are_not_readable() -> None:
    state, _, _ = until_decided(lambda into, key: Missing(), measure())
    assert state.kind == "not-readable"
    assert "the metrics server is down" in state.reason


def test_nothing_at_all_in_the_journal_is_not_readable() -> None:
    state, _, _ = until_decided(lambda into, key: type, measure())  # type: ignore[arg-type, return-value]
    assert state.kind == "not-readable"


def test_too_many_missing_are_not_readable() -> None:
    state, _, _ = until_decided(lambda into, key: Missing() if into % 3 == 0 else 0.1, measure())
    assert state.kind == "not-readable"


def test_garbage_is_not_readable() -> None:
    state, _, _ = until_decided(lambda into, key: "<html>", measure())
    assert state.kind == "not-readable"
    assert "not a number" in state.reason


def test_one_outside_and_one_missing_is_not_steady() -> None:
    def script(into: float, key: str) -> Said:
        return 0.5 if key == "slo/a" else Missing()

    state, _, _ = until_decided(script, measure("a"), measure("b"))
    assert (state.kind, state.measures) == ("not-steady", ("slo/a",))


def test_all_measures_must_be_steady_at_the_same_time() -> None:
    def script(into: float, key: str) -> Said:
        bad = 0 <= into < 12 if key == "slo/a" else 15 <= into < 17
        return 0.5 if bad else 0.1

    state, into, _ = until_decided(script, measure("a"), measure("b"))
    assert state.kind == "steady"
    assert 26 <= into < 28


def test_all_wait_for_the_slowest_measure() -> None:
    state, into, _ = until_decided(lambda into, key: 0.1, measure("a"), measure("b", lag="12s"))
    assert state.kind == "steady"
    assert 22 <= into < 23


def test_what_a_reading_tells_must_lie_in_the_baseline() -> None:
    # Readings of the first 12 seconds tell of the time before: they are outside and do not count.
    state, into, _ = until_decided(lambda into, key: 0.5 if into < 12 else 0.1, measure(lag="12s"))
    assert state.kind == "steady"
    assert into < 23


def test_a_short_violation_of_a_rule_with_for_is_steady() -> None:
    rule = {"baseline": {"atMost": "200ms", "for": "3s"}}
    state, into, _ = until_decided(lambda into, key: 0.5 if into in (4, 5) else 0.1, measure(tolerance=rule))
    assert state.kind == "steady"
    assert into < 11


def test_a_violation_under_way_is_not_steady_yet() -> None:
    rule = {"baseline": {"atMost": "200ms", "for": "30s"}}
    state, into, _ = until_decided(lambda into, key: 0.5 if 9 <= into < 14 else 0.1, measure(tolerance=rule))
    assert state.kind == "steady"
    assert into == 14


def test_a_baseline_needs_three_readings() -> None:
    state, into, watch = until_decided(lambda into, key: 0.1, measure(tolerance=RELATIVE, every="8s"))
    assert state.kind == "steady"
    assert 16 <= into < 17
    assert watch.counts() == {"slo/p99": 3}


def test_readings_that_tell_of_the_time_before_are_no_part_of_the_median() -> None:
    # Of readings at 0, 8, 16, 24 and 32 the first two tell of what was before the baseline.
    state, into, watch = until_decided(
        lambda into, key: 0.9 if into < 12 else 0.1, measure(tolerance=RELATIVE, every="8s", lag="12s"), within=60.0
    )
    assert state.kind == "steady"
    assert into == 32
    assert watch.medians() == {"slo/p99": 0.1}


def test_a_baseline_without_three_readings_is_not_readable() -> None:
    state, _, watch = until_decided(
        lambda into, key: 0.1 if into < 8 else Missing(), measure(tolerance=RELATIVE, every="4s"), within=20.0
    )
    assert state.kind == "not-readable"
    assert "needs three readings" in state.reason
    assert watch.medians() == {}


def test_a_relative_abort_limit_needs_three_readings_too() -> None:
    one = measure(tolerance=None, abortAt={"atMost": "10x baseline"})
    state, _, _ = until_decided(lambda into, key: Missing(), one)
    assert state.kind == "not-readable"


def test_the_median_is_of_the_steady_window_only() -> None:
    def script(into: float, key: str) -> Said:
        return 0.5 if into < 8 else 0.1 + into / 1000

    _, into, watch = until_decided(script, measure())
    window = [0.1 + second / 1000 for second in range(int(into) - 9, int(into) + 1)]
    assert watch.medians()["slo/p99"] == pytest.approx(sorted(window)[len(window) // 2], abs=0.001)


def test_no_answers_and_missing_readings_are_no_numbers_of_the_median() -> None:
    said: dict[int, Said] = {3: NoAnswer(), 5: Missing()}
    _, _, watch = until_decided(lambda into, key: said.get(int(into), 0.3), measure(tolerance=RELATIVE))
    assert watch.medians() == {"slo/p99": 0.3}


def test_text_has_no_median() -> None:
    _, _, watch = until_decided(lambda into, key: "ok", measure(tolerance={"equals": "ok"}))
    assert watch.medians() == {}


def test_a_measure_that_is_only_observed_holds_nothing_up() -> None:
    def script(into: float, key: str) -> Said:
        return 0.1 if key == "slo/a" else Missing()

    state, into, _ = until_decided(script, measure("a"), measure("b", tolerance=None))
    assert state.kind == "steady"
    assert into < 11


@pytest.mark.parametrize("during", ["end", "fault"])
def test_a_measure_that_is_not_read_before_the_fault_holds_nothing_up(during: str) -> None:
    state, _, _ = until_decided(lambda into, key: 0.1, measure("a"), measure("b", during=during))
    assert state.kind == "steady"


@pytest.mark.parametrize("during", ["always", "start", "edge", "continuous"])
def test_a_measure_that_is_read_before_the_fault_must_be_steady(during: str) -> None:
    def script(into: float, key: str) -> Said:
        return 0.1 if key == "slo/a" else 0.5

    state, _, _ = until_decided(script, measure("a"), measure("b", during=during))
    assert state.kind == "not-steady"


def test_without_any_judged_measure_the_time_is_waited() -> None:
    watch = SteadyWatch([measure(tolerance=None)], 10.0, 30.0, BEGAN)
    assert watch.state(109.9).kind == "waiting"
    assert watch.state(110.0).kind == "steady"


def test_within_is_twice_for_plus_the_lag_where_it_is_not_given() -> None:
    watch = SteadyWatch([measure(lag="7s")], 10.0, None, BEGAN)
    assert watch.deadline == BEGAN + 27 + 2  # every and timeout


def test_within_is_never_shorter_than_one_window() -> None:
    state, _, _ = until_decided(lambda into, key: 0.1, measure(lag="12s"), within=10.0)
    assert state.kind == "steady"


def test_the_same_readings_give_the_same_answer_whenever_it_is_asked() -> None:
    watch = SteadyWatch([measure()], 10.0, 30.0, BEGAN)
    for second in range(12):
        watch.add("slo/p99", as_reading(BEGAN + second + 0.02, 0.1))
    assert [watch.state(now).kind for now in (111.1, 115.0, 1000.0)] == ["steady"] * 3


def test_the_tolerance_of_all_phases_is_the_baselines_too() -> None:
    assert SteadyWatch([measure(tolerance=AT_MOST)], 10.0, 30.0, BEGAN).of_measure("slo/p99") is not None


def test_a_measure_states_itself_for_the_verdict() -> None:
    _, _, watch = until_decided(lambda into, key: 0.5, measure())
    state = watch.of_measure("slo/p99")
    assert state is not None
    assert (state.ok, state.readable) == (False, True)
    assert watch.of_measure("nobody") is None


def test_a_plan_with_many_measures_is_decided_on_the_same_reading() -> None:
    measures: list[Any] = [measure(f"m{number}") for number in range(50)]
    state, into, _ = until_decided(lambda into, key: 0.1, *measures)
    assert state.kind == "steady"
    assert into < 11
