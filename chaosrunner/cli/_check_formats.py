"""What `check` found, in each of its formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chaosrunner import __version__

if TYPE_CHECKING:
    from chaosrunner.errors import Problem
    from chaosrunner.files.rules import Rule
    from chaosrunner.stages.load import Checked

SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FORMATS = ("text", "json", "sarif", "github")
Texts = Mapping[str, Sequence[str]]
"""The lines of each file that a problem is in, by its name in problems."""


class Told(NamedTuple):
    """One problem, with its rule."""

    problem: Problem
    rule: Rule
    warning: bool
    line: str
    """As it stands in the file; empty where that cannot be read."""

    @property
    def end(self) -> int:
        """The column after what is meant."""
        from chaosrunner.files.excerpts import end_of

        return end_of(self.line, self.problem.column)

    @property
    def words(self) -> str:
        """What is said, without the place."""
        return str(self.problem).removeprefix(f"{self.problem.file}:{self.problem.line}:{self.problem.column}: ")


def told(checked: Checked, texts: Texts) -> Iterator[Told]:
    """Mistakes, then warnings."""
    from chaosrunner.files.rules import rule_of

    for warning, problems in ((False, checked.problems), (True, checked.warnings)):
        for problem in problems:
            lines = texts.get(problem.file, ())
            line = lines[problem.line - 1] if 1 <= problem.line <= len(lines) else ""
            yield Told(problem, rule_of(problem, warning=warning), warning, line)


def text(checked: Checked, texts: Texts) -> Iterator[str]:
    """For people: one line that programs know too, the place below it, and how it all went."""
    from chaosrunner.files.excerpts import excerpt

    for one in told(checked, texts):
        yield f"warning: {one.problem}" if one.warning else str(one.problem)
        lines = excerpt(texts.get(one.problem.file, ()), one.problem)
        yield from lines[:-1]
        yield f"{lines[-1]} {one.rule.code} {one.rule.name}" if lines else f"  {one.rule.code} {one.rule.name}"
    looked = count(len(checked.files), "file")
    aside = f" ({count(len(checked.passed_over), 'other file')} passed over)" if checked.passed_over else ""
    quiet = f", {count(checked.set_aside, 'warning')} set aside by comments" if checked.set_aside else ""
    if checked.problems:
        wrong = len({problem.file for problem in checked.problems})
        yield f"{count(len(checked.problems), 'mistake')} in {wrong} of {looked}{aside}{quiet}"
    else:
        weak = f", {count(len(checked.warnings), 'warning')}" if checked.warnings else ""
        yield f"{looked} in order{weak}{aside}{quiet}"


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`"""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def as_json(checked: Checked, texts: Texts) -> dict[str, Any]:
    """The stable shape of `--json`."""
    found = list(told(checked, texts))
    return {
        "inOrder": not checked.problems,
        "files": list(checked.files),
        "passedOver": list(checked.passed_over),
        "setAside": checked.set_aside,
        "problems": [_one(one) for one in found if not one.warning],
        "warnings": [_one(one) for one in found if one.warning],
    }


def _one(one: Told) -> dict[str, Any]:
    problem = one.problem
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "endColumn": one.end,
        "path": problem.path,
        "code": one.rule.code,
        "rule": one.rule.name,
        "message": problem.message,
        "expected": problem.expected,
        "nearest": problem.nearest,
    }


def github(checked: Checked, texts: Texts) -> Iterator[str]:
    """Commands that GitHub Actions shows beside the lines of a change.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#setting-an-error-message
    """
    for one in told(checked, texts):
        problem = one.problem
        place = {
            "file": problem.file, "line": problem.line, "endLine": problem.line, "col": problem.column,
            "endColumn": one.end, "title": f"{one.rule.code} {one.rule.title}",
        }  # fmt: skip
        where = ",".join(f"{name}={_property(str(value))}" for name, value in place.items())
        yield f"::{'warning' if one.warning else 'error'} {where}::{_data(one.words)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def sarif(checked: Checked, texts: Texts) -> dict[str, Any]:
    """SARIF 2.1.0, for code scanning.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    from chaosrunner.files.rules import CODES

    codes = list(CODES)
    rules = [
        {
            "id": rule.code,
            "name": "".join(part.title() for part in rule.name.split("-")),
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.why},
            "help": {"text": f"{rule.why}\n\nNot so:\n{rule.bad}\n\nBut so:\n{rule.good}"},
            "defaultConfiguration": {"level": "warning" if rule.warns else "error"},
        }
        for rule in CODES.values()
    ]
    driver = {
        "name": "chaosrunner check",
        "version": __version__,
        "informationUri": "https://chaosrunner.dev",
        "rules": rules,
    }
    results = [_result(one, codes.index(one.rule.code)) for one in told(checked, texts)]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF, "version": "2.1.0", "runs": [run]}


def _result(one: Told, index: int) -> dict[str, Any]:
    from urllib.parse import quote

    problem = one.problem
    region = {"startLine": problem.line, "startColumn": problem.column, "endColumn": one.end}
    artifact = {"uri": quote(problem.file.replace("\\", "/"))}
    return {
        "ruleId": one.rule.code,
        "ruleIndex": index,
        "level": "warning" if one.warning else "error",
        "message": {"text": one.words},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
    }
