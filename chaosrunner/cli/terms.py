"""What all commands share: settings, printing, JSON output, and turning errors into words and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options before the command's name say; every command gets it with `@click.pass_obj`."""

    state: Path
    """Where runs, the register and reports are kept; may not exist yet."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
"""For every command that lists or answers."""

environment_option = click.option("-e", "--environment", metavar="NAME", help="Environment, by name or path.")
"""Overrides the experiment's own."""


def say(text: str = "") -> None:
    """One piece of the answer, on standard output."""
    click.echo(text)


def warn(text: str) -> None:
    """Something to know beside the answer, on standard error."""
    click.echo(f"chaosrunner: {text}", err=True)


def say_json(value: Any) -> None:
    """The answer as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False))


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous part of a command: the one place of `asyncio.run`."""
    import asyncio

    return asyncio.run(coroutine)


def leave(code: int) -> NoReturn:
    """End the command with an exit code of DESIGN section 8."""
    raise click.exceptions.Exit(code)


def run(command: click.Command) -> NoReturn:
    """Run it and exit. Expected failures become one message and their exit code; a defect becomes 70."""
    sys.exit(_outcome(command))


def _outcome(command: click.Command) -> int:
    from chaosrunner.errors import ChaosrunnerError, UndoFailed

    try:
        result = command.main(standalone_mode=False, prog_name="chaosrunner")
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.UsageError as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted")
        return 6
    except ChaosrunnerError as error:
        click.echo(str(error) if error.exit_code == 2 and "\n" in str(error) else f"chaosrunner: {error}", err=True)
        for line in error.commands if isinstance(error, UndoFailed) else ():
            click.echo(f"    by hand: {line}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001  the outermost wrapper: whatever arrives here is our own defect
        return _defect(error)


def _defect(error: Exception) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="chaosrunner-defect-", suffix=".txt", delete=False) as report:
        report.write("".join(traceback.format_exception(error)))
    warn(f"a defect of chaosrunner itself: {type(error).__name__}: {error}")
    warn(f"details are in {report.name}; please report it")
    return 70
