"""`chaosrunner check`: every mistake of the files, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.errors import Problem
    from chaosrunner.stages.load import Checked


@click.command("check", short_help="Say whether files are right: every mistake with its place.")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@terms.json_option
def command(paths: tuple[str, ...], as_json: bool) -> None:
    """Say whether files are right: every mistake with its place, what was expected, and the nearest known word.

    PATH is a file or a folder; without one: experiments/, hypotheses/ and environments/ of the current folder. What
    the files refer to is checked too. Needs no network and no cluster. Exit code 2 if anything is wrong; warnings
    alone leave it at 0.
    """
    from chaosrunner.stages.load import check

    checked = check(paths, Path())
    if as_json:
        terms.say_json(_json(checked))
    else:
        _text(checked)
    terms.leave(2 if checked.problems else 0)


def _text(checked: Checked) -> None:
    for problem in checked.problems:
        terms.say(str(problem))
    for warning in checked.warnings:
        terms.say(f"warning: {warning}")
    looked = _count(len(checked.files), "file")
    aside = f" ({_count(len(checked.passed_over), 'other file')} passed over)" if checked.passed_over else ""
    if checked.problems:
        wrong = len({problem.file for problem in checked.problems})
        terms.say(f"{_count(len(checked.problems), 'mistake')} in {wrong} of {looked}{aside}")
    else:
        terms.say(f"{looked} in order{aside}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(checked: Checked) -> dict[str, Any]:
    return {
        "inOrder": not checked.problems,
        "files": list(checked.files),
        "passedOver": list(checked.passed_over),
        "problems": [_one(problem) for problem in checked.problems],
        "warnings": [_one(warning) for warning in checked.warnings],
    }


def _one(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "expected": problem.expected,
        "nearest": problem.nearest,
    }
