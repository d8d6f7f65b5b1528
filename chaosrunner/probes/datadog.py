"""A probe that asks Datadog for a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from chaosrunner.http import Url
from chaosrunner.instrument import Instrument, Point, Take
from chaosrunner.model.access import Access
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Probe, Value


def _check_query(text: str) -> str:
    if "{" not in text:
        raise ValueError(f"expected a metrics query such as avg:trace.http.request.hits{{service:checkout}}: {text!r}")
    return text.strip()


class Params(Access):
    """Which organisation, and what to ask."""

    query: Annotated[str, AfterValidator(_check_query)]
    """A metrics query that gives one series: `sum:trace.http.request.errors{env:staging}.as_rate()`."""
    api_key: SecretRef
    """Where the API key is."""
    app_key: SecretRef
    """Where the application key is; its scope needs `timeseries_query`."""
    site: Literal[
        "datadoghq.com",
        "us3.datadoghq.com",
        "us5.datadoghq.com",
        "datadoghq.eu",
        "ap1.datadoghq.com",
        "ap2.datadoghq.com",
        "ddog-gov.com",
    ] = "datadoghq.com"
    """The organisation's site; default datadoghq.com."""
    url: Url | None = None
    """Instead of `site`: the base URL of a proxy, without `/api`."""
    over: Duration = Field(default=300.0, ge=60)
    """The stretch of time until now that is asked for; default 5m. Datadog chooses the interval of points by it."""
    take: Take = "last"
    """What to make of the series: the `last` number, or `mean`, `min`, `max`, `p50`, `p95`, `p99` of the stretch; then
    at most 20 % of its points may be without a number. Default last."""
    max_age: Duration = Field(default=120.0, gt=0)
    """A series whose newest point is older is no reading; default 2m. Part of the readings' lag."""

    @model_validator(mode="after")
    def _keys_are_the_way_in(self) -> Params:
        if self.bearer_token is not None or self.basic is not None:
            raise ValueError("Datadog is asked with apiKey and appKey, not with bearerToken or basic")
        return self


class Datadog(Probe[Params]):
    """Reads one number from the one series that a metrics query of Datadog gives.

    The last point is left out while its interval is still running, since it would be too low. Datadog is the
    instrument: where it does not answer, refuses, reports an error inside an answer, gives several series or none, no
    value, or a stale point, there is *no reading*, with that reason. Over its rate limit it is not asked again, by any
    measure, before the limit is reset.
    """

    example = """datadog:
  query: 'sum:trace.http.request.errors{env:staging,service:checkout}.as_rate()'
  apiKey: {env: DD_API_KEY}
  appKey: {env: DD_APP_KEY}
  site: datadoghq.eu"""

    _datadog: Instrument | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.max_age + (0.0 if params.take == "last" else params.over)

    async def open(self) -> None:
        url = self.params.url or f"https://api.{self.params.site}"
        self._datadog = Instrument(self.context.http, "Datadog", url, self.params)

    async def read(self) -> Value:
        if self._datadog is None:
            await self.open()
        assert self._datadog is not None
        datadog, params, now = self._datadog, self.params, self.context.clock.now()
        question = urlencode({"from": int(now - params.over), "to": int(now), "query": params.query})
        keys = {"DD-API-KEY": params.api_key, "DD-APPLICATION-KEY": params.app_key}
        answer = await datadog.ask(datadog.prepare(f"/api/v1/query?{question}", headers=keys))
        if answer.get("status") != "ok" or answer.get("error"):
            datadog.fail(f"refused the query: {answer.get('error') or answer.get('message') or answer.get('status')}")
        points = _points(datadog, answer, now)
        return datadog.point(points, params.take, params.max_age)


def _points(datadog: Instrument, answer: Mapping[str, Any], now: float) -> list[Point]:
    """Of the one series, those whose interval is over."""
    series = answer.get("series")
    if not isinstance(series, list) or not all(isinstance(one, dict) for one in series):
        datadog.fail("answered JSON that is not an answer to a query")
    if len(series) > 1:
        shown = ", ".join(str(one.get("scope", "?")) for one in series[:3]) + (", …" if len(series) > 3 else "")
        datadog.fail(f"the query gives {len(series)} series ({shown}), expected one: aggregate them, without `by`")
    if not series:
        datadog.fail("the query has no data (no series)")
    try:
        interval = float(series[0].get("interval") or 0)
        points = [(at / 1000, None if value is None else float(value)) for at, value in series[0]["pointlist"]]
    except (KeyError, TypeError, ValueError):
        datadog.fail("answered points that are none")
    over = [(at, value) for at, value in points if at + interval <= now]
    if points and not over:
        datadog.fail("the query has no data (the interval of its only points is still running)")
    return over
