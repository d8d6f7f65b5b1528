"""What a model of ours knows of its fields: how each is called in files, read and written. See `quick`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from chaosrunner.records.declaring import Check, Field
from chaosrunner.records.readers import Read, Write, constrained, read_by, said, write_by

REQUIRED: Any = object()
"""The default of a field that has none."""


class Declared(NamedTuple):
    """A field as its class declares it."""

    annotation: Any
    """Mostly text, which is evaluated when the model is first used."""
    default: Any
    """`REQUIRED`, a value, or a `Field` (ours or pydantic's)."""
    owner: type[Any]

    def type(self) -> Any:
        """The annotation itself."""
        if isinstance(self.annotation, str):
            return eval(self.annotation, vars(sys.modules[self.owner.__module__]))
        return self.annotation


class Part:
    """A field. How it is read and written is found out when a value of it first comes along."""

    __slots__ = ("_checks", "_declared", "alias", "copied", "default", "name", "read", "write")

    def __init__(self, name: str, declared: Declared, checks: Iterable[Check]) -> None:
        self.name = name
        self.alias = alias(name)
        self.default = default_of(declared.default)
        self.copied = type(self.default) in (dict, list, set)
        """Whether each instance needs a default of its own."""
        self.read: Read = self._first_read
        self.write: Write | None = self._first_write
        self._declared = declared
        self._checks = checks

    def _first_read(self, value: Any, by_name: bool) -> Any:
        default = self._declared.default
        read = read_by(self._declared.type())
        if isinstance(default, Field):
            read = constrained(read, default.options)
        for check in self._checks:
            if self.name in check.fields:
                read = _checked(read, check, self._declared.owner)
        self.read = read
        return read(value, by_name)

    def _first_write(self, value: Any) -> Any:
        self.write = write_by(self._declared.type())
        return value if self.write is None else self.write(value)


class Shape(NamedTuple):
    """What is needed of a model to read and write instances of it."""

    parts: tuple[Part, ...]
    before: tuple[Check, ...]
    after: tuple[Check, ...]
    extra: bool
    """Whether unknown fields are passed over."""
    called: Mapping[str, Part]
    """By the name in files."""
    defaults: Mapping[str, Any]
    """Of all fields, in order; those without one have something that is never left there."""
    required: frozenset[str]
    """By the names in files."""
    copied: tuple[Part, ...]
    """Those of which each instance needs a default of its own."""


def alias(name: str) -> str:
    """A field's name in files: `for_` is `for`, `at_most` is `atMost`."""
    first, *others = name.rstrip("_").split("_")
    return first + "".join([word.capitalize() for word in others])


def default_of(default: Any) -> Any:
    """The value that a field without one has; `REQUIRED`: there is none."""
    if isinstance(default, Field):
        default = default.args[0] if default.args else default.options.get("default", REQUIRED)
    return default.copy() if type(default) in (dict, list, set) else default


def _checked(read: Read, check: Check, owner: type[Any]) -> Read:
    return lambda value, by_name: said(check.function, owner, read(value, by_name))
