"""What sort of lines a log has: lines that differ only in numbers, ids and names are of one template. Pure.

The way of Drain (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017): lines are parted
by how many words they have, then by their first words, and belong to the template most of whose words are theirs. What
is plainly a value is masked before, and a word that holds a digit never parts them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import field

from chaosrunner.records.light import dataclass

WILD = "<*>"
DEPTH = 2
"""First words that part lines."""
ALIKE = 0.5
"""The share of words that must be the same."""
MOST_WORDS = 60
"""Of a line; what comes behind them tells no template."""
MOST_TEMPLATES = 2000
"""Beyond it new ones are counted together: no memory is large enough for a log without any order."""
OTHERS = (WILD,)

_TIME = re.compile(
    r"^\W{0,2}(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?\W{0,2}\s*"
    r"|^\d{9,}(?:\.\d+)?\s+"
)
_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{6,}\b"), "<hex>"),
    (re.compile(r"(?<![\w<])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=(?:ns|us|µs|ms|s|m|h|%|[kKMG]i?B|B)?(?!\w))"), "<n>"),
)
_DIGIT = re.compile(r"\d")
_SAID = ("level", "severity", "lvl", "logger", "msg", "message", "event", "error", "err", "exception")
"""Fields of a line of JSON that say what happened, in this order; the others are values."""


@dataclass(slots=True)
class Template:
    """One sort of line."""

    words: list[str]
    stream: str
    times: list[float] = field(default_factory=list)
    """Of each of its lines."""
    sample: str = ""
    """Its first line that is meant."""

    @property
    def text(self) -> str:
        """As people read it."""
        return " ".join(self.words)


class Miner:
    """Sorts the lines of one log."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._groups: dict[tuple[str, ...], list[Template]] = {}
        self.templates: list[Template] = []

    def add(self, at: float, line: str, *, meant: bool) -> None:
        """Take one line in; `meant` ones lend their template a sample."""
        template = self._template(words_of(line))
        template.times.append(at)
        if meant and not template.sample:
            template.sample = line

    def _template(self, words: list[str]) -> Template:
        key = (str(len(words)), *(WILD if _DIGIT.search(word) or "<" in word else word for word in words[:DEPTH]))
        group = self._groups.setdefault(key, [])
        best = max(group, key=lambda one: _alike(one.words, words), default=None)
        if best is not None and _alike(best.words, words) >= ALIKE:
            best.words = [old if old == new else WILD for old, new in zip(best.words, words, strict=True)]
            return best
        if len(self.templates) >= MOST_TEMPLATES:
            words, group = [WILD], self._groups.setdefault(OTHERS, [])
            if group:
                return group[0]
        made = Template(words, self._stream)
        group.append(made)
        self.templates.append(made)
        return made


def _alike(template: Sequence[str], words: Sequence[str]) -> float:
    return sum(old == new for old, new in zip(template, words, strict=True)) / len(words)


def words_of(line: str) -> list[str]:
    """The words of a line without its time, values masked."""
    text = _TIME.sub("", _of_json(line.strip()))
    for pattern, name in _MASKS:
        text = pattern.sub(name, text)
    return text.split(None, MOST_WORDS)[:MOST_WORDS] or [WILD]


def _of_json(line: str) -> str:
    """What a line of JSON says, without its values; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        found = json.loads(line)
    except ValueError:
        return line
    said = [str(found[name]) for name in _SAID if isinstance(found.get(name), str)] if isinstance(found, dict) else []
    return " ".join(said) or line
