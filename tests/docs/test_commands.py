"""Every command that a page shows can be typed: it exists, with its options and as many arguments."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from chaosrunner.cli import chaosrunner
from tests.docs.pages import PAGES, README, ROOT, Command, all_commands, commands, name_of, prose, text_of

EVERY = [
    pytest.param(command, id=f"{name_of(page)}: {command.line}") for page in PAGES for command in all_commands(page)
]


def parse(words: list[str], command: click.Command = chaosrunner, name: str = "chaosrunner") -> None:
    """Read a command line as click would, down to its last command, without carrying it out."""
    try:
        context = command.make_context(name, list(words))
    except click.exceptions.Exit:
        return  # --help, --version
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        parse(rest, inner, inner.name or "")


@pytest.mark.parametrize("command", EVERY)
def test_it_is_a_real_command_with_real_options(command: Command) -> None:
    bare = all(re.fullmatch("[a-z-]+", word) for word in command.words)
    parse([*command.words, "--help"] if command.spoken_of and bare else command.words)


@pytest.mark.parametrize(
    "line", ["runn x", "run", "run x --nonsense", "near-miss sett 1", "near-miss set 1 fixed", "check --state x"]
)
def test_what_cannot_be_typed_is_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line.split())


def test_commands_are_found_in_blocks_tables_and_sentences() -> None:
    assert list(commands("    chaosrunner run x   # exit 1: a gap\n    ls\n")) == [
        Command("chaosrunner run x   # exit 1: a gap", 1)
    ]
    assert Command("chaosrunner run x # exit 1").words == ["run", "x"]
    assert "chaosrunner explain 3" in [command.line for command in all_commands(README)]
    assert len(EVERY) > 40


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_target_of_make_is_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z]+)", prose(page), re.MULTILINE))
    assert named <= targets


def test_the_readme_begins_with_the_two_commands() -> None:
    beginning = text_of(README)[:1200]
    assert "    make demo " in beginning
    assert "    make test " in beginning
