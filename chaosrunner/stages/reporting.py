"""What people tell of, to reports that the register takes: from files, or from what a command was given."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from chaosrunner.errors import UsageError
from chaosrunner.files.listed import listed
from chaosrunner.model.environment import Environment
from chaosrunner.model.report import Report, WrittenReport
from chaosrunner.stages.load import load_environment

_PERSONAL = re.compile(r"[\w.+-]+@[\w-]+\.\w+|(?<![\w/])@[A-Za-z][\w-]+")
"""Addresses and handles: what happened needs no names."""


def read_reports(data: bytes, file: str) -> tuple[WrittenReport, ...]:
    """The reports of a YAML or JSON file: one mapping or several documents, or lists of them.

    Raises `FileProblems` with every mistake and its place.
    """
    return tuple(one for _, one in listed(WrittenReport, data, file))


def make_report(written: WrittenReport, reported_by: str | None, folder: Path, now: float = 0.0) -> Report:
    """A report for the register; `folder` is where references to environments start. `now` is when it happened where it
    does not say; 0 leaves that open, so that the same file twice is the same report.

    Raises `UsageError` for a time or an environment that means nothing.
    """
    given = {name: getattr(written, name) for name in WrittenReport.model_fields if name != "happened"}
    more: dict[str, object] = {"reported_by": reported_by, "at": now}
    if written.happened:
        more["at"] = moment(written.happened)
    if written.environment:
        environment, _, _ = load_environment(written.environment, folder)
        more |= _of(environment)
    return Report.model_validate(given | more)


def _of(environment: Environment) -> dict[str, object]:
    return {
        "environment": environment.name,
        "environment_class": environment.class_name,
        "tracker": environment.spec.tracker.kind if environment.spec.tracker else None,
        "due_days": environment.spec.due.days,
    }


def moment(text: str) -> float:
    """A date, or a date and time (UTC where no zone is named), as epoch seconds. Raises `UsageError`."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no time, expected one such as 2026-11-20 or 2026-11-20T10:30Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def names_people(report: WrittenReport) -> tuple[str, ...]:
    """What in its text looks like somebody's address or handle. A hint: near misses have no culprits."""
    return tuple(dict.fromkeys(_PERSONAL.findall(f"{report.title}\n{report.story}")))
