"""A probe that asks Prometheus, or what speaks its query API (Thanos, Mimir, VictoriaMetrics)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

from chaosrunner import prometheus
from chaosrunner.http import Exchange
from chaosrunner.instrument import HOLES, Take, taken
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration, write_duration
from chaosrunner.ports import Probe, Value
from chaosrunner.prometheus import Counter, Dialect, OfPrometheus, Query, in_promql

_FRESH = 15.0
_POINTS = 60
_UNSURE = 0.1
"""How much of a ratio may rest on events of which nobody knows when they happened."""


class Ratio(Frozen):
    """How many events of all were bad, of two counters."""

    bad: Counter | None = None
    """Selector of the counters of bad events. One that is missing beside a live total counts 0, because many programs
    create a counter with its first event (better: let yours start at 0)."""
    good: Counter | None = None
    """In place of `bad`: selector of the counters of good events. All others are bad."""
    total: Counter
    """Selector of the counters of all events."""
    over: Duration = Field(gt=0)
    """The time over which events are counted; at least twice the scrape interval."""
    minimum: float = Field(default=1, ge=0)
    """Fewer events within `over`: no reading; default 1."""

    @model_validator(mode="after")
    def _one_side(self) -> Ratio:
        if (self.bad is None) == (self.good is None):
            raise ValueError("expected one of bad and good")
        return self


class Params(OfPrometheus):
    """What to ask, and whom."""

    query: Query | None = None
    """A PromQL query whose result is one number: a scalar, or one series."""
    ratio: Ratio | None = None
    """Instead of a query: `{bad, total, over, minimum}`, or `good` in place of `bad`."""
    over: Duration | None = Field(default=None, gt=0)
    """With `query`: ask for all moments of so long a time until now (a range query), and read what `take` makes of
    them. More than 20 % of them without a number: no reading."""
    step: Duration | None = Field(default=None, gt=0)
    """With `over`: from one moment to the next; default a sixtieth of `over`. At most 11 000 moments, Prometheus's own
    limit."""
    take: Take | None = None
    """With `over`: `last`, `mean`, `min`, `max`, or a quantile (`p50`, `p95`, `p99`) of the numbers."""
    max_age: Duration = Field(default=_FRESH, gt=0)
    """A sample that is older is no reading, where Prometheus by itself would repeat it for 5 minutes after its source
    died; default 15s. Set it to twice the scrape interval. Part of the readings' lag."""
    dialect: Dialect = "promql"
    """`other`: `check` does not read the query, as for MetricsQL and what only newer versions know; default promql."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if (self.query is None) == (self.ratio is None):
            raise ValueError("expected one of query and ratio")
        if self.over is None and (self.step is not None or self.take is not None):
            raise ValueError("step and take go with over")
        if self.over is not None:
            if self.query is None:
                raise ValueError("over goes with a query: a ratio has its own")
            if self.take is None:
                raise ValueError("over needs take: what to make of the numbers (last, mean, min, max, p50, p95, p99)")
            if self.over / self.pace > prometheus.MOST_POINTS - 1:
                raise ValueError(
                    f"over and step make more than {prometheus.MOST_POINTS} moments: expected a longer step"
                )
        return self

    @property
    def pace(self) -> float:
        """Seconds from one moment of a range query to the next."""
        return self.step or (self.over or 0.0) / _POINTS

    @property
    def range(self) -> float:
        """How far (seconds) the query looks back."""
        return self.ratio.over if self.ratio is not None else prometheus.reach(self.query or "") + (self.over or 0.0)


class Prometheus(Probe[Params]):
    """Reads one number from Prometheus: the result of an instant query, of a range query, or the ratio of two counters.

    Prometheus is the instrument: where it does not answer, refuses, warns of partial data, or has no data, several
    series, a stale sample, a native histogram, NaN or an infinity, there is *no reading*, with that reason; never a 0.
    A plain selector is asked for with its samples' own times. A query without any range is refused where Prometheus is
    too old to be told how long it may repeat a dead source's samples; the reason says what to write instead.

    `ratio` is `sum(increase(bad[over])) / sum(increase(total[over]))` of one moment, with what `increase` cannot see:
    the value with which a counter appears, where it is known that its events are of this time (its target was scraped
    before without it, or its process started since). Where that is not known and more than a tenth of the ratio rests
    on it, there is *no reading*.
    """

    example = """prometheus:
  ratio:
    bad: 'http_requests_total{app="checkout",code=~"5.."}'
    total: 'http_requests_total{app="checkout"}'
    over: 30s
    minimum: 100"""

    _source: prometheus.Prometheus | None = None
    _exchange: Exchange | None = None
    _forgets = False

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "ratio" if params.ratio is not None else None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.range + params.max_age

    @classmethod
    def kind_of(cls, params: Params) -> Literal["latency", "ratio", "rate"] | None:
        return "ratio" if params.ratio is not None else None

    @classmethod
    def promql(cls, params: Params) -> Sequence[str]:
        if params.dialect == "other":
            return ()
        return ("query",) if params.ratio is None else ("ratio.bad", "ratio.good", "ratio.total")

    async def open(self) -> None:
        params = self.params
        self._source = source = prometheus.Prometheus(self.context.http, params, self.context.environment)
        if params.ratio is not None:
            self._exchange = source.instant(_counting(params.ratio), lookback=params.max_age)
        elif params.over is None:
            assert params.query is not None
            plain = f"{params.query}[{in_promql(params.max_age)}]" if self._plain else params.query
            self._exchange = source.instant(plain, lookback=params.max_age)

    @property
    def _plain(self) -> bool:
        return self.params.query is not None and prometheus.is_selector(self.params.query)

    async def read(self) -> Value:
        if self._source is None:
            await self.open()
        assert self._source is not None
        source, params = self._source, self.params
        if params.over is not None:
            return await self._over(source, params.over)
        assert self._exchange is not None
        data = await source.result(self._exchange)
        if params.ratio is not None:
            return _ratio(source, source.named(data), params.ratio)
        if self._plain:
            return await self._newest(source, data)
        number = source.one(data)
        await self._must_forget(source)
        return number

    async def _must_forget(self, source: prometheus.Prometheus) -> None:
        """A Prometheus that does not know `lookback_delta` (2.42 does not) repeats the last sample of a dead source for
        5 minutes, unless the query itself says with a range how old samples may be. Asked once."""
        if self._forgets or "[" in (self.params.query or ""):
            return
        data = await source.result(source.instant("count(up)", lookback=0.001))
        if source.series(data, "vector"):
            source.fail(
                "it repeats samples for 5 minutes after their source died (it does not know lookback_delta): write "
                f"last_over_time(SELECTOR[{self.params.max_age:g}s]) for each selector of the query"
            )
        self._forgets = True

    async def _newest(self, source: prometheus.Prometheus, data: dict[str, Any]) -> float:
        series = source.only(source.series(data, "matrix"))
        if series is None:
            await self._explain_absence(source)
        values = series.get("values")
        if not isinstance(values, list) or not values:
            source.fail("the series holds a native histogram, expected numbers")
        return source.sample(values[-1])

    async def _explain_absence(self, source: prometheus.Prometheus) -> NoReturn:
        """No sample is young enough: is there an older one, within Prometheus's own 5 minutes?"""
        reply = await source.send(source.instant(f"time() - max(timestamp({self.params.query}))"))
        try:
            age = float(reply.json()["data"]["result"][0]["value"][1])
        except (ValueError, TypeError, KeyError, IndexError):
            age = math.nan
        if not math.isfinite(age):
            source.fail(f"no data for {self.params.query} (an empty result)")
        source.fail(
            f"the newest sample of {self.params.query} is {age:.0f} s old, at most {self.params.max_age:g} s are "
            "allowed: its source died, or maxAge is shorter than the scrape interval"
        )

    async def _over(self, source: prometheus.Prometheus, over: float) -> float:
        assert self.params.query is not None
        now, pace = self.context.clock.now(), self.params.pace
        exchange = source.over(self.params.query, now - over, now, pace, lookback=self.params.max_age)
        series = source.only(source.series(await source.result(exchange), "matrix"))
        if series is None:
            source.fail(f"the query has no data within {write_duration(over)} (an empty result)")
        values = series.get("values")
        if not isinstance(values, list):
            source.fail("the series holds native histograms, expected numbers")
        numbers = [number for number in map(prometheus.finite, values) if number is not None]
        wanted = math.floor(over / pace + 1e-6) + 1
        if len(numbers) < (1 - HOLES) * wanted:
            source.fail(
                f"{len(numbers)} of {wanted} moments within {write_duration(over)} have a number, at least "
                f"{1 - HOLES:.0%} are needed"
            )
        await self._must_forget(source)
        assert self.params.take is not None
        return taken(numbers, self.params.take)


def _counting(ratio: Ratio) -> str:
    """The sums that a ratio is made of, in one query.

    `increase` sees nothing of the value with which a counter appears. That value is of this time (`-first`) if the
    counter's target was scraped all through the time before without it, or if its process started since; `-born` is of
    all counters that appeared.
    """
    over = in_promql(ratio.over)
    of_now = (
        f"(min_over_time(up[{over}] offset {over}) == 1) or "
        f"(last_over_time(process_start_time_seconds[{over}]) > time() - {ratio.over:g})"
    )
    parts = {}
    side = ("bad", ratio.bad) if ratio.bad is not None else ("good", ratio.good)
    for name, selector in (side, ("total", ratio.total)):
        born = f"min_over_time({selector}[{over}]) unless present_over_time({selector}[{over}] offset {over})"
        parts[name] = f"sum(increase({selector}[{over}]))"
        parts[f"{name}-born"] = f"sum({born})"
        parts[f"{name}-first"] = f"sum(({born}) and on (job, instance) ({of_now}))"
    return prometheus.together(parts)


def _ratio(source: prometheus.Prometheus, parts: dict[str, float], ratio: Ratio) -> float:
    over = write_duration(ratio.over)
    if "total" not in parts:
        source.fail(f"no data for {ratio.total} over {over} (at least two scrapes are needed)")
    if ratio.good is not None:
        for each in ("", "-born", "-first"):
            rest = parts.get(f"total{each}", 0.0) - parts.pop(f"good{each}", 0.0)
            parts[f"bad{each}"] = max(0.0, rest)
    total = parts["total"] + parts.get("total-first", 0.0)
    bad = parts.get("bad", 0.0) + parts.get("bad-first", 0.0)
    if total < ratio.minimum or total == 0:
        source.fail(f"{total:.4g} events over {over}, at least {ratio.minimum:g} are needed")
    unsure_bad = max(0.0, parts.get("bad-born", 0.0) - parts.get("bad-first", 0.0))
    unsure_good = max(0.0, parts.get("total-born", 0.0) - parts.get("total-first", 0.0) - unsure_bad)
    least, most = bad / (total + unsure_good), (bad + unsure_bad) / (total + unsure_bad)
    if most - least > _UNSURE * most:
        source.fail(
            f"counters appeared within {over} with {unsure_bad:.4g} bad and {unsure_good:.4g} good events already "
            f"counted, and nobody knows when those happened: the ratio is anything from {least:.3g} to {most:.3g}"
        )
    return bad / total
