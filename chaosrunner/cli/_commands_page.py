"""Every command with its arguments and options as a Markdown page, `docs/commands.md`: read off the commands
themselves, so that it says what `--help` says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from chaosrunner.cli import chaosrunner

_HEAD = """\
# Commands

Every command with every option. Made from the commands themselves by `make docs`; `chaosrunner run --help` (or of any
other) says the same in the terminal.

Each ends with one of the [exit codes](exit-codes.md). What lists or answers takes `--json`, for programs. `-h` is
`--help`, everywhere.
"""
_AS_IT_IS = "\b"
"""With which click marks a paragraph whose lines are not to be joined."""


def markdown() -> str:
    """The whole page. The same commands give the same text."""
    top = click.Context(chaosrunner, info_name="chaosrunner", help_option_names=["-h", "--help"])
    lines = [
        _HEAD,
        "## Options of every command",
        "",
        "They stand before the command: `chaosrunner --state DIR run …`.",
    ]
    lines += ["", *_options(chaosrunner, top)]
    for command, context in _below(chaosrunner, top):
        lines += ["", *_command(command, context)]
    return "\n".join(lines) + "\n"


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        yield command, inner
        if isinstance(command, click.Group):
            yield from _below(command, inner)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = len(context.command_path.split())
    yield f"{'#' * min(depth, 4)} `{context.command_path}`"
    yield ""
    pieces = [piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    yield "```text"
    yield " ".join([context.command_path, *pieces])
    yield "```"
    for paragraph in inspect.cleandoc(command.help or command.short_help or "").split("\n\n"):
        yield ""
        yield from _paragraph(paragraph)
    rows = list(_options(command, context))
    if rows:
        yield ""
        yield from rows


def _paragraph(text: str) -> Iterator[str]:
    if not text.startswith(_AS_IT_IS):
        yield from text.splitlines()
        return
    yield "```text"
    yield from text.removeprefix(_AS_IT_IS).strip("\n").splitlines()
    yield "```"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """The rows of its table; nothing for a command that has no options of its own."""
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    said = [record for each in options if "--help" not in each.opts and (record := each.get_help_record(context))]
    if not said:
        return
    yield "| option | meaning |"
    yield "|---|---|"
    for names, meaning in said:
        yield f"| `{_cell(names)}` | {_cell(' '.join(meaning.split()))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
