"""Parameters of hypotheses and experiments: `${name}` stands for what somebody says, or for the default.

They are filled in before anything else is read, at the place where they stand, and what a run is made of has no
parameters any more. What is wrong with a value of a hypothesis is said at the line that uses it; of an experiment,
where the value was written. `$${` is `${` itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaosrunner.errors import Problem
from chaosrunner.files.node import Node, Place, Spot
from chaosrunner.files.validation import nearest, show, validated
from chaosrunner.model.frozen import in_text
from chaosrunner.model.hypothesis import Parameter
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.patterns import pattern

_USE = pattern(r"\$\$\{|\$\{([^}]*)\}")
_NOWHERE = Place(0, 0)
"""Of a value that stands in no file: what is wrong with it is said where it is used."""
LATER = "steps."
"""What `${steps.ID.…}` begins with, which is known when the targets have been chosen."""


def filled(spot: Spot, given: Spot | None, problems: list[Problem], *, used_at: Spot | None = None) -> Spot:
    """A Hypothesis document with its parameters filled in. `given`: a mapping of values; `used_at`: where a hypothesis
    is used, None where the document is looked at by itself, with examples in place of what only a user can say."""
    spec = spot.child("spec")
    declared = spec.child("parameters") if spec is not None else None
    if spec is None or declared is None or not isinstance(declared.value, dict):
        if given is not None and given.value:
            problems.append(given.problem("this hypothesis has no parameters", "no `with`", rule="parameter"))
        return spot
    values = _values(declared, given, used_at, problems)
    if values is None:
        return spot
    filler = Filler({name: Node(value, _NOWHERE, written=in_text(value)) for name, value in values.items()}, problems)
    parts = {name: filler.node(spec.file, node) if name in ("measures", "title") else node
             for name, node in spec.node.children.items() if isinstance(name, str)}  # fmt: skip
    whole = {name: node for name, node in spot.node.children.items() if isinstance(name, str)}
    return Spot(spot.file, remapped(spot.node, {**whole, "spec": remapped(spec.node, parts)}), spot.path, spot.key)


def _values(
    declared: Spot, given: Spot | None, used_at: Spot | None, problems: list[Problem]
) -> Mapping[str, JsonValue] | None:
    """By name; None where any is wrong, which is then reported."""
    before = len(problems)
    told = given.value if given is not None and isinstance(given.value, dict) else {}
    known = [str(name) for name in declared.node.children]
    for name in told:
        if given is not None and name not in known and (place := given.child(name)) is not None:
            near = nearest(name, known)
            expected = "" if near else f"one of {', '.join(known)}"
            said = f"the hypothesis has no parameter `{name}`"
            problems.append(place.problem(said, expected, near, at_key=True, rule="parameter"))
    values: dict[str, JsonValue] = {}
    for place in declared.items():
        parameter = validated(Parameter, place, place.value, problems)
        if parameter is None:
            continue
        name = place.name
        value, at = parameter.default, place
        if given is not None and name in told and (written := given.child(name)) is not None:
            value, at = written.value, written
        elif value is None and used_at is not None:
            with_ = f"`with: {{{name}: …}}`"
            how = f"`use: {used_at.value}` and {with_}" if isinstance(used_at.value, str) else with_
            problems.append(used_at.problem(f"the parameter `{name}` has no value", how, rule="parameter"))
            continue
        elif value is None:
            value = parameter.example
        try:
            values[name] = parameter.checked(value)
        except ValueError as error:
            expected = str(error).removeprefix("expected ").partition(", found")[0]
            problems.append(at.problem(f"`{name}` is {show(value)}", expected, rule="parameter"))
    return values if len(problems) == before else None


def remapped(node: Node, parts: Mapping[str, Node]) -> Node:
    """A mapping with these parts in place of its own, where it stands."""
    value: JsonValue = {name: part.value for name, part in parts.items()}
    children: dict[str | int, Node] = {name: part for name, part in parts.items()}
    size = 1 + sum(part.size for part in parts.values())
    height = 1 + max((part.height for part in parts.values()), default=0)
    return Node(value, node.place, children, node.keys, size, height, node.written, "", node.origin, node.origins)


class Filler:
    """Puts values in place of every `${name}` in texts; keys stay as they are. A value that stands for a whole text
    keeps its type, and its own place if it has one."""

    def __init__(self, values: Mapping[str, Node], problems: list[Problem], *, later: bool = False) -> None:
        self._values = values
        self._problems = problems
        self._later = later
        """Whether `${steps.…}` stays, to be known later."""
        self.used: set[str] = set()

    def node(self, file: str, node: Node) -> Node:
        """The node filled in; `file`: that of what it stands in."""
        file = node.origin or file
        if isinstance(node.value, str):
            return self._text(file, node) if "${" in node.value else node
        if isinstance(node.value, dict):
            return remapped(node, {str(key): self.node(file, child) for key, child in node.children.items()})
        if isinstance(node.value, list):
            items = [self.node(file, child) for child in node.children.values()]
            value: JsonValue = [item.value for item in items]
            return Node(
                value, node.place, dict(enumerate(items)), node.keys, node.size, node.height, origin=node.origin
            )
        return node

    def _text(self, file: str, node: Node) -> Node:
        assert isinstance(node.value, str)
        found = [match[1] for match in _USE.finditer(node.value) if match[1] is not None]
        names = [name for name in found if not (self._later and name.startswith(LATER))]
        unknown = [name for name in names if name not in self._values]
        for name in unknown:
            near = nearest(name, list(self._values))
            expected = "" if near else f"one of {', '.join(self._values)}" if self._values else "no parameters here"
            self._problems.append(
                Spot(file, node).problem(f"`${{{name}}}` names no parameter", expected, near, rule="parameter")
            )
        if unknown:
            return node
        self.used.update(names)
        alone = _USE.fullmatch(node.value)
        if alone is not None and names:
            return self._whole(node, self._values[names[0]])
        text = _USE.sub(lambda match: self._part(match[0], match[1]), node.value)
        via = "; ".join(dict.fromkeys(self._values[name].via for name in names))
        return Node(text, node.place, written=text, origin=node.origin, via=via)

    def _part(self, whole: str, name: str | None) -> str:
        if name is None:
            return "${"
        return self._values[name].written if name in self._values else whole

    @staticmethod
    def _whole(node: Node, told: Node) -> Node:
        place, origin = (told.place, told.origin) if told.place != _NOWHERE else (node.place, node.origin)
        return Node(told.value, place, written=told.written, origin=origin, via=told.via)
