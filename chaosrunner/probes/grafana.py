"""A probe that asks a Grafana data source, so that a hypothesis can be what a dashboard shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chaosrunner.http import Url
from chaosrunner.instrument import Instrument, Point, Take
from chaosrunner.model.access import Access
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Probe, Value

_PATH = "/api/ds/query"
_POINTS = 100
_OURS = {"refId", "datasource", "intervalMs", "maxDataPoints"}


class Params(Access):
    """Which Grafana, which data source, which query."""

    url: Url
    """Base URL of Grafana, without `/api`; `bearerToken` is a service account's token."""
    datasource: str = Field(min_length=1)
    """The data source's uid: the last part of its page's address in Grafana."""
    query: JsonObject = Field(min_length=1)
    """The query as the data source's kind has it, as the panel's *Query inspector* shows it: `{expr: 'sum(up)'}` for
    Prometheus and Loki, `{rawSql: …, format: table}` for SQL. It must give one series, or one row with one number."""
    org: int | None = None
    """The number of the organisation; default: the token's own."""
    over: Duration = Field(default=300.0, gt=0)
    """The stretch of time until now that is asked for; default 5m."""
    take: Take = "last"
    """What to make of a series: the `last` number, or `mean`, `min`, `max`, `p50`, `p95`, `p99` of the stretch; then at
    most 20 % of its points may be without a number. Default last."""
    max_age: Duration = Field(default=60.0, gt=0)
    """A series whose newest point is older is no reading; default 60s. Part of the readings' lag."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if given := sorted(_OURS & set(self.query)):
            raise ValueError(f"query: {', '.join(given)} are written by the probe itself")
        return self


class _Column(NamedTuple):
    """A column of numbers, with the times of its rows if there are any."""

    name: str
    points: list[Point]
    timed: bool


class Grafana(Probe[Params]):
    """Reads one number from a Grafana data source: of the one series, or the one row, that a query gives.

    Grafana and the data source are the instrument: where they do not answer, refuse, fail for the query alone (an error
    inside an answer), warn, give several series or rows, no data, a stale point, NaN or an infinity, there is *no
    reading*, with that reason.
    """

    example = """grafana:
  url: https://grafana.example.com
  bearerToken: {env: GRAFANA_TOKEN}
  datasource: P1809F7CD0C75ACF3
  query: {expr: 'sum(rate(http_requests_total{app="checkout"}[1m]))'}"""

    _grafana: Instrument | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.max_age + (0.0 if params.take == "last" else params.over)

    async def open(self) -> None:
        self._grafana = Instrument(self.context.http, "Grafana", self.params.url, self.params)

    async def read(self) -> Value:
        if self._grafana is None:
            await self.open()
        assert self._grafana is not None
        grafana, params = self._grafana, self.params
        headers = {} if params.org is None else {"X-Grafana-Org-Id": str(params.org)}
        reply = await grafana.send(grafana.prepare(_PATH, json=self._question(), headers=headers))
        answer = grafana.document(reply)
        results = answer.get("results")
        found = results.get("A") if isinstance(results, dict) else None
        if not isinstance(found, dict):
            if reply.status == 200:
                grafana.fail("answered JSON that is not an answer to a query")
            grafana.fail(f"refused the query ({reply.status}): {reply.says() or reply}")
        status = found.get("status", 200)
        if found.get("error") or status != 200 or reply.status not in (200, 207):
            grafana.fail(f"the data source refused the query ({status}): {found.get('error') or reply}")
        return self._one(grafana, list(_columns(grafana, found.get("frames"))))

    def _question(self) -> JsonValue:
        now, over = self.context.clock.now(), self.params.over
        query: JsonValue = {
            **self.params.query,
            "refId": "A",
            "datasource": {"uid": self.params.datasource},
            "intervalMs": max(1, round(over * 1000 / _POINTS)),
            "maxDataPoints": _POINTS,
        }
        return {"queries": [query], "from": f"{(now - over) * 1000:.0f}", "to": f"{now * 1000:.0f}"}

    def _one(self, grafana: Instrument, columns: Sequence[_Column]) -> float:
        if not columns:
            grafana.fail("the query has no data (an empty result)")
        if len(columns) > 1:
            shown = ", ".join(column.name for column in columns[:3]) + (", …" if len(columns) > 3 else "")
            grafana.fail(f"the query gives {len(columns)} series ({shown}), expected one: aggregate them")
        (column,) = columns
        if column.timed:
            return grafana.point(column.points, self.params.take, self.params.max_age)
        if len(column.points) != 1:
            grafana.fail(f"the query gives a table of {len(column.points)} rows without times, expected one row")
        return grafana.number(column.points[0][1])


def _columns(grafana: Instrument, frames: Any) -> Iterator[_Column]:
    """All columns of numbers in all frames."""
    for frame in frames if isinstance(frames, list) else ():
        try:
            schema, data = frame["schema"], frame["data"]
            fields, values = schema.get("fields", []), data.get("values", [])
            for notice in (schema.get("meta") or {}).get("notices") or []:
                if notice.get("severity") in ("warning", "error"):
                    grafana.fail(f"the data may be partial: {notice.get('text', 'it says nothing more')}")
            yield from _of_frame(fields, values, data.get("entities") or [])
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            grafana.fail("answered a frame that is not one")


def _of_frame(
    fields: Sequence[Mapping[str, Any]], values: Sequence[Sequence[Any]], entities: Sequence[Mapping[str, Any] | None]
) -> Iterator[_Column]:
    times = next((index for index, field in enumerate(fields) if field.get("type") == "time"), None)
    for index, field in enumerate(fields):
        if field.get("type") != "number" or not values or not values[index]:
            continue
        numbers = [None if value is None else float(value) for value in values[index]]
        for word, number in (("NaN", "nan"), ("Inf", "inf"), ("NegInf", "-inf")):  # JSON has no numbers for them
            for row in (entities[index] or {}).get(word, ()) if index < len(entities) else ():
                numbers[row] = float(number)
        stamps = [0.0] * len(numbers) if times is None else [float(at) / 1000 for at in values[times]]
        labels = ",".join(f'{key}="{value}"' for key, value in (field.get("labels") or {}).items())
        yield _Column(
            f"{field.get('name', '')}{{{labels}}}"[:80], [*zip(stamps, numbers, strict=True)], times is not None
        )
