"""The runs that an experiment stands for: one, or one for each combination of its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosrunner.errors import FileProblems, Problem, UsageError
from chaosrunner.files.references import Library, NotFound
from chaosrunner.files.reuse import Given, combinations, reuses


def variants(reference: str, folder: Path, parameters: Given | None = None) -> Sequence[Given]:
    """What to give `load_experiment` for each run, in the file's order; `parameters` themselves where there is no
    matrix. A parameter that is given is not varied.

    Raises `UsageError` if the reference leads nowhere, `FileProblems` for a matrix that cannot be read.
    """
    library = Library(folder)
    found = library.refer("Experiment", reference, [library.folder])
    if isinstance(found, NotFound):
        raise UsageError(str(found))
    file, spot = found
    if not reuses(spot):
        return [parameters or {}]
    problems: list[Problem] = [*file.problems]
    ways = combinations(library, file, spot, parameters or {}, problems)
    if problems:
        raise FileProblems(problems)
    return ways
