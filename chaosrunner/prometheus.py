"""The HTTP API of Prometheus, and of what speaks it (Thanos, Mimir, VictoriaMetrics): queries, and what they give.

All answers are checked: errors, warnings of partial data, an empty result, several series, native histograms, NaN and
infinities are `NoReading` with that reason, never a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from chaosrunner.errors import UsageError
from chaosrunner.http import Exchange, Http, Url
from chaosrunner.instrument import Instrument
from chaosrunner.model.access import Access
from chaosrunner.model.environment import Environment, PrometheusSource
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration, parse_duration

_RANGE = re.compile(r"\[\s*([0-9a-z]+)\s*(?::[^\]]*)?\]")
_OFFSET = re.compile(r"\boffset\s+([0-9a-z]+)")
_STRING = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|`[^`]*`"
_SELECTOR = re.compile(rf"[a-zA-Z_:][\w:]*\s*(?:\{{(?:[^{{}}\"'`]|{_STRING})*\}})?|\{{(?:[^{{}}\"'`]|{_STRING})*\}}")
MOST_POINTS = 11_000
"""Prometheus refuses a range query for more points."""


def _check_selector(text: str) -> str:
    if not is_selector(text.strip()):
        raise ValueError(f'expected a selector such as http_requests_total{{app="shop"}}, without a range: {text!r}')
    return text.strip()


def _check_query(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a PromQL query, found nothing")
    return text.strip()


Counter = Annotated[str, AfterValidator(_check_selector)]
"""A selector of counters."""
Query = Annotated[str, AfterValidator(_check_query)]
"""PromQL."""
Dialect = Literal["promql", "other"]
"""Whether `check` reads queries as PromQL."""


class OfPrometheus(Access):
    """Which Prometheus to ask: the environment's, or another one by its URL with an access of its own."""

    url: Url | None = None
    """Base URL without `/api/v1`; default: the environment's `prometheus`, with its own access. The access below goes
    with a `url`."""
    timeout: Duration | None = Field(default=None, gt=0)  # type: ignore[assignment]  # None: the environment's
    """Of one query; default: the environment's, or 10s."""

    @model_validator(mode="after")
    def _access_goes_with_url(self) -> OfPrometheus:
        given = [self.bearer_token, self.basic, self.headers, self.ca_file, self.client_cert, self.client_key]
        if self.url is None and any(given):
            raise ValueError(
                "bearerToken, basic, headers, caFile, clientCert and clientKey go with url: the environment's "
                "prometheus has its own"
            )
        return self

    def source(self, environment: Environment | None) -> PrometheusSource:
        """Whom to ask. Raises `UsageError` where nobody says."""
        if self.url is not None:
            return PrometheusSource(
                url=self.url,
                bearer_token=self.bearer_token,
                basic=self.basic,
                headers=self.headers,
                ca_file=self.ca_file,
                client_cert=self.client_cert,
                client_key=self.client_key,
            )
        known = environment.spec.prometheus if environment is not None else None
        if known is None:
            raise UsageError(
                "nobody says where Prometheus is: expected `url` in the measure or `prometheus` in the environment"
            )
        return known


class Prometheus(Instrument):
    """One Prometheus, as a measure asks it."""

    def __init__(
        self, http: Http, params: OfPrometheus, environment: Environment | None, *, limit: int = 1024 * 1024
    ) -> None:
        """Raises `UsageError` where nobody says which."""
        source = params.source(environment)
        super().__init__(http, "Prometheus", source.url, source, limit=limit)
        self.timeout = params.timeout or source.timeout

    def instant(self, query: str, *, lookback: float | None = None) -> Exchange:
        """A query of one moment. `lookback`: how old a sample may be; None: Prometheus's own 5 minutes."""
        form = {"query": query, "timeout": in_promql(self.timeout)}
        if lookback is not None:
            form["lookback_delta"] = in_promql(lookback)
        return self.prepare("/api/v1/query", form=form, timeout=self.timeout)

    def over(self, query: str, start: float, end: float, step: float, *, lookback: float) -> Exchange:
        """A query of all moments from `start` to `end`, both included."""
        form = {
            "query": query,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
            "timeout": in_promql(self.timeout),
            "lookback_delta": in_promql(lookback),
        }
        return self.prepare("/api/v1/query_range", form=form, timeout=self.timeout)

    async def data(self, exchange: Exchange) -> dict[str, Any]:
        """`data` of a successful and complete answer."""
        reply = await self.send(exchange)
        answer = self.document(reply)
        if answer.get("status") == "error" or reply.status != 200:
            kind = answer.get("errorType", reply.status)
            self.fail(f"refused the query ({kind}): {answer.get('error') or reply.says() or reply}")
        if answer.get("warnings"):
            self.fail(f"the data may be partial: {'; '.join(map(str, answer['warnings']))[:300]}")
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict):
            self.fail("answered JSON that is not an answer to a query")
        return data

    async def result(self, exchange: Exchange) -> dict[str, Any]:
        """The same of a query."""
        data = await self.data(exchange)
        if "result" not in data:
            self.fail("answered JSON that is not an answer to a query")
        return data

    def series(self, data: Mapping[str, Any], expected: str) -> list[dict[str, Any]]:
        """The series of a vector or matrix."""
        kind, result = data.get("resultType"), data["result"]
        if kind != expected or not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
            self.fail(f"the query gives a {kind}, expected one number")
        return result

    def only(self, series: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        """The one series; None if there is none."""
        if len(series) > 1:
            shown = ", ".join(map(shown_labels, series[:3]))
            more = ", …" if len(series) > 3 else ""
            self.fail(f"the query gives {len(series)} series ({shown}{more}), expected one: aggregate them, as by sum")
        return series[0] if series else None

    def one(self, data: Mapping[str, Any]) -> float:
        """The one number of an instant query."""
        if data.get("resultType") == "scalar":
            return self.sample(data["result"])
        series = self.only(self.series(data, "vector"))
        if series is None:
            self.fail("the query has no data (an empty result)")
        return self.sample(series.get("value"))

    def sample(self, sample: Any) -> float:
        """The number of `[time, "number"]`."""
        if sample is None:
            self.fail("the series holds a native histogram, expected a number")
        try:
            text = sample[1]
            float(text)
        except (TypeError, ValueError, IndexError, KeyError):
            self.fail(f"the sample {sample!r:.60} is not a number")
        return self.number(text)

    def named(self, data: Mapping[str, Any]) -> dict[str, float]:
        """The numbers of a query made by `together`, by name; those without data are missing."""
        parts: dict[str, float] = {}
        for series in self.series(data, "vector"):
            parts[series.get("metric", {}).get("chaosrunner", "")] = self.sample(series.get("value"))
        return parts


def together(parts: Mapping[str, str]) -> str:
    """One query for several sums, so that all are of the same moment."""
    return " or ".join(f'label_replace({query}, "chaosrunner", "{name}", "", "")' for name, query in parts.items())


def is_selector(text: str) -> bool:
    """Whether a query is a plain selector of series, without a range."""
    return _SELECTOR.fullmatch(text) is not None


def reach(query: str) -> float:
    """How far (seconds) a query looks back: its longest range, and its longest offset."""
    bare = re.sub(_STRING, "", query)
    return max([0.0, *_durations(_RANGE, bare)]) + max([0.0, *_durations(_OFFSET, bare)])


def _durations(pattern: re.Pattern[str], query: str) -> list[float]:
    found = []
    for text in pattern.findall(query):
        try:
            found.append(_prometheus_duration(text))
        except ValueError:
            continue  # Prometheus will say what is wrong with it
    return found


def _prometheus_duration(text: str) -> float:
    weeks = re.sub(r"(\d+)w", lambda match: f"{int(match[1]) * 7}d", text)
    years = re.sub(r"(\d+)y", lambda match: f"{int(match[1]) * 365}d", weeks)
    return parse_duration(years)


def in_promql(seconds: float) -> str:
    """A duration as Prometheus reads it."""
    return f"{max(1, round(seconds * 1000))}ms"


def shown_labels(series: Mapping[str, Any]) -> str:
    """A series' labels for messages."""
    labels = series.get("metric") or {}
    name = labels.get("__name__", "")
    rest = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
    return f"{name}{{{rest}}}"[:80]


def finite(sample: Any) -> float | None:
    """The number of `[time, "number"]` if it is one."""
    try:
        value = float(sample[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    return value if math.isfinite(value) else None
