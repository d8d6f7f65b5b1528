"""How a value of a type is read and written, where that is plain. See `quick`.

A reader takes a value and whether fields may go by their Python names, and gives what pydantic would make of it, or
raises `Doubt`. It never takes what pydantic would refuse; what it leaves to pydantic costs time and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import Enum
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from chaosrunner.records.declaring import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)

Read = Callable[[Any, bool], Any]
Write = Callable[[Any], Any]


class Doubt(Exception):
    """Left to pydantic."""


# ------------------------------------------------------------------------------------------------------------- reading


def _nothing_sure(value: Any, by_name: bool) -> Any:
    raise Doubt


def _anything(value: Any, by_name: bool) -> Any:
    return value


def _none(value: Any, by_name: bool) -> Any:
    if value is not None:
        raise Doubt


def _text(value: Any, by_name: bool) -> Any:
    if type(value) is str:
        return value
    if isinstance(value, Enum) and type(value.value) is str and isinstance(value, str):
        return value.value
    raise Doubt


def _whole(value: Any, by_name: bool) -> Any:
    if type(value) is int:
        return value
    raise Doubt


def _number(value: Any, by_name: bool) -> Any:
    if type(value) is float and isfinite(value):
        return value
    if type(value) is int and -(2**53) < value < 2**53:
        return float(value)
    raise Doubt


def _truth(value: Any, by_name: bool) -> Any:
    if value is True or value is False:
        return value
    raise Doubt


def _day(value: Any, by_name: bool) -> Any:
    if type(value) is date:
        return value
    raise Doubt


def _json(value: Any, by_name: bool) -> Any:
    kind = type(value)
    if kind is str or kind is int or value is None or kind is bool or (kind is float and isfinite(value)):
        return value
    if kind is dict:
        return {_text_key(key): _json(item, by_name) for key, item in value.items()}
    if kind is list:
        return [_json(item, by_name) for item in value]
    raise Doubt


def _text_key(key: Any) -> str:
    if type(key) is str:
        return key
    raise Doubt


_READERS: dict[Any, Read] = {
    str: _text,
    int: _whole,
    float: _number,
    bool: _truth,
    date: _day,
    NoneType: _none,
    None: _none,
    Any: _anything,
    JsonValue: _json,
}


def read_by(annotation: Any) -> Read:
    """The reader of a type; one that always doubts for types that are not plain."""
    origin = get_origin(annotation)
    if origin is None and annotation in _READERS:
        return _READERS[annotation]
    if origin is None:
        return _of_class(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _marked(arguments[0], annotation.__metadata__)
    if origin is Union or origin is UnionType:
        return _one_of(arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is dict:
        return _mapping(*arguments)
    return _nothing_sure


def _of_class(kind: Any) -> Read:
    if not isinstance(kind, type):
        return _nothing_sure
    if issubclass(kind, Enum):
        return _member(kind)
    if hasattr(kind, "model_taken"):
        return _model(kind)
    return _nothing_sure


def _member(kind: type[Enum]) -> Read:
    members = {member.value: member for member in kind}

    def read(value: Any, by_name: bool) -> Any:
        if isinstance(value, kind):
            return value
        if type(value) is str and value in members:
            return members[value]
        raise Doubt

    return read


def _model(kind: Any) -> Read:
    def read(value: Any, by_name: bool) -> Any:
        if isinstance(value, kind):
            return value
        return kind.model_taken(value, by_name)

    return read


def _literal(choices: Sequence[Any]) -> Read:
    def read(value: Any, by_name: bool) -> Any:
        for choice in choices:
            if type(choice) is type(value) and choice == value:
                return value
        raise Doubt

    return read


def _tuple(kinds: Sequence[Any]) -> Read:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        item = read_by(kinds[0])

        def read(value: Any, by_name: bool) -> Any:
            if type(value) is not tuple and type(value) is not list:
                raise Doubt
            return tuple([item(each, by_name) for each in value])

        return read
    items = [read_by(kind) for kind in kinds]

    def read_each(value: Any, by_name: bool) -> Any:
        if type(value) not in (tuple, list) or len(value) != len(items):
            raise Doubt
        return tuple([item(each, by_name) for item, each in zip(items, value, strict=True)])

    return read_each


def _mapping(key_kind: Any, kind: Any) -> Read:
    key, item = read_by(key_kind), read_by(kind)

    def read(value: Any, by_name: bool) -> Any:
        if type(value) is not dict:
            raise Doubt
        return {key(name, by_name): item(each, by_name) for name, each in value.items()}

    return read


def _one_of(arms: Sequence[Any]) -> Read:
    """What exactly one of the arms takes: then it does not matter how pydantic would choose."""
    optional = NoneType in arms
    others = [read_by(arm) for arm in arms if arm is not NoneType]
    if len(others) == 1:
        (only,) = others
        return lambda value, by_name: None if value is None else only(value, by_name)
    if set(arms) <= _SCALARS:
        return _scalar(frozenset(arms))

    def read(value: Any, by_name: bool) -> Any:
        if value is None and optional:
            return None
        taken = []
        for arm in others:
            try:
                taken.append(arm(value, by_name))
            except Doubt:
                continue
        if len(taken) != 1:
            raise Doubt
        return taken[0]

    return read


_SCALARS = {str, int, float, bool, NoneType}


def _scalar(kinds: frozenset[type]) -> Read:
    """Of several plain types the one that the value is of; a whole number is a number where there is nothing nearer."""
    whole_to_number = float in kinds and int not in kinds

    def read(value: Any, by_name: bool) -> Any:
        kind = type(value)
        if kind is float:
            if float in kinds and isfinite(value):
                return value
        elif kind in kinds:
            return value
        elif kind is int and whole_to_number:
            return _number(value, by_name)
        raise Doubt

    return read


def _marked(kind: Any, marks: Sequence[Any]) -> Read:
    told = next((mark for mark in marks if isinstance(mark, Discriminator)), None)
    read = read_by(kind) if told is None else _told(kind, told)
    for mark in marks:
        read = _with_mark(read, mark)
    return read


def _told(kind: Any, mark: Discriminator) -> Read:
    """A union whose arm is told by a function."""
    which = mark.args[0]
    arms = {
        note.args[0]: read_by(get_args(arm)[0])
        for arm in get_args(kind)
        for note in getattr(arm, "__metadata__", ())
        if isinstance(note, Tag)
    }
    if not callable(which) or len(arms) != len(get_args(kind)):
        return _nothing_sure

    def read(value: Any, by_name: bool) -> Any:
        arm = arms.get(which(value))
        if arm is None:
            raise Doubt
        return arm(value, by_name)

    return read


def _with_mark(read: Read, mark: Any) -> Read:
    if isinstance(mark, PlainSerializer | WithJsonSchema | Tag | Discriminator):
        return read
    if isinstance(mark, Field):
        return constrained(read, mark.options)
    if isinstance(mark, BeforeValidator):
        before = mark.args[0]
        return lambda value, by_name: read(said(before, value), by_name)
    if isinstance(mark, AfterValidator):
        after = mark.args[0]
        return lambda value, by_name: said(after, read(value, by_name))
    return _nothing_sure


def said(validator: Callable[..., Any], *given: Any) -> Any:
    """What a validator of ours answers; what it refuses, pydantic refuses in the right words."""
    try:
        return validator(*given)
    except (ValueError, AssertionError) as error:
        raise Doubt from error


_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda value, bound: bool(value >= bound),
    "gt": lambda value, bound: bool(value > bound),
    "le": lambda value, bound: bool(value <= bound),
    "lt": lambda value, bound: bool(value < bound),
    "min_length": lambda value, bound: len(value) >= bound,
    "max_length": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: "\n" not in value and bound.search(value) is not None,
}
_SILENT = {"default", "default_factory", "json_schema_extra", "description", "examples", "title"}


def constrained(read: Read, options: Mapping[str, Any]) -> Read:
    """The same with what a `Field` asks for; of an optional field, where there is a value."""
    bounds = [
        (_BOUNDS[name], re.compile(bound) if name == "pattern" else bound)
        for name, bound in options.items()
        if name in _BOUNDS
    ]
    if options.keys() - _BOUNDS.keys() - _SILENT:
        return _nothing_sure
    if not bounds:
        return read

    def read_within(value: Any, by_name: bool) -> Any:
        result = read(value, by_name)
        if result is not None:
            for holds, bound in bounds:
                if not holds(result, bound):
                    raise Doubt
        return result

    return read_within


# ------------------------------------------------------------------------------------------------------------- writing


def written(value: Any) -> Any:
    """A value as JSON has it, by what it is."""
    if value is None or isinstance(value, str | int | float | bool):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Mapping):
        return {name: written(item) for name, item in value.items() if item is not None}
    if isinstance(value, tuple | list):
        return [written(item) for item in value]
    if isinstance(value, Enum):
        return written(value.value)
    if isinstance(value, date):
        return value.isoformat()
    return value.as_json()


def _write_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _write_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_write_json(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def write_by(annotation: Any) -> Write | None:
    """How a value of this type is written; None: as it is. None is written nowhere and never asked for."""
    if annotation in (str, int, float, bool):
        return _enums_value if annotation is str else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is JsonValue:
        return _write_json
    if origin is Literal:
        return None
    if origin is Annotated:
        marks = [mark for mark in annotation.__metadata__ if isinstance(mark, PlainSerializer)]
        write: Write | None = marks[-1].args[0] if marks else write_by(arguments[0])
        return write
    if origin is Union or origin is UnionType:
        others = [arm for arm in arguments if arm is not NoneType]
        return write_by(others[0]) if len(others) == 1 else written
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = write_by(arguments[0])
        return (lambda value: [item(each) for each in value]) if item is not None else list
    if origin is dict:
        return _write_mapping(arguments[1])
    return written


def _enums_value(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _write_mapping(kind: Any) -> Write:
    if kind is JsonValue:
        return _write_json
    item = write_by(kind)

    def write(value: Any) -> Any:
        return {name: item(each) if item else each for name, each in value.items() if each is not None}

    return write
