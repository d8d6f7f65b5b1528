"""A source of evidence: what Prometheus, or what speaks its API, scraped of the system."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

from chaosrunner.errors import NoReading
from chaosrunner.explore import Explore, prometheus_graph
from chaosrunner.model.evidence import Link
from chaosrunner.model.expression import Expression
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.material import Material, Point, Sampled, Window
from chaosrunner.ports import Source
from chaosrunner.prometheus import OfPrometheus, Prometheus, Query, finite, in_promql, is_selector, reach

_COUNTER = re.compile(r"_(?:total|count|sum)$")
_START = re.compile(r"_start_time(?:_seconds)?$")
_VERSION = re.compile(r"_info$")
_OF_A_VERSION = ("version", "revision", "commit", "image_tag", "image", "release")
_NOT_ASKED = r"scrape_.*|.*_bucket|.*_created|ALERTS.*"
"""Metrics that say nothing of the system, or the same as others do."""
_OWNER = ("job", "instance", "pod")
_OF_A_REPLICA = frozenset({"instance", "pod", "node", "host", "hostname", "container_id", "id", "uid", "endpoint"})
"""Labels in which replicas differ."""
_LARGEST = 32 * 1024 * 1024
_EVERY = 15.0
"""Seconds between the points of a query, at most."""
_POINTS = 24
"""Of a query in the stretch that is asked about, at least, where that is a second each."""
_LOOKBACK = 60.0


def _check_selector(text: str) -> str:
    if not is_selector(text.strip()) or not text.strip().startswith("{"):
        raise ValueError(f'expected labels such as {{namespace="shop"}}, found {text!r}')
    return text.strip()


class Params(OfPrometheus):
    """What to ask, and whom."""

    queries: dict[str, Query] = {}
    """PromQL by name: each may give several series."""
    discover: Annotated[str, AfterValidator(_check_selector)] | None = None
    """Labels: all series that have them, `{namespace="shop"}`; counters are read as rates a second."""
    leave_out: Expression | None = None
    """A regular expression of names of metrics that are not asked for, as a whole: `go_.*|jvm_.*`."""
    most: int = Field(default=2000, ge=1, le=20_000)
    """How many series are looked at, of those found by `discover`; default 2000. The metrics with the most series are
    left out, and it is said which."""
    grafana: Explore | None = None
    """Which Grafana has this Prometheus, for links into its Explore; without it they lead to Prometheus itself."""

    @model_validator(mode="after")
    def _asks_something(self) -> Params:
        if not self.queries and self.discover is None:
            raise ValueError("expected queries, or discover, or both")
        return self


class PrometheusSource(Source[Params]):
    """Asks Prometheus for queries by name, and for all series with certain labels, as they were before the fault and
    while it was in force.

    Counters are read as their increase a second from sample to sample, also over restarts; a counter that comes to be
    while its metric is there already has been 0 before. A time at which something started tells a restart, and a new
    value of a metric that ends in `_info` and has a label like `version` tells a deploy. Histograms are read by their
    sum and count.
    """

    example = """\
sources:
  - prometheus:
      discover: '{namespace="shop"}'
      leaveOut: go_.*
      queries: {checkout p99: 'histogram_quantile(0.99, sum by (le) (rate(checkout_seconds_bucket[1m])))'}
"""

    async def gather(self, window: Window) -> Material:
        prometheus = Prometheus(self.context.http, self.params, self.context.environment, limit=_LARGEST)
        self._url = self.params.source(self.context.environment).url
        self._window = window
        series: list[Sampled] = []
        unknown: list[str] = []
        for name, query in self.params.queries.items():
            try:
                series += await self._query(prometheus, name, query)
            except NoReading as why:
                unknown.append(f"{name}: {why}")
        if self.params.discover is not None:
            series += await self._discovered(prometheus, unknown)
        asked = [f"{len(self.params.queries)} queries"] if self.params.queries else []
        asked += [f"all series with {self.params.discover}"] if self.params.discover else []
        looked = f"{len(series)} series, of {' and '.join(asked)}"
        return Material(prometheus.name, series, looked=looked, unknown=unknown)

    # -- queries

    async def _query(self, prometheus: Prometheus, name: str, query: str) -> list[Sampled]:
        window = self._window
        step = max(1.0, min(_EVERY, window.length / _POINTS))
        step = max(step, (window.ended - window.usual_from) / 10_000)
        exchange = prometheus.over(query, window.usual_from, window.ended, step, lookback=max(_LOOKBACK, 2 * step))
        found = prometheus.series(await prometheus.result(exchange), "matrix")
        return [
            Sampled(
                name,
                _shown(one.get("metric") or {}),
                _points(one.get("values")),
                lag=reach(query),
                links=self._links(query),
            )
            for one in found[: self.params.most]
        ]

    # -- all that have certain labels

    async def _discovered(self, prometheus: Prometheus, unknown: list[str]) -> list[Sampled]:
        names = await self._names(prometheus, unknown)
        if not names:
            unknown.append(f"no series has {self.params.discover}")
            return []
        listed = "|".join(map(re.escape, names)).replace("\\", "\\\\")
        selector = _with(self.params.discover or "{}", f'__name__=~"{listed}"')
        found = prometheus.series(await self._raw(prometheus, selector, unknown), "matrix")
        began = _first_seen(found)
        return [one for each in found if (one := self._sampled(each, began)) is not None]

    async def _names(self, prometheus: Prometheus, unknown: list[str]) -> list[str]:
        """The metrics to ask for; the ones with the most series are left out where there are too many."""
        left_out = f"|{self.params.leave_out}" if self.params.leave_out else ""
        pattern = f"{_NOT_ASKED}{left_out}".replace("\\", "\\\\").replace('"', '\\"')
        selector = _with(self.params.discover or "{}", f'__name__!~"{pattern}"')
        seconds = in_promql(self._window.ended - self._window.usual_from)
        query = f"count by (__name__) (last_over_time({selector}[{seconds}]))"
        form = {"query": query, "time": f"{self._window.ended:.3f}"}
        exchange = prometheus.prepare("/api/v1/query", form=form, timeout=prometheus.timeout)
        found = prometheus.series(await prometheus.result(exchange), "vector")
        counts = {str(one["metric"].get("__name__", "")): finite(one.get("value")) or 0.0 for one in found}
        kept, total = [], 0.0
        for name, count in sorted(counts.items(), key=lambda one: (one[1], one[0])):
            total += count
            if total > self.params.most:
                unknown.append(f"not looked at, as there are too many series: {name} ({count:.0f} series)")
            elif name:
                kept.append(name)
        return kept

    async def _raw(self, prometheus: Prometheus, selector: str, unknown: list[str]) -> Mapping[str, Any]:
        """The samples themselves, with their own times; of a shorter time before where all would be too much."""
        window = self._window
        for start in (window.usual_from, min(window.baseline, window.began - window.length)):
            query = f"{selector}[{in_promql(window.ended - start)}]"
            form = {"query": query, "time": f"{window.ended:.3f}"}
            try:
                return await prometheus.result(
                    prometheus.prepare("/api/v1/query", form=form, timeout=prometheus.timeout)
                )
            except NoReading as why:
                if start == min(window.baseline, window.began - window.length) or "more than" not in str(why):
                    raise
                unknown.append("the answer was too long: only the time right before the fault was looked at")
        raise AssertionError("one of both ways ends it")

    def _sampled(self, found: Mapping[str, Any], began: Mapping[tuple[str, str], float]) -> Sampled | None:
        labels = {str(key): str(value) for key, value in (found.get("metric") or {}).items()}
        name, shown = labels.get("__name__", ""), _shown(labels)
        points = _points(found.get("values"))
        owner = _owner(labels)
        kin = ",".join(f"{key}={value}" for key, value in sorted(labels.items()) if key not in _OF_A_REPLICA)
        expr = f"{name}{shown}"
        if not points:
            return None
        if _START.search(name):
            return Sampled(name, shown, points, owner=owner, says="start", links=self._links(expr))
        if _COUNTER.search(name):
            since = began.get((name, owner), points[0][0])
            links = self._links(f"rate({expr}[1m])")
            return Sampled(name, shown, rates(points, since), unit="/s", kin=kin, owner=owner, links=links)
        version = _VERSION.search(name) is not None and any(label in labels for label in _OF_A_VERSION)
        links = self._links(expr)
        if version:
            return Sampled(name, shown, points, owner=owner, says="version", links=links)
        return Sampled(name, shown, points, kin=kin, owner=owner, links=links)

    def _links(self, expr: str) -> Any:
        window, grafana = self._window, self.params.grafana

        def made() -> tuple[Link, ...]:
            own = prometheus_graph(self._url, expr, window.began, window.ended)
            if grafana is None:
                return (own,)
            return grafana.link("prometheus", expr, window.began, window.ended), own

        return made


def _with(selector: str, more: str) -> str:
    """A selector in braces with one matcher more."""
    inside = selector.strip()[1:-1].strip().rstrip(",")
    return f"{{{inside},{more}}}" if inside else f"{{{more}}}"


def _owner(labels: Mapping[str, str]) -> str:
    """What was scraped."""
    return " ".join(f"{name}={labels[name]}" for name in _OWNER if labels.get(name))


def _shown(labels: Mapping[str, str]) -> str:
    """Labels as a selector, also for links."""
    rest = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items() if key != "__name__")
    return f"{{{rest}}}" if rest else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _points(values: Any) -> list[Point]:
    """The finite numbers of a series."""
    found = []
    for sample in values if isinstance(values, list) else ():
        number = finite(sample)
        if number is not None:
            found.append((float(sample[0]), number))
    return found


def _first_seen(found: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """When each metric of each owner was first seen: a series of it that comes later was 0 until then."""
    began: dict[tuple[str, str], float] = {}
    for one in found:
        labels = {str(key): str(value) for key, value in (one.get("metric") or {}).items()}
        values = one.get("values")
        if isinstance(values, list) and values:
            key = labels.get("__name__", ""), _owner(labels)
            began[key] = min(began.get(key, float("inf")), float(values[0][0]))
    return began


def rates(points: Sequence[Point], since: float) -> list[Point]:
    """The increase a second from sample to sample; what is less than before began anew from 0. A counter that came to
    be after others of its metric was 0 before, as often as it was then scraped."""
    found: list[Point] = []
    if len(points) > 1 and points[0][0] > since:
        interval = (points[-1][0] - points[0][0]) / (len(points) - 1)
        count = int((points[0][0] - since) / interval)
        found += [(points[0][0] - index * interval, 0.0) for index in range(count, 0, -1)]
        found.append((points[0][0], points[0][1] / interval))
    for (then, old), (now, new) in pairwise(points):
        if now > then:
            found.append((now, (new - old if new >= old else new) / (now - then)))
    return found
