"""Reads queries as Prometheus would, offline, and finds the place of a mistake in the file.

The parser is `promql-parser`, Prometheus's own grammar in Rust (`pip install chaosrunner[promql]`). It says what is
wrong, but hardly where; so where Prometheus's own `promtool` is installed, it is asked about what the parser refuses,
and its word counts, as it does where there is no parser. With neither, queries are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from chaosrunner.errors import Problem
from chaosrunner.files.node import Node, Place, Spot
from chaosrunner.files.validation import called
from chaosrunner.records.light import replace

_PATIENCE = 20.0
_SAID = re.compile(r"rule (\d+), .*?could not parse expression: (\d+):(\d+): parse error: (.*)")
_NAMED = re.compile(r"""['"]([^'"]+)['"]|: (\S+)$""")
_CLOSING = {")": "(", "]": "[", "}": "{"}


class Mistake(NamedTuple):
    """What is wrong with a query."""

    at: int
    """The character at which it shows."""
    words: str


def query_problems(spots: Sequence[Spot]) -> Iterator[Problem]:
    """What is wrong with the queries that stand at these places."""
    found = mistakes([str(spot.value) for spot in spots])
    for spot in spots:
        mistake = found.get(str(spot.value))
        if mistake is not None:
            place = place_in(spot.node, mistake.at)
            whole = spot.problem(f"{called(spot)} is no PromQL: {mistake.words}", rule="promql")
            yield replace(whole, line=place.line, column=place.column)


def mistakes(queries: Sequence[str]) -> Mapping[str, Mistake]:
    """Query -> what is wrong with it, of those that are wrong."""
    refused = _refused(dict.fromkeys(queries))
    suspects = list(dict.fromkeys(queries)) if refused is None else list(refused)
    told = _of_promtool(suspects) if suspects else None
    return told if told is not None else refused or {}


def _refused(queries: Mapping[str, None]) -> Mapping[str, Mistake] | None:
    """By the parser; None: it is not installed."""
    try:
        import promql_parser
    except ImportError:
        return None
    found = {}
    for query in queries:
        try:
            promql_parser.parse(query)
        except ValueError as error:
            found[query] = Mistake(_guessed(query, str(error)), str(error))
    return found


def _of_promtool(queries: Sequence[str]) -> Mapping[str, Mistake] | None:
    """By promtool, all at once; None: it is not installed, or says nothing that can be understood."""
    import json
    import shutil
    import subprocess
    import tempfile

    tool = shutil.which("promtool")
    if tool is None:
        return None
    rules = [{"record": f"chaosrunner:q{number}", "expr": query} for number, query in enumerate(queries)]
    with tempfile.TemporaryDirectory(prefix="chaosrunner-") as folder:
        path = Path(folder) / "rules.json"
        path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}), encoding="utf-8")
        try:
            done = subprocess.run(
                [tool, "check", "rules", str(path)], capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    found = {}
    for number, line, column, words in _SAID.findall(done.stdout + done.stderr):
        query = queries[int(number) - 1]
        found[query] = Mistake(_index(query, int(line), int(column)), words.strip())
    return found if found or done.returncode == 0 else None


def _index(query: str, line: int, column: int) -> int:
    """Of promtool's line and column, which counts bytes."""
    lines = query.split("\n")
    before = sum(len(one) + 1 for one in lines[: line - 1])
    here = lines[line - 1] if line <= len(lines) else ""
    return min(before + len(here.encode()[: column - 1].decode(errors="ignore")), max(len(query) - 1, 0))


def _guessed(query: str, words: str) -> int:
    """Where the parser's words are about: a bracket that is not closed or never opened, or what they name."""
    if "parenthesis" in words or "unclosed" in words:
        return _bracket(query)
    named = next((one or other for one, other in _NAMED.findall(words)), "")
    return query.index(named) if named and query.count(named) == 1 else 0


def _bracket(query: str) -> int:
    """The first bracket that closes nothing, or the last one that is not closed; outside of strings."""
    is_open: list[int] = []
    quote = ""
    skip = False
    for index, character in enumerate(query):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\" and quote != "`"
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character in "([{":
            is_open.append(index)
        elif character in _CLOSING:
            if not is_open or query[is_open[-1]] != _CLOSING[character]:
                return index
            is_open.pop()
    return is_open[-1] if is_open else 0


# ------------------------------------------------------------------------------------------------ places in the file


def place_in(node: Node, index: int) -> Place:
    """Where a character of a text stands in the file, whatever way the text is written there."""
    raw = node.raw
    if not raw:
        return Place(node.place.line, node.place.column + index)
    at = _raw_index(raw, str(node.value), index)
    above = raw.count("\n", 0, at)
    if not above:
        return Place(node.place.line, node.place.column + at)
    return Place(node.place.line + above, at - raw.rindex("\n", 0, at))


def _raw_index(raw: str, value: str, wanted: int) -> int:
    """The index in what is written of an index in what is meant: quotes, escapes and folded lines differ."""
    quote = raw[0] if raw[0] in "'\"" else ""
    at = 1 if quote else raw.index("\n") + 1 if raw[0] in "|>" and "\n" in raw else 0
    index = 0
    while at < len(raw) - 1:
        step = 1
        if raw[at].isspace():
            at_end, end = _after_spaces(raw, at), _after_spaces(value, index)
            if end > wanted:
                return at + wanted - index
            at, index = at_end, end
            continue
        if index >= wanted:
            return at
        if quote == "'" and raw.startswith("''", at):
            step = 2
        elif quote == '"' and raw[at] == "\\":
            step = {"x": 4, "u": 6, "U": 10}.get(raw[at + 1], 2)
            if raw[at + 1] == "\n":
                at, index = _after_spaces(raw, at + 1), index - 1
                step = 0
        at, index = at + step, index + 1
    return min(at, len(raw) - 1)


def _after_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
