"""Marks in Grafana, New Relic and PagerDuty: what stands there afterwards, and what is said when they refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotAccepted, NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Notifier, ProbeContext
from tests import loopback
from tests.notifiers.services import Grafana, NewRelic, PagerDuty, serve

AT = 1_795_344_663.123
SECRETS = {"TOKEN": "s3cr3t", "NR": "NRAK-1", "PD": "0123456789abcdef0123456789abcdef", "RULESET": "R0123"}
Make = Callable[..., Notifier[Any]]


def event(kind: str, at: float = AT, **more: Any) -> JsonObject:
    good: JsonObject = {
        "event": kind,
        "id": f"run-1:{kind}",
        "at": at,
        "headline": 'slow begins to break "staging"',
        "text": "Checkout keeps its promise.\nAll of it.",
        "run": "run-1",
        "experiment": "slow",
        "service": "checkout",
        "environment": "staging",
        "who": "ana",
        "host": "laptop",
        "faultBegan": AT,
    }
    return good | more


NEAR_MISS = event("near-miss", AT + 50, headline="near miss NM-1 P2: it breaks", nearMiss={"id": "NM-1"})


@pytest.fixture
async def server() -> AsyncIterator[loopback.HttpServer]:
    async with loopback.HttpServer() as running:
        yield running


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    async with Http(SystemClock(), folder=tmp_path, environ=SECRETS) as http:

        def made(kind: str, **params: Any) -> Notifier[Any]:
            plugin = catalog.find("notifiers", kind)
            found: Notifier[Any] = plugin(
                plugin.Params.model_validate(params), ProbeContext(SystemClock(), http, tmp_path)
            )
            return found

        yield made


# -- Grafana


@pytest.fixture
def grafana(server: loopback.HttpServer, make: Make) -> tuple[Grafana, Callable[..., Notifier[Any]]]:
    stand_in = Grafana()
    paths = ["/api/annotations", *(f"/api/annotations/{id}" for id in range(60, 70))]
    url = serve(server, stand_in, *paths)
    return stand_in, lambda **more: make("grafana", **({"url": url, "bearerToken": {"env": "TOKEN"}} | more))


async def test_a_run_is_one_region_that_tells_what_came_of_it(grafana: Any) -> None:
    stand_in, notifier = grafana
    mark = notifier(tags=["team:a"], dashboard="abc")
    for each in (event("fault-began"), event("fault-ended", AT + 30), NEAR_MISS):
        await mark.send(each)
    await mark.send(event("run-ended", AT + 60, headline="BROKEN: slow on staging"))
    region, near_miss = stand_in.annotations[60], stand_in.annotations[61]
    assert (region["time"], region["timeEnd"]) == (1_795_344_663_123, 1_795_344_693_123)
    assert region["text"].startswith("BROKEN: slow on staging")
    assert region["tags"] == ["chaosrunner", "run:run-1", "experiment:slow", "environment:staging", "team:a"]
    assert region["dashboardUID"] == "abc"
    assert near_miss["tags"][-1] == "near-miss"
    assert near_miss["time"] == near_miss["timeEnd"] == 1_795_344_713_123


async def test_another_process_ends_the_region_of_a_run_that_died(grafana: Any) -> None:
    stand_in, notifier = grafana
    await notifier().send(event("fault-began"))
    await notifier().send(event("fault-began", run="run-2"))
    await notifier().send(event("fault-ended", AT + 30))
    assert [one["timeEnd"] - one["time"] for one in stand_in.annotations.values()] == [30_000, 0]


async def test_a_beginning_that_could_not_be_marked_is_made_up_for_at_the_end(grafana: Any) -> None:
    stand_in, notifier = grafana
    await notifier().send(event("fault-ended", AT + 30))
    (region,) = stand_in.annotations.values()
    assert region["timeEnd"] - region["time"] == 30_000


async def test_a_run_that_broke_nothing_marks_nothing(grafana: Any, server: loopback.HttpServer) -> None:
    _, notifier = grafana
    await notifier().send(event("run-ended", faultBegan=None))
    assert server.met == []


async def test_grafana_refuses_what_the_real_one_refuses(grafana: Any) -> None:
    _, notifier = grafana
    with pytest.raises(NotPossibleNow, match=r"Grafana refused the annotation \(401\): .*Invalid API key"):
        await notifier(bearerToken={"env": "PD"}).send(event("fault-began"))
    with pytest.raises(NotAccepted, match=r"\(400\): .*text field should not be empty"):
        await notifier().send(event("fault-began", headline="", text=""))
    with pytest.raises(NotAccepted, match=r"\(400\): .*milliseconds"):
        await notifier().send(event("fault-began", at=1.0))


async def test_a_region_that_was_made_though_nobody_heard_so_is_not_made_twice(grafana: Any) -> None:
    stand_in, notifier = grafana
    await notifier().send(event("fault-began"))
    await notifier().send(event("fault-began"))
    await notifier().send(event("fault-began", run="another"))
    assert [("run:another" in one["tags"]) for one in stand_in.annotations.values()] == [False, True]


# -- New Relic


@pytest.fixture
def new_relic(server: loopback.HttpServer, make: Make) -> tuple[NewRelic, Callable[..., Notifier[Any]]]:
    stand_in = NewRelic()
    good = {
        "url": serve(server, stand_in, "/graphql"),
        "entity": "name='cart' AND domain='APM'",
        "apiKey": {"env": "NR"},
    }
    return stand_in, lambda **more: make("new-relic", **(good | more))


async def test_change_events_of_a_run_belong_together(new_relic: Any) -> None:
    stand_in, notifier = new_relic
    mark = notifier()
    for each in (event("fault-began"), event("fault-ended", AT + 30), NEAR_MISS, event("run-ended", AT + 60)):
        await mark.send(each)
    assert [one["groupId"] for one in stand_in.events] == ["run-1"] * 3
    assert [one["customAttributes"]["event"] for one in stand_in.events] == ["fault-began", "fault-ended", "near-miss"]
    began = stand_in.events[0]
    assert began["shortDescription"] == 'slow begins to break "staging"'
    assert began["description"] == "Checkout keeps its promise.\nAll of it."
    assert (began["timestamp"], began["user"]) == (1_795_344_663_123, "ana")
    assert stand_in.events[2]["customAttributes"]["nearMiss"] == "NM-1"


async def test_new_relic_refuses_what_the_real_one_refuses(new_relic: Any) -> None:
    _, notifier = new_relic
    with pytest.raises(NotPossibleNow, match=r"refused the change event \(401\): Api-Key is invalid"):
        await notifier(apiKey={"env": "TOKEN"}).send(event("fault-began"))
    with pytest.raises(NotPossibleNow, match="did not take the change event: entitySearch must resolve to exactly one"):
        await notifier(entity="name='nothing'").send(event("fault-began"))


async def test_an_error_inside_a_200_is_one(make: Make, server: loopback.HttpServer) -> None:
    server.on("/graphql", loopback.as_json({"data": None, "errors": [{"message": "too many requests"}]}))
    mark = make("new-relic", url=server.url(""), entity="name='cart'", apiKey={"env": "NR"})
    with pytest.raises(NotPossibleNow, match="too many requests"):
        await mark.send(event("fault-began"))


# -- PagerDuty


@pytest.fixture
def pagerduty(server: loopback.HttpServer, make: Make) -> tuple[PagerDuty, Callable[..., Notifier[Any]]]:
    stand_in = PagerDuty()
    good = {"url": serve(server, stand_in, "/v2/change/enqueue"), "routingKey": {"env": "PD"}}
    return stand_in, lambda **more: make("pagerduty-change", **(good | more))


async def test_change_events_say_what_is_broken_and_page_nobody(pagerduty: Any, server: loopback.HttpServer) -> None:
    stand_in, notifier = pagerduty
    mark = notifier()
    for each in (event("fault-began"), event("fault-ended", AT + 30), NEAR_MISS, event("run-ended", AT + 60)):
        await mark.send(each)
    assert {met.path for met in server.met} == {"/v2/change/enqueue"}
    assert [one["timestamp"] for one in stand_in.events[:1]] == ["2026-11-22T10:51:03.123+00:00"]
    assert [one["custom_details"].get("nearMiss") for one in stand_in.events] == [None, None, {"id": "NM-1"}]


async def test_pagerduty_is_asked_again_when_it_is_busy(pagerduty: Any) -> None:
    stand_in, notifier = pagerduty
    stand_in.busy = 1
    await notifier().send(event("fault-began"))
    assert len(stand_in.events) == 1


async def test_pagerduty_refuses_what_the_real_one_refuses(pagerduty: Any) -> None:
    stand_in, notifier = pagerduty
    with pytest.raises(NotAccepted, match=r"\(400\): .*Event object is invalid"):
        await notifier(routingKey={"env": "TOKEN"}).send(event("fault-began"))
    with pytest.raises(NotPossibleNow, match="environment variable RULESET is the key of a ruleset"):
        await notifier(routingKey={"env": "RULESET"}).send(event("fault-began"))
    await notifier().send(event("fault-began", headline="x" * 5000))
    assert len(stand_in.events[0]["summary"]) == 1024


@pytest.mark.parametrize("kind", ["grafana", "new-relic", "pagerduty-change", "pushgateway"])
async def test_events_that_a_notifier_does_not_know_are_left_alone(kind: str, make: Make) -> None:
    params = {
        "grafana": {"url": "http://127.0.0.1:9"},
        "new-relic": {"url": "http://127.0.0.1:9", "entity": "x", "apiKey": {"env": "NR"}},
        "pagerduty-change": {"url": "http://127.0.0.1:9", "routingKey": {"env": "PD"}},
        "pushgateway": {"url": "http://127.0.0.1:9"},
    }
    await make(kind, **params[kind]).send(event("from-the-future"))
