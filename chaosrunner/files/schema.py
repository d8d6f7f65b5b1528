"""JSON Schema (2020-12) of the files, for editors and other tools: the models' own schemas with every plugin of the
catalogue composed in.

What a schema cannot say (references, units that fit, ids that exist) only `chaosrunner check` finds; what it refuses,
`check` refuses too, and what `check` lets pass is valid under it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from chaosrunner import catalog
from chaosrunner.files.documents import KINDS
from chaosrunner.files.openslo import Settings
from chaosrunner.files.plugins import facts, own
from chaosrunner.files.schema_examples import explained
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.quantities import NUMBER, UNITS
from chaosrunner.ports import Plugin
from chaosrunner.records.law import law

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Shape = dict[str, Any]
"""A JSON Schema while it is put together."""


def schema(kind: str | None = None) -> JsonObject:
    """Of one kind of document, or of all: then the document's own `kind` decides."""
    shapes = _composed()
    if kind is not None:
        return _document(shapes, kind)
    every: Shape = {
        "$schema": DIALECT,
        "title": "chaosrunner files",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{model.__name__}"},
            }
            for name, model in KINDS.items()
        ],
    }
    return {**every, "$defs": _reached(every, shapes)}


def _document(shapes: Mapping[str, Shape], kind: str) -> JsonObject:
    top: Shape = {"$schema": DIALECT, **shapes[KINDS[kind].__name__]}
    return {**top, "title": kind, "$defs": _reached(top, shapes)}


def _composed() -> dict[str, Shape]:
    """Every model's shape by name, plugins composed in."""
    models: list[type[Frozen]] = [*KINDS.values(), Settings]
    _, found = models_json_schema([(law(model), "validation") for model in models], by_alias=True)
    shapes: dict[str, Shape] = found["$defs"]
    for name, change in _CHANGES.items():
        for model in [model for model in shapes if model == name]:
            change(shapes[model], shapes)
    tidy: dict[str, Shape] = {name: _tidy(shape) for name, shape in shapes.items()}
    explained(tidy)
    return tidy


def _tidy(shape: Any) -> Any:
    """Without the titles that pydantic makes of names, and without defaults that no file could hold."""
    if isinstance(shape, list):
        return [_tidy(item) for item in shape]
    if not isinstance(shape, dict):
        return shape
    kept = {name: _tidy(value) for name, value in shape.items() if name != "title" or not isinstance(value, str)}
    written_as_text = kept.get("type") == "string" and not isinstance(kept.get("default"), str)
    if kept.get("default", ...) is None or (written_as_text and "default" in kept):
        del kept["default"]
    return kept


# --------------------------------------------------------------------------------------- what models alone do not say


def _measure(shape: Shape, shapes: dict[str, Shape]) -> None:
    """The fields, and exactly one probe under its own name."""
    for internal in ("probe", "params"):
        shape["properties"].pop(internal)
    shape["required"] = [name for name in shape["required"] if name != "probe"]
    shape["properties"]["unit"] = _described(shape["properties"]["unit"], {"enum": [*UNITS, None]})
    for kind in catalog.kinds("probes"):
        shape["properties"][kind] = _parameters("probes", kind, shapes)
    shape["oneOf"] = [{"required": [kind]} for kind in catalog.kinds("probes")]


def _fault_step(shape: Shape, shapes: dict[str, Shape]) -> None:
    """`with`, `for`, `observe` and `target` follow from the fault."""
    kinds = catalog.kinds("faults")
    shape["properties"]["fault"]["enum"] = kinds
    shape["allOf"] = [
        {
            "if": {"properties": {"fault": {"const": kind}}, "required": ["fault"]},
            "then": _step_of(kind, shapes),
        }
        for kind in kinds
    ]


def _step_of(kind: str, shapes: dict[str, Shape]) -> Shape:
    parameters = _parameters("faults", kind, shapes)
    then: Shape = {"properties": {"with": parameters}}
    required = ["with"] if "$ref" in parameters else []
    if told := facts(kind):
        then["properties"]["observe" if not told.instant else "for"] = False
        required += [] if told.instant else ["for"]
        if told.acts_on == {"nothing"}:
            then["properties"]["target"] = False
        else:
            required.append("target")
    return {**then, "required": required} if required else then


def _parameters(role: str, kind: str, shapes: dict[str, Shape]) -> Shape:
    """A plugin's parameters, their own definitions moved beside the models'. They may be left empty only where none
    is needed."""
    name = f"{role}.{kind}"
    shape: Shape = dict(catalog.schema(role, kind))
    inner: Mapping[str, Any] = shape.pop("$defs", {})
    shape.pop("$schema", None)
    shapes[name] = _renamed(shape, name)
    _known_later(role, kind, shapes[name])
    for part, value in inner.items():
        shapes[f"{name}.{part}"] = _renamed(value, name)
    whole: Shape = {"$ref": f"#/$defs/{name}"}
    return whole if shape.get("required") else {"anyOf": [whole, {"type": "null"}]}


def _known_later(role: str, kind: str, shape: Shape) -> None:
    """A parameter that an earlier step may tell is also text: `${steps.ID.WORD}`."""
    plugin = own(role, kind)
    for name, stands in plugin.late.items() if plugin is not None and issubclass(plugin, Plugin) else ():
        if name in shape["properties"] and not isinstance(stands, str | None):
            field = shape["properties"][name]
            told = {"type": "string", "pattern": r"^\$\{steps\.[^}]+\}$"}
            shape["properties"][name] = _described(field, {"anyOf": [field, told]})


def _renamed(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _reference(item, name) if key == "$ref" else _renamed(item, name) for key, item in value.items()}
    return [_renamed(item, name) for item in value] if isinstance(value, list) else value


def _reference(target: Any, name: str) -> str:
    return re.sub(r"^#/\$defs/", f"#/$defs/{name}.", str(target))


def _one_of(role: str, shapes: dict[str, Shape]) -> Shape:
    """`{kind: {…}}`"""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {kind: _parameters(role, kind, shapes) for kind in catalog.kinds(role)},
    }


def _environment(shape: Shape, shapes: dict[str, Shape]) -> None:
    fields = shape["properties"]
    fields["platform"] = _described(fields["platform"], _one_of("platforms", shapes))
    fields["tracker"] = _described(fields["tracker"], {"anyOf": [_one_of("trackers", shapes), {"type": "null"}]})
    fields["notify"]["items"] = _one_of("notifiers", shapes)


def _read_step(shape: Shape, shapes: dict[str, Shape]) -> None:
    shape["properties"]["read"] = _described(shape["properties"]["read"], _one_of("probes", shapes))


def _communications(shape: Shape, shapes: dict[str, Shape]) -> None:
    shape["properties"]["notify"]["items"] = _one_of("notifiers", shapes)


def _suite_entry(shape: Shape, _: dict[str, Shape]) -> None:
    """A name or path by itself, or what several are chosen by."""
    ways: list[Shape] = [{"required": ["experiment"]}, {"anyOf": [{"required": [way]} for way in ("folder", "labels")]}]
    whole = {**shape, "oneOf": ways}
    words = {"description": shape["description"]} if "description" in shape else {}
    shape.clear()
    shape.update({**words, "anyOf": [{"type": "string"}, whole]})


def _evidence(shape: Shape, shapes: dict[str, Shape]) -> None:
    shape["properties"]["sources"]["items"] = _one_of("sources", shapes)


def _remediation(shape: Shape, shapes: dict[str, Shape]) -> None:
    fields = shape["properties"]
    fields["runbook"] = _described(fields["runbook"], {"anyOf": [_one_of("runbooks", shapes), {"type": "null"}]})


def _described(before: Shape, after: Shape) -> Shape:
    return {"description": before["description"], **after} if "description" in before else after


def _experiment(shape: Shape, shapes: dict[str, Shape]) -> None:
    settings = shapes["Settings"]
    objective: Shape = {
        "type": "object",
        "additionalProperties": False,
        "required": ["openslo"],
        "properties": {"openslo": {"anyOf": [{"type": "string"}, settings]}},
    }
    known = [{"$ref": f"#/$defs/{name}"} for name in ("Hypothesis", "HypothesisUse")]
    items: list[Shape] = [{"type": "string"}, *known, objective]
    shape["properties"]["hypotheses"]["items"] = {"anyOf": items}
    steps = ("FaultStep", "WaitStep", "ReadStep", "TogetherStep")
    shape["properties"]["method"]["items"] = {"anyOf": [{"$ref": f"#/$defs/{step}"} for step in steps]}
    _made_of_others(shape)


def _made_of_others(shape: Shape) -> None:
    """What extends another experiment need not be whole, and `${name}` may stand in place of anything where there are
    parameters, also those that were taken over: `check` puts it all together."""
    own = ("extends", "parameters", "matrix")
    open_ = {name: field if name in own else _described(field, {}) for name, field in shape["properties"].items()}
    loose = {**{name: part for name, part in shape.items() if name != "required"}, "properties": open_}
    strict = dict(shape)
    shape.clear()
    shape.update({**loose, "if": {"not": {"anyOf": [{"required": [name]} for name in own]}}, "then": strict})


def _hypothesis_in_place(shape: Shape, _: dict[str, Shape]) -> None:
    del shape["properties"]["parameters"]


def _hypothesis(shape: Shape, _: dict[str, Shape]) -> None:
    """Where there are parameters, `${name}` may stand in place of anything in a measure: `check` fills them in."""
    measure: Shape = {"type": "object", "required": ["name"], "minProperties": 2}
    measures = {**shape["properties"]["measures"], "items": measure}
    free = {**shape, "properties": {**shape["properties"], "measures": measures}}
    strict = dict(shape)
    shape.clear()
    shape.update({"if": {"required": ["parameters"]}, "then": free, "else": strict})


def _tolerance(shape: Shape, _: dict[str, Shape]) -> None:
    """One rule for all phases, or one for each."""
    phases = {**shape, "minProperties": 1}
    words = {"description": shape.pop("description")} if "description" in shape else {}
    shape.clear()
    shape.update({**words, "anyOf": [{"$ref": "#/$defs/Rule"}, phases]})


def _baseline(shape: Shape, _: dict[str, Shape]) -> None:
    whole = dict(shape)
    shape.clear()
    shape.update({"anyOf": [{**whole["properties"]["for"]}, whole]})


def _exactly_one(*names: str) -> Callable[[Shape, dict[str, Shape]], None]:
    def change(shape: Shape, _: dict[str, Shape]) -> None:
        shape["oneOf"] = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]

    return change


def _selector(shape: Shape, shapes: dict[str, Shape]) -> None:
    _exactly_one("service", "workload", "selector", "node", "nodeOf", "zone", "link", "sameAs")(shape, shapes)
    take = {
        "anyOf": [
            {"type": "integer", "minimum": 1},
            {"const": "all"},
            {"type": "string", "pattern": rf"^\s*{NUMBER}\s*%\s*$"},
        ]
    }
    shape["properties"]["take"] = _described(shape["properties"]["take"], take)


_LIMIT = _exactly_one("atMost", "atLeast", "between", "equals", "matches")


def _rule(shape: Shape, shapes: dict[str, Shape]) -> None:
    """A mapping, or `like baseline` in words."""
    _exactly_one("atMost", "atLeast", "between", "equals", "matches", "like")(shape, shapes)
    whole = dict(shape)
    words = {"description": shape["description"]} if "description" in shape else {}
    shape.clear()
    shape.update({**words, "anyOf": [{"const": "like baseline"}, whole]})


_CHANGES: Mapping[str, Callable[[Shape, dict[str, Shape]], None]] = {
    "Measure": _measure,
    "FaultStep": _fault_step,
    "EnvironmentSpec": _environment,
    "EvidenceSpec": _evidence,
    "Communications": _communications,
    "AgendaItem": _exactly_one("experiment", "pause"),
    "SuiteEntry": _suite_entry,
    "ReadStep": _read_step,
    "Remediation": _remediation,
    "ExperimentSpec": _experiment,
    "Hypothesis": _hypothesis_in_place,
    "HypothesisSpec": _hypothesis,
    "Tolerance": _tolerance,
    "BaselineSpec": _baseline,
    "Rule": _rule,
    "AbortLimit": _LIMIT,
    "SecretRef": _exactly_one("env", "file", "secretKeyRef"),
    "Selector": _selector,
}
"""By the model's name."""


def _reached(top: Shape, shapes: Mapping[str, Shape]) -> dict[str, JsonValue]:
    """Only the definitions that are referred to, sorted."""
    found: set[str] = set()
    waiting = list(_references(top))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(shapes[name])
    return {name: shapes[name] for name in sorted(found)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield target.removeprefix("#/$defs/")
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
