"""Alerts as Prometheus evaluates and Alertmanager routes them, and Alertmanager's silences.

What guards ask and a run watches. A silence hides nothing from Prometheus; Alertmanager says of an alert that it is
silenced, so it still counts as firing. The APIs: Prometheus `/api/v1/alerts` and `/api/v1/rules`, Alertmanager's v2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn
from urllib.parse import quote, urlencode

from chaosrunner.clock import iso
from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, Http, Reply, Request, request_as
from chaosrunner.model.alerts import ActiveAlert, AlertsLook, RulesCount, RuleState, SilenceFound, parse_matcher
from chaosrunner.model.environment import AlertmanagerSource, PrometheusSource
from chaosrunner.model.journal import SilencePrepared
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass

_BIGGEST = 8 * 1024 * 1024
_PATIENCE = 5.0
"""Seconds that a look may take, also where the environment allows readings more."""
_LATE = 5.0
"""Seconds, beside two evaluations, after which a rule that was not evaluated says nothing."""
CREATED_BY = "chaosrunner"


@dataclass(frozen=True, slots=True)
class PrometheusAlerts:
    """The alerts of a Prometheus."""

    source: PrometheusSource
    http: Http
    name: Literal["prometheus"] = "prometheus"

    @property
    def patience(self) -> float:
        """Seconds that a look may take."""
        return min(self.source.timeout, _PATIENCE)

    async def firing(self) -> Sequence[Mapping[str, str]]:
        """Labels of all alerts that fire now. Raises `NotPossibleNow` where that cannot be read."""
        return [alert.labels for alert in await self._active(retries=2) if alert.firing]

    async def look(self, expected: Sequence[str]) -> AlertsLook:
        """All alerts that are pending or fire, and the rules of the expected ones. Raises `NotPossibleNow`."""
        return AlertsLook(await self._active(), await self._rules(expected) if expected else ())

    async def count(self) -> RulesCount:
        """Its alerting rules."""
        found = [(group, rule) for group, rule in await self._all_rules("type=alert") if rule.get("query") is not None]
        after = [float(rule.get("duration") or 0) + 2 * float(group.get("interval") or 0) for group, rule in found]
        return RulesCount(len(found), min(after, default=None))

    async def _active(self, retries: int = 0) -> Sequence[ActiveAlert]:
        reply = await self._get("/api/v1/alerts", retries)
        with _Doubt("Prometheus did not say which alerts fire", reply):
            return [_of_prometheus(alert) for alert in _data(reply)["alerts"] if alert["state"] != "inactive"]

    async def _rules(self, expected: Sequence[str]) -> Sequence[RuleState]:
        # Servers that do not know `rule_name[]` answer with all rules.
        query = urlencode([("type", "alert"), *(("rule_name[]", name) for name in expected)])
        found: dict[str, list[RuleState]] = {name: [] for name in expected}
        for group, rule in await self._all_rules(query):
            if rule.get("name") in found:
                found[rule["name"]].append(self._state(group, rule))
        missing = "there is no alerting rule of this name"
        # Several rules of one name: that it did not fire is only said if all of them are well; the slowest decides.
        return [
            max(states, key=lambda state: (bool(state.trouble), state.waits), default=RuleState(name, trouble=missing))
            for name, states in found.items()
        ]

    def _state(self, group: Mapping[str, Any], rule: Mapping[str, Any]) -> RuleState:
        every, waits = float(group.get("interval") or 0), float(rule.get("duration") or 0)
        trouble = ""
        age = self.http.clock.now() - _epoch(rule.get("lastEvaluation"))
        if rule.get("health") == "unknown":
            trouble = "its rule was not evaluated yet"
        elif rule.get("health") != "ok" or rule.get("lastError"):
            trouble = f"its rule cannot be evaluated: {rule.get('lastError') or rule.get('health')}"
        elif age > 2 * every + _LATE:
            trouble = f"its rule was evaluated {age:.0f} s ago, and should be every {every:g} s"
        return RuleState(rule["name"], waits, every, trouble)

    async def _all_rules(self, query: str) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        reply = await self._get(f"/api/v1/rules?{query}")
        with _Doubt("Prometheus did not say which rules it has", reply):
            return [(group, rule) for group in _data(reply)["groups"] for rule in group["rules"]]

    async def _get(self, path: str, retries: int = 0) -> Reply:
        timeout = self.source.timeout if retries else self.patience
        return await self.http.send(_request(self.source, path, timeout=timeout, retries=retries))


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """The alerts that reach an Alertmanager, and its silences."""

    source: AlertmanagerSource
    http: Http
    name: Literal["alertmanager"] = "alertmanager"

    @property
    def patience(self) -> float:
        """Seconds that a look may take."""
        return min(self.source.timeout, _PATIENCE)

    async def firing(self) -> Sequence[Mapping[str, str]]:
        """Labels of all alerts that fire now, silenced ones too. Raises `NotPossibleNow` where that cannot be read."""
        return [alert.labels for alert in await self._active(retries=2)]

    async def look(self, expected: Sequence[str]) -> AlertsLook:
        """All alerts that fire. Alertmanager knows of no rules. Raises `NotPossibleNow`."""
        return AlertsLook(await self._active())

    async def count(self) -> None:
        """It has no rules."""

    async def _active(self, retries: int = 0) -> Sequence[ActiveAlert]:
        reply = await self._send("/api/v2/alerts", retries=retries)
        with _Doubt("Alertmanager did not say which alerts fire", reply):
            return [_of_alertmanager(alert) for alert in _array(reply)]

    async def make(self, order: SilencePrepared) -> str:
        """Make a silence; its id. Sent once: Alertmanager makes two of the same body. Raises `NotPossibleNow`."""
        body: JsonValue = {
            "matchers": [
                {"name": one.label, "value": one.value, "isRegex": one.is_regex, "isEqual": one.is_equal}
                for one in map(parse_matcher, order.matchers)
            ],
            "startsAt": iso(order.starts_at),
            "endsAt": iso(order.ends_at),
            "createdBy": CREATED_BY,
            "comment": order.comment,
        }
        reply = await self._send("/api/v2/silences", method="POST", json=body)
        with _Doubt("Alertmanager did not make the silence", reply):
            return str(_json(reply)["silenceID"])

    async def found(self, comment: str) -> Sequence[str]:
        """Ids of those of ours with this comment that have not ended. Raises `NotPossibleNow`."""
        return [each.id for each in await self.ours() if each.comment == comment]

    async def ours(self) -> Sequence[SilenceFound]:
        """All of ours that have not ended, of every run. Raises `NotPossibleNow`."""
        reply = await self._send("/api/v2/silences", retries=2)
        with _Doubt("Alertmanager did not say which silences there are", reply):
            return [
                SilenceFound(str(one["id"]), str(one["comment"]), _epoch(one["endsAt"]))
                for one in _array(reply)
                if one["createdBy"] == CREATED_BY and one["status"]["state"] != "expired"
            ]

    async def end(self, id: str) -> None:
        """End a silence; one that is not there any more is ended. Raises `NotPossibleNow`."""
        reply = await self._send(f"/api/v2/silence/{quote(id, safe='')}", method="DELETE", retries=2)
        # 0.25 says that it knows no such silence with 500, later ones with 404.
        if reply.status not in (200, 404) and "not found" not in reply.text():
            raise NotPossibleNow(f"Alertmanager did not end the silence {id}: {reply.says() or reply}")

    async def _send(self, path: str, method: str = "GET", json: JsonValue = None, retries: int = 0) -> Reply:
        timeout = self.source.timeout if retries else self.patience
        request = _request(self.source, path, timeout=timeout, retries=retries, method=method, json=json)
        return await self.http.send(request)


def source_of(
    prometheus: PrometheusSource | None, alertmanager: AlertmanagerSource | None, http: Http
) -> list[PrometheusAlerts | Alertmanager]:
    """All there are, whose word counts first."""
    found: list[PrometheusAlerts | Alertmanager] = []
    found += [PrometheusAlerts(prometheus, http)] if prometheus is not None else []
    found += [Alertmanager(alertmanager, http)] if alertmanager is not None else []
    return found


# ------------------------------------------------------------------------------------------------------------- answers


def _request(source: PrometheusSource | AlertmanagerSource, path: str, **more: Any) -> Request:
    return request_as(source, source.url.rstrip("/") + path, asked=Asked.SERVICE, keep=_BIGGEST, **more)


class _Doubt:
    """What an answer turns out not to hold, as `NotPossibleNow` with what was answered."""

    def __init__(self, words: str, reply: Reply) -> None:
        self._words = words
        self._reply = reply

    def __enter__(self) -> None:
        if self._reply.cut:
            self._fail(f"it answered more than {_BIGGEST} bytes")
        if self._reply.status != 200:
            self._fail(f"HTTP {self._reply.status}" + (f": {said}" if (said := self._reply.says()) else ""))

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, why: str) -> NoReturn:
        raise NotPossibleNow(f"{self._words}: {why}") from None


def _json(reply: Reply) -> Any:
    return reply.json()


def _array(reply: Reply) -> Iterator[Any]:
    found = reply.json()
    if not isinstance(found, list):
        raise ValueError("expected a list")
    return iter(found)


def _data(reply: Reply) -> Any:
    found = reply.json()
    if found["status"] != "success":
        raise ValueError(found.get("error"))
    if found.get("warnings"):
        raise ValueError(f"it may be partial: {'; '.join(map(str, found['warnings']))[:300]}")
    if found["data"].get("groupNextToken"):
        raise ValueError("only the first part of the rules was sent")
    return found["data"]


def _of_prometheus(alert: Any) -> ActiveAlert:
    labels = {str(key): str(value) for key, value in alert["labels"].items()}
    state: Literal["pending", "firing"] = "firing" if alert["state"] == "firing" else "pending"
    return ActiveAlert(labels.get("alertname", ""), labels, state, _epoch(alert.get("activeAt")))


def _of_alertmanager(alert: Any) -> ActiveAlert:
    labels = {str(key): str(value) for key, value in alert["labels"].items()}
    state: Literal["silenced", "firing"] = "silenced" if alert["status"]["state"] == "suppressed" else "firing"
    return ActiveAlert(labels.get("alertname", ""), labels, state, _epoch(alert.get("startsAt")))


def _epoch(text: Any) -> float:
    """Of RFC 3339, also with nanoseconds; raises ValueError."""
    from datetime import datetime

    return datetime.fromisoformat(str(text)).timestamp()
