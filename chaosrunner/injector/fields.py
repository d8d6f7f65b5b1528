"""The fields of a message, read within their bounds.

Each function raises `RequestRefused` that names the field, what it is and what was expected.
"""

from __future__ import annotations

from collections.abc import Collection

from chaosrunner.injector.calls import Message, RequestRefused

__all__ = ["choice", "number", "only", "whole"]


def only(asked: Message, known: Collection[str], what: str) -> None:
    """Refuses a field that nobody knows."""
    if unknown := set(asked).difference(known):
        raise RequestRefused(f"unknown field {min(unknown)!r:.60} of {what}; known: {', '.join(sorted(known))}")


def number(asked: Message, key: str, default: float, most: float) -> float:
    """From 0 to `most`."""
    value = asked.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RequestRefused(f"`{key}` is a number from 0 to {most:g}, not {value!r:.60}")
    return float(value)


def whole(asked: Message, key: str) -> int:
    """Any whole number; 0 where there is none."""
    value = asked.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestRefused(f"`{key}` is a whole number, not {value!r:.60}")
    return value


def choice(asked: Message, key: str, known: tuple[str | None, ...], default: str | None) -> str | None:
    """One of those that are known."""
    value = asked.get(key, default)
    if value not in known:
        words = ", ".join(word for word in known if word)
        raise RequestRefused(f"`{key}` is one of {words}, not {value!r:.60}")
    assert value is None or isinstance(value, str)
    return value
