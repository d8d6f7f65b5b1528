"""Label and field selectors, as an API server understands them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_IN = re.compile(r"\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*")
_EQUALS = re.compile(r"\s*([\w./-]+)\s*(==|=|!=)\s*([\w./-]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([\w./-]+)\s*")


class BadSelector(Exception):
    """The server cannot read it."""


def labels(text: str) -> Callable[[Mapping[str, str]], bool]:
    """`app=cart,tier in (a,b),!legacy` as a question to labels."""
    rules = [_label_rule(part) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda found: all(rule(found) for rule in rules)


def _label_rule(part: str) -> Callable[[Mapping[str, str]], bool]:
    if match := _IN.fullmatch(part):
        key, verb, values = match[1], match[2], {value.strip() for value in match[3].split(",")}
        if verb == "in":
            return lambda found: found.get(key) in values
        return lambda found: found.get(key) not in values
    if match := _EQUALS.fullmatch(part):
        key, verb, value = match[1], match[2], match[3]
        if verb == "!=":
            return lambda found: found.get(key) != value
        return lambda found: found.get(key) == value
    if match := _EXISTS.fullmatch(part):
        key, absent = match[2], match[1] == "!"
        return lambda found: (key in found) is not absent
    raise BadSelector(f"unable to parse requirement: {part!r}")


def fields(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """`spec.nodeName=n1,status.phase!=Running` as a question to an object."""
    rules = []
    for part in filter(None, text.split(",")):
        match = _EQUALS.fullmatch(part)
        if match is None:
            raise BadSelector(f"invalid field selector: {part!r}")
        rules.append((match[1].split("."), match[3], match[2] == "!="))
    return lambda found: all((_field(found, where) == value) is not unequal for where, value, unequal in rules)


def _field(found: Any, where: list[str]) -> str:
    for part in where:
        found = (found or {}).get(part)
    return "" if found is None else str(found)
