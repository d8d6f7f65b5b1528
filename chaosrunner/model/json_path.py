"""One value out of a JSON document: paths (RFC 9535) as files write them, and what they find."""

from __future__ import annotations

import math
from typing import Annotated

from chaosrunner.model.marks import AfterValidator
from chaosrunner.model.tolerance import Value


class OneValue:
    """A path made ready to be looked up again and again. Raises the library's `JSONPathError` for one that is wrong."""

    def __init__(self, path: str) -> None:
        from jsonpath import JSONPathEnvironment

        self._written = path
        self._path = JSONPathEnvironment(strict=True).compile(path)

    def of(self, document: object) -> Value:
        """The one number, text, or true/false that it finds. Raises ValueError that says what is there instead."""
        found = self._found(document)
        if len(found) != 1:
            count = f"{len(found)} values" if found else "nothing"
            raise ValueError(f"{self._written} finds {count}, expected exactly one value")
        value = found[0]
        if isinstance(value, bool | str):
            return value
        number = _finite(value)
        if number is None:
            kind = {dict: "an object", list: "a list", type(None): "null"}.get(type(value), f"{value!r:.40}")
            raise ValueError(f"{self._written} is {kind}, expected a number, text, or true/false")
        return number

    def _found(self, document: object) -> list[object]:
        from jsonpath import JSONPathError

        if not isinstance(document, dict | list):
            raise ValueError("the body is a bare JSON value, expected an object or a list to look into")
        try:
            return list(self._path.findall(document))
        except (JSONPathError, RecursionError) as error:
            raise ValueError(f"{self._written} cannot be followed: {error}") from None


def _check(path: str) -> str:
    from jsonpath import JSONPathError

    try:
        OneValue(path)
    except JSONPathError as error:
        raise ValueError(f"expected a JSONPath (RFC 9535) such as $.queue.depth, found {path!r}: {error}") from None
    return path


JsonPath = Annotated[str, AfterValidator(_check)]
"""A JSONPath, checked when the file is read."""


def _finite(value: object) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
