"""The command line: one file per command or command group; the file's name with dashes is the command's name.

Nothing is imported before it is needed, so that `--help` and `--version` answer at once: a command's file imports
only `click` and `cli.terms` at its top, and everything else inside its functions.
"""

from __future__ import annotations

import gc
import importlib
import os
from pathlib import Path
from typing import NoReturn

import click

from chaosrunner import __version__
from chaosrunner.cli import terms


class _Commands(click.Group):
    """Finds commands as files of this folder; imports one only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        hidden = ("__init__", "terms")
        files = (file.stem for file in Path(__file__).parent.glob("*.py"))
        return sorted(stem.replace("_", "-") for stem in files if stem not in hidden and not stem.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"chaosrunner.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        if "_CHAOSRUNNER_COMPLETE" in os.environ:  # a shell asks
            from chaosrunner.cli._completing import fit

            fit(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in (known := self.list_commands(ctx)):
            from difflib import get_close_matches

            meant = get_close_matches(name, known, n=1)
            hint = f", did you mean {meant[0]!r}?" if meant else f". Commands: {', '.join(known)}"
            ctx.fail(f"unknown command {name!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="chaosrunner", message="%(prog)s %(version)s")
@click.option(
    "--state",
    "state",
    metavar="DIR",
    envvar="CHAOSRUNNER_STATE",
    default=".chaosrunner",
    show_default=True,
    help="Where runs, the near-miss register and reports are kept.",
)
@click.option(
    "--register",
    metavar="URL|FILE",
    envvar="CHAOSRUNNER_REGISTER",
    help="A database that many share, or a file (near-misses.jsonl) kept beside the code, in place of the folder's "
    "register.",
)
@click.pass_context
def chaosrunner(ctx: click.Context, state: str, register: str | None) -> None:
    """Break your own staging system on purpose, find the outage before the users do, never forget what was found."""
    ctx.obj = terms.Settings(state=Path(state))
    if register:
        _share(ctx, register)


def _share(ctx: click.Context, register: str) -> None:
    """Let everything below use this register, until the command is over."""
    before = os.environ.get("CHAOSRUNNER_REGISTER", "")
    os.environ["CHAOSRUNNER_REGISTER"] = register
    ctx.call_on_close(lambda: os.environ.__setitem__("CHAOSRUNNER_REGISTER", before))


def main() -> NoReturn:
    """Run the command and exit with its code; every failure ends in words, never in a bare traceback."""
    # A start makes a hundred thousand objects that stay; looking through them again and again is a tenth of its time.
    gc.set_threshold(100_000, 20, 20)
    terms.end(terms.run(chaosrunner))
