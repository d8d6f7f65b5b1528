"""What a gate answers, on one screen of a terminal: yes or no, why, who owns what, and what to do now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from chaosrunner.model.gate import GateAnswer, GateNearMiss, Passed, RuleAnswer, RunAnswer
from chaosrunner.model.suite_result import SuiteResult
from chaosrunner.model.words import Answer
from chaosrunner.reports.shown_gap import place
from chaosrunner.reports.words import SIGNS, Tone, clean, lasting

WIDTH = 110
MOST = 12
"""Lines of one chapter; of the rest it is said how many there are."""
_WORDS = {Passed.YES: "YES", Passed.NO: "NO", Passed.UNKNOWN: "CANNOT BE SAID"}
_RULES = {"pass": SIGNS[Tone.GOOD], "fail": SIGNS[Tone.BAD], "unknown": "?"}
_ANSWERS = {Answer.HELD: SIGNS[Tone.GOOD], Answer.BROKEN: SIGNS[Tone.BAD], Answer.INCONCLUSIVE: "?"}


def text(answer: GateAnswer) -> str:
    """All of it."""
    lines = [f"{_WORDS[answer.passed]}  {answer.suite} on {answer.environment}: {clean(answer.title)}"]
    lines += textwrap.wrap(clean(answer.summary), WIDTH, initial_indent="    ", subsequent_indent="    ")
    lines += _chapter("rules", [_rule(rule) for rule in answer.rules])
    runs = sorted(answer.runs, key=lambda run: -run.verdict.badness)
    lines += _chapter("experiments", [_run(run) for run in runs])
    lines += _chapter("near misses", [_near_miss(each) for each in answer.near_misses])
    lines += _chapter("what to do now", [f"{number}. {clean(it)}" for number, it in enumerate(answer.what_to_do, 1)])
    return "\n".join(lines)


def _chapter(title: str, entries: Sequence[str]) -> Iterator[str]:
    if not entries:
        return
    yield ""
    yield title
    for entry in entries[:MOST]:
        yield from textwrap.wrap(entry, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
    if len(entries) > MOST:
        yield f"  and {len(entries) - MOST} more: --json has all of them"


def _rule(rule: RuleAnswer) -> str:
    why = f": {rule.why}" if rule.answer != "pass" else ""
    return clean(f"{_RULES[rule.answer]} {rule.title}{why}")


def _run(run: RunAnswer) -> str:
    told = ", ".join(f"{name}={value}" for name, value in run.parameters.items())
    name = f"{run.experiment} ({told})" if told else run.experiment
    took = f" after {lasting(run.seconds)}" if run.seconds and run.now else ""
    when = "" if run.now or run.run is None else f" (run {run.run})"
    tried = f", tried {len(run.attempts)} times" if len(run.attempts) > 1 else ""
    shows = f": {', '.join(run.near_misses)}" if run.near_misses else ""
    why = f": {run.why}" if run.verdict is Answer.INCONCLUSIVE else ""
    return clean(f"{_ANSWERS[run.verdict]} {name}: {run.verdict.value}{took}{when}{tried}{shows}{why}")


def _near_miss(it: GateNearMiss) -> str:
    sign = SIGNS[Tone.BAD] if it.says_no else SIGNS[Tone.INFO]
    news = f"{it.change}, " if it.change != "known" and not it.gone else ""
    until = f" until {it.waived_until}" if it.waived_until is not None else ""
    due = f"overdue since {it.due}" if it.overdue else f"due {it.due}"
    owner = it.owner or "no owner"
    item = f" · {place(it.item.url or it.item.key)}" if it.item is not None else ""
    news += "not shown any more, " if it.gone else ""
    facts = f"{news}{it.state.value}{until} · {owner} · {due} · {age(it.age)} old"
    return clean(f"{sign} {it.id} {it.priority.value} {it.title} · {facts}{item}")


def age(seconds: float) -> str:
    """How old something is, for people: whole days, from two days on."""
    return lasting(seconds) if seconds < 172_800 else f"{seconds // 86_400:.0f} days"


def suite_text(result: SuiteResult) -> str:
    """What came of a suite that nobody asked a gate about."""
    lines = []
    for each in sorted(result.items, key=lambda item: -item.answer.badness):
        runs = f" (run {each.runs[-1]})" if each.runs else ""
        lines.append(clean(f"{_ANSWERS[each.answer]} {each.item.label}: {each.answer.value}{runs}: {each.why}"))
    counted = [f"{sum(each.answer is answer for each in result.items)} {answer.value}" for answer in Answer]
    stopped = f"; {result.stopped}" if result.stopped else ""
    total = f"{result.suite}: {', '.join(counted)}, exit code {result.exit_code}{stopped}"
    return "\n".join([*lines, total])
