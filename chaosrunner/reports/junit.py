"""A gate's answer, or a run's, as JUnit XML: one suite for each experiment with a case for each hypothesis, and one for
the policy with a case for each rule.

The dialect is that of the schema junit-10.xsd of Jenkins' xunit plugin, which the readers of GitLab, Azure and others
take too. A case fails where it is a reason for a no, and has an error where nothing can be said; what broke and is no
reason for a no (a known near miss) is skipped, with its words: a build is red exactly where the gate does not say yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal
from xml.etree import ElementTree

from chaosrunner.model.gate import GateAnswer, GateNearMiss, HypothesisAnswer, Passed, RuleAnswer, RunAnswer
from chaosrunner.model.words import Answer
from chaosrunner.records.light import dataclass

Said = Literal["passed", "failure", "error", "skipped"]
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RULES: dict[str, Said] = {"pass": "passed", "fail": "failure", "unknown": "error"}


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    group: str
    said: Said
    type: str
    why: str
    more: tuple[str, ...] = ()
    seconds: float = 0.0


def junit(answer: GateAnswer) -> str:
    """The whole file."""
    top = ElementTree.Element("testsuites", {"name": _text(f"chaosrunner {answer.suite}")})
    suites = [(run, _of_run(answer, run)) for run in answer.runs]
    cases = [case for _, each in suites for case in each] + [_rule(answer, rule) for rule in answer.rules]
    top.attrib |= {"time": _seconds(answer.seconds)} | _counts(cases, skipped=False)
    for run, of_run in suites:
        suite = _suite(top, run.label, of_run, run.seconds if run.now else 0.0)
        suite.attrib |= {"file": _text(run.file)} if run.file else {}
        suite.attrib |= {"timestamp": _time(run.began)} if run.began is not None else {}
        told = {"environment": run.environment, "service": run.service, "run": run.run or "", "title": run.title}
        _add(suite, of_run, told | {f"parameter {name}": str(value) for name, value in run.parameters.items()})
    if answer.rules:
        rules = [_rule(answer, rule) for rule in answer.rules]
        suite = _suite(top, "policy", rules, 0.0)
        suite.attrib |= ({"file": _text(answer.file)} if answer.file else {}) | {"timestamp": _time(answer.at)}
        _add(suite, rules, {"suite": answer.suite, "environment": answer.environment, "answer": answer.passed.value})
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"


def _of_run(answer: GateAnswer, run: RunAnswer) -> list[_Case]:
    group = f"{answer.suite}.{run.label.replace('.', '_')}"
    cases = [_hypothesis(answer, run, each, group) for each in run.hypotheses]
    if not any(case.said in ("failure", "error", "skipped") for case in cases) and run.exit_code:
        cases.append(_whole(answer, run, group))  # what went wrong is no hypothesis: an undo, a guard, a gap of its own
    elif not cases:
        cases.append(_Case("run", group, "passed", "", "", (run.why,)))
    share = run.seconds / len(cases) if run.now else 0.0
    return [
        _Case(case.name, case.group, case.said, case.type, case.why, (*case.more, *_where(answer, run, case)), share)
        for case in cases
    ]


def _hypothesis(answer: GateAnswer, run: RunAnswer, it: HypothesisAnswer, group: str) -> _Case:
    said, known = _said(answer, run, it.answer)
    why = f"{known}{it.title}: {it.why}" if it.why else f"{known}{it.title}"
    return _Case(it.name, group, said, it.answer.value, why, (f"{it.title}: {it.answer.value}", it.why))


def _whole(answer: GateAnswer, run: RunAnswer, group: str) -> _Case:
    said, known = _said(answer, run, Answer.INCONCLUSIVE if run.exit_code in (3, 4, 5, 6) else Answer.BROKEN)
    return _Case("run", group, said, f"exit-{run.exit_code}", known + run.why, (run.why,))


def _said(answer: GateAnswer, run: RunAnswer, what: Answer) -> tuple[Said, str]:
    """What a case says, and the words before its reason where it is no reason for a no."""
    if what is Answer.HELD:
        return "passed", ""
    if what is Answer.INCONCLUSIVE:
        return (
            ("skipped", "inconclusive, which the policy lets pass: ") if answer.passed is Passed.YES else ("error", "")
        )
    shown = [each for each in answer.near_misses if each.id in run.near_misses]
    if not shown or any(each.says_no for each in shown):
        return "failure", ""
    return "skipped", f"broken, and let pass by the policy ({', '.join(map(_known, shown))}): "


def _known(near_miss: GateNearMiss) -> str:
    until = f" until {near_miss.waived_until}" if near_miss.waived_until else ""
    return f"{near_miss.id}, {near_miss.priority.value}, {near_miss.state.value}{until}"


def _where(answer: GateAnswer, run: RunAnswer, case: _Case) -> tuple[str, ...]:
    shown = [each for each in answer.near_misses if each.id in run.near_misses and case.said != "passed"]
    lines = [f"{each.id} ({each.priority.value}, {each.change}): {each.title}" for each in shown]
    return (*lines, *([f"report: {run.report}"] if run.report else []))


def _rule(answer: GateAnswer, rule: RuleAnswer) -> _Case:
    about = [each for each in answer.near_misses if each.id in rule.near_misses]
    more = [f"{each.id} ({each.priority.value}, {each.owner or 'no owner'}): {each.title}" for each in about]
    said = _RULES[rule.answer]
    why = f"{rule.title}: {rule.why}"
    return _Case(rule.name, f"{answer.suite}.policy", said, rule.answer, why, (rule.title, rule.why, *more))


# -------------------------------------------------------------------------------------------------------------- XML


def _suite(top: ElementTree.Element, name: str, cases: Sequence[_Case], seconds: float) -> ElementTree.Element:
    counts = _counts(cases, skipped=True)
    return ElementTree.SubElement(top, "testsuite", {"name": _text(name), "time": _seconds(seconds)} | counts)


def _counts(cases: Sequence[_Case], *, skipped: bool) -> dict[str, str]:
    counts = {"tests": len(cases)} | {
        names: sum(case.said == said for case in cases)
        for said, names in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped"))
        if skipped or said != "skipped"
    }
    return {name: str(number) for name, number in counts.items()}


def _add(suite: ElementTree.Element, cases: Iterable[_Case], properties: dict[str, str]) -> None:
    told = ElementTree.SubElement(suite, "properties")
    for name, value in properties.items():
        if value:
            ElementTree.SubElement(told, "property", {"name": _text(name), "value": _text(value)})
    for case in cases:
        of_case = {"name": _text(case.name), "classname": _text(case.group), "time": _seconds(case.seconds)}
        element = ElementTree.SubElement(suite, "testcase", of_case)
        more = _text("\n".join(line for line in case.more if line))
        if case.said in ("failure", "error"):
            ElementTree.SubElement(element, case.said, {"type": case.type, "message": _text(case.why)}).text = more
        elif case.said == "skipped":
            ElementTree.SubElement(element, "skipped", {"type": case.type, "message": _text(case.why)})
        if more and case.said in ("passed", "skipped"):
            ElementTree.SubElement(element, "system-out").text = more


def _text(words: str) -> str:
    """Without what no XML file may hold."""
    return _NO_XML.sub("\ufffd", words)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
