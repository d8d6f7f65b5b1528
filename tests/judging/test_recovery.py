"""Is the system back? Undone at second 200, a reading every second, back within 20 s unless the test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from chaosrunner.judging.recovery import RecoveryState, RecoveryWatch
from chaosrunner.model.plan import PlannedMeasure
from tests.judging.journals import Missing, NoAnswer, Said, measure
from tests.judging.test_steady import as_reading

UNDONE = 200.0
Script = Callable[[float, str], Said]


def until_decided(
    script: Script,
    *measures: PlannedMeasure,
    within: float = 20.0,
    holds: float | None = None,
    baselines: Mapping[str, float] | None = None,
) -> tuple[RecoveryState, float]:
    """(the decision, seconds after the undo). The script is asked by seconds after the undo, and by key."""
    watch = RecoveryWatch(measures, baselines or {}, within, holds, UNDONE)
    for tenth in range(-100, 5000):
        into = tenth / 10
        for one in measures:
            if tenth % round(one.every * 10) == 0:
                said = script(into, one.key)
                if not isinstance(said, type):
                    watch.add(one.key, as_reading(UNDONE + into + 0.02, said))
        state = watch.state(UNDONE + into + 0.08)
        if state.kind != "waiting":
            return state, into
    raise AssertionError("never decided")


def back_at(second: float, *, bad: Said = 0.5) -> Script:
    return lambda into, key: bad if into < second else 0.1


def test_recovered_from_the_first_reading_that_stays_inside() -> None:
    state, into = until_decided(back_at(7), measure())
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(7.07)
    assert into == 12  # 5 seconds later


def test_readings_from_before_the_undo_are_no_recovery() -> None:
    # Inside until a moment after the undo, then never again.
    state, _ = until_decided(lambda into, key: 0.1 if into < 0.5 else 0.5, measure())
    assert state.kind == "not-recovered"


def test_a_reading_that_began_before_the_undo_does_not_count() -> None:
    watch = RecoveryWatch([measure()], {}, 20.0, 0.0, UNDONE)
    watch.add("slo/p99", as_reading(UNDONE - 0.01, 0.1))
    assert watch.state(UNDONE + 1).kind == "waiting"
    watch.add("slo/p99", as_reading(UNDONE, 0.1))
    assert watch.state(UNDONE + 1).kind == "recovered"


def test_the_default_is_three_readings() -> None:
    state, into = until_decided(back_at(0), measure(every="6s"))
    assert state.kind == "recovered"
    assert into == 12


def test_the_default_is_at_least_five_seconds() -> None:
    state, into = until_decided(back_at(0), measure(every="1s"))
    assert state.kind == "recovered"
    assert into == 5


def test_holds_is_how_long_it_must_stay_inside() -> None:
    _, into = until_decided(back_at(3), measure(), holds=15.0)
    assert into == 18


def test_holds_of_nothing_is_one_reading_of_each() -> None:
    state, into = until_decided(back_at(3), measure(), holds=0.0)
    assert (state.kind, into) == ("recovered", 3)


def test_one_reading_outside_begins_it_anew() -> None:
    state, _ = until_decided(lambda into, key: 0.5 if into == 4 else 0.1, measure())
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(5.07)


def test_no_answer_is_not_recovered() -> None:
    state, _ = until_decided(back_at(1e9, bad=NoAnswer()), measure())
    assert state.kind == "not-recovered"
    assert "no answer" in state.reason


def test_not_within_the_time_is_no_recovery() -> None:
    state, into = until_decided(back_at(1e9), measure())
    assert state.kind == "not-recovered"
    assert state.reason == "no recovery within 20 s: slo/p99 was still 500 ms, should be at most 200 ms"
    assert 20 < into < 23


def test_the_stay_must_begin_within_the_time_and_may_hold_beyond_it() -> None:
    state, into = until_decided(back_at(19), measure(), holds=10.0)
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(19.07)
    assert into == 29


def test_a_stay_that_begins_too_late_is_no_recovery() -> None:
    state, _ = until_decided(back_at(21), measure())
    assert state.kind == "not-recovered"


def test_a_stay_that_ends_after_the_time_is_no_recovery() -> None:
    state, _ = until_decided(lambda into, key: 0.1 if 15 <= into < 24 else 0.5, measure(), holds=15.0)
    assert state.kind == "not-recovered"


def test_all_measures_must_be_inside_together() -> None:
    def script(into: float, key: str) -> Said:
        return 0.1 if into >= (3 if key == "slo/a" else 11) else 0.5

    state, into = until_decided(script, measure("a"), measure("b"))
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(11.07)
    assert into == 16


def test_measures_that_take_turns_are_not_recovered() -> None:
    def script(into: float, key: str) -> Said:
        return 0.1 if (int(into) // 4) % 2 == (key == "slo/a") else 0.5

    state, _ = until_decided(script, measure("a"), measure("b"))
    assert state.kind == "not-recovered"


def test_one_measure_that_does_not_come_back_is_named() -> None:
    def script(into: float, key: str) -> Said:
        return 0.1 if key == "slo/a" else 0.5

    state, _ = until_decided(script, measure("a"), measure("b"))
    assert (state.kind, state.measures) == ("not-recovered", ("slo/b",))


def test_a_lag_is_not_the_systems_slowness() -> None:
    # The metric tells of the last 15 s: its first reading wholly after the undo comes at 15.
    state, into = until_decided(lambda into, key: 0.5 if into < 14 else 0.1, measure(lag="15s"), within=5.0)
    assert state.kind == "recovered"
    assert state.seconds is not None
    assert state.seconds < 1.1
    assert into < 21


def test_what_a_lagging_reading_tells_must_lie_after_the_undo() -> None:
    state, _ = until_decided(lambda into, key: 0.1 if into < 14.5 else 0.5, measure(lag="15s"))
    assert state.kind == "not-recovered"


def test_no_recovery_waits_for_the_lag() -> None:
    _, into = until_decided(back_at(1e9), measure(lag="15s"))
    assert 35 < into < 38


def test_without_readings_nothing_can_be_said() -> None:
    state, into = until_decided(back_at(1e9, bad=Missing()), measure())
    assert (state.kind, state.measures) == ("unreadable", ("slo/p99",))
    assert "the metrics server is down" in state.reason
    assert into < 35


def test_an_instrument_that_fails_right_after_bad_readings_says_nothing_of_the_end() -> None:
    state, _ = until_decided(lambda into, key: 0.5 if into < 3 else Missing(), measure())
    assert state.kind == "unreadable"


def test_a_stay_full_of_holes_does_not_hold() -> None:
    state, _ = until_decided(lambda into, key: 0.1 if into % 2 == 0 else Missing(), measure())
    assert state.kind == "unreadable"


def test_a_few_missing_readings_before_the_stay_do_no_harm() -> None:
    state, _ = until_decided(lambda into, key: Missing() if into < 6 else 0.1, measure())
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(6.07)


def test_a_short_violation_of_a_rule_with_for_does_not_end_the_stay() -> None:
    rule = {"recovery": {"atMost": "200ms", "for": "3s"}}
    state, _ = until_decided(lambda into, key: 0.5 if into == 3 else 0.1, measure(tolerance=rule))
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(0.07)


def test_a_relative_rule_takes_the_baseline() -> None:
    rule = {"recovery": {"atMost": "1.5x baseline"}}
    state, _ = until_decided(back_at(4, bad=0.16), measure(tolerance=rule), baselines={"slo/p99": 0.1})
    assert state.kind == "recovered"
    assert state.seconds == pytest.approx(4.07)


def test_a_relative_rule_without_a_baseline_cannot_be_said() -> None:
    rule = {"recovery": {"atMost": "1.5x baseline"}}
    state, _ = until_decided(back_at(4), measure(tolerance=rule))
    assert state.kind == "unreadable"
    assert "no baseline" in state.reason


def test_nothing_judged_after_the_fault_is_not_waited_for() -> None:
    state, _ = until_decided(back_at(4), measure(tolerance={"fault": {"atMost": "1s"}}))
    assert (state.kind, state.seconds) == ("recovered", None)


@pytest.mark.parametrize("during", ["start", "fault"])
def test_a_measure_that_is_not_read_after_the_fault_is_not_waited_for(during: str) -> None:
    state, _ = until_decided(back_at(1e9), measure(during=during))
    assert state.kind == "recovered"


@pytest.mark.parametrize("during", ["end", "edge", "continuous"])
def test_a_measure_that_is_read_after_the_fault_is_waited_for(during: str) -> None:
    state, _ = until_decided(back_at(1e9), measure(during=during))
    assert state.kind == "not-recovered"


def test_a_recovery_once_seen_stays_seen() -> None:
    watch = RecoveryWatch([measure()], {}, 20.0, 0.0, UNDONE)
    watch.add("slo/p99", as_reading(UNDONE + 1, 0.1))
    watch.add("slo/p99", as_reading(UNDONE + 2, 0.5))
    assert watch.state(UNDONE + 500).kind == "recovered"


def test_many_measures_recover_on_the_reading_of_the_last() -> None:
    def script(into: float, key: str) -> Said:
        return 0.5 if key == "slo/m17" and into < 9 else 0.1

    state, into = until_decided(script, *(measure(f"m{number}") for number in range(40)))
    assert state.seconds == pytest.approx(9.07)
    assert into == 14
