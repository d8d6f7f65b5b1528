"""Comments that set a warning aside: `# chaosrunner: ignore CR110 because the limit is a placeholder`.

At the end of a line such a comment is about that line. On a line of its own it is about the next one, with all that
stands below it by indentation; before a document's first line it is about the whole document. It must say why, and one
that sets nothing aside is told itself. Mistakes cannot be set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chaosrunner.errors import Problem
from chaosrunner.files.validation import nearest
from chaosrunner.records.patterns import pattern

MARK = b"chaosrunner:"
_COMMENT = pattern(r"#[ \t]*chaosrunner:[ \t]*(.*)$")
_IGNORE = pattern(r"ignore\b[ \t]*(?P<codes>[A-Za-z0-9, \t-]*?)[ \t]*(?:\bbecause\b[ \t:]*(?P<why>.*))?")
_CODES = pattern(r"[A-Za-z0-9-]+")


class Ignore(NamedTuple):
    """One comment."""

    file: str
    line: int
    column: int
    codes: tuple[str, ...]
    """That it names, known and warnings."""
    first: int
    """The lines that it is about, both included."""
    last: int
    reason: str

    def covers(self, warning: Problem, code: str) -> bool:
        """Whether it sets this warning aside."""
        return warning.file == self.file and code in self.codes and self.first <= warning.line <= self.last


class Comments(NamedTuple):
    """What a file's comments say to `check`."""

    ignores: tuple[Ignore, ...] = ()
    unclear: tuple[Problem, ...] = ()
    """Those that set nothing aside as they are written; warnings."""


def comments(text: str, file: str) -> Comments:
    """Of a file's text that holds `MARK` somewhere."""
    ignores: list[Ignore] = []
    unclear: list[Problem] = []
    lines = text.splitlines()
    inside: set[int] | None = None
    for number, line in enumerate(lines, 1):
        match = _COMMENT.search(line)
        if match is None or (match.start() and not line[match.start() - 1].isspace()):
            continue
        inside = _in_scalars(text) if inside is None else inside
        if number in inside:
            continue
        told = _IGNORE.fullmatch(match[1].strip())
        place = (file, number, match.start() + 1)
        if told is None:
            unclear.append(_unclear(place, "this comment is not understood"))
            continue
        codes, wrong = _codes(place, told["codes"])
        unclear += wrong
        if not (told["why"] or "").strip(" …."):
            unclear.append(_unclear(place, "this comment gives no reason, and ignores nothing"))
        elif codes:
            first, last = _covered(lines, number, alone=not line[: match.start()].strip())
            ignores.append(Ignore(*place, tuple(codes), first, last, told["why"].strip()))
    return Comments(tuple(ignores), tuple(unclear))


def _codes(place: tuple[str, int, int], words: str) -> tuple[list[str], list[Problem]]:
    from chaosrunner.files.rules import CODES, find

    codes, wrong = [], []
    for word in _CODES.findall(words):
        rule = find(word)
        if rule is None:
            near = nearest(word, [code for code, one in CODES.items() if one.warns])
            wrong.append(_unclear(place, f"there is no rule {word}", near))
        elif not rule.warns:
            wrong.append(_unclear(place, f"{rule.code} is a mistake, which cannot be set aside"))
        else:
            codes.append(rule.code)
    if not codes and not wrong:
        wrong.append(_unclear(place, "this comment names no rule"))
    return codes, wrong


def _unclear(place: tuple[str, int, int], said: str, near: str = "") -> Problem:
    expected = "" if near else "`# chaosrunner: ignore CODE because REASON`"
    return Problem(*place, said, expected, near, rule="ignore-unclear")


def _covered(lines: Sequence[str], number: int, *, alone: bool) -> tuple[int, int]:
    if not alone:
        return number, number
    first = number + 1
    while first <= len(lines) and (not lines[first - 1].strip() or lines[first - 1].lstrip().startswith("#")):
        first += 1
    if first > len(lines):
        return number, number
    before = [line for line in lines[: first - 1] if line.strip() and not line.lstrip().startswith("#")]
    whole = not before or before[-1].startswith("---") or lines[first - 1].startswith("---")
    indent = -1 if whole else _indent(lines[first - 1])
    last = first
    for at in range(first + 1, len(lines) + 1):
        line = lines[at - 1]
        if line.startswith("---") or (line.strip() and _indent(line) <= indent):
            break
        last = at
    return first, last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _in_scalars(text: str) -> set[int]:
    """The lines that continue a text of several lines: a `#` there is no comment."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    inside: set[int] = set()
    try:
        for event in yaml.parse(text, Loader=loader):
            start, end = event.start_mark, event.end_mark
            if isinstance(event, yaml.ScalarEvent) and event.style and start and end and start.line < end.line:
                inside.update(range(start.line + 2, end.line + (1 if event.style in "|>" else 2)))
    except (yaml.YAMLError, ValueError):
        return inside
    return inside


def settled(warnings: Sequence[Problem], ignores: Sequence[Ignore]) -> tuple[list[Problem], list[Ignore]]:
    """The warnings that no comment sets aside, and the comments that set none aside."""
    from chaosrunner.files.rules import rule_of

    used: set[Ignore] = set()
    kept = []
    for warning in warnings:
        code = rule_of(warning, warning=True).code
        covering = [ignore for ignore in ignores if ignore.covers(warning, code)]
        used.update(covering)
        if not covering:
            kept.append(warning)
    return kept, [ignore for ignore in ignores if ignore not in used]


def unused(ignores: Sequence[Ignore]) -> Iterator[Problem]:
    """Warnings about comments that set nothing aside."""
    for one in ignores:
        said = f"nothing here breaks {', '.join(one.codes)} any more: this comment is not needed"
        yield Problem(one.file, one.line, one.column, said, rule="ignore-unused")
