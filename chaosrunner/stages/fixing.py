"""check --fix: puts right in files what is mechanical, and leaves the rest of each file as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaosrunner.errors import Problem, UsageError
from chaosrunner.files.fixes import Fix, applied, fixes
from chaosrunner.stages.checking import check_files
from chaosrunner.stages.load import Checked

ROUNDS = 4
"""A kind that was misspelt hides what is wrong with its parameters; so it is looked again, so often at the most."""


def fixed(paths: Sequence[str], folder: Path) -> list[Fix]:
    """What was changed in the files named and in those they refer to. A change after which more is wrong than before is
    not made. Raises `UsageError` for a path that is not there, or a file that cannot be written."""
    done: list[Fix] = []
    for _ in range(ROUNDS):
        checked = check_files(paths, folder)
        spare = [warning for warning in checked.warnings if warning.rule == "ignore-unused"]
        by_file: dict[str, list[Problem]] = {}
        for problem in (*checked.problems, *spare):
            by_file.setdefault(problem.file, []).append(problem)
        made = [fix for file, problems in by_file.items() for fix in _in_file(folder, file, problems, checked)]
        done += made
        if not made:
            break
    return done


def _in_file(folder: Path, file: str, problems: Sequence[Problem], before: Checked) -> list[Fix]:
    path = folder / file
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    changes = list(fixes(problems, text.split("\n")))
    if not changes:
        return []
    new = f"{mark}{applied(text, changes)}".encode()
    after = check_files([file], folder, unsaved={path.absolute(): new})
    unread = {problem for problem in after.problems if problem.rule in ("yaml", "given-twice")}
    if unread - set(before.problems):
        return []
    try:
        path.write_bytes(new)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from None
    return changes
