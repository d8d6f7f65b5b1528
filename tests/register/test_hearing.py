"""Alerts while a run breaks something: whose doing they are, where they are kept, and when they become drafts.

Every test holds for all databases (PostgreSQL: real_time); a register that is a file knows of no runs under way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chaosrunner.model.heard import Heard, UnderWay
from chaosrunner.model.report import Report
from chaosrunner.model.words import DetectedBy, Source
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Recorded, Register, Wanted
from tests.near_misses.world import START, SetClock, facts, finding
from tests.register.conftest import Place

RUN = UnderWay(run="run-1", environment="shop", services=("checkout", "payments"), began=START, until=START + 900)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def register(fresh_place: Place, clock: SetClock) -> Iterator[Register]:
    with open_register(fresh_place("heard"), clock) as register:
        register.announce(RUN)
        clock.at = START + 60
        yield register


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real_time)])
def fresh_place(request: pytest.FixtureRequest, tmp_path: Any) -> Place:
    if request.param == "sqlite":
        return lambda name: tmp_path / name
    empty: Place = request.getfixturevalue("databases").empty
    return empty


def alert(at: float = START + 30, **changes: Any) -> Report:
    usual = {"title": "Alert Slow", "service": "checkout", "environment": "shop", "environment_class": "staging"}
    told = {"source": Source.ALERT, "detected_by": DetectedBy.ALERT, "same_as": "alert|Slow", "at": at}
    return Report.model_validate(usual | told | {"delivery": f"alert|{at}"} | changes)


def drafts(register: Register) -> int:
    return register.count(Wanted(closed=True))


def test_what_a_run_explains_is_kept_once_and_is_no_draft(register: Register) -> None:
    for _ in range(2):
        heard = register.told(alert(), "alertmanager")
        assert isinstance(heard, Heard) and (heard.run, heard.by, heard.at) == ("run-1", "alertmanager", START + 30)
    assert drafts(register) == 0 and len(register.digest(0.0).heard) == 1


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("it began before anything was broken", {"at": START - 6}),
        ("the run left that service alone", {"service": "search"}),
        ("it is about another environment", {"environment": "shop-2"}),
        ("users were really hit", {"outage": True}),
    ],
)
def test_what_a_run_does_not_explain_becomes_a_draft(register: Register, what: str, changes: dict[str, Any]) -> None:
    assert isinstance(register.told(alert(**changes), "alertmanager"), Recorded), what
    assert drafts(register) == 1 and not register.digest(0.0).heard


def test_an_alert_that_goes_on_after_the_run_has_ended_and_recovered_becomes_a_draft(
    register: Register, clock: SetClock
) -> None:
    register.told(alert(), "alertmanager")
    register.record(facts("run-1", at=START + 100, environment="shop"), [])
    clock.at = START + 399
    assert isinstance(register.told(alert(), "alertmanager"), Heard), "alerts are told late"
    clock.at = START + 401
    assert isinstance(register.told(alert(), "alertmanager"), Recorded)
    assert drafts(register) == 1


def test_near_misses_of_the_run_say_that_somebody_was_alerted_whichever_came_first(
    register: Register, clock: SetClock
) -> None:
    register.told(alert(), "alertmanager")
    (found,) = register.record(facts("run-1", at=START + 100, environment="shop"), [finding()])
    clock.at = START + 120
    register.told(alert(START + 90, title="Alert Errors"), "pagerduty")
    near_miss = register.get(found.near_miss.id)
    assert near_miss.detected_by is DetectedBy.ALERT and near_miss.occurrences == 1
    seen = [(each.actor, each.after, each.run) for each in register.show(near_miss.id).history if "alert" in each.what]
    assert seen == [("alertmanager", "Alert Slow", "run-1"), ("pagerduty", "Alert Errors", "run-1")]
    events = len(register.show(near_miss.id).history)
    register.record(facts("run-1", at=START + 100, environment="shop"), [finding()])
    assert len(register.show(near_miss.id).history) == events, "recorded twice, it says so once"


def test_what_was_taken_for_the_doing_of_a_run_that_broke_nothing_is_not_lost(register: Register) -> None:
    register.told(alert(), "alertmanager")
    register.record(facts("run-1", at=START + 100, environment="shop", acted=False), [])
    (draft,) = register.list()
    assert draft.title == "Alert Slow" and draft.draft and not register.digest(0.0).heard
    assert isinstance(register.told(alert(START + 110), "alertmanager"), Recorded)


def test_a_run_that_nobody_heard_begin_explains_what_comes_after_it(register: Register, clock: SetClock) -> None:
    register.record(facts("run-2", at=START + 50, environment="shop-2"), [])
    assert isinstance(register.told(alert(START + 40, environment="shop-2"), "alertmanager"), Heard)


def test_of_two_runs_the_one_explains_it_that_began_last(register: Register, clock: SetClock) -> None:
    register.record(facts("run-1", at=START + 30, environment="shop"), [])
    register.announce(RUN.model_copy(update={"run": "run-2", "began": START + 61}))
    heard = register.told(alert(START + 60), "alertmanager")
    assert isinstance(heard, Heard) and heard.run == "run-2", "its beginning is told in whole seconds"


def test_what_was_heard_goes_with_an_export(register: Register, tmp_path: Any, clock: SetClock) -> None:
    register.told(alert(), "alertmanager")
    with open_register(tmp_path / "other", clock) as other:
        other.load(register.export())
        assert [each.report.title for each in other.digest(0.0).heard] == ["Alert Slow"]
        assert other.load(register.export()) == 0
