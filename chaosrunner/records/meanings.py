"""What a model's fields mean: the docstrings below them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from textwrap import dedent
from typing import Any

from chaosrunner.records.quick import Quick


@cache
def meanings(model: Any) -> Mapping[str, str]:
    """What stands below each field of a model, by the field's name.

    Looked up when somebody asks: finding it means reading the source again, and a run has no use for it.
    """
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, Quick) or not owner.__annotations__ or owner is Quick:
            continue
        body = ast.parse(dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                found.pop(field.target.id, None)
                if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                    found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return {name: meaning for name, meaning in found.items() if name in model.model_declared}
