"""Holds what was read against a JSON Schema, and says what is wrong in our own words at the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chaosrunner.errors import Problem
from chaosrunner.files.node import Spot
from chaosrunner.files.validation import called, nearest, show
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
    "pattern": "text that matches {}",
    "multipleOf": "a multiple of {}",
    "const": "{!r}",
}


def shape_problems(schema: JsonObject, spot: Spot, value: JsonValue) -> list[Problem]:
    """What is wrong with what stands at `spot`. References to other documents are not followed."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)
    found = [problem for error in validator.iter_errors(value) for problem in _problems(spot, error)]
    return list(dict.fromkeys(found))


def _problems(root: Spot, error: ValidationError) -> Iterator[Problem]:
    spot = root.nearest(*error.absolute_path)
    rule = str(error.validator)
    limit: Any = error.validator_value
    if rule in ("anyOf", "oneOf") and error.context:
        yield _alternatives(spot, error)
    elif rule == "additionalProperties":
        yield from _unknown(spot, error)
    elif rule == "required":
        for name in limit:
            if isinstance(error.instance, dict) and name not in error.instance:
                yield spot.problem(f"{called(spot)} has no `{name}`", rule="missing-field")
    else:
        yield _simple(spot, rule, limit, error.instance)


def _simple(spot: Spot, rule: str, limit: Any, value: Any) -> Problem:
    stands = f"{called(spot)} is {show(value)}"
    if rule == "type":
        names = limit if isinstance(limit, list) else [limit]
        kinds = " or ".join(_TYPES.get(str(name), str(name)) for name in names)
        return spot.problem(stands, kinds, rule="wrong-type")
    if rule == "enum":
        near = nearest(str(value), [str(known) for known in limit])
        expected = "" if near else f"one of {', '.join(map(str, limit))}"
        return spot.problem(stands, expected, near, rule="unknown-word")
    if rule in _LIMITS:
        return spot.problem(stands, _LIMITS[rule].format(limit), rule="out-of-range")
    return spot.problem(stands, f"a value that keeps the rule {rule} of its schema", rule="wrong-form")


def _unknown(spot: Spot, error: ValidationError) -> Iterator[Problem]:
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    known = sorted(schema.get("properties", {}))
    for name in error.instance if isinstance(error.instance, dict) else ():
        if name in known:
            continue
        near = nearest(name, known)
        expected = "" if near else f"one of {', '.join(known)}" if known else "no fields"
        place = spot.child(name) or spot
        yield place.problem(f"unknown field `{name}`", expected, near, at_key=True, rule="unknown-field")


def _alternatives(spot: Spot, error: ValidationError) -> Problem:
    told = []
    for inner in error.context or ():
        if inner.validator == "type":
            names = inner.validator_value if isinstance(inner.validator_value, list) else [inner.validator_value]
            told += [_TYPES.get(str(name), str(name)) for name in names]
        elif inner.validator in _LIMITS:
            told.append(_LIMITS[str(inner.validator)].format(inner.validator_value))
    expected = " or ".join(dict.fromkeys(told)) or "another form"
    return spot.problem(f"{called(spot)} is {show(error.instance)}", expected, rule="wrong-type")
