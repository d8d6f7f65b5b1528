"""A probe that reads the state of an alert, from the Prometheus that evaluates it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal
from urllib.parse import urlencode

from chaosrunner import prometheus
from chaosrunner.http import Exchange
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Probe, Value
from chaosrunner.prometheus import OfPrometheus

_LIMIT = 8 * 1024 * 1024
_SHOWN = 5


class Params(OfPrometheus):
    """Which alert."""

    alert: str = Field(min_length=1)
    """Its name: `alertname`."""
    labels: dict[str, str] = {}
    """Only alerts that have all of these labels, the rule's own and those of its query."""
    read: Literal["state", "firing", "count"] = "state"
    """`state`: `firing` if any does, else `pending`, else `absent`; `firing`: true or false; `count`: how many fire.
    Default state."""
    max_age: Duration = Field(default=60.0, gt=0)
    """A rule whose last evaluation is older is no reading; default 60s. Set it to twice the rule group's interval. It
    is the readings' lag."""


class PrometheusAlert(Probe[Params]):
    """Reads whether an alert fires, from the Prometheus that evaluates its rule. Silences in Alertmanager hide nothing.

    An alert is *absent* only if its rule is there, is evaluated, and finds nothing. A rule that is not there (its name
    is mistyped), fails, or was not evaluated for longer than `maxAge`, and a Prometheus that does not answer, warns of
    partial data or answers something else, is *no reading*.
    """

    example = """prometheus-alert:
  alert: CheckoutErrors
  labels: {severity: page}"""

    _source: prometheus.Prometheus | None = None
    _exchange: Exchange | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.max_age

    async def open(self) -> None:
        self._source = prometheus.Prometheus(self.context.http, self.params, self.context.environment, limit=_LIMIT)
        # Servers that do not know `rule_name[]` answer with all rules.
        query = urlencode({"type": "alert", "rule_name[]": self.params.alert})
        self._exchange = self._source.prepare(f"/api/v1/rules?{query}", timeout=self._source.timeout)

    async def read(self) -> Value:
        if self._exchange is None:
            await self.open()
        assert self._source is not None and self._exchange is not None
        data = await self._source.data(self._exchange)
        rules = list(self._rules(self._source, data))
        named = [rule for rule in rules if rule.get("name") == self.params.alert]
        if not named:
            await self._explain_absence(self._source)
        for rule in named:
            self._must_be_alive(self._source, rule)
        states = [self._state(self._source, alert) for rule in named for alert in self._mine(self._source, rule)]
        if self.params.read == "count":
            return float(states.count("firing"))
        if self.params.read == "firing":
            return "firing" in states
        return next((state for state in ("firing", "pending") if state in states), "absent")

    def _rules(self, source: prometheus.Prometheus, data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        groups = data.get("groups")
        if not isinstance(groups, list):
            source.fail("answered JSON that is no list of rules")
        if data.get("groupNextToken"):
            source.fail("answered only the first part of its rules")
        for group in groups:
            rules = group.get("rules") if isinstance(group, dict) else None
            if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
                source.fail("answered JSON that is no list of rules")
            yield from (rule for rule in rules if rule.get("type", "alerting") == "alerting")

    def _must_be_alive(self, source: prometheus.Prometheus, rule: Mapping[str, Any]) -> None:
        name = self.params.alert
        if rule.get("health") == "unknown":
            source.fail(f"the rule of {name} was not evaluated yet")
        if rule.get("health") != "ok" or rule.get("lastError"):
            source.fail(f"the rule of {name} cannot be evaluated: {rule.get('lastError') or rule.get('health')}")
        try:
            evaluated = datetime.fromisoformat(str(rule.get("lastEvaluation"))).timestamp()
        except (ValueError, OverflowError):
            source.fail(f"it is not said when the rule of {name} was evaluated")
        age = self.context.clock.now() - evaluated
        if age > self.params.max_age:
            source.fail(
                f"the rule of {name} was evaluated {math.ceil(age)} s ago, at most {self.params.max_age:g} s are "
                "allowed: rules lag, or maxAge is shorter than the group's interval"
            )

    def _mine(self, source: prometheus.Prometheus, rule: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        alerts = rule.get("alerts", [])
        if not isinstance(alerts, list) or not all(isinstance(alert, dict) for alert in alerts):
            source.fail("answered JSON that is no list of alerts")
        for alert in alerts:
            labels = alert.get("labels") or {}
            if all(labels.get(key) == value for key, value in self.params.labels.items()):
                yield alert

    def _state(self, source: prometheus.Prometheus, alert: Mapping[str, Any]) -> str:
        state = alert.get("state")
        if state not in ("firing", "pending", "inactive"):
            source.fail(f"an alert {self.params.alert} is {state!r:.40}, expected firing, pending or inactive")
        return str(state)

    async def _explain_absence(self, source: prometheus.Prometheus) -> None:
        """No rule has that name: is there one that was meant?"""
        data = await source.data(source.prepare("/api/v1/rules?type=alert", timeout=source.timeout))
        known = sorted({str(rule.get("name")) for rule in self._rules(source, data)})
        near = get_close_matches(self.params.alert, known, n=1)
        meant = f", did you mean {near[0]}?" if near else f"; known are {', '.join(known[:_SHOWN])}" if known else ""
        source.fail(f"it has no alerting rule {self.params.alert}{meant or ' and no other'}")
