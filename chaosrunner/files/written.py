"""Writes nodes as YAML that reads as the same values, with a comment beside each value that came from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

from chaosrunner.files.node import Node, Place
from chaosrunner.files.reader import read
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.patterns import pattern

_PLAIN = pattern(r"[A-Za-z0-9_./%*+-][A-Za-z0-9_./%@+ ()=*|-]*")


def scalar(value: JsonValue) -> str:
    """A value that is no list or mapping, as YAML; text in quotes where it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) is not None and value == value.strip() and not value.startswith(("- ", "*"))
    if plain and [spot.value for spot in read(value.encode(), "").documents] == [value]:
        return value
    return json.dumps(value, ensure_ascii=False)


def node_of(value: JsonValue, via: str = "") -> Node:
    """A value as a node that stands in no file; `via` says where it came from."""
    place = Place(0, 0)
    if isinstance(value, dict):
        return Node(value, place, {name: node_of(item, via) for name, item in value.items()}, via=via)
    if isinstance(value, list):
        return Node(value, place, {index: node_of(item, via) for index, item in enumerate(value)}, via=via)
    return Node(value, place, via=via)


def yaml_lines(node: Node, home: str) -> Iterator[str]:
    """A mapping of a file, line by line. What stands in `home` has no comment."""
    yield from _lines(node, home, home, 0)


def _lines(node: Node, file: str, home: str, depth: int) -> Iterator[str]:
    file = node.origin or file
    indent = "  " * depth
    for name, child in node.children.items():
        head = f"{indent}-" if isinstance(name, int) else f"{indent}{scalar(name)}:"
        if not child.children:
            yield _beside(f"{head} {_leaf(child.value)}", child, file, home)
            continue
        below = list(_lines(child, file, home, depth + 1))
        if isinstance(name, int):
            yield f"{head} {below[0][len(indent) + 2 :]}"
            yield from below[1:]
        else:
            yield head
            yield from below


def _leaf(value: JsonValue) -> str:
    return "{}" if value == {} else "[]" if value == [] else scalar(value)


def _beside(line: str, node: Node, file: str, home: str) -> str:
    told = whence(node, file, home)
    return f"{line}  # {told}" if told else line


def whence(node: Node, file: str, home: str) -> str:
    """Where a value came from, for people; empty: it was written in `home`."""
    if node.via:
        return " ".join(node.via.split())
    file = node.origin or file
    return f"{file}:{node.place.line}" if file != home else ""
