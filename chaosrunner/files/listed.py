"""Files that are a list of one kind of record: one mapping, several documents, or lists of them."""

from __future__ import annotations

from typing import TypeVar

from chaosrunner.errors import FileProblems, Problem
from chaosrunner.files.node import Spot
from chaosrunner.files.reader import read
from chaosrunner.files.validation import validated
from chaosrunner.model.frozen import Frozen

M = TypeVar("M", bound=Frozen)


def listed(model: type[M], data: bytes, file: str) -> list[tuple[Spot, M]]:
    """The records of a YAML or JSON file, each with its place. Raises `FileProblems` with every mistake."""
    parsed = read(data, file)
    problems: list[Problem] = [*parsed.problems]
    found = []
    for document in parsed.documents:
        for spot in _entries(document):
            if (one := validated(model, spot, spot.value, problems)) is not None:
                found.append((spot, one))
    if problems:
        raise FileProblems(problems)
    return found


def _entries(document: Spot) -> list[Spot]:
    if not isinstance(document.value, list):
        return [document]
    return [child for index in range(len(document.value)) if (child := document.child(index)) is not None]
