"""Guards: each answer, and that a guard which cannot be answered refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.environment import Environment
from chaosrunner.model.plan import GuardAnswer, PlannedItem
from chaosrunner.stages.guard import Circumstances, ask, ask_again, parse_window
from tests.engine.world import ENVIRONMENT, fault, plan, target


class Firing:
    """Alerts that fire, or cannot be read."""

    def __init__(self, *alerts: Mapping[str, str], down: bool = False) -> None:
        self._alerts = alerts
        self._down = down

    async def firing(self) -> Sequence[Mapping[str, str]]:
        if self._down:
            raise NotPossibleNow("Prometheus did not answer")
        return self._alerts


def guarded(**guards: Any) -> Environment:
    found = ENVIRONMENT.as_json()
    found["spec"]["guards"] = guards  # type: ignore[index,call-overload]
    return Environment.model_validate(found)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


async def answers(
    environment: Environment, method: Sequence[PlannedItem] = (), **circumstances: Any
) -> dict[str, GuardAnswer]:
    good: dict[str, Any] = {"now": at("2026-11-25T12:00"), "who": "ana"}
    found = await ask(plan(environment=environment, method=method), Circumstances(**(good | circumstances)))
    return {answer.guard: answer for answer in found}


# -- windows

BERLIN = "Mon-Fri 09:00-16:00 Europe/Berlin"


@pytest.mark.parametrize(
    ("window", "moment", "inside"),
    [
        (BERLIN, at("2026-11-25T09:00", "Europe/Berlin"), True),
        (BERLIN, at("2026-11-25T08:59", "Europe/Berlin"), False),
        (BERLIN, at("2026-11-25T16:00", "Europe/Berlin"), False),
        (BERLIN, at("2026-11-28T12:00", "Europe/Berlin"), False),
        (BERLIN, at("2026-07-01T07:30"), True),
        (BERLIN, at("2026-12-01T07:30"), False),
        ("Sat 10:00-11:00", at("2026-11-28T10:30"), True),
        ("10:00-11:00", at("2026-11-29T10:30"), True),
        ("Fri 22:00-02:00", at("2026-11-28T01:59"), True),
        ("Fri 22:00-02:00", at("2026-11-28T02:00"), False),
        ("Fri 22:00-02:00", at("2026-11-27T01:00"), False),
        ("Sat-Mon 00:00-23:00", at("2026-11-30T10:00"), True),
        ("Sat-Mon 00:00-23:00", at("2026-12-01T10:00"), False),
    ],
)
def test_a_window_contains_its_moments(window: str, moment: float, inside: bool) -> None:
    assert parse_window(window).contains(moment) is inside


@pytest.mark.parametrize("window", ["always", "Mon-Fri", "Mon-Foo 09:00-10:00", "25:00-26:00", "09:00-10:00 Mars/Base"])
async def test_a_window_that_cannot_be_read_refuses(window: str) -> None:
    assert not (await answers(guarded(windows=[window])))["windows"].go


async def test_any_of_several_windows_will_do() -> None:
    environment = guarded(windows=["Mon 09:00-10:00", "Wed 11:00-13:00"])
    assert (await answers(environment))["windows"] == GuardAnswer(
        guard="windows", go=True, reason="inside Wed 11:00-13:00"
    )
    outside = (await answers(environment, now=at("2026-11-26T12:00")))["windows"]
    assert (outside.go, outside.reason) == (False, "outside of Mon 09:00-10:00 and Wed 11:00-13:00")


# -- production


@pytest.mark.parametrize(
    ("circumstances", "go"),
    [
        ({}, False),
        ({"production_confirmed": True}, False),
        ({"second": "ben"}, False),
        ({"production_confirmed": True, "second": "ana"}, False),
        ({"production_confirmed": True, "second": " ana "}, False),
        ({"production_confirmed": True, "second": "ben"}, True),
    ],
)
async def test_production_needs_two_people_who_know(circumstances: dict[str, Any], go: bool) -> None:
    assert (await answers(guarded(production=True), **circumstances))["production"].go is go


# -- how much is affected


@pytest.mark.parametrize(
    ("hit", "of", "limits", "go"),
    [
        (1, 2, {}, True),
        (2, 3, {}, False),
        (1, 1, {}, True),
        (1, 1, {"atLeastOne": False}, False),
        (2, 4, {"share": "50%"}, True),
        (3, 4, {"share": "50%"}, False),
        (4, 4, {"share": "100%"}, True),
    ],
)
async def test_no_more_is_hit_than_the_environment_allows(hit: int, of: int, limits: dict[str, Any], go: bool) -> None:
    hits = fault(targets=tuple(target(number) for number in range(hit)), candidates=of)
    found = await answers(guarded(maxAffected=limits), [PlannedItem(faults=(hits,))])
    assert found["maxAffected"].go is go
    assert f"hits {hit} of {of}" in found["maxAffected"].reason


@pytest.mark.parametrize(
    ("first", "second", "of", "go"),
    [
        ([1], [2], 2, False),
        ([1], [2], 4, True),
        ([1, 2], [3], 4, False),
        ([1], [1], 2, True),
    ],
)
async def test_faults_together_are_counted_together(first: list[int], second: list[int], of: int, go: bool) -> None:
    both = [
        fault(id=name, targets=tuple(target(number) for number in numbers), candidates=of)
        for name, numbers in (("one", first), ("other", second))
    ]
    found = await ask(
        plan(environment=guarded(), method=[PlannedItem(faults=tuple(both))]),
        Circumstances(now=at("2026-11-25T12:00"), who="ana"),
    )
    refusals = [answer.reason for answer in found if not answer.go]
    assert (refusals == []) is go
    if not go:
        hit = len({*first, *second})
        assert f"steps one and other together hit {hit} of {of} of shop, more than 50%" in refusals[0]
    one_after_the_other = [PlannedItem(faults=(each,)) for each in both]
    assert (await answers(guarded(), one_after_the_other))["maxAffected"].go


# -- alerts

PAGING = {"alertname": "CartDown", "severity": "critical"}
WATCHDOG = {"alertname": "Watchdog", "severity": "none"}


@pytest.mark.parametrize(
    ("guards", "alerts", "go"),
    [
        ({"refuseWhileFiring": ["severity=critical"]}, Firing(WATCHDOG), True),
        ({"refuseWhileFiring": ["severity=critical"]}, Firing(PAGING), False),
        ({"refuseWhileFiring": ["CartDown"]}, Firing(PAGING), False),
        ({"refuseWhileFiring": ["severity=critical"]}, Firing(down=True), False),
        ({"refuseWhileFiring": ["severity=critical"]}, None, False),
        ({"requireFiring": ["Watchdog"]}, Firing(WATCHDOG), True),
        ({"requireFiring": ["Watchdog"]}, Firing(PAGING), False),
        ({"requireFiring": ["Watchdog"]}, Firing(down=True), False),
    ],
)
async def test_alerts_forbid_or_are_required(guards: dict[str, Any], alerts: Firing | None, go: bool) -> None:
    found = await answers(guarded(**guards), alerts=alerts)
    assert found[next(iter(guards))].go is go


async def test_a_guard_that_this_version_cannot_answer_refuses() -> None:
    budget = {"hypothesis": "shop-slo", "objective": "99.9%", "window": "30d", "atLeast": "20%"}
    assert not (await answers(guarded(errorBudget=budget)))["errorBudget"].go


async def test_only_guards_named_under_always_are_asked_again() -> None:
    environment = guarded(windows=["Wed 11:00-13:00"], requireFiring=["Watchdog"], always=["windows"])
    again = await ask_again(plan(environment=environment), Circumstances(now=at("2026-11-25T13:00"), who="ana"))
    assert [(answer.guard, answer.go) for answer in again] == [("windows", False)]


# -- expected alerts, and silences


def expecting(alert: str) -> list[PlannedItem]:
    return [PlannedItem(faults=(fault(expect_alert={"name": alert, "within": "10s"}),))]


async def test_an_alert_that_the_experiment_expects_does_not_refuse_it() -> None:
    slow = {"alertname": "Slow", "severity": "critical"}
    environment = guarded(refuseWhileFiring=["severity=critical"])
    assert not (await answers(environment, alerts=Firing(slow)))["refuseWhileFiring"].go
    assert (await answers(environment, expecting("Slow"), alerts=Firing(slow)))["refuseWhileFiring"].go
    other = {"alertname": "DiskFull", "severity": "critical"}
    refused = (await answers(environment, expecting("Slow"), alerts=Firing(slow, other)))["refuseWhileFiring"]
    assert (refused.go, refused.reason) == (False, "firing: DiskFull")


async def silence_guard(matchers: Sequence[str], **spec: Any) -> GuardAnswer:
    found = ENVIRONMENT.as_json()
    services = {"shop": {"namespace": "prod", "workload": "deployment/shop-web"}}
    found["spec"] |= {"platform": {"fake": {"services": services}}} | spec  # type: ignore[operator]
    made = plan(environment=Environment.model_validate(found), silence={"matchers": list(matchers)})
    asked = await ask(made, Circumstances(now=at("2026-11-25T12:00"), who="ana"))
    return next(answer for answer in asked if answer.guard == "silence")


AM = {"alertmanager": {"url": "http://127.0.0.1:9093"}}


@pytest.mark.parametrize("matcher", ['service="shop"', 'app=~"cart|shop-web"', 'namespace="prod"', 'pod=~"shop-.*"'])
async def test_a_silence_that_names_what_is_hit_may_be_made(matcher: str) -> None:
    assert (await silence_guard(['severity="page"', matcher], **AM)).go


async def test_a_silence_of_others_alerts_is_refused() -> None:
    refused = await silence_guard(['service="payments"'], **AM)
    assert not refused.go
    assert "could hide other people's alerts: expected a matcher for prod, shop, shop-1, shop-web" in refused.reason


async def test_a_silence_needs_an_alertmanager() -> None:
    refused = await silence_guard(['service="shop"'])
    assert (refused.go, refused.reason) == (
        False,
        "the environment names no Alertmanager, so nothing can be silenced there",
    )
