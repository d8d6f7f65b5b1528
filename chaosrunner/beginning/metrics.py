"""What a Prometheus knows of services, and the objectives of OpenSLO files. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from chaosrunner.errors import NotPossibleNow
from chaosrunner.files.openslo import is_openslo
from chaosrunner.files.references import Library
from chaosrunner.http import Asked, Http, Reply, request_as
from chaosrunner.model.environment import PrometheusSource
from chaosrunner.model.surroundings import FoundAlert, FoundCounter, FoundMetrics, FoundObjective, file_name

T = TypeVar("T", list[Any], dict[str, Any])
_COUNTERS = re.compile(r"(.*(http|rpc|grpc|requests?|orders|calls).*_(total|count))")
_CODES = ("code", "status", "status_code", "response_code", "http_status", "http_response_status_code", "grpc_code")
_SERVICES = ("app", "service", "job", "service_name", "destination_workload", "container", "app_kubernetes_io_name")
_RATIO = re.compile(r"(sli_error|error|fail).*ratio|:burnrate\d+[smhd]$")
"""As recording rules call the share of bad events: Sloth's `slo:sli_error:ratio_rate5m`, Pyrra's `…:burnrate5m`."""
_PROMISE = "slo:objective:ratio"
"""Where Sloth records the objective itself."""
_OWNER = ("sloth_service", "service", "service_name", "app", "job")
"""Labels that name whose objective it is, where no services are known."""
_WINDOW = re.compile(r"(?:_|:)?(?:burnrate|rate)?(\d+)([smhd])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MOST_COUNTERS = 20
"""Metrics that are looked at more closely."""
MOST_SERIES = 2000
_BIGGEST = 16 * 1024 * 1024
_PATIENCE = 10.0


async def metrics(source: PrometheusSource, http: Http, names: Sequence[str]) -> FoundMetrics:
    """What a Prometheus has about services of these names; about all of them where no names are known.

    Raises `NotPossibleNow` if it cannot be asked.
    """
    ask = _Questions(source, http)
    known = [str(name) for name in await ask.data("/api/v1/label/__name__/values", list)]
    rules = await ask.data("/api/v1/rules", dict)
    counters: list[FoundCounter] = []
    for metric in [name for name in known if _COUNTERS.fullmatch(name) and not name.startswith("prometheus_")]:
        if len(counters) >= MOST_COUNTERS:
            break
        series = await ask.data("/api/v1/series", list, {"match[]": metric, "limit": str(MOST_SERIES)})
        if (counter := _counter(metric, series, names, known)) is not None:
            counters.append(counter)
    groups = rules.get("groups") or []
    every = [rule for group in groups for rule in group.get("rules") or ()]
    objectives = tuple(_objectives(every, names))
    return FoundMetrics(source.url, counters=tuple(counters), objectives=objectives, alerts=tuple(_alerts(every)))


class _Questions:
    def __init__(self, source: PrometheusSource, http: Http) -> None:
        self._source = source
        self._http = http

    async def data(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        """What was asked for. Raises `NotPossibleNow` where something else is answered."""
        url = self._source.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        request = request_as(self._source, url, timeout=_PATIENCE, asked=Asked.SERVICE, keep=_BIGGEST)
        reply: Reply = await self._http.send(request)
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        data = answer.get("data") if isinstance(answer, dict) else None
        if reply.status in (401, 403):
            raise NotPossibleNow(
                f"{self._source.url} does not let us in ({reply.says() or reply}): expected --prometheus-token, or "
                "--prometheus-user with --prometheus-password, that it knows"
            )
        if not isinstance(data, kind):
            what = reply.says() or str(reply)
            raise NotPossibleNow(f"{self._source.url} does not answer as a Prometheus does: {what}")
        return data


def _counter(
    metric: str, series: Iterable[Mapping[str, str]], names: Sequence[str], known: Sequence[str]
) -> FoundCounter | None:
    series = list(series)
    code = next((label for label in _CODES if any(label in one for one in series)), "")
    if not code:
        return None
    wanted = set(names)
    for label in _SERVICES:
        values = {one[label] for one in series if label in one}
        values = values & wanted if wanted else values
        if values:
            histogram = next((base for base in _histograms(metric) if f"{base}_bucket" in known), "")
            return FoundCounter(metric, label, tuple(sorted(values)), code, histogram)
    return None


def _histograms(metric: str) -> list[str]:
    """What the histogram of the same requests may be called."""
    stem = re.sub(r"s?_total$", "", metric)
    own = [metric.removesuffix("_count")] if metric.endswith("_count") else []
    return [*own, f"{stem}_duration_seconds", f"{stem}s_duration_seconds", f"{stem}_seconds", f"{stem}_latency_seconds"]


def _objectives(rules: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[FoundObjective]:
    """Recorded ratios of errors, of each service the one with the shortest window."""
    found: dict[tuple[str, str], FoundObjective] = {}
    recorded = [rule for rule in rules if rule.get("type") == "recording"]
    for rule in recorded:
        record, labels = str(rule.get("name", "")), _labels(rule)
        if not _RATIO.search(record):
            continue
        service = _owner(labels, names)
        window = _window(record, labels)
        stem = file_name(labels.get("sloth_slo") or labels.get("slo") or re.sub(_WINDOW, "", record))
        chosen = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if '"' not in value)
        query = f"{record}{{{chosen}}}" if chosen else record
        one = FoundObjective(stem, service, query, objective=_promised(recorded, labels), window=window)
        before = found.get((stem, service))
        if before is None or window < before.window:
            found[stem, service] = one
    return list(found.values())


def _labels(rule: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in (rule.get("labels") or {}).items()}


def _owner(labels: Mapping[str, str], names: Sequence[str]) -> str:
    """Whose objective it is: one of these services, or where none are known whom its labels name."""
    if names:
        return next((value for value in labels.values() if value in names), "")
    return next((labels[name] for name in _OWNER if file_name(labels.get(name, "")) == labels.get(name)), "")


def _promised(recorded: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> float | None:
    """The objective that Sloth records beside the ratio: `vector(0.999)`."""
    for rule in recorded:
        said = re.fullmatch(r"vector\((0\.\d+)\)", str(rule.get("query", "")).replace(" ", ""))
        own = _labels(rule)
        if rule.get("name") == _PROMISE and said and own.get("sloth_id") == labels.get("sloth_id"):
            return float(said[1])
    return None


def _window(record: str, labels: Mapping[str, str]) -> float:
    said = _WINDOW.search(record) or re.fullmatch(r"()?(\d+)([smhd])", labels.get("sloth_window", ""))
    if said is None:
        return 300.0
    number, unit = said.groups()[-2:]
    return float(number) * _SECONDS[unit]


def _alerts(rules: Sequence[Mapping[str, Any]]) -> list[FoundAlert]:
    return [
        FoundAlert(
            str(rule["name"]), float(rule.get("duration") or 0), tuple(sorted((rule.get("labels") or {}).items()))
        )
        for rule in rules
        if rule.get("type") == "alerting" and rule.get("name")
    ]


def openslo(folder: Path, path: Path) -> list[FoundObjective]:
    """The SLOs of a file. Raises `UsageError` if it cannot be read."""
    library = Library(folder)
    file = library.file(path)
    found = []
    for spot in file.spots:
        if not is_openslo(spot, "SLO"):
            continue
        name, service = spot.get("metadata", "name"), spot.get("spec", "service")
        told = str(service.value) if service is not None else ""
        if name is not None:
            found.append(FoundObjective(str(name.value), told, file=file.source.path))
    return found
