"""What holds for every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from chaosrunner.cli import chaosrunner


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


ALL = list(commands(chaosrunner))
IDS = [" ".join(words) for words, _ in ALL]


@pytest.mark.parametrize(("words", "command"), ALL, ids=IDS)
def test_every_command_and_option_says_what_it_is_for(words: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    assert command.get_short_help_str(200).strip()
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(("words", "command"), ALL, ids=IDS)
def test_the_list_of_commands_breaks_off_no_sentence(words: tuple[str, ...], command: click.Command) -> None:
    longest_name = 9
    assert not command.get_short_help_str(80 - 8 - longest_name).endswith("...")


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("check", "--help")])
def test_help_loads_nothing_that_is_slow(arguments: tuple[str, ...]) -> None:
    slow = {"pydantic", "yaml", "httpx", "rich", "sqlalchemy", "psutil", "asyncio", "jsonschema"}
    program = (
        "import sys\nfrom chaosrunner.cli import chaosrunner\n"
        f"chaosrunner.main({list(arguments)!r}, standalone_mode=False)\n"
        f"print(sorted(set(sys.modules) & {slow!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


def test_an_unknown_command_gets_the_nearest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaosrunner", "chekc"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "did you mean 'check'?" in done.stderr
