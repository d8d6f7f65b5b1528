"""What may stand in `${steps.…}` at a cursor, in a file that cannot be read yet: steps are told by their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from chaosrunner.files import plugins
from chaosrunner.model.passing import OF_FAULTS, OF_READS
from chaosrunner.model.step_values import WORDS
from chaosrunner.records.patterns import pattern

__all__ = ["Word", "ids_before", "words_here"]

_OPEN = pattern(r"(?<!\$)\$\{steps\.(?P<typed>[\w.-]*)$")
_ITEM = pattern(r"^ *- ")
_ID = pattern(r"(?:^|[\s{,-])id:\s*(?P<id>[a-z0-9][a-z0-9.-]*)")
_FAULT = pattern(r"(?:^|[\s{,-])fault:\s*(?P<kind>[a-z0-9-]+)")
_READ = pattern(r"(?:^|[\s{,-])read:\s*(?:\{|$)")


class Word(NamedTuple):
    """One thing that may stand there."""

    label: str
    about: str
    meaning: str


def words_here(lines: Sequence[str], line: int, column: int) -> list[Word] | None:
    """Ids of steps before the cursor, or after an id the words that the step reports; None: nothing of steps is typed
    there."""
    match = _OPEN.search(lines[line][:column]) if line < len(lines) else None
    if match is None:
        return None
    known = dict(_steps(lines[: line + 1]))
    typed = match["typed"]
    if (step := max((one for one in known if typed.startswith(f"{one}.")), key=len, default="")) != "":
        return [Word(word, f"of the step {step}", meaning) for word, meaning in _reported(known[step]).items()]
    return [Word(step, kind or "read", "") for step, kind in known.items()]


def ids_before(lines: Sequence[str], line: int) -> list[str]:
    """Ids of the steps that stand before the one that a line is of."""
    return list(dict(_steps(lines[: line + 1])))


def _steps(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(id, the fault's kind; empty: it reads) of each step of the same document but the last."""
    items: list[str] = []
    for text in lines:
        if text.startswith("---"):
            items = []
        elif _ITEM.match(text):
            items.append(text)
        elif items:
            items[-1] += f"\n{text}"
    for item in items[:-1]:
        fault, read, id = _FAULT.search(item), _READ.search(item), _ID.search(item)
        if fault is not None:
            yield (id["id"] if id is not None else fault["kind"]), fault["kind"]
        elif read is not None and id is not None:
            yield id["id"], ""


def _reported(kind: str) -> Mapping[str, str]:
    if not kind:
        return OF_READS
    plugin = plugins.own("faults", kind) if plugins.facts(kind) is not None else None
    return {**WORDS, **OF_FAULTS, **(plugin.reports if plugin is not None else {})}
