"""Priority: a lookup of what it would cost against what stood; luck is no defence."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from chaosrunner.model.near_miss import Override, day_of
from chaosrunner.model.priority import PRIORITY, ScoreInputs, due_date, projected_budget, raised, score, triage_by
from chaosrunner.model.words import FindingClass, GapKind, Priority, State
from tests.near_misses.world import START, inputs, near_miss

NEAR, UNSAFE = FindingClass.NEAR_MISS, FindingClass.UNSAFE_CONDITION


def test_the_table_is_the_one_that_was_agreed() -> None:
    rows = {potential: "".join(each.value[1] for each in row) for potential, row in PRIORITY.items()}
    assert rows == {"S1": "1123", "S2": "1233", "S3": "2334", "S4": "3444"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("S3", "C1", "P2")),
        ({"tier": 1}, ("S2", "C1", "P1")),
        ({"tier": 4}, ("S4", "C1", "P3")),
        ({"kinds": (GapKind.IMPACT, GapKind.ABORTED), "stopped_by": "experiment-abort"}, ("S2", "C1", "P1")),
        ({"kinds": (GapKind.NO_RECOVERY,), "tier": 1, "stopped_by": "unknown"}, ("S1", "C1", "P1")),
        ({"kinds": (GapKind.NO_RECOVERY,), "tier": 3, "stopped_by": "human"}, ("S3", "C2", "P3")),
        ({"kinds": (GapKind.CLOSE_CALL,), "stopped_by": "system-barrier", "standing": 1}, ("S4", "C3", "P4")),
        (
            {"kinds": (GapKind.UNDETECTED,), "tier": 1, "stopped_by": "system-barrier", "standing": 2},
            ("S3", "C4", "P4"),
        ),
        ({"budget": 1.2, "tier": 4}, ("S1", "C1", "P1")),
        ({"budget": 0.278}, ("S2", "C1", "P1")),
        ({"budget": 0.02}, ("S3", "C1", "P2")),
        ({"budget": 0.019}, ("S4", "C1", "P3")),
        ({"undetected": True}, ("S3", "C1", "P1")),
        ({"tier": 4, "regressions": 1}, ("S4", "C1", "P2")),
        ({"tier": 4, "regressions": 5}, ("S4", "C1", "P1")),
        ({"kinds": (GapKind.UNDO_FAILED,), "tier": 4, "stopped_by": "unknown"}, ("S4", "C1", "P1")),
    ],
)
def test_priority_follows_from_the_inputs(changes: dict[str, Any], expected: tuple[str, str, str]) -> None:
    result = score(inputs(**changes))
    assert (result.potential, result.proximity, result.priority.value) == expected


def test_an_unsafe_condition_is_p2_at_most() -> None:
    worst = inputs(finding=UNSAFE, tier=1, kinds=(GapKind.IMPACT,), undetected=True)
    assert score(worst).priority is Priority.P2


def test_the_score_can_be_computed_again_from_what_is_kept() -> None:
    first = score(inputs(tier=2, undetected=True, regressions=1))
    kept = ScoreInputs.model_validate(first.as_json()["inputs"])
    assert score(kept) == first


def test_an_undeclared_tier_is_said() -> None:
    assert score(inputs()).rationale[0] == "S3: production would degrade a service (tier not declared, taken as 2)"
    assert "luck and no defence" in score(inputs()).rationale[1]


def test_a_realistic_outage_is_projected_on_the_error_budget() -> None:
    month = 30 * 86400.0
    assert projected_budget(0.2, 0.999, month) == pytest.approx(0.278, abs=0.001)
    assert projected_budget(0.2, 0.999, month, outage=300) == pytest.approx(0.023, abs=0.001)


def test_due_dates_follow_from_the_priority() -> None:
    days = [(due_date(date(2026, 1, 1), priority) - date(2026, 1, 1)).days for priority in Priority]
    assert days == [14, 30, 90, 180]


def test_nothing_is_more_urgent_than_p1() -> None:
    assert [raised(priority) for priority in Priority] == [Priority.P1, Priority.P1, Priority.P2, Priority.P3]


@pytest.mark.parametrize(
    ("opened", "last"),
    [
        ("2026-11-16", "2026-11-18"),
        ("2026-11-19", "2026-11-23"),
        ("2026-11-20", "2026-11-24"),
        ("2026-11-21", "2026-11-24"),
    ],
)
def test_somebody_should_look_within_two_working_days(opened: str, last: str) -> None:
    assert triage_by(date.fromisoformat(opened)) == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("change", "unseen"),
    [
        ({}, True),
        ({"triaged_at": START}, False),
        ({"state": State.WAIVED}, False),
        ({"override": Override(priority=Priority.P3, by="ana", at=START, reason="few users")}, False),
    ],
)
def test_urgent_ones_that_nobody_took_on_in_time_are_unseen(change: dict[str, object], unseen: bool) -> None:
    urgent = {"override": Override(priority=Priority.P1, by="ana", at=START, reason="all users")}
    it = near_miss(**(urgent | change))
    assert it.unseen(triage_by(day_of(START)) + timedelta(days=1)) is unseen
    assert not it.unseen(triage_by(day_of(START)))
