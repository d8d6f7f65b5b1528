"""The base of every model: frozen, camelCase in files, unknown fields are errors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, WithJsonSchema

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


def _alias(name: str) -> str:
    first, *others = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in others)


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
        allow_inf_nan=False,
        defer_build=True,  # most commands use few of the models
    )

    def as_json(self) -> JsonObject:
        """What files and journals hold: aliases, JSON values, nothing that is unset and has no default."""
        dumped: JsonObject = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """pydantic's own schema, each field described by what is written below it."""
        shape = handler(core_schema)
        properties = handler.resolve_ref_schema(shape).get("properties", {})
        for name, meaning in meanings(cls).items():
            written = properties.get(cls.model_fields[name].alias or _alias(name), properties.get(name))
            if written is not None:
                written.setdefault("description", meaning)
        return shape


@cache
def meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """What stands below each field of a model (a docstring), by the field's name.

    Looked up when somebody asks: finding it means reading the source again, and a run has no use for it.
    """
    import ast
    import inspect
    from textwrap import dedent

    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, Frozen) or owner is Frozen:
            continue
        body = ast.parse(dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found.pop(field.target.id, None)
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return {name: meaning for name, meaning in found.items() if name in model.model_fields}


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
