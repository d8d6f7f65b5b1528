"""Holds what was read against a model, and says what is wrong in our own words at the place where it stands.

pydantic finds the mistakes; its sentences never reach a user. Its locations are brought back to places of the file:
tags of unions and levels that a file need not write (a tolerance without phases) are passed over, what follows from
another mistake is dropped, and what several alternatives say of one place is put together.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from chaosrunner.errors import Problem
from chaosrunner.files.node import Path, Spot, dotted
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.quantities import written_like
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern
from chaosrunner.records.quick import plainly

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=Frozen)


MOST_KEPT = 2_000
_PLAIN: dict[tuple[type[Any], bytes], Any] = {}
"""What was read before: a step is looked at by itself and as a part of its experiment, a measure in each that names its
hypothesis. What is read never changes, so one serves all."""


def validated(model: type[M], spot: Spot, value: JsonValue, problems: list[Problem]) -> M | None:
    """`value` (what stands at `spot`, perhaps put straight) as a model; None with problems added if it is none."""
    key = (model, marshal.dumps(value, 2))
    plain = _PLAIN.get(key)
    if plain is None and (plain := plainly(model, value)) is not None:
        if len(_PLAIN) > MOST_KEPT:
            _PLAIN.clear()
        _PLAIN[key] = plain
    if plain is not None:
        found_before: M = plain
        return found_before
    from pydantic import ValidationError

    found = list(_wrongly_read(model, spot, value))
    result = None
    try:
        result = model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        found += _explained(model, spot, error.errors(include_url=False), [*problems, *found])
    problems += dict.fromkeys(found)
    return None if found else result


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that was probably meant, or nothing."""
    lowered = {name.lower(): name for name in known}
    exact = lowered.get(word.replace("_", "").replace("-", "").lower())
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return exact or (lowered[close[0]] if close else "")


def show(value: Any) -> str:
    """A value as a message names it."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(short) if isinstance(value, str) else short


@dataclass(frozen=True, slots=True)
class _Found:
    """One of pydantic's errors, brought back to the file."""

    spot: Spot
    rest: Path
    """What its location says beyond the file: tags, levels that are not written, the name of a missing field."""
    message: str
    expected: str
    nearest: str
    at_key: bool
    kind: str

    def problem(self) -> Problem:
        rule = _rule(self.kind, self.message, self.expected)
        return self.spot.problem(self.message, self.expected, self.nearest, at_key=self.at_key, rule=rule)


def _explained(
    model: type[Frozen], root: Spot, errors: Sequence[ErrorDetails], known: Sequence[Problem]
) -> list[Problem]:
    found = [_found(model, root, error) for error in errors]
    found = [one for one in found if not (_follows(one, found) or _follows_known(one, known) or _meant(one, found))]
    merged: dict[tuple[Path, str], _Found] = {}
    for one in found:
        key = (one.spot.path, one.message)
        before = merged.get(key)
        merged[key] = _together(before, one) if before else one
    return [one.problem() for one in merged.values()]


def _found(model: type[Frozen], root: Spot, error: ErrorDetails) -> _Found:
    spot, rest = _resolve(root, error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        above = error["loc"][:-1]
        from chaosrunner.files import fields

        known = fields.known_at(model, above)
        near = nearest(spot.name, known)
        expected = "" if near else f"one of {', '.join(known)}"
        return _Found(spot, (), f"unknown field `{spot.name}`", expected, near, True, kind)
    if kind == "missing":
        missing = str(error["loc"][-1])
        return _Found(spot, (), f"{called(spot)} has no `{missing}`", "", "", False, f"missing {missing}")
    if kind == "value_error":
        said = str(error.get("ctx", {}).get("error", ""))
        spot, said = _named_in(spot, said)
        message, expected, near = _own_words(spot, said, spot.value)
        return _Found(spot, rest, message, expected, near, False, kind)
    if kind in ("model_type", "model_attributes_type"):
        from chaosrunner.files import fields

        expected = f"a mapping of {', '.join(fields.known_at(model, error['loc']))}"
        return _Found(spot, rest, f"{called(spot)} is {show(spot.value)}", expected, "", False, kind)
    message, expected, near = _words(spot, error)
    return _Found(spot, rest, message, expected, near, False, kind)


def _resolve(root: Spot, location: Sequence[str | int]) -> tuple[Spot, Path]:
    here, rest = root, []
    for part in location:
        below = here.child(part)
        if below is None:
            rest.append(part)
        else:
            here, rest = below, []
    return here, tuple(rest)


def _named_in(spot: Spot, said: str) -> tuple[Spot, str]:
    """Where a validator's sentence begins with the path of a field below (`links.a.from names …`), that field is the
    place, and the sentence goes on from there."""
    path, _, sentence = said.partition(" ")
    here, rest = spot, path  # never a name with a space
    while rest:
        names = [name for name in here.node.keys if rest == name or rest.startswith(f"{name}.")]
        below = here.child(max(names, key=len)) if names else None
        if below is None:
            return spot, said
        here, rest = below, rest[len(below.name) :].removeprefix(".")
    return here, f"{called(here)} {sentence}"


def _follows(one: _Found, found: Sequence[_Found]) -> bool:
    """Whether another mistake, further in, is the reason for this one."""
    deeper = [other for other in found if other is not one and _inside(other.spot.path, one.spot.path)]
    if not deeper:
        return False
    return one.kind in ("value_error", "too_short") or bool(one.rest and not one.kind.startswith("missing"))


def _meant(one: _Found, found: Sequence[_Found]) -> bool:
    """Whether a missing field is there, only written wrongly."""
    return one.kind.startswith("missing ") and any(
        other.kind == "extra_forbidden"
        and other.spot.path[:-1] == one.spot.path
        and other.nearest == one.kind.removeprefix("missing ")
        for other in found
    )


def _follows_known(one: _Found, known: Sequence[Problem]) -> bool:
    """The same for mistakes that were found before pydantic looked."""
    here = dotted(one.spot.path)
    return one.kind == "value_error" and any(
        problem.file == one.spot.file and problem.path.startswith((f"{here}.", f"{here}[")) for problem in known
    )


def _inside(path: Path, outer: Path) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _together(one: _Found, other: _Found) -> _Found:
    if not other.expected or f" or {other.expected} or " in f" or {one.expected} or ":
        return one
    expected = f"{one.expected} or {other.expected}" if one.expected else other.expected
    return _Found(one.spot, one.rest, one.message, expected, one.nearest, one.at_key, one.kind)


def called(spot: Spot) -> str:
    """A mapping in a message: `spec`, `item 2 of measures`, `the document`."""
    if not spot.path:
        return "the document"
    last = spot.path[-1]
    return f"item {last + 1} of `{spot.name}`" if isinstance(last, int) else f"`{last}`"


_EXPECTED: dict[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number that is not so big",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
}
_LIMITS: dict[str, tuple[str, str]] = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
    "too_short": ("min_length", "at least {} of them"),
    "too_long": ("max_length", "at most {} of them"),
    "string_pattern_mismatch": ("pattern", "text that matches {}"),
}
_SLUG = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
_EXPECTED_FOUND = pattern(r"expected (?P<expected>.*?)(?:, found .*)?", re.DOTALL)


def _words(spot: Spot, error: ErrorDetails) -> tuple[str, str, str]:
    """(what is wrong, what was expected, nearest known word)"""
    kind, context = error["type"], error.get("ctx", {})
    name = called(spot)
    stands = f"{name} is {show(spot.value)}"
    if kind in _EXPECTED:
        return stands, _EXPECTED[kind], ""
    if kind in _LIMITS:
        bound, text = _LIMITS[kind]
        if context.get("pattern") == _SLUG:
            return stands, "lower case letters, digits, dots and dashes, such as checkout-slo", ""
        if kind in ("too_short", "too_long"):
            stands = f"{name} has {context.get('actual_length', len(error['input']))}"
        limit = context[bound]
        return stands, text.format(written_like(spot.value, limit) if bound in ("gt", "ge", "lt", "le") else limit), ""
    if kind in ("enum", "literal_error"):
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        near = nearest(str(spot.value), known)
        return stands, "" if near and len(known) > 1 else _one_of(known), near
    if kind == "step":
        return f"{name} is no step", "`fault`, `wait`, `read` or `together`", ""
    return stands, "another value", ""


_QUANTITIES = ("a duration", "a ratio", "a rate", "a size", "a bandwidth", "a number with an optional unit")


def _rule(kind: str, message: str, expected: str) -> str:
    """The rule that one of pydantic's errors is about."""
    if kind == "extra_forbidden":
        return "unknown-field"
    if kind.startswith("missing"):
        return "missing-field"
    if kind in ("enum", "literal_error"):
        return "unknown-word"
    if kind == "step":
        return "step-form"
    if kind in _LIMITS:
        return "not-a-name" if expected.startswith("lower case letters") else "out-of-range"
    if kind in _EXPECTED or kind in ("model_type", "model_attributes_type"):
        return "wrong-type"
    if "a secret is never" in message:
        return "secret-in-file"
    if expected.startswith(_QUANTITIES):
        return "quantity"
    return "wrong-form" if expected else "contradiction"


def _one_of(known: Sequence[str]) -> str:
    return f"one of {', '.join(known)}" if len(known) > 1 else f"{known[0]!r}" if known else "another value"


def said_at(spot: Spot, said: str) -> Problem:
    """What one of our own validators says of the value at `spot`, as a problem."""
    message, expected, near = _own_words(spot, said, spot.value)
    return spot.problem(message, expected, near, rule=_rule("value_error", message, expected))


def _own_words(spot: Spot, said: str, value: JsonValue) -> tuple[str, str, str]:
    """What one of our own validators says: `expected X, found Y`, or a sentence that stands for itself."""
    name = called(spot)
    match = _EXPECTED_FOUND.fullmatch(said)
    if match is None:
        return said if said.startswith(name) else f"{name}: {said}", "", ""
    if isinstance(value, dict | list) and value:
        return f"{name} is not right", match["expected"], ""
    return f"{name} is {show(value)}", match["expected"], ""


# ------------------------------------------------------------------------------ what pydantic would read too kindly


def _wrongly_read(model: type[Frozen], root: Spot, value: JsonValue) -> Iterator[Problem]:
    """Text where a number or true/false belongs: `production: "yes"` is a mistake, not true."""
    from chaosrunner.files import fields

    for spot in _scalars(root, value):
        kinds = [arm for arm in fields.at(model, spot.path[len(root.path) :]) if arm.kind is not NoneType]
        told = ["" if arm.converted else _misread(arm.kind, spot.value) for arm in kinds]
        if told and all(told) and any(arm.kind in (bool, int, float) for arm in kinds):
            expected = " or ".join(dict.fromkeys(told))
            yield spot.problem(f"{called(spot)} is {show(spot.value)}", expected, rule="wrong-type")


def _scalars(spot: Spot, value: JsonValue) -> Iterator[Spot]:
    if isinstance(value, dict | list):
        parts: Sequence[str | int] = list(value) if isinstance(value, dict) else range(len(value))
        for part in parts:
            below = spot.child(part)
            if below is not None:
                yield from _scalars(below, value[part])  # type: ignore[index]
    elif value is not None:
        yield spot


def _misread(annotation: Any, value: JsonValue) -> str:
    """What belongs there instead, if pydantic would take the value for something that it is not."""
    if annotation is bool:
        return "" if isinstance(value, bool) else "true or false"
    if annotation is int:
        return "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    if annotation is float:
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "a number"
    if get_origin(annotation) in (tuple, list):
        return "a list"
    return ""
