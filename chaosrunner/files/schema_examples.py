"""What editors show beside a field: an example for each, and for each plugin its own."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from chaosrunner import catalog
from chaosrunner.files.documents import API_VERSION
from chaosrunner.files.reader import read

Shape = dict[str, Any]
_SAID = {
    "apiVersion": "The version of the format.",
    "kind": "What sort of document this is.",
}
_TEXTS = {
    "apiVersion": API_VERSION,
    "url": "http://checkout.shop/healthz",
    "title": "Shoppers can check out",
    "owner": "team-checkout",
    "service": "checkout",
    "query": 'sum(rate(http_requests_total{app="checkout"}[1m]))',
    "env": "PROM_TOKEN",
    "file": "secrets/token",
}
"""By a field's name; text of any sort may stand there."""


def explained(shapes: Mapping[str, Shape]) -> None:
    """Put an example beside every field that can have one, and into every plugin's parameters."""
    for name, shape in shapes.items():
        role, _, kind = name.partition(".")
        own = _of_plugin(role, kind) if role in catalog.ROLES and kind in catalog.kinds(role) else {}
        if own:
            shape.setdefault("examples", [own])
        for field, inner in _properties(shape):
            if "description" not in inner and field in _SAID:
                inner["description"] = _SAID[field]
            if "description" not in inner and field in catalog.kinds("probes"):
                inner["description"] = _first_words("probes", field)
            example = own.get(field, _example(field, inner))
            if example is not None and "examples" not in inner and "$ref" not in inner:
                inner["examples"] = [example]


def _properties(shape: Shape) -> list[tuple[str, Shape]]:
    """The fields of a shape, those of its alternatives too."""
    found = [(name, inner) for name, inner in shape.get("properties", {}).items() if isinstance(inner, dict)]
    for way in ("anyOf", "oneOf", "allOf"):
        for part in shape.get(way, ()):
            found += _properties(part)
    for way in ("then", "else"):
        if isinstance(shape.get(way), dict):
            found += _properties(shape[way])
    return found


def _of_plugin(role: str, kind: str) -> dict[str, Any]:
    """The parameters of a plugin's own example; empty where only importing a stranger could tell."""
    if not catalog.is_own(role, kind):
        return {}
    example = getattr(catalog.find(role, kind), "example", "")
    documents = read(textwrap.dedent(str(example)).encode(), "example").documents
    value: Any = documents[0].value if documents else None
    value = value[0] if isinstance(value, list) and value else value
    found = value.get("with" if role == "faults" else kind) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _first_words(role: str, kind: str) -> str:
    if not catalog.is_own(role, kind):
        return f"The installed plugin {kind}."
    return " ".join((catalog.find(role, kind).__doc__ or kind).split("\n\n")[0].split())


def _example(field: str, shape: Shape) -> Any:
    """Of a type by itself; None: there is nothing sensible to show."""
    if "const" in shape:
        return shape["const"]
    if shape.get("enum"):
        return shape["enum"][0]
    if "default" in shape:
        return shape["default"]
    for part in shape.get("anyOf", ()):
        if "$ref" not in part and part.get("type") != "null" and (found := _inner(field, part)) is not None:
            return found
    return _inner(field, shape)


def _inner(field: str, shape: Shape) -> Any:
    if shape.get("examples"):
        return shape["examples"][0]
    kind = shape.get("type")
    if "const" in shape or shape.get("enum"):
        return shape.get("const", (shape.get("enum") or [None])[0])
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        least = shape.get("minimum", shape.get("exclusiveMinimum", 0) + 1)
        return least if "exclusiveMaximum" not in shape or least < shape["exclusiveMaximum"] else None
    if kind == "string" and "pattern" not in shape:
        return _TEXTS.get(field)
    if kind == "array" and isinstance(shape.get("items"), dict) and "$ref" not in shape["items"]:
        item = _example(field, shape["items"])
        return [item] if item is not None and shape.get("minItems", 0) <= 1 else None
    return None
