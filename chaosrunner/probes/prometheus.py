"""A probe that asks Prometheus, or what speaks its query API (Thanos, Mimir, VictoriaMetrics)."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import urlencode

from chaosrunner.errors import NoReading, UsageError
from chaosrunner.http import Asked, Exchange, Reply, Request, Url
from chaosrunner.model.environment import PrometheusSource
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration, parse_duration, write_duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Probe, Value

_FRESH = 15.0
_LIMIT = 1024 * 1024
_RANGE = re.compile(r"\[\s*([0-9a-z]+)\s*(?::[^\]]*)?\]")
_STRING = r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|`[^`]*`"
_SELECTOR = re.compile(rf"[a-zA-Z_:][\w:]*\s*(?:\{{(?:[^{{}}\"'`]|{_STRING})*\}})?|\{{(?:[^{{}}\"'`]|{_STRING})*\}}")


def _check_selector(text: str) -> str:
    if not _SELECTOR.fullmatch(text.strip()):
        raise ValueError(f'expected a selector such as http_requests_total{{app="shop"}}, without a range: {text!r}')
    return text.strip()


def _check_query(text: str) -> str:
    if not text.strip():
        raise ValueError("expected a PromQL query, found nothing")
    return text.strip()


Counter = Annotated[str, AfterValidator(_check_selector)]
Query = Annotated[str, AfterValidator(_check_query)]


class Ratio(Frozen):
    """How many events of all were bad, of two counters."""

    bad: Counter
    """Selector of the counters of bad events. One that is missing beside a live total counts 0, because many programs
    create a counter with its first event (better: let yours start them at 0)."""
    total: Counter
    """Selector of the counters of all events."""
    over: Duration = Field(gt=0)
    """The time over which events are counted; at least twice the scrape interval."""
    minimum: float = Field(default=1, ge=0)
    """Fewer events within `over`: no reading; default 1."""


class Params(Parameters):
    """What to ask, and whom."""

    query: Query | None = None
    """A PromQL query whose result is one number: a scalar, or one series."""
    ratio: Ratio | None = None
    """Instead of a query: `{bad, total, over, minimum}`."""
    url: Url | None = None
    """Base URL without `/api/v1`; default: the environment's `prometheus`, with its token, CA, headers and timeout."""
    bearer_token: SecretRef | None = None
    """With `url`: where the token is."""
    headers: dict[str, str | SecretRef] = {}
    """With `url`: extra headers, such as a tenant's id."""
    ca_file: str | None = None
    """With `url`: a private CA, PEM."""
    timeout: Duration | None = Field(default=None, gt=0)
    """Of one query; default: the environment's, or 10s."""
    max_age: Duration = Field(default=_FRESH, gt=0)
    """A sample that is older is no reading, where Prometheus by itself would repeat it for 5 minutes after its source
    died; default 15s. Set it to the scrape interval or more. Part of the readings' lag."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if (self.query is None) == (self.ratio is None):
            raise ValueError("expected one of query and ratio")
        if self.url is None and (self.bearer_token or self.headers or self.ca_file):
            raise ValueError("bearerToken, headers and caFile go with url: the environment's prometheus has its own")
        return self

    @property
    def range(self) -> float:
        """The longest range (seconds) that the query looks back over."""
        if self.ratio is not None:
            return self.ratio.over
        ranges = [0.0]
        for found in _RANGE.findall(re.sub(_STRING, "", self.query or "")):
            try:
                ranges.append(_prometheus_duration(found))
            except ValueError:
                continue  # Prometheus will say what is wrong with it
        return max(ranges)


def _prometheus_duration(text: str) -> float:
    weeks = re.sub(r"(\d+)w", lambda match: f"{int(match[1]) * 7}d", text)
    years = re.sub(r"(\d+)y", lambda match: f"{int(match[1]) * 365}d", weeks)
    return parse_duration(years)


class Prometheus(Probe[Params]):
    """Reads one number from Prometheus: the result of an instant query, or the ratio of two counters.

    Prometheus is the instrument: where it does not answer, refuses, warns of partial data, or has no data, several
    series, a stale sample, a native histogram, NaN or an infinity, there is *no reading*, with that reason; never a 0.
    A plain selector is asked for with its samples' own times. `ratio` is `sum(increase(bad[over])) /
    sum(increase(total[over]))` of one moment.
    """

    example = """prometheus:
  ratio:
    bad: 'http_requests_total{app="checkout",code=~"5.."}'
    total: 'http_requests_total{app="checkout"}'
    over: 30s
    minimum: 100"""

    _exchange: Exchange | None = None

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "ratio" if params.ratio is not None else None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.range + params.max_age

    @classmethod
    def kind_of(cls, params: Params) -> Literal["latency", "ratio", "rate"] | None:
        return "ratio" if params.ratio is not None else None

    async def open(self) -> None:
        environment = self.context.environment
        self._source = _source(self.params, environment.spec.prometheus if environment else None)
        self._plain = self.params.query is not None and _SELECTOR.fullmatch(self.params.query) is not None
        self._exchange = self._prepare(self._query())

    async def read(self) -> Value:
        if self._exchange is None:
            await self.open()
        assert self._exchange is not None
        reply = await self._exchange.send()
        data = self._data(reply)
        if self.params.ratio is not None:
            return self._ratio(data, self.params.ratio)
        return await self._one(data)

    # -- asking

    def _query(self) -> str:
        ratio = self.params.ratio
        if ratio is not None:  # one query, so that both are counted at the same moment
            over = _in_promql(ratio.over)
            return " or ".join(
                f'label_replace(sum(increase({selector}[{over}])), "chaosrunner", "{part}", "", "")'
                for part, selector in (("bad", ratio.bad), ("total", ratio.total))
            )
        assert self.params.query is not None
        return f"{self.params.query}[{_in_promql(self.params.max_age)}]" if self._plain else self.params.query

    def _prepare(self, query: str, *, old: bool = False) -> Exchange:
        source = self._source
        timeout = self.params.timeout or source.timeout
        form = {"query": query, "timeout": _in_promql(timeout)}
        if not old:
            form["lookback_delta"] = _in_promql(self.params.max_age)
        return self.context.http.prepare(
            Request(
                f"{source.url.rstrip('/')}/api/v1/query",
                method="POST",
                headers={**source.headers, **self.params.headers, "Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode(),
                timeout=timeout,
                asked=Asked.INSTRUMENT,
                bearer=source.bearer_token,
                ca_file=source.ca_file,
                keep=_LIMIT,
                keyed=True,  # a query changes nothing, so it may be sent again if a kept connection was closed
            )
        )

    # -- what came back

    def _fail(self, reason: str) -> NoReturn:
        raise NoReading(f"Prometheus at {self._source.url}: {reason}")

    def _data(self, reply: Reply) -> dict[str, Any]:
        """`data` of a successful and complete answer."""
        if reply.cut:
            self._fail(f"answered more than {_LIMIT} bytes")
        try:
            answer = reply.json()
        except ValueError as error:
            self._fail(f"answered {reply}: {error}")
        if not isinstance(answer, dict):
            self._fail(f"answered {reply}: expected a JSON object, found {reply.says() or type(answer).__name__}")
        if answer.get("status") == "error" or reply.status != 200:
            kind = answer.get("errorType", reply.status)
            self._fail(f"refused the query ({kind}): {answer.get('error') or reply.says() or reply}")
        if answer.get("warnings"):
            self._fail(f"the data may be partial: {'; '.join(map(str, answer['warnings']))[:300]}")
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict) or "result" not in data:
            self._fail("answered JSON that is not an answer to a query")
        return data

    def _ratio(self, data: dict[str, Any], ratio: Ratio) -> float:
        parts: dict[str, float] = {}
        for series in self._series(data, "vector"):
            parts[series.get("metric", {}).get("chaosrunner", "")] = self._number(series.get("value"))
        total = parts.get("total")
        if total is None:
            self._fail(f"no data for {ratio.total} over {write_duration(ratio.over)} (at least two scrapes are needed)")
        if total < ratio.minimum or total == 0:
            self._fail(f"{total:.4g} events over {write_duration(ratio.over)}, at least {ratio.minimum:g} are needed")
        return parts.get("bad", 0.0) / total

    async def _one(self, data: dict[str, Any]) -> float:
        if self._plain:
            return await self._newest(data)
        if data.get("resultType") == "scalar":
            return self._number(data["result"])
        series = self._only(self._series(data, "vector"))
        if series is None:
            self._fail("the query has no data (an empty result)")
        return self._number(series.get("value"))

    async def _newest(self, data: dict[str, Any]) -> float:
        series = self._only(self._series(data, "matrix"))
        if series is None:
            await self._explain_absence()
        values = series.get("values")
        if not isinstance(values, list) or not values:
            self._fail("the series holds a native histogram, expected numbers")
        return self._number(values[-1])

    def _series(self, data: dict[str, Any], expected: str) -> list[dict[str, Any]]:
        kind, result = data.get("resultType"), data["result"]
        if kind != expected or not isinstance(result, list) or not all(isinstance(one, dict) for one in result):
            self._fail(f"the query gives a {kind}, expected one number")
        return result

    def _only(self, series: list[dict[str, Any]]) -> dict[str, Any] | None:
        if len(series) > 1:
            shown = ", ".join(_labels(one) for one in series[:3])
            more = ", …" if len(series) > 3 else ""
            self._fail(f"the query gives {len(series)} series ({shown}{more}), expected one: aggregate them, as by sum")
        return series[0] if series else None

    def _number(self, sample: Any) -> float:
        if sample is None:
            self._fail("the series holds a native histogram, expected a number")
        try:
            text = sample[1]
            value = float(text)
        except (TypeError, ValueError, IndexError, KeyError):
            self._fail(f"the sample {sample!r:.60} is not a number")
        if not math.isfinite(value):
            hint = " (0 divided by 0, perhaps)" if math.isnan(value) else ""
            self._fail(f"the value is {text}{hint}")
        return value

    async def _explain_absence(self) -> NoReturn:
        """No sample is young enough: is there an older one, within Prometheus's own 5 minutes?"""
        reply = await self._prepare(f"time() - max(timestamp({self.params.query}))", old=True).send()
        age = _age(reply)
        if age is None:
            self._fail(f"no data for {self.params.query} (an empty result)")
        self._fail(
            f"the newest sample of {self.params.query} is {age:.0f} s old, at most {self.params.max_age:g} s are "
            "allowed: its source died, or maxAge is shorter than the scrape interval"
        )


def _age(reply: Reply) -> float | None:
    try:
        age = float(reply.json()["data"]["result"][0]["value"][1])
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return age if math.isfinite(age) else None


def _source(params: Params, known: PrometheusSource | None) -> PrometheusSource:
    if params.url is not None:
        return PrometheusSource(url=params.url, bearer_token=params.bearer_token, ca_file=params.ca_file)
    if known is None:
        raise UsageError(
            "nobody says where Prometheus is: expected `url` in the measure or `prometheus` in the environment"
        )
    return known


def _in_promql(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _labels(series: dict[str, Any]) -> str:
    labels = series.get("metric") or {}
    name = labels.get("__name__", "")
    rest = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
    return f"{name}{{{rest}}}"[:80]
