"""What is made of answers about alerts: real shapes, and everything that is no answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chaosrunner.alerts import Alertmanager, PrometheusAlerts
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Http
from chaosrunner.model.environment import AlertmanagerSource, PrometheusSource
from chaosrunner.model.journal import SilencePrepared
from tests import loopback

ORDER = SilencePrepared(matchers=('service="a"',), starts_at=1.8e9, ends_at=1.8e9 + 60, comment="run 1")


@pytest.fixture
async def server():
    async with loopback.HttpServer() as running:
        yield running


@pytest.fixture
async def http():
    async with Http(SystemClock(), environ={}) as made:
        yield made


@pytest.fixture
def prometheus(server, http) -> PrometheusAlerts:
    return PrometheusAlerts(PrometheusSource(url=server.url(""), timeout="1s"), http)  # type: ignore[arg-type]


@pytest.fixture
def alertmanager(server, http) -> Alertmanager:
    return Alertmanager(AlertmanagerSource(url=server.url(""), timeout="1s"), http)  # type: ignore[arg-type]


def data(**found: Any) -> loopback.Behaviour:
    return loopback.as_json({"status": "success", "data": found})


def rule(ago: float = 0.0, **more: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    good = {"name": "Slow", "query": "x > 1", "health": "ok", "duration": 60, "lastEvaluation": at, "alerts": []}
    return good | more


@pytest.mark.parametrize(
    ("rules", "trouble"),
    [
        ([dict()], ""),
        ([dict(ago=30)], "its rule was evaluated 30 s ago, and should be every 10 s"),
        ([dict(health="err", lastError="many-to-many")], "its rule cannot be evaluated: many-to-many"),
        ([dict(health="unknown", lastEvaluation="0001-01-01T00:00:00Z")], "its rule was not evaluated yet"),
        ([dict(), dict(health="err", lastError="boom")], "its rule cannot be evaluated: boom"),
        ([dict(name="Other")], "there is no alerting rule of this name"),
    ],
)
async def test_a_rule_that_lags_or_fails_is_told_from_one_that_is_quiet(server, prometheus, rules, trouble) -> None:
    server.on("/api/v1/alerts", data(alerts=[]))
    server.on("/api/v1/rules", data(groups=[{"name": "g", "interval": 10, "rules": [rule(**one) for one in rules]}]))
    look = await prometheus.look(["Slow"])
    assert look.rules[0].trouble == trouble


async def test_how_soon_the_quickest_rule_could_fire_is_counted(server, prometheus) -> None:
    groups = [{"interval": 15, "rules": [rule(), rule(duration=5)]}, {"interval": 60, "rules": [rule(duration=0)]}]
    server.on("/api/v1/rules", data(groups=groups))
    counted = await prometheus.count()
    assert (counted.rules, counted.quickest) == (3, 35.0)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (loopback.as_json({"status": "error", "errorType": "unavailable", "error": "starting"}, 503), "HTTP 503"),
        (loopback.html(502, "Bad Gateway"), "HTTP 502: Bad Gateway"),
        (loopback.html(200, "Log in"), "expected JSON, found text/html: Log in"),
        (loopback.as_json({"status": "success", "data": {}}), "KeyError: 'alerts'"),
        (loopback.as_json([]), "TypeError"),
        (data(alerts=[{"state": "firing"}]), "KeyError: 'labels'"),
        (
            loopback.as_json({"status": "success", "warnings": ["a store is down"], "data": {"alerts": []}}),
            "it may be partial: a store is down",
        ),
        (loopback.hang, "no answer within 1 s"),
    ],
)
async def test_a_prometheus_that_does_not_say_is_never_taken_for_a_quiet_one(
    server, prometheus, behaviour, words
) -> None:
    server.on("/api/v1/alerts", behaviour)
    with pytest.raises(NotPossibleNow, match=words.replace("(", r"\(")):
        await prometheus.look([])


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (
            loopback.as_json("Failed to create silence: end time can't be in the past", 400),
            "end time can't be in the past",
        ),
        (
            loopback.as_json({"code": 602, "message": "matchers in body is required"}, 422),
            "HTTP 422: .*matchers in body",
        ),
        (loopback.html(503, "Service Unavailable"), "HTTP 503: Service Unavailable"),
        (loopback.as_json({"id": "x"}), "KeyError: 'silenceID'"),
    ],
)
async def test_a_silence_that_is_refused_is_said_in_alertmanagers_words(server, alertmanager, behaviour, words) -> None:
    server.on("/api/v2/silences", behaviour)
    with pytest.raises(NotPossibleNow, match=words):
        await alertmanager.make(ORDER)
    assert len(server.met) == 1, "a silence is asked for once: twice would be two"


@pytest.mark.parametrize(
    "behaviour",
    [
        loopback.as_json({}),
        loopback.as_json("silence not found", 500),
        loopback.as_json({"message": "silence 1 not found"}, 404),
    ],
    ids=["ended", "0.25 does not know it", "later ones do not know it"],
)
async def test_a_silence_that_is_gone_is_ended(server, alertmanager, behaviour) -> None:
    server.on("/api/v2/silence/1", behaviour)
    await alertmanager.end("1")


async def test_a_silence_that_cannot_be_ended_is_trouble(server, alertmanager) -> None:
    server.on("/api/v2/silence/1", loopback.as_json({"message": "disk full"}, 500))
    with pytest.raises(NotPossibleNow, match=r"did not end the silence 1: .*disk full"):
        await alertmanager.end("1")


async def test_only_silences_of_ones_own_are_found(server, alertmanager) -> None:
    def silence(id: str, comment: str = "run 1", by: str = "chaosrunner", state: str = "active") -> dict[str, Any]:
        ends = "2026-11-22T12:00:00.000Z"
        return {"id": id, "comment": comment, "createdBy": by, "endsAt": ends, "status": {"state": state}}

    others = [silence("2", comment="run 2"), silence("3", by="ana"), silence("4", state="expired")]
    server.on("/api/v2/silences", loopback.as_json([silence("1"), *others, silence("5", state="pending")]))
    assert await alertmanager.found("run 1") == ["1", "5"]


async def test_looks_at_both_may_overlap(server, prometheus, alertmanager) -> None:
    at = "2026-11-22T10:00:00.123456789Z"
    labels = {"alertname": "Slow", "service": "a"}
    server.on("/api/v1/alerts", data(alerts=[{"labels": labels, "state": "pending", "activeAt": at}]))
    routed = [{"labels": labels, "status": {"state": state}, "startsAt": at} for state in ("active", "suppressed")]
    server.on("/api/v2/alerts", loopback.as_json(routed))
    evaluated, sent = await asyncio.gather(prometheus.look([]), alertmanager.look([]))
    assert [one.state for one in (*evaluated.alerts, *sent.alerts)] == ["pending", "firing", "silenced"]
    assert await prometheus.firing() == []
    assert await alertmanager.firing() == [labels, labels]
