"""Where a cursor stands in a file that is being written, and so cannot be read as YAML yet.

Lines, indentation and brackets tell it: the path of keys to the place, what is typed there so far, and what stands
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chaosrunner.files.node import Path
from chaosrunner.records.patterns import pattern

_LINE = pattern(
    r"""^(?P<indent>[ ]*)(?P<dashes>(?:-[ ]+)*)(?:(?P<key>[\w./-]+|"[^"]*"|'[^']*')[ ]*:(?:[ ]+(?P<value>.*))?$)?"""
)
_WORD = pattern(r"[\w./$-]*$")
_PAIR = pattern(r"""^\s*(?:(?P<key>[\w./-]+)\s*:\s*)?(?P<typed>.*)$""", 16)  # a value may go on in the next line


class Cursor(NamedTuple):
    """A place in a file."""

    kind: str
    """The document's kind, as it is written."""
    path: Path
    """The mapping or list that it stands in; every item of a list is 0."""
    key: str
    """The key whose value is typed here; empty: a key is."""
    typed: str
    """The word before the cursor."""
    beside: dict[str, str]
    """Keys of the same mapping, with their values as far as they stand in one line."""
    above: dict[str, str]
    """The same of the mapping around it."""


class _Line(NamedTuple):
    number: int
    dash: int
    """Column of its first dash; -1: none."""
    column: int
    """Of its key, or of what stands there in its place."""
    key: str
    value: str


def cursor(lines: Sequence[str], line: int, column: int) -> Cursor:
    """The place before a character; both count from 0."""
    start, end = _document(lines, line)
    entries = [_line(number, lines[number]) for number in range(start, end)]
    kind = next((one.value for one in entries if one.column == 0 and one.key == "kind"), "")
    head = lines[line][:column] if line < len(lines) else ""
    here = _line(line, head)
    flow_at = _flow_start(head)
    block = head if flow_at < 0 else head[:flow_at]
    own = _line(line, block.rstrip() if flow_at >= 0 else block)
    entries = [one for one in entries if one.number != line]
    path, beside, above = _around(entries, own)
    if flow_at < 0:
        typed = _typed(head)
        return Cursor(kind, path, here.key if here.key else "", typed, beside, above)
    return _in_flow(kind, head[flow_at:], (path, own, beside))


def _typed(head: str) -> str:
    match = _WORD.search(head)
    return match[0] if match else ""


def _document(lines: Sequence[str], line: int) -> tuple[int, int]:
    start = max((number + 1 for number in range(min(line, len(lines))) if lines[number].startswith("---")), default=0)
    end = next((number for number in range(line, len(lines)) if lines[number].startswith("---")), len(lines))
    return start, max(start, end)


def _line(number: int, text: str) -> _Line:
    bare = text.split(" #")[0].rstrip() if not text.lstrip().startswith("#") else ""
    match = _LINE.match(bare)
    indent, dashes = (len(match["indent"]), match["dashes"]) if match else (0, "")
    if match is None or not bare.strip():
        return _Line(number, -1, len(text) - len(text.lstrip(" ")) if text.strip() else len(text), "", "")
    if not dashes and bare.lstrip().startswith("-") and not match["key"]:
        dashes = "-"
    column = indent + len(dashes)
    key = (match["key"] or "").strip("\"'")
    return _Line(number, indent if dashes else -1, column, key, (match["value"] or "").strip())


def _around(entries: Sequence[_Line], own: _Line) -> tuple[Path, dict[str, str], dict[str, str]]:
    """The path to the mapping that a line stands in, and what is in it and in the one around it."""
    path: list[str | int] = []
    levels: list[dict[str, str]] = []
    column, dash, number = own.column, own.dash, own.number
    while True:
        levels.append(_siblings(entries, number, column, dash >= 0))
        parent = _parent(entries, number, column)
        if dash < 0:
            first = _item_start(entries, number, column)
            if first is not None:
                dash, number = first.dash, first.number
        if dash >= 0:
            path.insert(0, 0)
            column = dash + 1
            parent = _list_of(entries, number, dash)
        if parent is None:
            break
        path.insert(0, parent.key)
        column, dash, number = parent.column, parent.dash, parent.number
    return tuple(path), levels[0], levels[1] if len(levels) > 1 else {}


def _parent(entries: Sequence[_Line], number: int, column: int) -> _Line | None:
    for one in reversed(entries):
        if one.number < number and one.key and one.column < column:
            return one
    return None


def _list_of(entries: Sequence[_Line], number: int, dash: int) -> _Line | None:
    """The line with the key whose list an item belongs to. A dash may stand right below its key, unless that key itself
    comes behind a dash: then the two are items of one list."""
    begun = [one for one in entries if one.number < number and one.key and not one.value]
    plain = [one for one in begun if one.dash < 0 and one.column <= dash]
    behind_dashes = [one for one in begun if one.column < dash]
    return next(reversed(plain or behind_dashes), None)


def _item_start(entries: Sequence[_Line], number: int, column: int) -> _Line | None:
    """The line with the dash of the item that a line without one belongs to."""
    for one in reversed(entries):
        if one.number < number and (one.key or one.dash >= 0):
            if one.column < column and one.dash < 0:
                return None
            if one.dash >= 0 and one.column <= column:
                return one if one.column == column else None
    return None


def _siblings(entries: Sequence[_Line], number: int, column: int, starts: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in reversed([one for one in entries if one.number < number]) if not starts else ():
        if one.column < column and one.key:
            break
        if one.column == column and one.key:
            found[one.key] = one.value
            if one.dash >= 0:
                break
    for one in (one for one in entries if one.number > number):
        if one.key and (one.column < column or (one.dash >= 0 and one.column <= column)):
            break
        if one.column == column and one.key:
            found[one.key] = one.value
    return found


# ---------------------------------------------------------------------------------------------------- in brackets


def _flow_start(head: str) -> int:
    """Where the outermost bracket begins that is still open; -1: none is."""
    depth, start, quote = 0, -1, ""
    for index, one in enumerate(head):
        if quote:
            quote = "" if one == quote else quote
        elif one in "\"'":
            quote = one
        elif one in "{[":
            start = index if depth == 0 else start
            depth += 1
        elif one in "}]":
            depth -= 1
    return start if depth > 0 else -1


def _in_flow(kind: str, text: str, block: tuple[Path, _Line, dict[str, str]]) -> Cursor:
    path, own, beside = block
    steps: list[str | int] = [
        *path,
        *([own.key] if own.key else [0] if own.dash >= 0 and (not path or path[-1] != 0) else []),
    ]
    stack: list[tuple[str, dict[str, str], str]] = []
    part, quote = "", ""
    for one in text:
        if quote or one in "\"'":
            quote = ("" if one == quote else quote) if quote else one
            part += one
        elif one in "{[":
            stack.append((one, {}, _key(part)))
            if len(stack) > 1:
                steps += [stack[-1][2]] if stack[-1][2] else [0]
            part = ""
        elif one in "}]":
            _, _, key = stack.pop()
            steps.pop()
            part = f"{key}: …" if key else "…"
        elif one == ",":
            _keep(stack[-1][1], part)
            part = ""
        else:
            part += one
    inside = stack[-1][0]
    match = _PAIR.match(part)
    key = match["key"] or "" if match else ""
    above = stack[-2][1] if len(stack) > 1 else beside
    if inside == "[":
        return Cursor(kind, (*steps, 0), "-", _typed(part), stack[-1][1], above)
    return Cursor(kind, tuple(steps), key, _typed(part), stack[-1][1], above)


def _key(part: str) -> str:
    match = _PAIR.match(part)
    return match["key"] or "" if match else ""


def _keep(into: dict[str, str], part: str) -> None:
    match = _PAIR.match(part)
    if match and match["key"]:
        into[match["key"]] = match["typed"].strip()
