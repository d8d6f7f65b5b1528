"""What all commands share: settings, printing, JSON output, and turning errors into words and exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TextIO, TypeVar

import click

T = TypeVar("T")


class Settings(NamedTuple):
    """What the options before the command's name say; every command gets it with `@click.pass_obj`."""

    state: Path
    """Where runs, the register and reports are kept; may not exist yet."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
"""For every command that lists or answers."""

environment_option = click.option("-e", "--environment", metavar="NAME", help="Environment, by name or path.")
"""Overrides the experiment's own."""

production_option = click.option(
    "--i-know-this-is-production", "production", is_flag=True, help="Needed for production, with --second."
)
second_option = click.option("--second", default="", metavar="NAME", help="Who else agrees, for production.")
"""The double key of a production environment."""


def seconds_of(option: str, given: str) -> float:
    """An option's length of time. Raises `UsageError`."""
    from chaosrunner.errors import UsageError
    from chaosrunner.model.quantities import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def duration(ctx: click.Context, option: click.Parameter, given: str) -> float:
    """The callback of an option that is a length of time; seconds."""
    from chaosrunner.model.quantities import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _parameters(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{one!r}, expected NAME=VALUE, such as delay=300ms")
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice")
        found[name] = value
    return found


parameter_option = click.option(
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_parameters,
    help="The value of a parameter of the experiment; may be given several times.",
)
"""For commands that take an experiment: a mapping of names to texts."""


def say(text: str = "") -> None:
    """One piece of the answer, on standard output."""
    write(f"{text}\n")


def write(text: str) -> None:
    """A part of the answer as it is, on standard output.

    Who reads it may go when it has seen enough (`| head`): the rest is dropped, the command goes on, and its exit code
    is the one that it deserves. Raises `NotPossibleNow` where the answer cannot be written (a full disk).
    """
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        _drop(sys.stdout)
    except OSError as error:
        from chaosrunner.errors import NotPossibleNow

        _drop(sys.stdout)
        raise NotPossibleNow(f"the answer cannot be written: {error.strerror}") from None


def warn(text: str) -> None:
    """Something to know beside the answer, on standard error."""
    _complain(f"chaosrunner: {text}")


def aside(text: str) -> None:
    """A line about how far something is, on standard error: the answer is still to come."""
    _complain(text)


def say_json(value: Any) -> None:
    """The answer as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False))


def _complain(text: str) -> None:
    """On what is standard error now: while a live picture is drawn, that is a line above it."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """Let everything that is still written there, what waits in the buffer too, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous part of a command: the one place of `asyncio.run`."""
    import asyncio

    return asyncio.run(coroutine)


def wait_for_run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The same for a run. Once it is over a Ctrl-C takes neither its answer nor its exit code away; where this process
    goes on after the command, signals do what they did before."""
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return wait_for(coroutine)
    finally:
        if not _own_process:
            for number, handler in before.items():
                signal.signal(number, handler)


_own_process = False
"""Whether this process does nothing but this command."""


def leave(code: int) -> NoReturn:
    """End the command with an exit code of DESIGN section 8."""
    raise click.exceptions.Exit(code)


def run(command: click.Command) -> int:
    """Run it as all that this process does; its exit code. Expected failures become one message and their exit code; a
    defect becomes 70."""
    global _own_process
    _own_process = True
    return _outcome(command)


def end(code: int) -> NoReturn:
    """End this process, without what the interpreter does last: it takes everything apart, object by object, which is a
    tenth of a short command's time and changes nothing. A debugger or profiler gets the usual end."""
    if sys.gettrace() is not None or sys.getprofile() is not None:
        sys.exit(code)
    import atexit
    import threading

    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _outcome(command: click.Command) -> int:
    from chaosrunner.errors import ChaosrunnerError, UndoFailed

    try:
        result = command.main(standalone_mode=False, prog_name="chaosrunner")
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except SystemExit:
        return 0  # so click leaves where nobody reads its help any more
    except (click.Abort, KeyboardInterrupt):
        warn("interrupted")
        return 6
    except ChaosrunnerError as error:
        _complain(str(error) if error.exit_code == 2 and "\n" in str(error) else f"chaosrunner: {error}")
        for line in error.commands if isinstance(error, UndoFailed) else ():
            _complain(f"    by hand: {line}")
        return error.exit_code
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
