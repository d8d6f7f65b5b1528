"""The words that a model's fields are declared with: pydantic's, without pydantic until somebody needs it.

To a type checker they are pydantic's own. At run time they are those of `declaring`, which keep what they were given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import (
        AfterValidator,
        BeforeValidator,
        Discriminator,
        Field,
        JsonValue,
        PlainSerializer,
        Tag,
        WithJsonSchema,
        field_validator,
        model_validator,
    )
else:
    from chaosrunner.records.declaring import (
        AfterValidator,
        BeforeValidator,
        Discriminator,
        Field,
        JsonValue,
        PlainSerializer,
        Tag,
        WithJsonSchema,
        field_validator,
        model_validator,
    )

__all__ = [
    "AfterValidator",
    "BeforeValidator",
    "Discriminator",
    "Field",
    "JsonValue",
    "PlainSerializer",
    "Tag",
    "WithJsonSchema",
    "field_validator",
    "model_validator",
]
