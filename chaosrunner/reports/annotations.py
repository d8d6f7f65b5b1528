"""A gate's answer as GitHub's workflow commands: annotations at the lines of the files that it is about.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions: `::error file=…,line=…,title=…::words`,
with `%`, line ends and, in properties, `:` and `,` escaped. GitHub shows ten errors and ten warnings of a step, so the
most pressing come first and what is known is told once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from chaosrunner.model.gate import GateAnswer, GateNearMiss, Passed, RunAnswer
from chaosrunner.model.words import Answer
from chaosrunner.reports.shown_gap import place
from chaosrunner.reports.words import clean

MOST = 10
"""Of one level."""
Place = tuple[str, int]
Level = Literal["error", "warning", "notice"]


def workflow_commands(answer: GateAnswer) -> str:
    """A line for each."""
    told: dict[Level, int] = {}
    lines = []
    for level, where, title, words in _all(answer):
        told[level] = told.get(level, 0) + 1
        if told[level] <= MOST:
            lines.append(command(level, where, title, words))
    return "".join(f"{line}\n" for line in lines)


def command(level: Level, place: Place, title: str, words: str) -> str:
    """One workflow command."""
    file, line = place
    where = {"file": file, "line": str(line)} if file else {}
    told = ",".join(f"{name}={_property(value)}" for name, value in (where | {"title": title}).items())
    return f"::{level} {told}::{_data(words)}"


def _all(answer: GateAnswer) -> Iterator[tuple[Level, Place, str, str]]:
    about = {id for rule in answer.rules if rule.answer == "fail" for id in rule.near_misses}
    for rule in answer.rules:
        if rule.answer == "fail" and not rule.near_misses:
            yield "error", (answer.file, 1), f"{answer.suite}: {rule.title}", rule.why
    for each in answer.near_misses:
        if each.says_no or each.id in about:
            yield "error", _place(answer, each), f"{each.id} ({each.priority.value}, {each.change})", _words(each)
    for run in answer.runs:
        if run.verdict is Answer.INCONCLUSIVE:
            name = run.label
            level: Level = "notice" if answer.passed is Passed.YES else "warning"
            yield level, (run.file, run.line), f"{name}: inconclusive", run.why
    known = [each for each in answer.near_misses if not each.says_no and each.id not in about]
    if known:
        told = ", ".join(f"{each.id} ({each.priority.value}, {each.state.value})" for each in known)
        yield "notice", (answer.file, 1), f"{answer.suite}: {len(known)} known", told


def _words(near_miss: GateNearMiss) -> str:
    owner = f" Owner: {near_miss.owner}." if near_miss.owner else ""
    item = f" {place(near_miss.item.url)}" if near_miss.item and near_miss.item.url else ""
    return f"{near_miss.title}. Due {near_miss.due}.{owner}{item}"


def _place(answer: GateAnswer, near_miss: GateNearMiss) -> Place:
    return place_of(answer, near_miss) or (answer.file, 1)


def place_of(answer: GateAnswer, near_miss: GateNearMiss) -> Place | None:
    """Where the experiment that showed it begins; None: it is not one of this suite."""
    shown: list[RunAnswer] = [run for run in answer.runs if near_miss.id in run.near_misses]
    shown += [run for run in answer.runs if run.experiment in near_miss.experiments]
    return next(((run.file, run.line) for run in shown if run.file), None)


def _data(words: str) -> str:
    kept = clean(words.replace("\r\n", "\n").replace("\r", "\n"))
    return kept.replace("%", "%25").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")
