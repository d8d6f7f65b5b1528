"""The rules of `check` as a Markdown page, `docs/rules.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.files.rules import CODES, Rule

_HEAD = """\
# Rules

What `chaosrunner check` holds files against. Made from the code by `make docs`; `chaosrunner explain CR020` shows one
of them in the terminal. A code never changes its meaning.

Mistakes (below CR100) end with exit code 2, and nothing is run. Warnings are about files that are right and will hardly
help; they leave the exit code at 0, unless `--strict` is given. A comment with a reason sets a warning aside, for its
line, or on a line of its own for the next one with all that stands below it by indentation:

    # chaosrunner: ignore CR101 because the service is not in use yet

`chaosrunner check --fix` puts right what is mechanical; `--format sarif` and `--format github` are for pipelines.
"""


def markdown() -> str:
    """The whole page."""
    rules = list(CODES.values())
    mistakes = [rule for rule in rules if not rule.warns]
    warnings = [rule for rule in rules if rule.warns]
    lines = [_HEAD, *_table(mistakes, "Mistakes"), *_table(warnings, "Warnings"), "## One by one", ""]
    for rule in rules:
        lines += _rule(rule)
    return "\n".join(lines)


def _table(rules: Sequence[Rule], heading: str) -> Iterator[str]:
    yield from (f"## {heading}", "", "| code | name | |", "|---|---|---|")
    for rule in rules:
        yield f"| [{rule.code}](#{rule.code.lower()}) | `{rule.name}` | {rule.title} |"
    yield ""


def _rule(rule: Rule) -> Iterator[str]:
    yield from (f"### {rule.code}", "", f"**{rule.title}** (`{rule.name}`). {rule.why}", "")
    yield from ("Not so:", "", *_indented(rule.bad), "", "But so:", "", *_indented(rule.good), "")


def _indented(example: str) -> Iterator[str]:
    return (f"    {line}" for line in example.split("\n"))
