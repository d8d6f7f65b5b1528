"""The method of an experiment: each step is a fault, a wait, or faults together, and must fit the fault it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.node import Spot
from chaosrunner.files.passing import Passed, read_steps, read_value
from chaosrunner.files.validation import called, nearest, validated
from chaosrunner.model.experiment import FaultStep, Step, TogetherStep
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.outside import is_outside
from chaosrunner.model.quantities import parse_duration
from chaosrunner.model.step_values import uses
from chaosrunner.records.light import dataclass

DEFAULT_OBSERVE = 30.0
"""Seconds that a fault which is over at once is observed for."""
_WAYS = ("fault", "wait", "read", "together")
_FIELDS = tuple(FaultStep.model_names())
_KNOWN = frozenset(_FIELDS)
_TIMES = ("for", "observe", "settle", "after", "timeout")


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """A fault step that is right by itself."""

    spot: Spot
    step: FaultStep
    lasts: float
    """Seconds in force, or observed."""


def method_value(spot: Spot, problems: list[Problem]) -> JsonValue:
    """The method in the form that the model takes; what is wrong with its faults is added to `problems`."""
    if not isinstance(spot.value, list):
        return spot.value
    for step in spot.items():
        ways = [name for name in _WAYS if name in step.node.children]
        if len(ways) > 1:
            place = step.nearest(ways[1])
            problems.append(
                place.problem(
                    f"{called(step)} has `{ways[0]}` and `{ways[1]}`", "one of them", at_key=True, rule="step-form"
                )
            )
        elif not ways and isinstance(step.value, dict):
            problems.append(_no_step(step))
    steps, reads = list(fault_steps(spot)), list(read_steps(spot))
    passed = Passed(_default_ids(steps), {str(one.value): step for step in reads if (one := step.child("id"))},
                    used="${steps." in repr(spot.value))  # fmt: skip
    for step in steps:
        _fault(step, passed, problems)
    read_right = {step.path: read_value(step, passed, problems) for step in reads}
    _ids(steps, reads, passed, problems)
    return [_kept(step) if read_right.get(step.path, True) is not None else {"wait": "0s"} for step in spot.items()]


def _no_step(step: Spot) -> Problem:
    for child in step.items():
        if near := nearest(child.name, _WAYS):
            return child.problem(f"unknown field `{child.name}`", "", near, at_key=True, rule="unknown-field")
    return step.problem(f"{called(step)} is no step", "`fault`, `wait`, `read` or `together`", rule="step-form")


def _kept(step: Spot) -> JsonValue:
    """Without what has been reported: a step that is none is left out as a wait, so that the rest is still read."""
    value = step.value
    if not isinstance(value, dict):
        return value
    ways = [name for name in _WAYS if name in value]
    if not ways:
        return {"wait": "0s"}
    kept = {name: item for name, item in value.items() if name == ways[0] or name not in _WAYS}
    for name in _TIMES:
        if isinstance(written := kept.get(name), str) and "${steps." in written:
            del kept[name]
    if not isinstance(kept.get("with", {}), dict):
        del kept["with"]
    together = step.child("together")
    if ways[0] == "together" and together is not None and isinstance(together.value, list):
        kept["together"] = [_kept(inner) if inner.child("fault") else inner.value for inner in together.items()]
    return kept


def fault_steps(method: Spot) -> Iterator[Spot]:
    """Every step with a fault, those of `together` too, in order."""
    for step in method.items():
        children = step.node.children
        if "fault" in children:
            yield step
        together = step.child("together") if "together" in children else None
        if together is not None and isinstance(together.value, list):
            yield from (inner for inner in together.items() if "fault" in inner.node.children)


def _fault(step: Spot, passed: Passed, problems: list[Problem]) -> None:
    fault = step.nearest("fault")
    kind = fault.value
    if not isinstance(kind, str) or not plugins.known_kind("faults", kind, fault, problems, at_key=False):
        return
    given = step.child("with") or plugins.absent(step, "with")
    if (stood := passed.with_stand_ins("faults", kind, given, problems)) is not None:
        plugins.parameters("faults", kind, stood, problems)
    if facts := plugins.facts(kind):
        meant = {nearest(name, _FIELDS) for name in step.node.keys.keys() - _KNOWN}  # they are reported as such
        if "for" not in meant:
            problems += _time(step, kind, facts.instant)
        if "target" not in meant:
            problems += _target(step, kind, facts.acts_on)
    if step.child("after") and "together" not in step.path:
        place = step.nearest("after")
        expected = "a step `wait` before this one"
        problems.append(place.problem("`after` goes inside `together`", expected, at_key=True, rule="step-form"))


def _time(step: Spot, kind: str, instant: bool) -> Iterator[Problem]:
    if instant and (given := step.child("for")):
        yield given.problem(f"`{kind}` is over at once and has no `for`", "`observe`", at_key=True, rule="step-time")
    if not instant and (given := step.child("observe")):
        yield given.problem(f"`{kind}` lasts, so it has no `observe`", "`for`", at_key=True, rule="step-time")
    elif not instant and step.child("for") is None:
        expected = f"how long `{kind}` stays in force, such as `for: 30s`"
        yield step.problem(f"{called(step)} has no `for`", expected, rule="step-time")
    for name in ("for", "observe"):
        if name in step.node.children and _seconds(time := step.nearest(name)) == 0:
            said = f"`{name}` is {time.value!r}, in which nothing can be seen"
            yield time.problem(said, "a longer time", rule="step-time")


def _seconds(spot: Spot) -> float | None:
    """Of a duration; None: it is none, which is told elsewhere."""
    try:
        return parse_duration(spot.value)
    except ValueError:
        return None


def _target(step: Spot, kind: str, acts_on: frozenset[str]) -> Iterator[Problem]:
    target = step.child("target")
    if acts_on == {"nothing"}:
        if target is not None:
            yield target.problem(f"`{kind}` acts on nothing and has no `target`", at_key=True, rule="step-target")
    elif target is None:
        expected = f"what `{kind}` acts on ({', '.join(sorted(acts_on))})"
        yield step.problem(f"{called(step)} has no `target`", expected, rule="step-target")
    elif isinstance(target.value, dict) and "sameAs" not in target.node.children:
        yield from connections(target, kind, acts_on)


def connections(target: Spot, kind: str, acts_on: frozenset[str]) -> Iterator[Problem]:
    """Whether a target names connections exactly where a fault acts on them."""
    if not isinstance(target.value, dict) or "sameAs" in target.node.children:
        return
    link = target.child("link")
    if acts_on == {"link"} and target.child("service") and not (target.child("to") or link):
        expected = "`{service: S, to: T}` or `{link: L}`"
        said = f"`{kind}` acts on connections, and this names a whole service"
        yield target.problem(said, expected, rule="step-target")
    if link is not None and "link" not in acts_on:
        expected = " or ".join(sorted(acts_on))
        yield link.problem(f"`{kind}` does not act on links", expected, at_key=True, rule="step-target")


def _ids(steps: Sequence[Spot], reads: Sequence[Spot], passed: Passed, problems: list[Problem]) -> None:
    """Ids occur once, and `sameAs` names a step that is earlier, or in force together with this one."""
    names = passed.faults
    first: dict[str, Spot] = {}
    for step in sorted([*steps, *reads], key=lambda one: one.path):
        given = step.child("id")
        if given is None or not isinstance(given.value, str):
            continue
        if given.value in first:
            line = first[given.value].node.place.line
            said = f"the id {given.value!r} is taken by the step in line {line}"
            problems.append(given.problem(said, "another id", rule="name-taken"))
        first.setdefault(given.value, step)
    for step in steps:
        same = step.get("target", "sameAs")
        if same is not None and isinstance(same.value, str):
            problems += _same_as(step, same, names)
    for step in [*steps, *reads]:
        problems += passed.problems(step)


def _same_as(step: Spot, same: Spot, names: Mapping[str, Spot]) -> Iterator[Problem]:
    wanted = str(same.value)
    found = names.get(wanted)
    others = [name for name, other in names.items() if other.path != step.path and other.child("target")]
    if found is None or found.path == step.path:
        what = "this very step" if found else "no step"
        near = nearest(wanted, others)
        expected = "" if near else f"the id of another step ({', '.join(others) or 'there is none with targets'})"
        yield same.problem(f"`sameAs` names {what}: {wanted!r}", expected, near, rule="same-as")
    elif found.child("target") is None:
        facts = plugins.facts(str(found.nearest("fault").value))
        if facts is None or facts.acts_on == {"nothing"}:
            yield same.problem(f"the step {wanted!r} has no targets", rule="same-as")
    elif found.get("target", "sameAs"):
        said = f"the step {wanted!r} has its targets by `sameAs` itself"
        yield same.problem(said, "the step that chose them", rule="same-as")
    elif _index(found) > _index(step):
        yield same.problem(f"the step {wanted!r} comes later", "an earlier step", rule="same-as")


def _index(step: Spot) -> int:
    """The item of the method that a step stands in."""
    return next(part for part in reversed(step.path[: step.path.index("method") + 2]) if isinstance(part, int))


def _default_ids(steps: Sequence[Spot]) -> dict[str, Spot]:
    """Every fault step by its id; one that gives none goes by its fault's kind, where that occurs once."""
    kinds = [str(step.node.children["fault"].value) for step in steps]
    found: dict[str, Spot] = {}
    for step, kind in zip(steps, kinds, strict=True):
        given = step.child("id")
        name = given.value if given is not None else kind if kinds.count(kind) == 1 else None
        if isinstance(name, str):
            found.setdefault(name, step)
    return found


def checked_steps(method: Spot, read: Sequence[Step] = ()) -> list[CheckedStep]:
    """Those fault steps that are right by themselves; `read` is the method as it was read, where all of it is right."""
    spots = list(fault_steps(method))
    steps: list[FaultStep | None] = [
        inner
        for step in read
        for inner in (step.together if isinstance(step, TogetherStep) else (step,))
        if isinstance(inner, FaultStep)
    ]
    if len(steps) != len(spots):
        steps = [validated(FaultStep, spot, spot.value, []) for spot in spots]
    return [
        CheckedStep(spot, step, step.for_ or step.observe or DEFAULT_OBSERVE)
        for spot, step in zip(spots, steps, strict=True)
        if step is not None
    ]


class Places(NamedTuple):
    """What targets can name."""

    services: JsonObject | None
    """The environment's, by name; None: its platform has no such thing."""
    links: JsonObject | None
    any_end: bool
    """Whether `to` may also be a host, an address or a network."""


def known_places(steps: Sequence[Spot], places: Places) -> Iterator[Problem]:
    """Services and links that targets name and the environment does not have."""
    services, links, any_end = places
    for step in steps:
        target = step.child("target")
        if target is None or not isinstance(target.value, dict):
            continue
        for field, known in (("service", services), ("to", services), ("link", links)):
            named = target.value.get(field)
            if known is None or not isinstance(named, str) or named in known:
                continue
            place = target.nearest(field)
            if any(uses(named)):
                continue  # known when the earlier step's targets are
            if field == "to" and any_end and is_outside(named):
                continue
            what = "link" if field == "link" else "service"
            near = nearest(named, list(known))
            expected = "" if near else f"one of {', '.join(known)}" if known else f"none: it names no {what}s"
            yield place.problem(f"the environment has no {what} {named!r}", expected, near, rule="unknown-place")
        yield from _path(target, services, links)


def _path(target: Spot, services: JsonObject | None, links: JsonObject | None) -> Iterator[Problem]:
    assert isinstance(target.value, dict)
    start, end = target.value.get("service"), target.value.get("to")
    if links is None or not (isinstance(start, str) and isinstance(end, str)):
        return
    if services is not None and not (start in services and end in services):
        return
    ends = [(link.get("from"), link.get("to")) for link in links.values() if isinstance(link, dict)]
    if (start, end) not in ends:
        between = ", ".join(f"{one} to {other}" for one, other in ends) or "none"
        said = f"the environment has no link from {start} to {end}"
        yield target.nearest("to").problem(said, f"one of: {between}", rule="unknown-place")
