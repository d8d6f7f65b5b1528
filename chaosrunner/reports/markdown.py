"""A gate's answer, or a run's, as Markdown: for GitHub's step summary and for a note in a GitLab merge request.

Words from outside are escaped, so that they format nothing, mention nobody and link to no issue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from chaosrunner.model.gate import GateAnswer, GateNearMiss, HypothesisAnswer, Passed, RuleAnswer, RunAnswer
from chaosrunner.model.near_miss import ItemLink
from chaosrunner.model.words import Answer
from chaosrunner.reports.shown_gap import place
from chaosrunner.reports.words import clean, count, lasting, wall

MARK = "<!-- chaosrunner:gate {} -->"
"""The first line: what a pipeline finds its own note by, to write it anew."""
MOST = 50
"""Rows of a table; of the rest it is said how many there are."""
_TITLES = {
    Passed.YES: "✅ May go out",
    Passed.NO: "❌ May not go out",
    Passed.UNKNOWN: "❔ It cannot be said whether this may go out",
}
_RULES = {"pass": "✅", "fail": "❌", "unknown": "❔"}
_ANSWERS = {Answer.HELD: "✅ held", Answer.BROKEN: "❌ broken", Answer.INCONCLUSIVE: "❔ inconclusive"}
_MARKS = re.compile(r"([\\`*_\[\]|~$])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;", "!": "&#33;"}
_OUTSIDE = str.maketrans(_ENTITIES)


def markdown(answer: GateAnswer) -> str:
    """The whole text."""
    lines = [MARK.format(_plain(answer.suite)), f"## {_TITLES[answer.passed]}: {words(answer.suite)}", ""]
    lines += [f"{words(_sentence(answer.summary))}", ""]
    if answer.what_to_do:
        lines += ["### What to do now", "", *(f"1. {spans(each)}" for each in answer.what_to_do), ""]
    lines += _near_misses(answer.near_misses)
    if answer.rules:
        lines += ["### Policy", "", *_table(("", "Rule", "Why"), (_rule(each) for each in answer.rules)), ""]
    lines += _runs(answer.runs)
    lines.append(f"<sub>chaosrunner: {words(answer.title or answer.suite)} {_where(answer)}</sub>")
    return "\n".join(lines) + "\n"


def of_run(answer: GateAnswer) -> str:
    """The text about a single run, which no gate asked for."""
    (run,) = answer.runs
    lines = [f"## {_ANSWERS[run.verdict].capitalize()}: {_name(run)}", "", words(_sentence(run.why)), ""]
    if answer.what_to_do:
        lines += ["### Near misses", "", *(f"* {spans(each)}" for each in answer.what_to_do), ""]
    if run.hypotheses:
        rows = ((_ANSWERS[each.answer], words(each.title), words(each.why)) for each in run.hypotheses)
        lines += ["### Hypotheses", "", *_table(("Answer", "Hypothesis", "Why"), rows), ""]
    lines.append(f"<sub>chaosrunner: run {words(run.run or '')} {_where(answer)}</sub>")
    return "\n".join(lines) + "\n"


def _where(answer: GateAnswer) -> str:
    return f"on {words(answer.environment)}, {wall(answer.at)}, after {lasting(answer.seconds)}"


def _near_misses(all_of_them: Sequence[GateNearMiss]) -> Iterator[str]:
    pressing = [each for each in all_of_them if each.says_no]
    known = [each for each in all_of_them if not each.says_no]
    heads = ("", "Near miss", "Priority", "State", "Owner", "Due")
    if pressing:
        yield from ("### Near misses that say no", "", *_table(heads, map(_near_miss, pressing)), "")
    if known:
        yield from (f"<details><summary>{count(len(known), 'known near miss', 'known near misses')}</summary>", "")
        yield from (*_table(heads, map(_near_miss, known)), "", "</details>", "")


def _near_miss(it: GateNearMiss) -> tuple[str, ...]:
    what = f"**{words(it.id)}** {words(it.title)}"
    if it.item and it.item.url:
        what += f" ({_item(it.item)})"
    state = it.state.value + (f" until {it.waived_until}" if it.waived_until else "")
    due = f"**{it.due}, overdue**" if it.overdue else str(it.due)
    return (
        "❌" if it.says_no else "·",
        what,
        it.priority.value,
        f"{it.change}, {state}",
        words(it.owner or "nobody"),
        due,
    )


def _item(item: ItemLink) -> str:
    if item.url.startswith(("https://", "http://")):
        return f"[{words(item.key)}]({_address(item.url)})"
    return words(place(item.url))  # a file: no page can link to it


def _rule(rule: RuleAnswer) -> tuple[str, ...]:
    besides = [each for each in rule.near_misses if each not in rule.why]
    about = f" ({', '.join(map(words, besides))})" if besides else ""
    return _RULES[rule.answer], words(rule.title), words(rule.why) + about


def _runs(runs: Sequence[RunAnswer]) -> Iterator[str]:
    if not runs:
        return
    yield from ("### Experiments", "")
    rows = ((_ANSWERS[run.verdict], _name(run), words(run.why), _took(run)) for run in runs)
    yield from (*_table(("Answer", "Experiment", "Why", "Time"), rows), "")
    answers = [(run, each) for run in runs for each in run.hypotheses]
    if answers:
        yield from (f"<details><summary>{count(len(answers), 'hypothesis', 'hypotheses')}</summary>", "")
        yield from (
            *_table(("Answer", "Experiment", "Hypothesis", "Why"), map(_hypothesis, answers)),
            "",
            "</details>",
            "",
        )


def _hypothesis(both: tuple[RunAnswer, HypothesisAnswer]) -> tuple[str, ...]:
    run, it = both
    return _ANSWERS[it.answer], words(run.label), words(it.title), words(it.why)


def _name(run: RunAnswer) -> str:
    title = f"<br>{words(run.title)}" if run.title and run.title != run.experiment else ""
    return f"{words(run.label)}{title}"


def _took(run: RunAnswer) -> str:
    if run.run is None:
        return "not run"
    tried = f", {len(run.attempts)} attempts" if len(run.attempts) > 1 else ""
    return f"{lasting(run.seconds)}{tried}" if run.now else "earlier run"


# --------------------------------------------------------------------------------------------------------- Markdown


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    every = list(rows)
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in every[:MOST]:
        yield f"| {' | '.join(row)} |"
    if len(every) > MOST:
        yield f"| | and {len(every) - MOST} more |{' |' * (len(heads) - 2)}"


def words(text: str) -> str:
    """Words from outside, on one line, as they are."""
    return _MARKS.sub(r"\\\1", _plain(text)).translate(_OUTSIDE)


def spans(text: str) -> str:
    """The same; what stands in backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return words(text)
    return "".join(_code(part) if number % 2 else _between(part) for number, part in enumerate(parts))


def _between(part: str) -> str:
    """Words beside code keep the space that parts them from it."""
    before, after = (" " if part[:1].isspace() else ""), (" " if part[-1:].isspace() else "")
    return f"{before}{words(part)}{after}" if part.strip() else part[:1]


def _code(text: str) -> str:
    return f"`{_plain(text)}`" if text.strip() else ""


def _plain(text: str) -> str:
    return " ".join(clean(text).split())


def _address(url: str) -> str:
    """A link's target, which ends nowhere but at its end."""
    return re.sub(r"[\s()<>\\|]", lambda found: f"%{ord(found[0]):02X}", clean(url))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
