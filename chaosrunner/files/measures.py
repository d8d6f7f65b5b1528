"""Hypotheses as files write them: each measure names its probe by a key of its own, and its limits must fit what the
probe reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner import catalog
from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.node import Spot
from chaosrunner.files.validation import called, nearest, validated
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.model.hypothesis import Measure
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.quantities import UNITS, convert, rate_of
from chaosrunner.model.tolerance import Amount, Rule
from chaosrunner.model.words import During, Phase
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class CheckedMeasure:
    """A measure that is right, with what its probe says of it."""

    spot: Spot
    measure: Measure
    lag: float
    """Seconds; as written, or what the probe says, or 0 where only an import could tell."""
    reach: float = 0.0
    """Seconds; how far back it looks at the least, as its probe says."""
    queries: tuple[Spot, ...] = ()
    """Where its PromQL stands."""
    unit: str | None = None
    """Of its readings, where that is known."""
    bounds: tuple[float | None, float | None] = (None, None)
    """What its readings lie between for sure."""
    asks: int | None = None
    """The port that it asks."""
    constant: bool = False
    """Whether no fault can change what it reads."""


def hypothesis_value(spot: Spot, problems: list[Problem]) -> JsonValue:
    """A hypothesis (the `spec` of a document, or one written in place) in the form that the model takes; what is
    wrong with its measures' probes is added to `problems`."""
    value = spot.value
    measures = spot.child("measures")
    if not isinstance(value, dict) or measures is None or not isinstance(measures.value, list):
        return value
    _distinct(measures, problems)
    return {**value, "measures": [_measure_value(measure, problems) for measure in measures.items()]}


def _distinct(measures: Spot, problems: list[Problem]) -> None:
    first: dict[object, Spot] = {}
    for measure in measures.items():
        name = measure.child("name")
        if name is None or not isinstance(name.value, str):
            continue
        if name.value in first:
            line = first[name.value].node.place.line
            problems.append(
                name.problem(
                    f"a measure named {name.value!r} stands in line {line} already", "another name", rule="name-taken"
                )
            )
        first.setdefault(name.value, name)


def _measure_value(spot: Spot, problems: list[Problem]) -> JsonValue:
    if not isinstance(spot.value, dict):
        return spot.value
    known = Measure.model_names()
    kept: JsonObject = {name: value for name, value in spot.value.items() if name in known}
    unit = spot.child("unit")
    if unit is not None and isinstance(unit.value, str) and unit.value not in UNITS:
        near = nearest(unit.value, UNITS) if len(unit.value) > 1 else ""
        problems.append(
            unit.problem(
                f"unknown unit {unit.value!r}", "" if near else f"one of {', '.join(UNITS)}", near, rule="unknown-unit"
            )
        )
        del kept["unit"]
    probe = _probe(spot, [name for name in spot.value if name not in known], problems)
    if probe is None:
        return {**kept, "probe": "none", "params": {}}
    written, _ = plugins.parameters("probes", probe.name, probe, problems)
    return {**kept, "probe": probe.name, "params": written}


def _probe(spot: Spot, others: Sequence[str], problems: list[Problem]) -> Spot | None:
    """The key of a measure that names its probe; every other key that is no field is a mistake."""
    kinds, known = catalog.kinds("probes"), Measure.model_names()
    probes = [name for name in others if name in kinds]
    for name in others:
        if name == "probe" and name not in kinds:
            written = "the probe's kind as the key, such as `http: {url: …}`"
            place = _child(spot, name)
            problems.append(place.problem("unknown field `probe`", written, at_key=True, rule="one-probe"))
        elif name not in kinds:
            near = nearest(name, [*known, *kinds])
            expected = "" if near else f"a field of a measure or one probe ({', '.join(kinds)})"
            what = "unknown probe" if not probes and (near in kinds or not near) else "unknown field"
            rule = "unknown-plugin" if what == "unknown probe" else "unknown-field"
            problems.append(_child(spot, name).problem(f"{what} `{name}`", expected, near, at_key=True, rule=rule))
    for name in probes[1:]:
        found = f"{called(spot)} has two probes, `{probes[0]}` and `{name}`"
        problems.append(_child(spot, name).problem(found, "exactly one", at_key=True, rule="one-probe"))
    if not probes and "probe" not in others and all(nearest(name, [*known, *kinds]) in known for name in others):
        problems.append(spot.problem(f"{called(spot)} has no probe", f"one of {', '.join(kinds)}", rule="one-probe"))
    return _child(spot, probes[0]) if probes else None


def _child(spot: Spot, name: str) -> Spot:
    return spot.child(name) or spot


def checked_measures(spot: Spot, problems: list[Problem]) -> list[CheckedMeasure]:
    """Those measures of a hypothesis that are right by themselves, held against the rules that need more than one
    field. What is wrong with the others has been reported before."""
    found = []
    measures = spot.child("measures")
    for place in measures.items() if measures and isinstance(measures.value, list) else ():
        silent: list[Problem] = []
        value = _measure_value(place, silent)
        measure = validated(Measure, place, value, silent)
        if measure is not None and not silent:
            found.append(_checked(place, measure, problems))
    queries = [query for one in found for query in one.queries]
    if queries:
        from chaosrunner.files.promql import query_problems

        problems += query_problems(queries)
    return found


def _checked(spot: Spot, measure: Measure, problems: list[Problem]) -> CheckedMeasure:
    probe = plugins.own("probes", measure.probe)
    params: Parameters | None = None
    if probe is not None:
        _, params = plugins.parameters("probes", measure.probe, _child(spot, measure.probe), [])
    told = probe.unit(params) if probe is not None and params is not None else None
    if told is not None and measure.unit is not None and told != measure.unit:
        place = spot.get("unit") or spot
        misfit = f"`unit` is {measure.unit!r}, but this probe reads in {told}"
        problems.append(place.problem(misfit, "no `unit` here", rule="unit-misfit"))
    elif probe is None and measure.unit is None:
        pass  # an installed probe may know its unit; only importing it could tell
    else:
        problems += _misfits(spot, measure, told or measure.unit)
    problems += _mixed(spot, measure)
    if measure.abort_at is not None and measure.during in (During.START, During.END):
        place = spot.nearest("abortAt")
        text = f"`abortAt` looks at readings in the fault, and `during: {measure.during.value}` takes none there"
        problems.append(place.problem(text, at_key=True, rule="not-read-there"))
    if measure.during in (During.FAULT, During.END):
        for rule_spot, name, rule in rules(spot, measure):
            if rule.relative and name != "abortAt":
                during = f"`during: {measure.during.value}`"
                text = f"the {name} compares with the baseline, and {during} reads nothing there"
                problems.append(rule_spot.problem(text, rule="not-read-there"))
                break
    said = probe.lag(params) if probe is not None and params is not None else 0.0
    queries = probe.promql(params) if probe is not None and params is not None else ()
    own = _child(spot, measure.probe)
    places = [found for name in queries if (found := own.get(*name.split("."))) is not None]
    reach = said - float(getattr(params, "max_age", 0.0))
    sure = probe is not None and params is not None
    return CheckedMeasure(
        spot, measure, said if measure.lag is None else measure.lag, reach, tuple(places), told or measure.unit,
        bounds=probe.bounds(params) if sure and probe is not None else (None, None),
        asks=probe.asks(params) if sure and probe is not None else None,
        constant=probe is not None and probe.constant,
    )  # fmt: skip


def rules(spot: Spot, measure: Measure) -> Iterator[tuple[Spot, str, Rule]]:
    """Every rule of a measure as it is written, with its place and its name; one for all phases comes once."""
    tolerance = spot.child("tolerance")
    if measure.tolerance is not None and tolerance is not None:
        for phase in Phase:
            rule: Rule | None = getattr(measure.tolerance, phase.value)
            place = tolerance.child(phase.value)
            if place is not None and rule is not None:
                yield place, f"tolerance of the {phase.value}", rule
        if not any(tolerance.child(phase.value) for phase in Phase) and measure.tolerance.fault is not None:
            yield tolerance, "tolerance", measure.tolerance.fault
    abort = spot.child("abortAt")
    if measure.abort_at is not None and abort is not None:
        yield abort, "abortAt", measure.abort_at


def _misfits(spot: Spot, measure: Measure, unit: str | None) -> Iterator[Problem]:
    for place, _, rule in rules(spot, measure):
        limits: list[tuple[Spot, Amount | None]] = [
            (place.nearest("atMost"), rule.at_most),
            (place.nearest("atLeast"), rule.at_least),
            (place.nearest("floor"), rule.floor),
            *((place.nearest("between", index), limit) for index, limit in enumerate(rule.between or ())),
        ]
        told = set()
        for where, limit in limits:
            if limit is None or limit.unit is None or limit.share:
                continue
            try:
                convert(1.0, limit.unit, rate_of(unit) if rule.take == "rate" else unit)
            except ValueError as error:
                if where.path not in told:
                    yield where.problem(str(error), rule="unit-misfit")
                told.add(where.path)


def _mixed(spot: Spot, measure: Measure) -> Iterator[Problem]:
    """A measure's readings are numbers or text, never both; the first rule that differs is told."""
    first = ""
    for place, name, rule in rules(spot, measure):
        text = rule.matches is not None or isinstance(rule.equals, str)
        number = not text and not isinstance(rule.equals, bool)
        kind = "text" if text else "a number" if number else "true or false"
        if first and kind != first:
            said = f"the {name} holds the readings against {kind}, the rule before it against {first}"
            yield place.problem(said, rule="mixed-readings")
            return
        first = first or kind
