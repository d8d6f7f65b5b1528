"""What plain text in YAML means: the core schema of YAML 1.2, in the values that JSON can hold.

https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
from functools import lru_cache

from chaosrunner.records.patterns import pattern

TAG = "tag:yaml.org,2002:"
TAGS = {f"{TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
NO_NUMBER = object()
"""Stands for a number that JSON cannot hold."""
LETTERS = frozenset("abcdeghijklmopqrsuvwxyzABCDEGHIJKLMOPQRSUVWXYZ/$_")
"""What plain text begins with that can be nothing but text: no `null`, `true`, `false` and no number does."""
MOST_DIGITS = 300
SHORT = 24
"""Characters of text whose meaning is kept: the same few times, counts and ports come again and again."""

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = pattern(r"[-+]?[0-9]{1,300}|0o[0-7]{1,90}|0x[0-9a-fA-F]{1,70}")
_FLOAT = pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = pattern(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def core(text: str) -> object:
    """A plain scalar by the core schema; `NO_NUMBER` where it is a number that JSON cannot hold."""
    return _short(text) if len(text) <= SHORT else _meant(text)


def _meant(text: str) -> object:
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _NOT_FINITE.fullmatch(text):
        return NO_NUMBER
    if _FLOAT.fullmatch(text):
        number = float(text) if len(text) <= MOST_DIGITS else math.inf
        return number if math.isfinite(number) else NO_NUMBER
    return text


_short = lru_cache(maxsize=4096)(_meant)


def fits(value: object, tag: str) -> bool:
    """Whether a value is what its tag says."""
    kinds: dict[str, tuple[type, ...]] = {
        "null": (type(None),),
        "bool": (bool,),
        "int": (int,),
        "float": (int, float),
    }
    wanted = kinds.get(tag.removeprefix(TAG), ())
    return isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
