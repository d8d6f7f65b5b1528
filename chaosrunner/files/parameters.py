"""Parameters of hypotheses: `${name}` in a measure stands for what the experiment says, or for the default.

They are filled in before anything else is read, at the place where they stand; so whatever is wrong with a value is
said at the line that uses it, and what a run is made of has no parameters any more. `$${` is `${` itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaosrunner.errors import Problem
from chaosrunner.files.node import Node, Spot
from chaosrunner.files.validation import nearest, show, validated
from chaosrunner.model.hypothesis import Parameter
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.patterns import pattern

_USE = pattern(r"\$\$\{|\$\{([^}]*)\}")


def filled(spot: Spot, given: Spot | None, problems: list[Problem], *, used_at: Spot | None = None) -> Spot:
    """A Hypothesis document with its parameters filled in. `given`: a mapping of values; `used_at`: where a hypothesis
    is used, None where the document is looked at by itself, with examples in place of what only a user can say."""
    spec = spot.child("spec")
    declared = spec.child("parameters") if spec is not None else None
    if spec is None or declared is None or not isinstance(declared.value, dict):
        if given is not None and given.value:
            problems.append(given.problem("this hypothesis has no parameters", "no `with`"))
        return spot
    values = _values(declared, given, used_at, problems)
    if values is None:
        return spot
    parts = {name: _filled(spec.file, node, values, problems) if name in ("measures", "title") else node
             for name, node in spec.node.children.items() if isinstance(name, str)}  # fmt: skip
    whole = {name: node for name, node in spot.node.children.items() if isinstance(name, str)}
    return Spot(spot.file, _mapping(spot.node, {**whole, "spec": _mapping(spec.node, parts)}), spot.path, spot.key)


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
            problems.append(place.problem(f"the hypothesis has no parameter `{name}`", expected, near, at_key=True))
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
            problems.append(used_at.problem(f"the parameter `{name}` has no value", how))
            continue
        elif value is None:
            value = parameter.example
        try:
            values[name] = parameter.checked(value)
        except ValueError as error:
            expected = str(error).removeprefix("expected ").partition(", found")[0]
            problems.append(at.problem(f"`{name}` is {show(value)}", expected))
    return values if len(problems) == before else None


def _filled(file: str, node: Node, values: Mapping[str, JsonValue], problems: list[Problem]) -> Node:
    """The node with every `${name}` in its texts replaced; keys stay as they are."""
    if isinstance(node.value, str):
        return _text(file, node, values, problems) if "${" in node.value else node
    if isinstance(node.value, dict):
        return _mapping(
            node, {str(key): _filled(file, child, values, problems) for key, child in node.children.items()}
        )
    if isinstance(node.value, list):
        items = [_filled(file, child, values, problems) for child in node.children.values()]
        value: JsonValue = [item.value for item in items]
        return Node(value, node.place, dict(enumerate(items)), node.keys, node.size, node.height, node.written)
    return node


def _mapping(node: Node, parts: Mapping[str, Node]) -> Node:
    value: JsonValue = {name: part.value for name, part in parts.items()}
    children: dict[str | int, Node] = {name: part for name, part in parts.items()}
    return Node(value, node.place, children, node.keys, node.size, node.height, node.written)


def _text(file: str, node: Node, values: Mapping[str, JsonValue], problems: list[Problem]) -> Node:
    assert isinstance(node.value, str)
    names = [found[1] for found in _USE.finditer(node.value) if found[1] is not None]
    for name in names:
        if name not in values:
            near = nearest(name, list(values))
            expected = "" if near else f"one of {', '.join(values)}"
            spot = Spot(file, node)
            problems.append(spot.problem(f"`${{{name}}}` names no parameter", expected, near))
    if any(name not in values for name in names):
        return node
    alone = _USE.fullmatch(node.value)
    if alone is not None and alone[1] is not None:
        return Node(values[alone[1]], node.place, written=str(values[alone[1]]))  # a number stays one
    text = _USE.sub(lambda found: "${" if found[1] is None else str(values[found[1]]), node.value)
    return Node(text, node.place, written=text)
