"""Writes a proposal: only what passes `check`, and never over a file that is there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chaosrunner.beginning.first_files import NewFile, Proposal
from chaosrunner.errors import UsageError
from chaosrunner.model.surroundings import FoundObjective
from chaosrunner.stages.load import check

_TRIAL = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: trial}}
spec:
  title: An objective can be taken over
  hypotheses: [{{openslo: {{slo: {slo}, name: {name}, over: 60s}}}}]
  method: [{{fault: noop, for: 10m}}]
"""


class Written(NamedTuple):
    """What became of a proposal."""

    new: tuple[NewFile, ...]
    existing: tuple[str, ...]
    """Files that are there and were left alone."""
    left_out: tuple[str, ...]


def write(proposal: Proposal, folder: Path, beside: Sequence[str] = (), *, dry_run: bool = False) -> Written:
    """Write it into a folder. `beside`: files there that it refers to. `dry_run`: nothing is written.

    Raises `UsageError` where a file cannot be written.
    """
    existing = [file.path for file in proposal.files if (folder / file.path).exists()]
    files, wrong = _right(proposal.files, folder, beside)
    new = tuple(file for file in files if file.path not in existing)
    if not dry_run:
        for file in new:
            create(folder / file.path, file.text, file.path)
    return Written(new, tuple(existing), (*proposal.left_out, *wrong))


def create(path: Path, text: str, shown: str) -> None:
    """Write a file that is not there. Raises `UsageError` where it is, or cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{shown} is there already and is left alone") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be written: {error.strerror}") from None


def why_not(objective: FoundObjective, folder: Path) -> str:
    """Why an objective of an OpenSLO file cannot be taken over; empty: it can."""
    text = _TRIAL.format(slo=json.dumps(objective.file), name=json.dumps(objective.name))
    _, wrong = _right([NewFile("trial.yaml", text, "")], folder, [objective.file], everywhere=True)
    return wrong[0].partition(": ")[2] if wrong else ""


def _right(
    files: Sequence[NewFile], folder: Path, beside: Sequence[str], *, everywhere: bool = False
) -> tuple[list[NewFile], list[str]]:
    """Those that are in order; and why the others are not. `everywhere`: with what is beside them."""
    left: list[str] = []
    kept = list(files)
    with tempfile.TemporaryDirectory(prefix="chaosrunner-init-") as made:
        place = Path(made)
        for name in beside:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, place / name)
        while kept:
            for file in kept:
                (place / file.path).parent.mkdir(parents=True, exist_ok=True)
                (place / file.path).write_text(file.text, encoding="utf-8")
            problems = check([file.path for file in kept], place).problems
            if everywhere and problems:
                return [], [f"{file.path}: {problems[0]}" for file in kept]
            wrong = {problem.file: str(problem) for problem in reversed(problems)}
            if not any(file.path in wrong for file in kept):
                return kept, left
            left += [f"{file.path}, as it is not right: {wrong[file.path]}" for file in kept if file.path in wrong]
            for file in kept:
                if file.path in wrong:
                    (place / file.path).unlink()
            kept = [file for file in kept if file.path not in wrong]
        return kept, left
