"""Where a gate's answer is written for a pipeline: `--output FORMAT=PATH`, and GitHub's step summary."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.model.gate import GateAnswer

F = TypeVar("F", bound=Callable[..., Any])
STDOUT = "-"
Outputs = tuple[tuple[str, str], ...]
"""Format and path of each."""


def option(command: F) -> F:
    """`--output`, as `outputs`."""
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FORMAT=PATH",
        callback=lambda _context, _parameter, values: parsed(values),
        help="Write it as junit, sarif, markdown, json, badge or text to PATH, `-` for standard output; `github` "
        "prints annotations. May be given several times.",
    )(command)


def parsed(values: Sequence[str]) -> Outputs:
    """Raises `UsageError` for a format that there is not, or a place that cannot be written."""
    from chaosrunner.errors import UsageError
    from chaosrunner.reports.gate_outputs import FORMATS

    found = []
    for value in values:
        form, is_given, path = value.partition("=")
        if form not in FORMATS:
            raise UsageError(f"--output {value}: {form!r} is no format, expected one of {', '.join(FORMATS)}")
        if not is_given and form == "github":
            path = STDOUT
        if not path:
            raise UsageError(f"--output {value}: where to? --output {form}=PATH, or {form}=- for standard output")
        if Path(path).is_dir():
            raise UsageError(f"--output {value}: {path} is a folder")
        found.append((form, path))
    return tuple(found)


def deliver(answer: GateAnswer, outputs: Outputs, *, as_json: bool, environment: Mapping[str, str] = os.environ) -> int:
    """Write the answer everywhere it was asked for, and say it; the exit code of the command.

    An output that cannot be written keeps no other from being written; it turns a yes into 3.
    """
    from chaosrunner.errors import NotPossibleNow
    from chaosrunner.reports.gate_outputs import written
    from chaosrunner.store.kept import write_file

    asked = [(form, path) for form, path in outputs if form != "github"]
    taken = as_json or any(path == STDOUT for _, path in asked)
    if as_json:
        terms.write(written(answer, "json"))
    elif not taken:
        terms.write(written(answer, "text"))
    code: int = answer.exit_code
    for form, path in outputs:
        try:
            if path != STDOUT:
                write_file(Path(path), written(answer, form))
            elif form == "github" and taken:  # the runner reads both, and standard output is somebody else's
                terms.aside(written(answer, form).rstrip("\n"))
            else:
                terms.write(written(answer, form))
        except NotPossibleNow as error:
            terms.warn(str(error))
            code = code or error.exit_code
    _summarise(answer, environment)
    return code


def _summarise(answer: GateAnswer, environment: Mapping[str, str]) -> None:
    """On GitHub the answer is added to the page of the run."""
    page = environment.get("GITHUB_STEP_SUMMARY", "")
    if environment.get("GITHUB_ACTIONS") != "true" or not page:
        return
    from chaosrunner.reports.gate_outputs import written

    try:
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(written(answer, "markdown"))
    except OSError as error:
        terms.warn(f"the step summary {page} cannot be written: {error.strerror}")
