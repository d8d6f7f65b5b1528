"""The line of a file that a problem is about, with a caret below what is meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from chaosrunner.errors import Problem
from chaosrunner.records.patterns import pattern

WIDEST = 140
"""Characters of a line that are shown."""
_TOKEN = pattern(r"""(["'])(?:\\.|(?!\1).)*\1|[^\s,:{}\[\]"'#][^\s,:{}\[\]]*(?::[^\s,{}\[\]]+)*""")


def end_of(line: str, column: int) -> int:
    """The column after what stands at a column (from 1): a word, a quoted text, or one character."""
    start = column - 1
    match = _TOKEN.match(line, start)
    if match is not None and match.end() > start:
        return match.end() + 1
    return column + 1


def excerpt(lines: Sequence[str], problem: Problem) -> list[str]:
    """The line and the caret below it, for a terminal; nothing where the file has no such line."""
    if not 1 <= problem.line <= len(lines):
        return []
    line = lines[problem.line - 1]
    start, end = problem.column - 1, end_of(line, problem.column) - 1
    first = 0 if end <= WIDEST else max(0, start - WIDEST // 3)
    shown = _printable(line[first : first + WIDEST])
    before = _width(_printable(line[first:start]))
    under = max(1, _width(_printable(line[start : min(end, first + WIDEST)])))
    number = str(problem.line)
    gap = " " * len(number)
    return [f"  {number} | {shown}".rstrip(), f"  {gap} | {' ' * before}{'^' * under}"]


def _printable(text: str) -> str:
    """Tabs as one space, and nothing that a terminal would act on."""
    return "".join(one if one.isprintable() else " " if one == "\t" else "�" for one in text)


def _width(text: str) -> int:
    """Columns that a terminal takes for it."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)
