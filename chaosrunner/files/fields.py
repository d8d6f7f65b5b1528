"""What a model says of its fields: which there are at a place of a document, and their types in words.

The same source serves the nearest known word of a mistake, the tables of the catalogue, and `explain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BeforeValidator, Tag
from pydantic.fields import FieldInfo

from chaosrunner.model import frozen, quantities, tolerance
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.secret import SecretRef
from chaosrunner.records.law import of_pydantic
from chaosrunner.records.meanings import meanings

_WORDS: tuple[tuple[object, str], ...] = (
    (of_pydantic(quantities.Duration), "duration"),
    (of_pydantic(quantities.Ratio), "ratio"),
    (of_pydantic(quantities.Rate), "rate"),
    (of_pydantic(quantities.Size), "size"),
    (of_pydantic(quantities.Bandwidth), "bandwidth"),
    (of_pydantic(quantities.Name), "name"),
    (of_pydantic(tolerance.Limit), "limit"),
    (of_pydantic(tolerance.Between), "two limits"),
    (of_pydantic(frozen.Call), "one kind with its parameters"),
)
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "nothing"}


class Arm(NamedTuple):
    """One alternative of a type, `Annotated` taken off."""

    tag: str
    """By which a union tells it; empty where it has none."""
    kind: Any
    converted: bool
    """Whether a validator of ours reads it, so that files write something else than `kind`."""


def arms(annotation: Any) -> Iterator[Arm]:
    """The alternatives of a type."""
    tag, converted = "", False
    while get_origin(annotation) is Annotated:
        notes = annotation.__metadata__
        tag = next((note.tag for note in notes if isinstance(note, Tag)), tag)
        converted = converted or any(isinstance(note, BeforeValidator) for note in notes)
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        for arm in get_args(annotation):
            for inner in arms(arm):
                yield Arm(inner.tag or tag, inner.kind, inner.converted or converted)
    else:
        yield Arm(tag, annotation, converted)


def fields_of(model: type[Frozen]) -> dict[str, FieldInfo]:
    """The fields that files may have, by the name they have there."""
    return {
        info.alias or name: info
        for name, info in model.model_fields.items()
        if not (isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("internal"))
    }


def meaning_of(model: type[Frozen], name: str) -> str:
    """What the field that files call so means; empty where nothing is said."""
    told = meanings(model)
    return next((told.get(own, "") for own, info in model.model_fields.items() if (info.alias or own) == name), "")


def annotation_of(info: FieldInfo) -> Any:
    """A field's type with what stands beside it."""
    annotation: Any = info.annotation
    for note in info.metadata:
        annotation = Annotated[annotation, note]
    return annotation


def at(model: type[Frozen], path: Sequence[str | int]) -> list[Arm]:
    """The types that may stand at a path (places of pydantic's errors, tags of unions among them, will do)."""
    here = list(arms(model))
    for part in path:
        tagged = [arm for arm in here if arm.tag and arm.tag == part]
        below = [arm for above in here for arm in _below(above.kind, part)]
        here = tagged or below or here
    return here


def _below(kind: Any, part: str | int) -> list[Arm]:
    if isinstance(kind, type) and issubclass(kind, Frozen):
        info = fields_of(kind).get(str(part))
        return list(arms(annotation_of(info))) if info else []
    arguments = get_args(kind)
    if get_origin(kind) in (tuple, list) and isinstance(part, int):
        return list(arms(arguments[0]))
    if get_origin(kind) is dict:
        return list(arms(arguments[1]))
    return []


def known_at(model: type[Frozen], path: Sequence[str | int]) -> list[str]:
    """The fields that a mapping at this path may have."""
    kinds = (arm.kind for arm in at(model, path))
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Frozen)]
    return sorted({name for kind in models for name in fields_of(kind)})


def models_below(annotation: Any) -> Iterator[tuple[str, type[Frozen]]]:
    """The models that a field holds, with the way to them: ``, `[]` for any item, `.NAME` for any key."""
    for arm in arms(annotation):
        arguments = get_args(arm.kind)
        if arm.converted and not arguments:
            continue  # what files write there is something else
        if isinstance(arm.kind, type) and issubclass(arm.kind, Frozen) and arm.kind is not SecretRef:
            yield "", arm.kind
        elif get_origin(arm.kind) in (tuple, list):
            yield from ((f"[]{step}", model) for step, model in models_below(arguments[0]))
        elif get_origin(arm.kind) is dict:
            yield from ((f".NAME{step}", model) for step, model in models_below(arguments[1]))


def words(annotation: Any, *, short: bool = False) -> str:
    """A type as people call it: `duration`, `list of name`, `text or whole number`. `short`: a mapping without the
    names of its fields."""
    for kind, name in _WORDS:
        if annotation == kind:
            return name
    if get_origin(annotation) is Annotated:
        notes = set(map(id, annotation.__metadata__))
        known = (name for kind, name in _WORDS if id(get_args(kind)[1]) in notes)
        return next(known, None) or words(get_args(annotation)[0], short=short)
    if get_origin(annotation) in (Union, UnionType):
        told = dict.fromkeys(words(arm, short=short) for arm in get_args(annotation) if arm is not type(None))
        return " or ".join(told)
    return _plain_words(annotation, short)


def _plain_words(annotation: Any, short: bool) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (tuple, list):
        return f"list of {words(arguments[0], short=short)}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(member.value) for member in annotation)
    if annotation is SecretRef:
        return "reference to a secret"
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return "mapping" if short else f"mapping ({', '.join(fields_of(annotation))})"
    return "mapping" if origin is dict else "any value"
