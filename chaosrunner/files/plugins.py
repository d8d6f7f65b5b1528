"""Checks what a file says to plugins: that the kind is known, and that its parameters are right.

chaosrunner's own plugins are asked for their `Params`. Installed ones are never imported to check a file: the JSON
Schema that their package ships as data is all that is looked at.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from chaosrunner import catalog
from chaosrunner.errors import Problem
from chaosrunner.files.node import Node, Spot
from chaosrunner.files.shapes import shape_problems
from chaosrunner.files.validation import called, nearest, show, validated
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.model.marks import JsonValue
from chaosrunner.ports import Plugin


def known_kind(role: str, kind: str, spot: Spot, problems: list[Problem], *, at_key: bool = True) -> bool:
    """Whether the catalogue has it; if not, a problem with the nearest known word is added."""
    if catalog.knows(role, kind):
        return True
    known = catalog.kinds(role)
    near = nearest(kind, known)
    expected = "" if near else f"one of {', '.join(known)}" if known else f"nothing: no {role} are installed"
    problems.append(spot.problem(f"unknown {role[:-1]} `{kind}`", expected, near, at_key=at_key, rule="unknown-plugin"))
    return False


def own(role: str, kind: str) -> type[Any] | None:
    """The class of one of chaosrunner's own plugins; None for an installed or unknown one."""
    return catalog.find(role, kind) if catalog.is_own(role, kind) else None


def parameters(role: str, kind: str, spot: Spot, problems: list[Problem]) -> tuple[JsonObject, Parameters | None]:
    """The parameters as written at `spot`, and as the plugin reads them where that can be said without importing
    strangers."""
    value: JsonValue = {} if spot.value is None else spot.value
    if not isinstance(value, dict):
        expected = f"a mapping, the parameters of {kind}"
        problems.append(spot.problem(f"{called(spot)} is {show(value)}", expected, rule="wrong-type"))
        return {}, None
    plugin = own(role, kind)
    if plugin is None:
        problems += shape_problems(catalog.schema(role, kind), spot, value)
        return value, None
    model = plugin.Params if issubclass(plugin, Plugin) else plugin.Spec
    return value, validated(model, spot, value, problems)


def call(role: str, spot: Spot, problems: list[Problem]) -> JsonObject | None:
    """`{kind: {…}}` as it stands at `spot`, in the form that models take; None with problems added."""
    value = spot.value
    known = catalog.kinds(role)
    if isinstance(value, str) and value in known:
        expected = f"`{value}:` with its parameters"
        problems.append(spot.problem(f"{called(spot)} is {show(value)}", expected, rule="one-kind"))
        return None
    if not isinstance(value, dict) or len(value) != 1:
        found = "a mapping of " + ", ".join(value) if isinstance(value, dict) and value else show(value)
        one = f"exactly one kind with its parameters ({', '.join(known) or f'no {role} are installed'})"
        problems.append(spot.problem(f"{called(spot)} is {found}", one, rule="one-kind"))
        return None
    (below,) = spot.items()
    kind = below.name
    if not known_kind(role, kind, below, problems):
        return None
    written, _ = parameters(role, kind, below, problems)
    return {"kind": kind, "with": written}


def absent(owner: Spot, name: str) -> Spot:
    """Stands for a field that is not written: what is missing in it is reported where its owner stands."""
    return Spot(owner.file, Node({}, owner.node.place), (*owner.path, name), owner.key, owner.key_file)


class FaultFacts(NamedTuple):
    """What the core may know of a fault."""

    instant: bool
    acts_on: frozenset[str]
    platforms: frozenset[str]
    connections_only: frozenset[str]


def facts(kind: str) -> FaultFacts | None:
    """Of one of chaosrunner's own faults; None where only importing a stranger could tell."""
    return _facts(kind) if catalog.is_own("faults", kind) else None


@cache
def _facts(kind: str) -> FaultFacts:
    fault = catalog.find("faults", kind)
    return FaultFacts(
        fault.instant, frozenset(fault.acts_on), frozenset(fault.platforms), frozenset(fault.connections_only)
    )
