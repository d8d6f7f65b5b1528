"""The base of every model: frozen, camelCase in files, unknown fields are errors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, WithJsonSchema
from pydantic.alias_generators import to_camel


def _alias(name: str) -> str:
    return to_camel(name.rstrip("_"))


JsonObject = dict[str, JsonValue]
"""An open shape (fault parameters, undo data): whatever JSON can say."""


class Frozen(BaseModel):
    """Immutable; written in camelCase, read in camelCase or by field name; unknown fields are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_alias,
        populate_by_name=True,
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    def as_json(self) -> JsonObject:
        """What files and journals hold: aliases, JSON values, nothing that is unset and has no default."""
        dumped: JsonObject = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped


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
