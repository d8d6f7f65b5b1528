"""The prometheus-alert probe: alerts of a real Prometheus as they come and go, and answers that say nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosrunner.errors import NoReading
from tests import loopback
from tests.metrics.prometheus_server import PrometheusServer

TWO = 'label_replace(vector(4), "queue", "a", "", "") or label_replace(vector(5), "queue", "b", "", "")'
RULES = f"""\
groups:
  - name: shop
    interval: 100ms
    rules:
      - {{alert: Quiet, expr: '({TWO}) > 1000', labels: {{severity: page}}}}
      - {{alert: Loud, expr: '({TWO}) > 3', labels: {{severity: page}}}}
      - {{alert: Waiting, expr: vector(1), for: 1h}}
      - {{alert: Broken, expr: '({TWO}) * on () ({TWO})'}}
      - {{record: Recorded, expr: vector(1)}}
  - name: slow
    interval: 1h
    rules:
      - {{alert: Rare, expr: vector(1)}}
"""
CONFIG = "global: {evaluation_interval: 100ms}\nrule_files: [rules.yml]\n"


@pytest.fixture
async def prometheus(tmp_path):
    (tmp_path / "rules.yml").write_text(RULES)
    async with PrometheusServer(tmp_path, CONFIG) as running:
        yield running


@pytest.fixture
def read(prometheus, probe):
    async def read(alert: str, **params: Any) -> Any:
        """What it reads once the rule was evaluated."""
        reader = probe("prometheus-alert", url=prometheus.url, alert=alert, **params)
        async with asyncio.timeout(20):
            while True:
                try:
                    return await reader.read()
                except NoReading as error:
                    if "not evaluated yet" not in str(error):
                        raise
                await asyncio.sleep(0.05)

    return read


async def test_states_of_alerts_are_read(read):
    assert await read("Loud") == "firing"
    assert await read("Waiting") == "pending"
    assert await read("Quiet") == "absent"
    assert await read("Loud", read="firing") is True
    assert await read("Waiting", read="firing") is False
    assert await read("Loud", read="count") == 2
    assert await read("Quiet", read="count") == 0


async def test_only_alerts_with_the_labels_count(read):
    assert await read("Loud", read="count", labels={"queue": "a", "severity": "page"}) == 1
    assert await read("Loud", labels={"queue": "c"}) == "absent"


async def test_a_rule_that_is_not_there_is_no_reading_and_never_absent(read):
    with pytest.raises(NoReading, match="it has no alerting rule Lous, did you mean Loud"):
        await read("Lous")
    with pytest.raises(NoReading, match="it has no alerting rule Xyz; known are Broken, Loud"):
        await read("Xyz")
    with pytest.raises(NoReading, match="it has no alerting rule Recorded"):
        await read("Recorded")


async def test_a_rule_that_fails_is_no_reading(read):
    with pytest.raises(NoReading, match=r"the rule of Broken cannot be evaluated: .*duplicate series"):
        await read("Broken")


async def test_a_rule_that_was_evaluated_too_long_ago_is_no_reading(probe, read, prometheus):
    assert await read("Loud") == "firing"
    prometheus.hang()
    await asyncio.sleep(0.05)  # more than what is allowed below; nothing is evaluated meanwhile
    prometheus.go_on()
    with pytest.raises(
        NoReading, match=r"the rule of Rare was (evaluated \d+ s ago, at most 0\.001 s|not evaluated yet)"
    ):
        await probe("prometheus-alert", url=prometheus.url, alert="Rare", maxAge="1ms").read()


async def test_without_rules_it_says_so(probe, tmp_path):
    async with PrometheusServer(tmp_path) as prometheus:
        with pytest.raises(NoReading, match="it has no alerting rule Loud and no other"):
            await probe("prometheus-alert", url=prometheus.url, alert="Loud").read()


# -- answers of others that speak the same


def rule(**changed: Any) -> dict[str, Any]:
    right = {
        "name": "Loud",
        "type": "alerting",
        "health": "ok",
        "lastEvaluation": datetime.now(UTC).isoformat(),
        "alerts": [{"labels": {"alertname": "Loud"}, "state": "firing"}],
    }
    return {**right, **changed}


def rules(*found: Any, **more: Any) -> loopback.Behaviour:
    data = {"groups": [{"name": "g", "rules": list(found)}], **more.pop("data", {})}
    return loopback.as_json({"status": "success", "data": data, **more})


@pytest.fixture
def ask(server, probe):
    async def read(behaviour: loopback.Behaviour, **params: Any) -> Any:
        server.on("/api/v1/rules", behaviour)
        return await probe("prometheus-alert", url=server.url(), alert="Loud", timeout="1s", **params).read()

    return read


async def test_nanoseconds_and_zones_of_other_servers_are_understood(ask, server):
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    assert await ask(rules(rule(lastEvaluation=stamp))) == "firing"
    assert "rule_name%5B%5D=Loud" in server.met[0].path


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (lambda: rules(rule(lastEvaluation="2026-01-01T00:00:00Z")), "s ago, at most 60 s are allowed: rules lag"),
        (lambda: rules(rule(lastEvaluation="soon")), "it is not said when the rule of Loud was evaluated"),
        (lambda: rules(rule(health="err", lastError="boom")), "cannot be evaluated: boom"),
        (lambda: rules(rule(health="unknown")), "was not evaluated yet"),
        (lambda: rules(rule(alerts=[{"state": "angry"}])), "is 'angry', expected firing, pending or inactive"),
        (lambda: rules(rule(alerts={})), "no list of alerts"),
        (lambda: rules(rule(), warnings=["a ruler is down"]), "the data may be partial: a ruler is down"),
        (lambda: rules(rule(), data={"groupNextToken": "x"}), "only the first part of its rules"),
        (lambda: loopback.as_json({"status": "success", "data": {}}), "no list of rules"),
        (
            lambda: loopback.as_json({"status": "error", "errorType": "unavailable", "error": "starting"}, 503),
            "starting",
        ),
        (lambda: loopback.html(502, "Bad Gateway"), "expected JSON, found text/html: Bad Gateway"),
        (lambda: loopback.text("404 page not found", 404), "expected JSON, found text/plain: 404 page not found"),
        (lambda: loopback.hang, "no answer within 1 s"),
    ],
)
async def test_what_is_not_known_is_no_reading(ask, behaviour, words):
    with pytest.raises(NoReading, match=re.escape(words)):
        await ask(behaviour())
