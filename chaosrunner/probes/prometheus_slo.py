"""A probe that reads how a service level objective stands, from two counters in Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chaosrunner import prometheus
from chaosrunner.http import Exchange
from chaosrunner.model.error_budget import budget_left, burn_rate
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration, Ratio, write_duration
from chaosrunner.ports import Probe, Value
from chaosrunner.prometheus import Counter, Dialect, OfPrometheus, in_promql

_FRESH = 15.0
_OLDEST = 0.1
"""The part of a window, its oldest, in which there must be data."""


class Params(OfPrometheus):
    """The objective, and what it is counted from."""

    objective: Ratio = Field(gt=0, lt=1)
    """The share of good events that is promised: 99.9%."""
    bad: Counter
    """Selector of the counters of bad events. Missing beside a live total, it counts 0."""
    total: Counter
    """Selector of the counters of all events."""
    window: Duration | None = Field(default=None, gt=0)
    """With `read: budget`: the objective's window, such as 30d."""
    long: Duration | None = Field(default=None, gt=0)
    """With `read: burnRate`: the time over which it is read, such as 1h."""
    short: Duration | None = Field(default=None, gt=0)
    """With `read: burnRate`: a second, shorter time; the lower of both burn rates is the reading, so that it is high
    only while it still burns. Default a twelfth of `long`, at least 30s."""
    read: Literal["budget", "burnRate"] = "burnRate"
    """`budget`: the share of the error budget that is left: 1 all of it, 0 nothing, below 0 the objective is missed.
    `burnRate`: how many times faster than allowed the budget is used up; 1 uses it up in just the window. Default
    burnRate."""
    minimum: float = Field(default=1, ge=0)
    """Fewer events within any of these times: no reading; default 1."""
    max_age: Duration = Field(default=_FRESH, gt=0)
    """No sample of the total that is younger: no reading; default 15s. Set it to twice the scrape interval."""
    dialect: Dialect = "promql"
    """`other`: `check` does not read the selectors, as for MetricsQL; default promql."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if self.read == "budget" and (self.window is None or self.long is not None or self.short is not None):
            raise ValueError("`read: budget` needs window, the objective's own, and neither long nor short")
        if self.read == "burnRate" and (self.long is None or self.window is not None):
            raise ValueError("`read: burnRate` needs long (and may have short), and no window")
        if self.long is not None and self.short is not None and self.short >= self.long:
            raise ValueError("expected a short time that is shorter than the long one")
        return self

    @property
    def times(self) -> tuple[float, ...]:
        """The times (seconds) over which events are counted."""
        if self.window is not None:
            return (self.window,)
        assert self.long is not None
        short = self.short if self.short is not None else max(30.0, self.long / 12)
        return (self.long, short) if short < self.long else (self.long,)


class PrometheusSlo(Probe[Params]):
    """Reads how much of an error budget is left, or how fast it burns, over one or two windows of the same moment.

    With E the share of bad events, the burn rate is `E / (1 - objective)`, and what is left of the budget is 1 less the
    burn rate over the whole window (The Site Reliability Workbook, chapter 5). No data, too few events, a stale total,
    or a window whose oldest tenth has no data (Prometheus keeps too little, or counting began later) is *no reading*.
    Values with which counters appear are not counted. Its lag is the shorter time: burn rates over long windows move
    slowly, and what happened before the experiment stays in them.
    """

    example = """prometheus-slo:
  objective: 99.9%
  bad: 'http_requests_total{app="checkout",code=~"5.."}'
  total: 'http_requests_total{app="checkout"}'
  long: 1h
  short: 5m"""

    _source: prometheus.Prometheus | None = None
    _exchange: Exchange | None = None

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "ratio" if params.read == "budget" else None

    @classmethod
    def promql(cls, params: Params) -> Sequence[str]:
        return ("bad", "total") if params.dialect == "promql" else ()

    @classmethod
    def lag(cls, params: Params) -> float:
        return (0.0 if params.read == "budget" else min(params.times)) + params.max_age

    async def open(self) -> None:
        self._source = prometheus.Prometheus(self.context.http, self.params, self.context.environment)
        query = _counting(self.params.bad, self.params.total, self.params.times, self.params.max_age)
        self._exchange = self._source.instant(query, lookback=self.params.max_age)

    async def read(self) -> Value:
        if self._exchange is None:
            await self.open()
        assert self._source is not None and self._exchange is not None
        parts = self._source.named(await self._source.result(self._exchange))
        if "now" not in parts:
            self._source.fail(
                f"no sample of {self.params.total} is younger than {write_duration(self.params.max_age)}: no data, its "
                "source died, or maxAge is shorter than the scrape interval"
            )
        errors = [self._errors(self._source, parts, seconds) for seconds in self.params.times]
        if self.params.read == "budget":
            return budget_left(errors[0], self.params.objective)
        return min(burn_rate(each, self.params.objective) for each in errors)

    def _errors(self, source: prometheus.Prometheus, parts: dict[str, float], seconds: float) -> float:
        over = write_duration(seconds)
        total = parts.get(f"total-{over}")
        if total is None:
            source.fail(f"no data for {self.params.total} over {over} (at least two scrapes are needed)")
        if f"oldest-{over}" not in parts:
            source.fail(
                f"no data for {self.params.total} from the oldest part of {over}: Prometheus keeps too little, or it "
                "was counted only later; a shorter time can be read"
            )
        if total < self.params.minimum or total == 0:
            source.fail(f"{total:.4g} events over {over}, at least {self.params.minimum:g} are needed")
        return parts.get(f"bad-{over}", 0.0) / total


def _counting(bad: str, total: str, times: tuple[float, ...], max_age: float) -> str:
    parts = {"now": f"count(present_over_time({total}[{in_promql(max_age)}]))"}
    for seconds in times:
        over, name = in_promql(seconds), write_duration(seconds)
        part = max(seconds * _OLDEST, min(2 * max_age, seconds))
        oldest = (
            f"{total}[{in_promql(part)}] offset {in_promql(seconds - part)}" if part < seconds else f"{total}[{over}]"
        )
        parts[f"bad-{name}"] = f"sum(increase({bad}[{over}]))"
        parts[f"total-{name}"] = f"sum(increase({total}[{over}]))"
        parts[f"oldest-{name}"] = f"count(present_over_time({oldest}))"
    return prometheus.together(parts)
