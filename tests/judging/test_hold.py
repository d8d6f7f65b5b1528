"""A reading held against a rule: inside or not, and how much room is left."""

from __future__ import annotations

import math
from typing import Any

import pytest

from chaosrunner.judging.hold import resolve, say
from chaosrunner.judging.reading import Reading, reading_of
from chaosrunner.model.journal import ReadingTaken
from chaosrunner.model.tolerance import Rule, Value


def rule(**fields: Any) -> Rule:
    return Rule.model_validate(fields)


CASES: list[tuple[str, dict[str, Any], str | None, float | None, Value, bool, float | None]] = [
    ("at most, below", {"atMost": "200ms"}, "s", None, 0.15, True, 0.25),
    ("at most, exactly on it", {"atMost": "200ms"}, "s", None, 0.2, True, 0.0),
    ("at most, above", {"atMost": "200ms"}, "s", None, 0.25, False, -0.25),
    ("at most in the measure's unit", {"atMost": "200ms"}, "ms", None, 150.0, True, 0.25),
    ("a share of a measure without a unit", {"atMost": "1%"}, None, None, 0.02, False, -1.0),
    ("at least, above", {"atLeast": 50}, None, None, 60.0, True, 0.2),
    ("at least, exactly on it", {"atLeast": 50}, None, None, 50.0, True, 0.0),
    ("at least, below", {"atLeast": 50}, None, None, 40.0, False, -0.2),
    ("a negative limit has room as a share of its size", {"atMost": -10}, None, None, -15.0, True, 0.5),
    ("a limit of 0 has no share", {"atMost": 0}, None, None, 0.0, True, None),
    ("between, nearer to the low side", {"between": [10, 20]}, None, None, 12.0, True, 0.2),
    ("between, nearer to the high side", {"between": [10, 20]}, None, None, 19.0, True, 0.1),
    ("between, on its edge", {"between": [10, 20]}, None, None, 20.0, True, 0.0),
    ("between, beyond", {"between": [10, 20]}, None, None, 21.0, False, -0.1),
    ("between without a width", {"between": [10, 10]}, None, None, 10.0, True, None),
    ("a multiple of the baseline", {"atMost": "4x baseline"}, "s", 0.1, 0.3, True, 0.25),
    ("a multiple of the baseline, beyond", {"atMost": "4x baseline"}, "s", 0.1, 0.41, False, -0.025),
    ("the floor of a relative limit", {"atMost": "4x baseline", "floor": "100ms"}, "s", 0.001, 0.05, True, 0.5),
    ("an offset from the baseline", {"atMost": "baseline + 20ms"}, "s", 0.1, 0.11, True, 1 / 12),
    ("around the baseline", {"between": "baseline ± 10%"}, None, 100.0, 95.0, True, 0.25),
    ("around a negative baseline", {"between": "baseline ± 10%"}, None, -100.0, -95.0, True, 0.25),
    ("equals a number", {"equals": 200}, None, None, 200.0, True, None),
    ("equals another number", {"equals": 200}, None, None, 503.0, False, None),
    ("equals a text", {"equals": "ok"}, None, None, "ok", True, None),
    ("equals another sort of value", {"equals": "ok"}, None, None, 1.0, False, None),
    ("true is not 1", {"equals": True}, None, None, 1.0, False, None),
    ("true is true", {"equals": True}, None, None, True, True, None),
    ("1 is not true", {"equals": 1}, None, None, True, False, None),
    ("matches a text anywhere", {"matches": "ready"}, None, None, "is ready", True, None),
    ("matches not", {"matches": "^ready"}, None, None, "not ready", False, None),
    ("matches a number as it is written", {"matches": "^2..$"}, None, None, 204.0, True, None),
    ("matches true as it is written", {"matches": "^true$"}, None, None, True, True, None),
    ("true counts as 1 against a limit", {"atLeast": 1}, None, None, True, True, 0.0),
]


@pytest.mark.parametrize(
    ("fields", "unit", "baseline", "value", "inside", "margin"),
    [case[1:] for case in CASES],
    ids=[case[0].replace(" ", "_") for case in CASES],
)
def test_a_value_is_held_against_a_rule(
    fields: dict[str, Any], unit: str | None, baseline: float | None, value: Value, inside: bool, margin: float | None
) -> None:
    resolved = resolve(rule(**fields), unit, baseline)
    assert resolved.inside(Reading(0, 1, value)) is inside
    assert resolved.margin(value) == (None if margin is None else pytest.approx(margin))


@pytest.mark.parametrize(
    "fields",
    [{"atMost": 1e9}, {"atLeast": -1e9}, {"matches": ""}, {"equals": ""}],
    ids=lambda fields: next(iter(fields)),
)
def test_no_answer_meets_no_tolerance(fields: dict[str, Any]) -> None:
    assert not resolve(rule(**fields), None, None).inside(Reading(0, 1, no_answer="refused"))


def test_a_missing_reading_must_not_be_asked_about() -> None:
    with pytest.raises(ValueError, match="no reading"):
        resolve(rule(atMost=1), None, None).inside(Reading(0, 1, missing="down"))


def test_text_where_a_number_is_expected_is_no_reading() -> None:
    fitted = resolve(rule(atMost=1), None, None).fits(Reading(0, 1, "<html>"))
    assert not fitted.is_reading
    assert "'<html>', not a number" in (fitted.missing or "")


def test_text_where_text_is_expected_is_a_reading() -> None:
    assert resolve(rule(matches="x"), None, None).fits(Reading(0, 1, "x")).value == "x"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_no_reading(value: float) -> None:
    event = ReadingTaken.model_construct(
        type="reading", measure="m", began=0.0, ended=1.0, value=value, no_answer=None, missing=None
    )
    assert not reading_of(event).is_reading
    assert not resolve(rule(atMost=1), None, None).fits(Reading(0, 1, value)).is_reading


def test_nothing_at_all_is_no_reading() -> None:
    assert not reading_of(ReadingTaken(measure="m", began=0, ended=1)).is_reading


def test_a_relative_rule_without_a_baseline_says_so() -> None:
    with pytest.raises(ValueError, match="relative to the baseline"):
        resolve(rule(atMost="4x baseline"), "s", None)


def test_a_limit_in_another_unit_says_so() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        resolve(rule(atMost="1MiB"), "s", None)


@pytest.mark.parametrize(
    ("fields", "unit", "baseline", "text"),
    [
        ({"atMost": "200ms"}, "s", None, "at most 200 ms"),
        ({"atMost": "1%", "for": "10s"}, None, None, "at most 0.01, for 10 s"),
        ({"atMost": "1%"}, "ratio", None, "at most 1 %"),
        ({"atMost": "4x baseline"}, "s", 0.103, "at most 412 ms (4x baseline)"),
        ({"atMost": "4x baseline", "floor": "1s"}, "s", 0.1, "at most 1 s (4x baseline, never less than 1s)"),
        ({"between": "baseline ± 5"}, None, 50.0, "between 45 and 55 (baseline - 5 to baseline + 5)"),
        ({"equals": "ok", "for": "3s"}, None, None, "equal to 'ok', for 3 s"),
        ({"equals": 200}, None, None, "equal to 200"),
        ({"equals": True}, None, None, "equal to true"),
        ({"matches": "up"}, None, None, "matching /up/"),
    ],
)
def test_a_rule_is_told_with_numbers_and_units(
    fields: dict[str, Any], unit: str | None, baseline: float | None, text: str
) -> None:
    assert resolve(rule(**fields), unit, baseline).text == text


def test_values_are_told_with_units() -> None:
    assert [say(0.312, "s"), say(None, "s"), say(True, None), say("a" * 100, None)] == [
        "312 ms",
        "no answer",
        "true",
        repr("a" * 57 + "…"),
    ]


def test_a_reading_tells_of_as_long_ago_as_its_lag() -> None:
    assert Reading(50.0, 50.1, 1.0).tells_from(45.0) == 5.0
