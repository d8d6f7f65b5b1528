"""OpenSLO objectives as hypotheses: `hypotheses: [openslo: slo/checkout.yaml]`.

Read are SLOs of `openslo/v1` whose indicator (in place, or an SLI of the same file or beside it) asks Prometheus. Each
objective becomes one measure, held against its target in the experiment's own short time:

* `ratioMetric`: the share of bad events over `over`, at most 1 - target. Counters (`counter: true`; a selector, or the
  sum of one) are read by the `prometheus` probe's `ratio`, so restarts lose nothing. Queries that are numbers already,
  because they have a range of their own, or Sloth's `{{.window}}`, or `counter: false`, are divided as they are.
* `thresholdMetric`: in at least `target` of the fault's readings the query must be within `op value`.
* `budgetingMethod: Timeslices`: in at least `target` of the readings the ratio is at least `timeSliceTarget`; `over` is
  then the slice's window, unless the experiment says otherwise.

Whatever is not understood is a mistake at its place; nothing is passed over that would change an answer.
The format: https://github.com/OpenSLO/OpenSLO (v1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

from chaosrunner.errors import Problem
from chaosrunner.files.node import Spot
from chaosrunner.files.validation import called, nearest, show, validated
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.hypothesis import Hypothesis
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.model.quantities import Duration, Name, number, parse_duration, write_duration
from chaosrunner.model.tolerance import AbortLimit
from chaosrunner.prometheus import is_selector, reach
from chaosrunner.records.light import dataclass

VERSION = "openslo/v1"
_OVER = 30.0
_WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")
_SUM = re.compile(r"sum\s*\((.*)\)", re.DOTALL)
_SLUG = re.compile(r"[^a-z0-9.]+")
_OPERATORS = {"lte": ("atMost", 0), "lt": ("atMost", -1), "gte": ("atLeast", 0), "gt": ("atLeast", 1)}

Find = Callable[[str, Spot], Spot | None]
"""(kind, where its name stands) -> the OpenSLO document that is named; None: it was not found, and that was said."""


class Settings(Frozen):
    """What an experiment says of the objectives that it takes over: `openslo: {slo: FILE, over: 1m}`."""

    slo: str
    """The file."""
    name: Name | None = None
    """Which SLO of the file, if there are several."""
    over: Duration | None = Field(default=None, gt=0)
    """The time over which events are counted; default 30s, or the slice of Timeslices."""
    every: Duration = Field(default=5.0, gt=0)
    """From one reading to the next; default 5s."""
    minimum: float = Field(default=1.0, ge=0)
    """Fewer events within `over`: no reading; default 1."""
    max_age: Duration = Field(default=15.0, gt=0)
    """A sample that is older is no reading; default 15s. Set it to twice the scrape interval."""
    abort_at: AbortLimit | None = None
    """Worse than this for its `for:`: stop and undo now; of the share of bad events, or of the threshold's value."""


@dataclass(frozen=True, slots=True)
class Translated:
    """An SLO as a hypothesis."""

    hypothesis: Hypothesis
    objectives: tuple[Spot, ...]
    """Where each measure's objective stands."""
    queries: tuple[Spot, ...]
    """Where its queries stand."""


def is_openslo(spot: Spot, kind: str) -> bool:
    """Whether a document is an OpenSLO object of a kind, whatever its version."""
    version, its_kind = spot.get("apiVersion"), spot.get("kind")
    of_openslo = version is not None and str(version.value).startswith("openslo/")
    return of_openslo and its_kind is not None and its_kind.value == kind


def settings_of(place: Spot, problems: list[Problem]) -> Settings | None:
    """What stands under `openslo:`, a path or a mapping."""
    if isinstance(place.value, str):
        return Settings(slo=place.value)
    if isinstance(place.value, dict):
        return validated(Settings, place, place.value, problems)
    problems.append(
        place.problem(f"{called(place)} is {show(place.value)}", "a path, or {slo: PATH, over: 1m}", rule="wrong-type")
    )
    return None


class _Wrong(Exception):
    """Why an SLO cannot be taken over, at its place."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def translated(slo: Spot, settings: Settings, find: Find, problems: list[Problem]) -> Translated | None:
    """An SLO document as a hypothesis; None with what is wrong added to `problems`."""
    before = len(problems)
    try:
        found = _Reading(slo, settings, find).hypothesis()
    except _Wrong as wrong:
        if len(problems) == before:
            problems.append(wrong.problem)
        return None
    return found


def _wrong(spot: Spot, message: str, expected: str = "", near: str = "", *, at_key: bool = False) -> _Wrong:
    return _Wrong(spot.problem(message, expected, near, at_key=at_key, rule="openslo"))


def _need(spot: Spot, name: str) -> Spot:
    child = spot.child(name)
    if child is None or child.value is None:
        raise _wrong(spot, f"{called(spot)} has no `{name}`")
    return child


def _text(spot: Spot) -> str:
    if not isinstance(spot.value, str) or not spot.value.strip():
        raise _wrong(spot, f"{called(spot)} is {show(spot.value)}", "text")
    return spot.value.strip()


class _Reading:
    """One SLO, as it is read."""

    def __init__(self, slo: Spot, settings: Settings, find: Find) -> None:
        self.slo, self.settings, self.find = slo, settings, find
        self.queries: list[Spot] = []

    def hypothesis(self) -> Translated:
        version = _need(self.slo, "apiVersion")
        if version.value != VERSION:
            raise _wrong(version, f"`apiVersion` is {show(version.value)}", f"{VERSION}, which is what is understood")
        spec, metadata = _need(self.slo, "spec"), _need(self.slo, "metadata")
        name = _text(_need(metadata, "name"))
        indicator = self._indicator(spec)
        objectives = list(self._objectives(spec))
        measures: list[JsonValue] = [
            {"name": self._name(one, place, len(objectives)), **self._measure(spec, indicator, one)}
            for place, one in enumerate(objectives, start=1)
        ]
        title = metadata.child("displayName")
        said = title.value if title is not None and title.value else f"{name} keeps its objective"
        value: JsonObject = {"name": name, "title": str(said), "measures": measures}
        problems: list[Problem] = []
        found = validated(Hypothesis, self.slo, value, problems)
        if found is None:
            raise _Wrong(problems[0])
        return Translated(found, tuple(objectives), tuple(self.queries))

    def _indicator(self, spec: Spot) -> Spot:
        inline, named = spec.child("indicator"), spec.child("indicatorRef")
        if inline is not None and named is not None:
            raise _wrong(named, "an SLO has one indicator", "`indicator` or `indicatorRef`", at_key=True)
        if inline is not None:
            return _need(inline, "spec")
        if named is None:
            raise _wrong(spec, "`spec` has no indicator", "`indicator` or `indicatorRef`")
        document = self.find("SLI", named)
        if document is None:
            raise _wrong(named, f"there is no SLI {show(named.value)} in this file or beside it")
        return _need(document, "spec")

    def _objectives(self, spec: Spot) -> Iterator[Spot]:
        objectives = _need(spec, "objectives")
        if not isinstance(objectives.value, list) or not objectives.value:
            raise _wrong(objectives, f"`objectives` is {show(objectives.value)}", "a list")
        for one in objectives.items():
            for part in ("indicator", "indicatorRef", "compositeWeight"):
                if (child := one.child(part)) is not None:
                    raise _wrong(child, "objectives with indicators of their own are not supported", at_key=True)
            yield one

    def _name(self, objective: Spot, place: int, of: int) -> str:
        shown = objective.child("displayName")
        slug = _SLUG.sub("-", str(shown.value).lower()).strip("-.") if shown is not None and shown.value else ""
        return slug or ("objective" if of == 1 else f"objective-{place}")

    # -- targets

    def _target(self, objective: Spot) -> float:
        share, percent = objective.child("target"), objective.child("targetPercent")
        if (share is None) == (percent is None):
            raise _wrong(objective, f"{called(objective)} needs a target", "one of target and targetPercent")
        return _share(share, 1.0) if share is not None else _share(percent, 100.0)

    def _slices(self, spec: Spot) -> bool:
        method = spec.child("budgetingMethod")
        if method is None or method.value == "Occurrences":
            return False
        if method.value != "Timeslices":
            near = nearest(str(method.value), ["Occurrences", "Timeslices"])
            expected = "" if near else "Occurrences or Timeslices"
            raise _wrong(method, f"`budgetingMethod` is {show(method.value)}", expected, near)
        return True

    def _measure(self, spec: Spot, indicator: Spot, objective: Spot) -> JsonObject:
        ratio, threshold = indicator.child("ratioMetric"), indicator.child("thresholdMetric")
        if (ratio is None) == (threshold is None):
            raise _wrong(indicator, "the indicator has no metric", "one of ratioMetric and thresholdMetric")
        target = self._target(objective)
        if threshold is not None:
            return self._threshold(threshold, objective, target)
        assert ratio is not None
        over, limit, part = self.settings.over or _OVER, 1 - target, None
        if self._slices(spec):
            limit, part = 1 - _share(_need(objective, "timeSliceTarget"), 1.0), target
            over = self.settings.over or _window(_need(objective, "timeSliceWindow"))
        read = self._read(self._ratio(ratio, over), {"atMost": _rounded(limit)}, part, "atMost")
        return {**read, "unit": "ratio"}

    def _threshold(self, metric: Spot, objective: Spot, target: float) -> JsonObject:
        operator, value = _need(objective, "op"), _need(objective, "value")
        if operator.value not in _OPERATORS:
            raise _wrong(operator, f"`op` is {show(operator.value)}", "one of lte, gte, lt, gt")
        if isinstance(value.value, bool) or not isinstance(value.value, int | float):
            raise _wrong(value, f"`value` is {show(value.value)}", "a number")
        side, strictly = _OPERATORS[str(operator.value)]
        limit = math.nextafter(value.value, strictly * math.inf) if strictly else float(value.value)
        query = self._filled(self._query(metric), self.settings.over or _OVER)
        return self._read({"query": query}, {side: limit}, target, side)

    def _read(self, params: JsonObject, rule: JsonObject, part: float | None, side: str) -> JsonObject:
        """A measure. `part`: so great a share of the fault's readings must be in order; None: each of them."""
        fault = dict(rule)
        if part is not None:
            fault["take"] = f"p{number(round((part if side == 'atMost' else 1 - part) * 100, 6))}"
        return {
            "probe": "prometheus",
            "params": {**params, "maxAge": write_duration(self.settings.max_age)},
            "every": write_duration(self.settings.every),
            "abortAt": None if self.settings.abort_at is None else self.settings.abort_at.as_json(),
            "tolerance": {"baseline": rule, "fault": fault, "recovery": rule},
        }

    # -- queries

    def _ratio(self, metric: Spot, over: float) -> JsonObject:
        raw = metric.child("raw")
        if raw is not None:
            kind = _need(metric, "rawType")
            if kind.value not in ("success", "failure"):
                raise _wrong(kind, f"`rawType` is {show(kind.value)}", "success or failure")
            query = self._filled(self._query(raw), over)
            return {"query": query if kind.value == "failure" else f"1 - ({query})"}
        total, sides = _need(metric, "total"), [metric.child("bad"), metric.child("good")]
        if (sides[0] is None) == (sides[1] is None):
            raise _wrong(metric, "`ratioMetric` needs what to hold against `total`", "one of good and bad")
        side = next(one for one in sides if one is not None)
        part, whole = self._query(side), self._query(total)
        if self._counters(metric, (part, whole)):
            selectors = {side.name: _selector(part), "total": _selector(whole)}
            return {"ratio": {**selectors, "over": write_duration(over), "minimum": self.settings.minimum}}
        share = f"({self._filled(part, over)}) / ({self._filled(whole, over)})"
        return {"query": share if side.name == "bad" else f"1 - {share}"}

    def _counters(self, metric: Spot, queries: Sequence[Spot]) -> bool:
        """Whether events are yet to be counted, by what the counters have grown."""
        counter = metric.child("counter")
        if counter is not None and counter.value is False:
            return False
        texts = [_text(query) for query in queries]
        if all(_WINDOW.search(text) or reach(text) for text in texts):
            return False
        if counter is None:
            raise _wrong(metric, "nobody says whether these are counters", "`counter: true` or `counter: false`")
        if counter.value is not True:
            raise _wrong(counter, f"`counter` is {show(counter.value)}", "true or false")
        for query in queries:
            if not _selector(query):
                what = "a selector, the sum of one, or a query with a range of its own, such as {{.window}}"
                raise _wrong(query, "how many events this counts cannot be told", what)
        return True

    def _query(self, metric: Spot) -> Spot:
        """Where a metric's PromQL stands."""
        source = _need(metric, "metricSource")
        self._must_be_prometheus(source)
        spec = _need(source, "spec")
        query = spec.child("query")
        if query is None:
            found = ", ".join(spec.value) if isinstance(spec.value, dict) and spec.value else "nothing"
            raise _wrong(spec, f"the metric source has no `query`, found {found}", "`query:` with PromQL")
        _text(query)
        if query not in self.queries:
            self.queries.append(query)
        return query

    def _must_be_prometheus(self, source: Spot) -> None:
        kind, named = source.child("type"), source.child("metricSourceRef")
        if kind is None and named is not None:
            document = self.find("DataSource", named)
            kind = document.get("spec", "type") if document is not None else None
            if kind is None:
                said = f"nobody says what {show(named.value)} is: there is no such DataSource in this file or beside it"
                raise _wrong(named, said, "`type: Prometheus` here")
        if kind is None:
            raise _wrong(source, "the metric source has no `type`", "`type: Prometheus`")
        if str(kind.value).lower() != "prometheus":
            raise _wrong(kind, f"the metric source is {show(kind.value)}", "Prometheus, the only one that is read")

    def _filled(self, query: Spot, over: float) -> str:
        return _WINDOW.sub(write_duration(over), _text(query))


def with_windows(text: str) -> str:
    """A query with a range in place of each of Sloth's windows, as long as what stood there."""
    return _WINDOW.sub(lambda match: f"{'1' * (len(match[0]) - 1)}s", text)


def _selector(query: Spot) -> str:
    """The selector that a query is, or is the sum of; empty: it is something else."""
    text = _text(query)
    inner = _SUM.fullmatch(text)
    text = inner[1].strip() if inner else text
    return text if is_selector(text) else ""


def _share(spot: Spot | None, whole: float) -> float:
    assert spot is not None
    value = spot.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < whole:
        raise _wrong(spot, f"{called(spot)} is {show(value)}", f"a number between 0 and {whole:g}")
    return value / whole


def _window(spot: Spot) -> float:
    """Seconds of a slice; a bare number is minutes."""
    if isinstance(spot.value, int | float) and not isinstance(spot.value, bool) and spot.value > 0:
        return spot.value * 60.0
    try:
        return parse_duration(spot.value)
    except ValueError:
        raise _wrong(spot, f"{called(spot)} is {show(spot.value)}", "a time such as 1m, or minutes") from None


def _rounded(share: float) -> float:
    """Without what floating point adds: 1 - 0.999 is 0.001."""
    return float(f"{share:.10g}")
