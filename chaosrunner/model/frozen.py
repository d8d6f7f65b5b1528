"""The base of every model: frozen, camelCase in files, unknown fields are errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from chaosrunner.model.marks import BeforeValidator, JsonValue, WithJsonSchema

if TYPE_CHECKING:
    from pydantic import BaseModel, ConfigDict

    class _Model(BaseModel):
        """What a type checker sees: pydantic's model, as `records.law` makes it where one is needed."""

        model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name, populate_by_name=True)

        def as_json(self) -> JsonObject: ...

        @classmethod
        def model_names(cls) -> list[str]: ...

        @classmethod
        def model_knows(cls, word: str) -> bool: ...

        @classmethod
        def model_default(cls, name: str) -> JsonValue: ...
else:
    from chaosrunner.records.quick import Quick as _Model


JsonObject = dict[str, JsonValue]
"""An open shape (fault parameters, undo data): whatever JSON can say."""


def complaint(problem: Mapping[str, Any]) -> str:
    """One of the errors that pydantic lists: where, and what it says."""
    where = ".".join(map(str, problem["loc"]))
    said = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def json_text(value: Any) -> str:
    """A JSON value as a file that people may read, with a line end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def in_text(value: Any) -> str:
    """A JSON value as it stands within a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Frozen(_Model):
    """Immutable; written in camelCase, read in camelCase or by field name; unknown fields are refused.

    It has what is used of pydantic's interface and raises pydantic's errors; at run time it is `records.quick`.

    `as_json` gives what files and journals hold: names of files, JSON values, nothing that is None.
    """


class Parameters(Frozen):
    """Base of every plugin's parameters (`with:` of a fault, the mapping under a probe's name)."""


def _one_entry(value: Any) -> Any:
    if isinstance(value, dict) and set(value) != {"kind", "with"}:
        if len(value) != 1:
            found = ", ".join(map(str, value)) or "nothing"
            raise ValueError(f"expected exactly one kind with its parameters, found {found}")
        ((kind, parameters),) = value.items()
        return {"kind": kind, "with": {} if parameters is None else parameters}
    return value


class _Call(Frozen):
    kind: str
    """The plugin: its file's name, with dashes."""
    with_: JsonObject = {}
    """Its parameters, checked against the plugin's own `Params` when the file is loaded."""

    def __str__(self) -> str:
        return self.kind


Call = Annotated[
    _Call,
    BeforeValidator(_one_entry),
    WithJsonSchema({"type": "object", "minProperties": 1, "maxProperties": 1}),
]
"""A plugin by kind with its parameters, written `{kind: {…}}`."""
