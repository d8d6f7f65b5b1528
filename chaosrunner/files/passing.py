"""What steps pass on to later ones in a run, held against the method: that the step is there and over by then, that its
kind reports such a word, and that nothing which must be known before the run depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.node import Node, Spot
from chaosrunner.files.parameters import remapped
from chaosrunner.files.validation import nearest, validated
from chaosrunner.model.experiment import ReadStep
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.passing import OF_FAULTS, OF_READS, Use, is_late, known_when, parted, stood_in, takes
from chaosrunner.model.step_values import WORDS, uses
from chaosrunner.records.light import dataclass

__all__ = ["Passed", "read_steps"]


@dataclass(frozen=True, slots=True)
class Passed:
    """The steps of one method, by id."""

    faults: Mapping[str, Spot]
    reads: Mapping[str, Spot]
    used: bool = True
    """Whether anything of the method uses them: mostly nothing does."""

    def is_late(self, use: Use) -> bool:
        """Whether only the run knows it."""
        return is_late(use, self.faults, self.reads)

    def parted(self, use: str) -> Use:
        """By the ids that there are."""
        return parted(use, {*self.faults, *self.reads})

    def with_stand_ins(self, role: str, kind: str, spot: Spot, problems: list[Problem]) -> Spot | None:
        """Parameters of a plugin with stand-ins for what only the run will know; None where something must be known
        before, which is then reported."""
        if not self.used or "${steps." not in repr(spot.value):
            return spot
        plugin = plugins.own(role, kind)
        late: Mapping[str, JsonValue] = plugin.late if plugin is not None else {}
        before = len(problems)

        def change(path: str, node: Node) -> JsonValue:
            assert isinstance(node.value, str)
            found = [use for use in map(self.parted, uses(node.value)) if self.is_late(use)]
            may_be_late = takes(path, late) is not None
            if not found and not may_be_late:
                return node.value
            if not may_be_late:
                where = Spot(node.origin or spot.file, node, (*spot.path, *path.split(".")))
                said = f"`{path}` of `{kind}` must be known when the plan is made, and this is {known_when(found)}"
                may = f"one of {', '.join(late)} may be known later" if late else "a value"
                problems.append(where.problem(said, may, rule="known-too-late"))
                return node.value
            return stood_in(node.value, late, path)

        if plugin is None:  # its package's schema says nothing of it; a plan asks the plugin itself
            return spot
        node = _changed(spot.node, change)
        return Spot(spot.file, node, spot.path, spot.key, spot.key_file) if len(problems) == before else None

    def problems(self, step: Spot) -> Iterator[Problem]:
        """What is wrong with each `${steps.…}` of a step."""
        if not self.used or "${steps." not in repr(step.value):
            return
        for place in _texts(step):
            top = str(place.path[len(step.path)]) if len(place.path) > len(step.path) else ""
            for use in uses(place.value):
                yield from self._problem(step, place, top, use)

    def _problem(self, step: Spot, place: Spot, top: str, use: str) -> Iterator[Problem]:
        one, stands = self.parted(use), f"`${{steps.{use}}}`"
        before = self._before(step)
        if one.step not in before:
            near = nearest(one.step, before)
            expected = "" if near else f"the id of a step before this one ({', '.join(before) or 'there is none'})"
            yield place.problem(f"{stands} names no earlier step", expected, near, rule="step-value")
        elif (trouble := self._unknown(one, stands, place)) is not None:
            yield trouble
        elif self.is_late(one):
            yield from self._too_late(step, place, top, one, stands)
        elif top not in ("with", "target", "read"):
            yield place.problem(f"{stands} stands in `{top}`", "`with` or `target`", rule="step-value")

    def _too_late(self, step: Spot, place: Spot, top: str, one: Use, stands: str) -> Iterator[Problem]:
        if top not in ("with", "read"):
            said = f"`{top}` must be known when the plan is made, and {stands} is {known_when([one])}"
            yield place.problem(said, "a value, or what the plan knows of an earlier step", rule="known-too-late")
        elif one.step in self.faults:
            other = self.faults[one.step]
            if _item(other) == _item(step):
                said = f"the step {one.step!r} is in force at the same time, and {stands} is {known_when([one])}"
                yield place.problem(said, "a step of an earlier item of the method", rule="known-too-late")
            elif many := _many(other):
                said = f"{stands} is about one target, and the step {one.step!r} {many}"
                yield place.problem(said, "a step with one target", rule="step-value")

    def _before(self, step: Spot) -> list[str]:
        return [name for name, other in {**self.faults, **self.reads}.items() if other.path < step.path]

    def _unknown(self, one: Use, stands: str, place: Spot) -> Problem | None:
        known = self.words(one.step)
        if known is None:
            return None
        if one.word not in known:
            near = nearest(one.word, list(known))
            expected = "" if near else f"one of {', '.join(known)}"
            return place.problem(f"{stands}: nothing is known by that word", expected, near, rule="step-value")
        if one.fields and one.word in WORDS:
            return place.problem(f"{stands}: `{one.word}` has no parts", f"`{one.word}`", rule="step-value")
        if one.fields and one.step in self.reads and not (one.word == "value" and _reads_text(self.reads[one.step])):
            said = f"{stands}: what this step reads is no text with parts"
            return place.problem(said, "`value` alone, or a reading of text that is JSON", rule="step-value")
        return None

    def words(self, step: str) -> Mapping[str, str] | None:
        """What a step can be asked for, and what each stands for; None where only a stranger's plugin could tell."""
        if step in self.reads:
            return OF_READS
        if step not in self.faults:
            return {}
        kind = self.faults[step].nearest("fault").value
        plugin = plugins.own("faults", kind) if isinstance(kind, str) and plugins.facts(kind) else None
        return None if plugin is None else {**WORDS, **OF_FAULTS, **plugin.reports}


def read_steps(method: Spot) -> Iterator[Spot]:
    """Every step with a reading, in order."""
    if isinstance(method.value, list):
        yield from (step for step in method.items() if "read" in step.node.children)


def read_value(step: Spot, passed: Passed, problems: list[Problem]) -> JsonValue:
    """A step with a reading as the model takes it; None where it has been reported as wrong."""
    read = step.nearest("read")
    before = len(problems)
    if isinstance(read.value, dict) and len(read.value) == 1:
        (below,) = read.items()
        if plugins.known_kind("probes", below.name, below, problems):
            stood = passed.with_stand_ins("probes", below.name, below, problems)
            if stood is not None:
                plugins.parameters("probes", below.name, stood, problems)
    else:
        plugins.call("probes", read, problems)
    if len(problems) > before:
        validated(ReadStep, step, {**_fields(step), "read": {"kind": "none", "with": {}}}, problems)
        return None
    return step.value


def _fields(step: Spot) -> dict[str, Any]:
    return dict(step.value) if isinstance(step.value, dict) else {}


def _reads_text(step: Spot) -> bool:
    """Whether its probe may read text; where that cannot be told, it may."""
    read = step.nearest("read")
    kind = next(iter(read.value), "") if isinstance(read.value, dict) else ""
    probe = plugins.own("probes", kind) if kind and plugins.known_kind("probes", kind, read, []) else None
    if probe is None:
        return True
    params = validated(probe.Params, read.nearest(kind), read.nearest(kind).value, [])
    return params is None or bool(probe.reads_text(params))


def _many(step: Spot) -> str:
    """Why a step may have other than one target; empty: it has one."""
    take, follow = step.get("target", "take"), step.get("target", "follow")
    if follow is not None and follow.value is True:
        return "has targets that come and go"
    return f"takes {take.value}" if take is not None and isinstance(take.value, int) and take.value > 1 else ""


def _item(step: Spot) -> int:
    """The item of the method that a step stands in."""
    return next(part for part in step.path[step.path.index("method") + 1 :] if isinstance(part, int))


def _texts(spot: Spot) -> Iterator[Spot]:
    if isinstance(spot.value, str):
        yield spot
    for below in spot.items():
        if below.name != "together":
            yield from _texts(below)


def _changed(node: Node, change: Callable[[str, Node], JsonValue], path: str = "") -> Node:
    """With texts as `change` has them; it is given the path of the parameter."""
    if isinstance(node.value, str):
        value = change(path, node)
        return Node(value, node.place, written=str(value), raw=node.raw, origin=node.origin, via=node.via)
    if isinstance(node.value, dict):
        inner = {name: f"{path}.{name}" if path else str(name) for name in node.children}
        return remapped(node, {str(name): _changed(one, change, inner[name]) for name, one in node.children.items()})
    if isinstance(node.value, list):
        children: dict[str | int, Node] = {name: _changed(one, change, path) for name, one in node.children.items()}
        values: list[JsonValue] = [one.value for one in children.values()]
        return Node(values, node.place, children, size=node.size, height=node.height, origin=node.origin)
    return node
