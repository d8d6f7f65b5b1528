"""What of a file's mistakes can be put right without asking: words that are all but spelt right, units with other
names, values in or without quotes.

A fix changes the characters of one word where they stand; everything else of the file, comments too, stays as it is.
What could be meant in two ways is left to people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from chaosrunner.errors import Problem
from chaosrunner.files.excerpts import end_of

CLOSE = 0.8
"""How alike two words must be, from 0 to 1, so that no other can be meant."""
CLOSE_FIELDS = 0.65
"""The same for fields, of which there are few at a place, and which mean nothing as they are."""
_UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:percent|per cent|pct)", re.IGNORECASE)
_TRUTH = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


class Fix(NamedTuple):
    """One change to a line; columns count from 1."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.start}: {self.old} is now {self.new or 'gone'}"


def fixes(problems: Sequence[Problem], lines: Sequence[str]) -> Iterator[Fix]:
    """Those of one file, at most one for each place."""
    seen: set[tuple[int, int]] = set()
    for problem in problems:
        if not 1 <= problem.line <= len(lines) or (problem.line, problem.column) in seen:
            continue
        line = lines[problem.line - 1]
        start, end = problem.column, end_of(line, problem.column)
        if problem.rule == "quantity":
            end = _value_end(line, start)
        old = line[start - 1 : end - 1]
        new = "" if problem.rule == "ignore-unused" else _better(problem, old)
        if problem.rule == "ignore-unused":
            end, old = len(line) + 1, line[start - 1 :]
        if new is not None and new != old:
            seen.add((problem.line, problem.column))
            yield Fix(problem.file, problem.line, start, end, old, new)


def fix_of(problem: Problem, lines: Sequence[str]) -> Fix | None:
    """The fix of one problem, if there is one."""
    return next(fixes([problem], lines), None)


def applied(text: str, changes: Sequence[Fix]) -> str:
    """The text with the changes made, the last one first, so that places stay true."""
    lines = text.split("\n")
    for change in sorted(changes, key=lambda one: (one.line, one.start), reverse=True):
        line = lines[change.line - 1]
        whole = f"{line[: change.start - 1]}{change.new}{line[change.end - 1 :]}"
        if change.new:
            lines[change.line - 1] = whole
        elif whole.strip():
            lines[change.line - 1] = whole.rstrip()
        else:
            del lines[change.line - 1]
    return "\n".join(lines)


def _value_end(line: str, start: int) -> int:
    """The column after a value of several words, such as `5 sec`."""
    match = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1|[^,{}\[\]#\n]+?(?=\s*(?:[,{}\[\]]|\s#|$))""").match(line, start - 1)
    return match.end() + 1 if match else end_of(line, start)


def _better(problem: Problem, old: str) -> str | None:
    bare = old[1:-1] if len(old) > 1 and old[0] in "\"'" and old[-1] == old[0] else old
    if problem.nearest:
        close = CLOSE_FIELDS if problem.rule == "unknown-field" else CLOSE
        return _quoted(problem.nearest, old) if _alike(bare, problem.nearest, close) else None
    if problem.rule == "quantity":
        return _quantity(problem, bare)
    if problem.rule == "api-version" and bare.lower().startswith("chaosrunner") and bare.endswith("/v1"):
        return problem.expected
    if problem.rule == "wrong-type":
        return _typed(problem.expected, bare, quoted=bare != old)
    return None


def _alike(word: str, other: str, close: float) -> bool:
    plain, known = word.lower().replace("_", "").replace("-", ""), other.lower().replace("-", "")
    return plain == known or SequenceMatcher(None, plain, known).ratio() >= close


def _quoted(word: str, old: str) -> str:
    quote = old[0] if old[:1] in ("'", '"') else ""
    return f"{quote}{word}{quote}" if quote or _PLAIN.fullmatch(word) else f'"{word}"'


def _quantity(problem: Problem, written: str) -> str | None:
    if problem.expected.startswith("a duration"):
        match = _DURATION.fullmatch(written.strip())
        unit = _UNITS.get(match[2].lower()) if match else None
        return f"{match[1]}{unit}" if match and unit else None
    if problem.expected.startswith("a ratio"):
        match = _PERCENT.fullmatch(written.strip())
        return f"{match[1]}%" if match else None
    return None


def _typed(expected: str, written: str, *, quoted: bool) -> str | None:
    if expected == "true or false":
        return _TRUTH.get(written.lower())
    if expected in ("a whole number", "a number") and quoted:
        match = _NUMBER.fullmatch(written)
        return written if match and not (match[1] and expected == "a whole number") else None
    if expected == "text" and not quoted and (_NUMBER.fullmatch(written) or written in ("true", "false")):
        return f'"{written}"'
    return None
