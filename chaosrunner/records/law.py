"""The same models as pydantic's own: they decide in doubt, say what is wrong, and describe themselves. See `quick`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic
from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core import core_schema as core

from chaosrunner.records import declaring
from chaosrunner.records.declaring import Check, Mark
from chaosrunner.records.meanings import meanings
from chaosrunner.records.quick import REQUIRED, Quick, alias


class _Law(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=alias,
        populate_by_name=True,
        ser_json_inf_nan="strings",
        allow_inf_nan=False,
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """pydantic's own schema, each field described by what is written below it."""
        shape = handler(schema)
        properties = handler.resolve_ref_schema(shape).get("properties", {})
        for name, meaning in meanings(_OURS[cls]).items():
            written = properties.get(alias(name), properties.get(name))
            if written is not None:
                written.setdefault("description", meaning)
        return shape


_OURS: dict[type[Any], Any] = {}
"""Of each of pydantic's models, ours."""


@cache
def law(model: Any) -> Any:
    """pydantic's model of one of ours. Another model (pydantic's own) stands for itself."""
    if not issubclass(model, Quick):
        return model
    body: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
        "__annotations__": {name: of_pydantic(declared.type()) for name, declared in model.model_declared.items()},
        **_beside(model),
        **model.model_foreign,
        **{name: _decorated(model, check) for name, check in model.model_checks.items()},
    }
    for name, declared in model.model_declared.items():
        if declared.default is not REQUIRED:
            body[name] = declared.default.made() if isinstance(declared.default, Mark) else declared.default
    if model.model_config:
        body["model_config"] = {**model.model_config}
    metaclass: Any = type(BaseModel)
    made = metaclass(model.__name__, (_Law,), body)
    _OURS[made] = model
    return made


def _beside(model: type[Quick]) -> dict[str, Any]:
    """What validators of pydantic's own may call: the model's methods and properties."""
    if not model.model_foreign:
        return {}
    owners = [owner for owner in reversed(model.__mro__) if issubclass(owner, Quick) and owner is not Quick]
    found = {name: value for owner in owners for name, value in vars(owner).items() if not name.startswith("__")}
    skipped = {*vars(Quick), "as_json", "_ready"}
    return {name: value for name, value in found.items() if name not in skipped and _is_method(value)}


def _is_method(value: Any) -> bool:
    """Whether it is a method or a property."""
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def of_pydantic(annotation: Any) -> Any:
    """A type with pydantic's marks for ours."""
    if annotation is declaring.JsonValue:
        return pydantic.JsonValue
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None or not arguments:
        return annotation
    if origin is Annotated:
        marks = [mark.made() if isinstance(mark, Mark) else mark for mark in annotation.__metadata__]
        return Annotated[of_pydantic(arguments[0]), *marks]
    if origin in (tuple, dict, list):
        return origin[tuple(map(of_pydantic, arguments))]
    if origin is Union or origin.__name__ == "UnionType":
        return Union[tuple(map(of_pydantic, arguments))]  # noqa: UP007
    return annotation


def _decorated(model: type[Quick], check: Check) -> Any:
    if check.mode == "after":
        return pydantic.model_validator(mode="after")(_on_ours(check.function))
    validator: Any = classmethod(lambda _, value: check.function(model, value))
    if check.mode == "before":
        return pydantic.model_validator(mode="before")(validator)
    return pydantic.field_validator(*check.fields)(validator)


def _on_ours(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def validator(self: Any) -> Any:
        before = ours(self)
        after = function(before)
        return self if after is before else of_law(after)

    return validator


def ours(made: BaseModel) -> Any:
    """Our instance of pydantic's."""
    model = _OURS[type(made)]
    new = model.__new__(model)
    new.__setstate__((made.__dict__, frozenset(made.model_fields_set)))
    return new


def of_law(value: Any) -> Any:
    """pydantic's instance of ours."""
    kind: Any = type(value)
    return law(kind).model_construct(set(value.model_fields_set), **value.__dict__)


def judged(model: Any, value: Any, **options: Any) -> Any:
    """An instance by pydantic's judgement; raises its `ValidationError`."""
    return ours(law(model).model_validate(value, **options))


def judged_json(model: Any, text: str | bytes) -> Any:
    """The same of JSON."""
    return ours(law(model).model_validate_json(text))


def constructed(model: Any, values: Mapping[str, Any]) -> Any:
    """An instance of values that are right."""
    return ours(law(model).model_construct(**values))


def core_schema(model: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """How pydantic reads and writes one of our models inside another."""
    inner = handler.generate_schema(law(model))

    def read(value: Any, judge: core.ValidatorFunctionWrapHandler) -> Any:
        return value if isinstance(value, model) else ours(judge(value))

    def write(value: Any) -> Any:
        return of_law(value) if isinstance(value, model) else value

    return core.no_info_wrap_validator_function(
        read, inner, serialization=core.plain_serializer_function_ser_schema(write, return_schema=inner)
    )
