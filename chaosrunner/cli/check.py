"""`chaosrunner check`: every mistake of the files, in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.stages.load import Checked


@click.command("check", short_help="Say whether files are right: every mistake with its place.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())
@click.option("--fix", is_flag=True, help="Put right what is mechanical: misspelt words, units, quotes.")
@click.option("--strict", is_flag=True, help="Exit code 2 for warnings, too.")
@click.option(
    "--format", "shape", type=click.Choice(["text", "json", "sarif", "github"]), default="text", show_default=True,
    help="For people, programs, code scanning, or GitHub Actions.",
)  # fmt: skip
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings, paths: tuple[str, ...], fix: bool, strict: bool, shape: str, as_json: bool
) -> None:
    """Say whether files are right: every mistake with its place, what was expected, and the nearest known word.

    PATH is a file or a folder; without one: experiments/, hypotheses/, environments/ and suites/ of the current folder.
    What the files refer to is checked too. Needs no network and no cluster. Exit code 2 if anything is wrong; warnings
    alone leave it at 0. `chaosrunner explain CR020` says more of a rule. A comment `# chaosrunner: ignore CR101
    because REASON` sets a warning aside. What did not change is not looked at again.
    """
    from chaosrunner.stages.checking import check_files

    if fix:
        from chaosrunner.stages.fixing import fixed

        for one in fixed(paths, Path()):
            terms.warn(f"fixed {one}") if as_json or shape != "text" else terms.say(f"fixed: {one}")
    checked = check_files(paths, Path(), settings.state)
    _answer(checked, "json" if as_json else shape)
    terms.leave(2 if checked.problems or (strict and checked.warnings) else 0)


def _answer(checked: Checked, shape: str) -> None:
    from chaosrunner.cli import _check_formats as formats

    texts = {problem.file: _lines(problem.file) for problem in (*checked.problems, *checked.warnings)}
    if shape == "json":
        terms.say_json(formats.as_json(checked, texts))
    elif shape == "sarif":
        terms.say_json(formats.sarif(checked, texts))
    else:
        for line in (formats.github if shape == "github" else formats.text)(checked, texts):
            terms.say(line)


def _lines(file: str) -> Sequence[str]:
    from chaosrunner.files.reader import MOST_BYTES

    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MOST_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ()
    return text.split("\n")
