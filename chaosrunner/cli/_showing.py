"""How a run is shown while it goes on and when it is over; shared by the commands that run experiments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app import Order, RunReport
    from chaosrunner.model.journal import Entry


@contextmanager
def view(*, plain: bool, quiet: bool = False) -> Iterator[Callable[[Entry], None]]:
    """A live picture on a terminal, plain lines elsewhere, nothing if `quiet`."""
    if quiet:
        yield lambda entry: None
        return
    shown: Any
    if plain or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        from chaosrunner.reports.plain import PlainView

        shown = PlainView(terms.say)
    else:
        from chaosrunner.clock import SystemClock
        from chaosrunner.reports.terminal import LiveView

        shown = LiveView(sys.stdout, SystemClock())
    shown.start()
    try:
        yield shown.observe
    finally:
        shown.stop()


def colour() -> bool:
    """Whether standard output wants colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def show_run(report: RunReport) -> None:
    """One screen: what was found, and what to do now."""
    import shutil

    from chaosrunner.reports.summary import summary

    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    terms.say()
    terms.say(summary(report.verdict, report.found, report=str(report.html), colour=colour(), width=width))
    for sentence in report.verified:
        terms.say(sentence)
    if report.outcome.trouble:
        terms.warn(f"the journal is not complete: {report.outcome.trouble}")


def _columns() -> int:
    """Of the terminal; 100 where there is none. As `shutil` asks it, which brings every kind of archive."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 100
    except (OSError, ValueError):  # no terminal; no file at all in a test
        return 100


def run_json(report: RunReport) -> Any:
    """The run's JSON report, with the paths of what was written."""
    from chaosrunner.reports.json import json_report

    shown = dict(json_report(report.account, report.verdict, report.found))
    shown["files"] = {"journal": str(report.outcome.journal), "html": str(report.html)}
    shown["verification"] = list(report.verified)
    return shown


def matrix_line(order: Order, number: int, of: int) -> str:
    """One run of a matrix, for people: `run 2 of 4, delay 300ms`."""
    from chaosrunner.files.node import Spot

    told = {name: given.value if isinstance(given, Spot) else given for name, given in order.parameters.items()}
    values = ", ".join(f"{name} {value}" for name, value in told.items())
    return f"run {number} of {of}, {values}"
