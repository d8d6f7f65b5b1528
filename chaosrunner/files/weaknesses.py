"""Weak experiments: files that are right, whose answer is known beforehand or says little. All of it is warnings.

What only looks weak is left alone: each rule here speaks up only where the files themselves show that it is so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.advice import CheckedHypothesis
from chaosrunner.files.measures import CheckedMeasure, rules
from chaosrunner.files.node import Spot
from chaosrunner.files.steps import CheckedStep
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import Experiment
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.tolerance import Rule
from chaosrunner.records.patterns import pattern

_ANYTHING = frozenset((".*", ".+", "", "^", "$", "^.*$", "^.*", ".*$", "(?s).*", r"[\s\S]*"))
_LABELS = pattern(r"\{[^}]*[^}\s]")
_GROUPED = pattern(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_STRING = pattern(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""")
_METRIC = pattern(r"(?<![\w:.])[a-zA-Z_]\w*(?![\w:]|\s*\()")
_NO_METRIC = frozenset(
    ("by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset", "inf", "nan", "atan2")
)
READINGS = 3
"""Of the baseline, without which nothing can be relative to it."""


def weaknesses(
    spec: Spot,
    experiment: Experiment,
    hypotheses: Sequence[CheckedHypothesis],
    steps: Sequence[CheckedStep],
    environment: Environment | None,
) -> Iterator[Problem]:
    """Of an experiment whose files are right, with the environment that it names, if that could be read."""
    lasts = experiment.spec.baseline.for_
    for hypothesis in hypotheses:
        for one in hypothesis.measures:
            yield from _cannot_fail(one)
            yield from _abort_inside(one)
            yield from _short_baseline(spec, f"{hypothesis.name}/{one.measure.name}", one, lasts)
            yield from _no_labels(one)
    yield from _no_recovery(spec, experiment)
    yield from _untouched(hypotheses, steps, environment)
    yield from _everything(steps, environment)


# ------------------------------------------------------------------------------------------------------- measures


def _cannot_fail(one: CheckedMeasure) -> Iterator[Problem]:
    for place, name, rule in rules(one.spot, one.measure):
        if name != "abortAt" and (why := _always(one, rule)):
            yield place.problem(f"this {name} can never fail: {why}", rule="cannot-fail")


def _always(one: CheckedMeasure, rule: Rule) -> str:
    """Why a rule holds whatever is read; empty: it can fail."""
    if rule.matches is not None and rule.matches.strip() in _ANYTHING:
        return "every text matches it"
    low, high = one.bounds
    least, most = _limit(rule.at_least, one.unit), _limit(rule.at_most, one.unit)
    if rule.between is not None:
        least, most = (_limit(limit, one.unit) for limit in rule.between)
        if low is None or high is None or least is None or most is None:
            return ""
        return f"readings lie between {low:g} and {high:g}" if least <= low and most >= high else ""
    if most is not None and high is not None and most >= high:
        return f"no reading is above {high:g}"
    if least is not None and low is not None and least <= low:
        return f"no reading is below {low:g}"
    return ""


def _limit(limit: Any, unit: str | None) -> float | None:
    """An absolute limit in the measure's unit."""
    if limit is None or limit.relative:
        return None
    try:
        return float(limit.resolve(unit, None))
    except ValueError:
        return None


def _abort_inside(one: CheckedMeasure) -> Iterator[Problem]:
    abort, tolerance = one.measure.abort_at, one.measure.tolerance
    fault = tolerance.fault if tolerance is not None else None
    if abort is None or fault is None or abort.take != fault.take:
        return
    most, least = _limit(abort.at_most, one.unit), _limit(abort.at_least, one.unit)
    may, must = _limit(fault.at_most, one.unit), _limit(fault.at_least, one.unit)
    too_low = most is not None and may is not None and most < may
    too_high = least is not None and must is not None and least > must
    if too_low or too_high:
        limit, rule = (abort.at_most, fault.at_most) if too_low else (abort.at_least, fault.at_least)
        said = f"`abortAt` is {limit}, inside of what the tolerance allows ({rule}): readings in order would abort"
        yield one.spot.nearest("abortAt").problem(said, rule="abort-inside-tolerance")


def _short_baseline(spec: Spot, name: str, one: CheckedMeasure, lasts: float) -> Iterator[Problem]:
    relative = any(
        limit is not None and limit.relative
        for _, _, rule in rules(one.spot, one.measure)
        for limit in (rule.at_most, rule.at_least, *(rule.between or ()))
    )
    if not relative or lasts >= READINGS * one.measure.every:
        return
    every = write_duration(one.measure.every)
    said = f"the baseline lasts {write_duration(lasts)}, and {name} is read every {every}"
    place = spec.get("baseline", "for") or spec.get("baseline") or one.spot
    yield place.problem(
        f"{said}: a limit relative to the baseline needs {READINGS} readings of it", rule="baseline-too-short"
    )


def _no_labels(one: CheckedMeasure) -> Iterator[Problem]:
    """A query that adds up everything: no selector of it has a label, and no name is a recorded rule's."""
    for query in one.queries:
        text = str(query.value)
        bare = _GROUPED.sub(" ", _STRING.sub("''", text))
        if _LABELS.search(bare) or ":" in bare:
            continue
        metrics = [name for name in _METRIC.findall(_without_ranges(bare)) if name.lower() not in _NO_METRIC]
        if metrics:
            said = f"no selector of this query has a label: it tells of every {metrics[0]} that Prometheus knows"
            yield query.problem(
                said, 'the labels of what is tested, such as {app="checkout"}', rule="query-without-target"
            )


def _without_ranges(text: str) -> str:
    while (start := text.find("[")) >= 0 and (end := text.find("]", start)) >= 0:
        text = f"{text[:start]} {text[end + 1 :]}"
    return text


# ------------------------------------------------------------------------------------------------------ experiment


def _no_recovery(spec: Spot, experiment: Experiment) -> Iterator[Problem]:
    recovery = experiment.spec.recovery
    if recovery.within <= 0 or (recovery.holds is not None and recovery.holds >= recovery.within):
        place = spec.nearest("recovery", "within")
        least = f" ({write_duration(recovery.holds)} of it must hold)" if recovery.holds and recovery.within else ""
        said = f"`within` is {write_duration(recovery.within)}{least}: nothing can recover in that time"
        yield place.problem(said, "time enough to recover, such as 60s", rule="no-recovery")


def _breaking(steps: Sequence[CheckedStep]) -> list[CheckedStep]:
    """The steps that break something."""
    faults = {step.step.fault: plugins.own("faults", step.step.fault) for step in steps}
    harmless = {kind for kind, fault in faults.items() if fault is not None and fault.fault_class == "nothing"}
    return [step for step in steps if step.step.fault not in harmless]


def _untouched(
    hypotheses: Sequence[CheckedHypothesis], steps: Sequence[CheckedStep], environment: Environment | None
) -> Iterator[Problem]:
    breaking = _breaking(steps)
    if not breaking:
        return
    judged = [
        (hypothesis, [one for one in hypothesis.measures if one.measure.tolerance is not None])
        for hypothesis in hypotheses
    ]
    if all(one.constant for _, measures in judged for one in measures):
        for hypothesis, measures in judged[:1]:
            if measures:
                said = f"{hypothesis.name} and every other hypothesis reads constants only: no fault can touch them"
                yield hypothesis.spot.problem(said, "a measure of what is broken", rule="untouched")
        return
    hit = _hit(breaking, environment)
    for hypothesis, measures in judged if hit else ():
        services = [_service_of(one, environment) for one in measures]
        if services and all(service is not None and service not in hit for service in services):
            read, broken = ", ".join(sorted({str(one) for one in services})), ", ".join(sorted(hit))
            said = f"{hypothesis.name} reads {read} only, and by the environment's links the faults reach {broken}"
            yield hypothesis.spot.problem(said, "a measure of what the fault can touch", rule="untouched")


def _settings(environment: Environment | None, name: str) -> Mapping[str, Any]:
    """What the environment's platform names, by name; empty where it has no such thing."""
    if environment is None:
        return {}
    found = environment.spec.platform.with_.get(name)
    return found if isinstance(found, dict) else {}


def _hit(steps: Sequence[CheckedStep], environment: Environment | None) -> set[str]:
    """The services that faults act on and all that use them over links; empty where that cannot be told."""
    links = [link for link in _settings(environment, "links").values() if isinstance(link, dict)]
    named = _settings(environment, "links")
    hit: set[str] = set()
    for step in steps:
        target, fault = step.step.target, plugins.own("faults", step.step.fault)
        if target is None or fault is None or fault.fault_class == "capacity":  # which the whole machine feels
            return set()
        if target.same_as:
            continue
        link = named.get(target.link or "")
        if isinstance(link, dict):
            hit |= {str(link.get("from")), str(link.get("to"))}
        elif target.service is None:
            return set()
        else:
            hit |= {target.service, *([target.to] if target.to else [])}
    while more := {str(link.get("from")) for link in links if link.get("to") in hit} - hit:
        hit |= more
    return hit


def _service_of(one: CheckedMeasure, environment: Environment | None) -> str | None:
    """The service of the environment that a measure asks, by its port; None: that cannot be told."""
    port = one.asks
    found = [
        name
        for name, service in _settings(environment, "services").items()
        if isinstance(service, dict) and port is not None and port in _ports(service)
    ]
    return found[0] if len(found) == 1 else None


def _port(url: object) -> int | None:
    try:
        return urlsplit(url).port if isinstance(url, str) else None
    except ValueError:
        return None


def _ports(service: Mapping[str, Any]) -> set[int]:
    ready = service.get("ready")
    told = {service.get("listens"), *(_port(url) for url in (ready.values() if isinstance(ready, dict) else ()))}
    return {port for port in told if isinstance(port, int)}


def _everything(steps: Sequence[CheckedStep], environment: Environment | None) -> Iterator[Problem]:
    for step in steps:
        target, facts = step.step.target, plugins.facts(step.step.fault)
        if target is None or facts is None or not facts.acts_on <= {"pod", "node"} or target.to or target.names:
            continue
        if _whole(target.take):
            place = step.spot.nearest("target", "take")
            said = f"`{step.step.fault}` hits everything that its target selects: nothing is left that could take over"
            yield place.problem(said, "a share or a count, such as 50% or 1", rule="everything")
    services = set(_settings(environment, "services"))
    together: dict[tuple[Any, ...], list[CheckedStep]] = {}
    for step in steps:
        if "together" in step.spot.path:
            together.setdefault(step.spot.path[: step.spot.path.index("together")], []).append(step)
    for group in together.values():
        hit = {step.step.target.service for step in group if step.step.target is not None and not step.step.target.to}
        if len(services) > 1 and services <= hit:
            said = "these faults hit every service of the environment at the same time: nothing is left to be tested"
            yield group[0].spot.problem(said, "faults on a part of it", rule="everything")


def _whole(take: Any) -> bool:
    return str(take) == "all" or str(take).replace(" ", "") in ("100%", "100.0%")
