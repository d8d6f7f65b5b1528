"""What verifies a fix: how many runs, and which of them count."""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.model.environment import Verification
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.near_miss import Conditions, Expectation
from chaosrunner.model.tolerance import Tolerance
from chaosrunner.model.verification import Reproduced, differences, exercises, required, runs_needed, slip, with_run
from chaosrunner.model.words import Priority
from tests.near_misses.world import DAY, START, conditions, expectation, fault


@pytest.mark.parametrize(
    ("seen", "comparable", "needed"), [(1, 1, 3), (3, 3, 2), (5, 10, 5), (3, 10, 8), (1, 10, 17), (50, 50, 2)]
)
def test_a_rarer_gap_needs_more_passing_runs(seen: int, comparable: int, needed: int) -> None:
    assert runs_needed(seen, comparable) == needed
    assert slip(seen, comparable, needed) < 0.05


def test_urgent_ones_need_three_runs_on_two_days() -> None:
    for priority, runs, days in (("P1", 3, 2), ("P2", 3, 2), ("P3", 2, 1), ("P4", 2, 1)):
        asked = required(Reproduced(3, 3, Priority(priority)), Verification(), "staging")
        assert (asked.required_runs, asked.required_days, asked.asked_by) == (runs, days, "ver/1")


def test_an_environment_may_ask_for_something_else_and_that_is_recorded() -> None:
    asked = required(Reproduced(1, 1, Priority.P1), Verification(runs=1, days=1), "shop")
    assert (asked.required_runs, asked.required_days, asked.asked_by) == (1, 1, "environment shop")
    assert asked.slip == pytest.approx(1 / 3)
    days = required(Reproduced(1, 1, Priority.P4), Verification(days=5), "shop")
    assert (days.required_runs, days.required_days) == (5, 5)


def test_runs_on_one_day_do_not_make_two_days() -> None:
    progress = required(Reproduced(3, 3, Priority.P1), Verification(), "staging")
    for run in ("a", "b", "c", "d"):
        progress = with_run(progress, run, START)
    assert not progress.complete
    assert with_run(progress, "e", START + DAY).complete


SAME = conditions()


def why(now: Conditions, was: Conditions = SAME) -> str:
    return "; ".join(f"{each.what}: {each.why}" for each in differences(was, now))


def test_the_same_run_again_counts() -> None:
    assert why(conditions()) == ""


@pytest.mark.parametrize(
    "harder",
    [
        {"faults": (fault(harder={"delay": 0.9}),)},
        {"faults": (fault(targets=3),)},
        {"faults": (fault(lasts=60.0),)},
        {"faults": (fault(), fault(kind="cpu-stress", fault_class="cpu"))},
        {"expectations": (expectation("300ms"),)},
        {"expectations": (expectation("0.3s"), expectation(measure="orders-go-through/more"))},
        {"recovery_within": 2.0},
        {"recovery_holds": 20.0},
    ],
)
def test_a_harder_run_counts(harder: dict[str, Any]) -> None:
    assert why(conditions(**harder)) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"faults": (fault(harder={"delay": 0.1}),)}, "weaker: network-latency: delay is 0.1, it was 0.6"),
        ({"faults": (fault(targets=0),)}, "weaker: network-latency hit 0 targets, it was 1"),
        ({"faults": (fault(lasts=1.0),)}, "weaker: network-latency lasted 1 s, it was 3 s"),
        ({"faults": (fault(settle=2.0),)}, "weaker: network-latency: the first 2 s are not judged"),
        ({"faults": (fault(params={"direction": "request"}),)}, "different: network-latency: direction"),
        ({"faults": (fault(harder={}),)}, "different: network-latency: delay was given in only one"),
        ({"faults": (fault(kind="slow-motion"),)}, "different: the fault was slow-motion, not network-latency"),
        ({"faults": (fault(to=("inventory",)),)}, "different: it had no dependency-slow fault there"),
        ({"expectations": (expectation("2s"),)}, "weaker: orders-go-through/order-p95: at most 2s in the fault phase"),
        ({"expectations": ()}, "weaker: orders-go-through/order-p95 is no longer judged"),
        ({"expectations": (expectation(probe="http"),)}, "different: orders-go-through/order-p95 reads something else"),
        ({"expectations": (expectation(params={"read": "p50"}),)}, "different: orders-go-through/order-p95 reads"),
        ({"expectations": (expectation(when_missing="broken"),)}, "different: orders-go-through/order-p95: its unit"),
        ({"recovery_within": 60.0}, "weaker: recovery may take 60 s, it was 5 s"),
        ({"recovery_holds": 0.5}, "weaker: recovery must hold"),
    ],
)
def test_a_run_that_could_have_missed_it_does_not_count(changes: dict[str, Any], reason: str) -> None:
    assert reason in why(conditions(**changes))


def judged(rule: dict[str, Any]) -> Conditions:
    return conditions(expectations=(expectation(tolerance=Tolerance.model_validate(rule)),))


def alike(**changes: str) -> dict[str, Any]:
    return {"fault": {"like": "baseline", **changes}}


ALIKE = alike()


@pytest.mark.parametrize(
    ("was", "now", "counts"),
    [
        ({"atMost": "500ms"}, {"atMost": "0.5s"}, True),
        ({"atMost": "500ms", "for": "2s"}, {"atMost": "500ms"}, True),
        ({"atMost": "500ms"}, {"atMost": "500ms", "for": "2s"}, False),
        ({"atLeast": 5}, {"atLeast": 6}, True),
        ({"atLeast": 5}, {"atLeast": 4}, False),
        ({"between": [1, 9]}, {"between": [2, 8]}, True),
        ({"between": [1, 9]}, {"between": [0, 8]}, False),
        ({"between": [1, 9]}, {"atMost": 9}, False),
        ({"equals": 1}, {"equals": 2}, False),
        ({"matches": "ok"}, {"matches": "o"}, False),
        ({"atMost": "2x baseline"}, {"atMost": "1.5x baseline"}, True),
        ({"atMost": "2x baseline"}, {"atMost": "3x baseline"}, False),
        ({"atMost": "2x baseline"}, {"atMost": "500ms"}, False),
        ({"atMost": "2x baseline", "floor": "100ms"}, {"atMost": "2x baseline"}, True),
        ({"atMost": "2x baseline"}, {"atMost": "2x baseline", "floor": "100ms"}, False),
        ({"atMost": "2x baseline", "floor": "100ms"}, {"atMost": "2x baseline", "floor": "200ms"}, False),
        ({"atMost": "baseline + 20ms"}, {"atMost": "baseline + 10ms"}, True),
        ({"atMost": "baseline + 20ms"}, {"atMost": "baseline + 10%"}, False),
        ({"fault": {"atMost": "500ms"}}, {"recovery": {"atMost": "500ms"}}, False),
        ({"fault": {"atMost": "500ms", "take": "p95"}}, {"fault": {"atMost": "400ms", "take": "p95"}}, True),
        ({"fault": {"atMost": "500ms", "take": "p95"}}, {"fault": {"atMost": "500ms", "take": "p50"}}, False),
        ({"fault": {"atMost": "500ms"}}, {"fault": {"atMost": "500ms", "take": "p99"}}, False),
        ({"fault": "like baseline"}, {"fault": {"atMost": "2x baseline"}}, False),
        (ALIKE, {"fault": "like baseline"}, True),
        (ALIKE, alike(side="higher"), False),
        (alike(side="higher"), ALIKE, True),
        (alike(side="higher"), alike(side="lower"), False),
        (ALIKE, alike(effect="small"), True),
        (ALIKE, alike(effect="large"), False),
        (ALIKE, alike(detect="75%"), True),
        (ALIKE, alike(detect="90%"), False),
        (ALIKE, alike(power="95%"), True),
        (ALIKE, alike(power="80%"), False),
        (ALIKE, alike(falseAlarms="5%"), True),
        (ALIKE, alike(falseAlarms="0.1%"), False),
        ({"fault": {"atMost": 1}}, {"fault": {"atMost": 1}, "recovery": {"atMost": 1}}, True),
    ],
)
def test_expectations_may_be_tightened_and_not_loosened(was: dict[str, Any], now: dict[str, Any], counts: bool) -> None:
    assert (why(judged(now), judged(was)) == "") is counts


def http(url: str) -> tuple[Expectation, ...]:
    return (expectation(probe="http", params={"url": url, "read": "latency"}),)


def test_between_environments_of_one_class_only_the_place_may_differ() -> None:
    was = conditions(expectations=http("https://checkout.staging.example/healthz"))
    there = conditions(environment="other", expectations=http("https://checkout.other.example/healthz"))
    assert why(there, was) == ""
    here = there.model_copy(update={"environment": "shop"})
    assert "reads something else" in why(here, was)
    elsewhere = conditions(environment="other", expectations=http("https://checkout.other.example/"))
    assert "reads something else" in why(elsewhere, was)


def test_on_loopback_a_port_says_nothing() -> None:
    was = conditions(expectations=http("http://127.0.0.1:17001/"))
    assert why(conditions(expectations=http("http://127.0.0.1:23001/")), was) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rate": "40/s"}, ""),
        ({"rate": "10/s"}, "weaker: 10 requests a second, it was 20"),
        ({"timeout": "300ms"}, ""),
        ({"timeout": "5s"}, "weaker: requests may take 5 s"),
        ({"expect": 500}, "different: the traffic sends other requests"),
        ({"url": "http://127.0.0.1:9/checkout"}, ""),
        ({"url": "http://127.0.0.1:1/other"}, "different: the traffic sends other requests"),
    ],
)
def test_the_load_is_part_of_what_is_compared(changes: dict[str, Any], reason: str) -> None:
    good = {"url": "http://127.0.0.1:1/checkout", "rate": "20/s", "timeout": "600ms"}
    was = conditions(traffic=TrafficSpec.model_validate(good))
    now = conditions(traffic=TrafficSpec.model_validate(good | changes))
    assert reason in why(now, was)
    assert bool(why(now, was)) is bool(reason)


def test_a_run_without_the_load_is_weaker() -> None:
    was = conditions(traffic=TrafficSpec.model_validate({"url": "http://127.0.0.1:1/", "rate": "20/s"}))
    assert "no traffic" in why(conditions(), was)


def test_only_a_run_with_the_same_faults_exercises_it() -> None:
    assert exercises(SAME, conditions(faults=(fault(harder={"delay": 9.0}),)))
    assert not exercises(SAME, conditions(faults=(fault(fault_class="dependency-gone"),)))
    assert not exercises(SAME, conditions(faults=(fault(services=("cart",)),)))
    assert not exercises(conditions(faults=()), SAME)


def test_conditions_survive_being_written_down() -> None:
    was = conditions(
        traffic=TrafficSpec.model_validate({"url": "http://127.0.0.1:1/", "rate": "20/s", "timeout": "600ms"}),
        expectations=(expectation(tolerance=Tolerance.model_validate({"fault": {"atMost": "baseline + 20ms"}})),),
    )
    assert Conditions.model_validate(was.as_json()) == was
