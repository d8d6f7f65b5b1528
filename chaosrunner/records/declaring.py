"""Stands for pydantic's marks and decorators until `law` makes pydantic's own of them. See `quick` for why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class JsonValue:
    """Whatever JSON can say; a name for annotations."""


class Mark:
    """A mark of pydantic's by the same name, not made yet."""

    __slots__ = ("_made", "args", "options")

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args = args
        self.options = options
        self._made: Any = None

    def made(self) -> Any:
        """pydantic's own; always the same one."""
        if self._made is None:
            import pydantic

            self._made = getattr(pydantic, type(self).__name__)(*self.args, **self.options)
        return self._made


class AfterValidator(Mark):
    """`AfterValidator(function)`."""


class BeforeValidator(Mark):
    """`BeforeValidator(function)`."""


class Discriminator(Mark):
    """`Discriminator(function, …)`: says by its tag which arm of a union is meant."""


class Field(Mark):
    """`Field(default=…, ge=…, …)`; without a `default_factory`, which nothing of ours has."""


class PlainSerializer(Mark):
    """`PlainSerializer(function, …)`: how a value is written as JSON."""


class Tag(Mark):
    """`Tag(name)`: of an arm of a union."""


class WithJsonSchema(Mark):
    """`WithJsonSchema({…})`."""


class Check:
    """A validator: of a model `before` or `after` its fields are read, or of a `field` after it was read."""

    __slots__ = ("fields", "function", "mode")

    def __init__(self, function: Any, mode: str, fields: tuple[str, ...] = ()) -> None:
        self.function: Callable[..., Any] = getattr(function, "__func__", function)
        self.mode = mode
        self.fields = fields


def model_validator(*, mode: str) -> Callable[[Any], Any]:
    """As pydantic's, for `before` and `after`."""
    return lambda function: Check(function, mode)


def field_validator(*fields: str) -> Callable[[Any], Any]:
    """As pydantic's, after the field was read."""
    return lambda function: Check(function, "field", fields)
