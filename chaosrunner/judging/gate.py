"""The rules of a gate: from what its runs showed and what the register knows to an answer. Pure.

Each rule fails, passes, or cannot tell. One that fails makes it a no; none that fails and one that cannot tell, an
unknown; a release goes out with neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from chaosrunner.judging.gate_facts import Material, Seen
from chaosrunner.model.exit_codes import DEFECT, UNDO_FAILED
from chaosrunner.model.gate import BaselineEntry, GateAnswer, GateBaseline, GateNearMiss, Passed, RuleAnswer, RunAnswer
from chaosrunner.model.gate_policy import Least
from chaosrunner.model.near_miss import NearMiss, day_of
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.words import Answer, FindingClass, Priority, State


def counts(priority: Priority, least: Least) -> bool:
    """Whether a priority is this one, or more urgent."""
    return least != "none" and priority.value <= Priority(least).value


def answer(material: Material) -> GateAnswer:
    """May this release go out?"""
    rules = tuple(_rules(material))
    failed = {id for rule in rules if rule.answer == "fail" for id in rule.near_misses}
    near_misses = [_shown(each, material, says_no=each.near_miss.id in failed) for each in material.seen]
    passed = _passed(rules)
    return GateAnswer(
        suite=material.suite,
        title=material.title,
        environment=material.environment,
        at=material.at,
        passed=passed,
        exit_code=_exit_code(passed, material.runs),
        summary=_summary(passed, rules, material),
        seconds=material.seconds,
        file=material.file,
        rules=rules,
        runs=material.runs,
        near_misses=tuple(sorted(near_misses, key=lambda it: (not it.says_no, it.priority.value, it.due, it.id))),
        what_to_do=tuple(dict.fromkeys(_what_to_do(material, rules))),
    )


def record_baseline(material: Material, by: str) -> GateBaseline:
    """What is there now, to compare with later."""
    entries = [
        BaselineEntry(
            fingerprint=each.near_miss.fingerprint,
            id=each.near_miss.id,
            title=each.near_miss.title,
            priority=each.near_miss.priority,
        )
        for each in material.seen
        if not each.near_miss.closed
    ]
    return GateBaseline(
        suite=material.suite,
        recorded_on=day_of(material.at),
        recorded_by=by,
        near_misses=tuple(sorted(entries, key=lambda entry: entry.id)),
    )


def _passed(rules: Sequence[RuleAnswer]) -> Passed:
    if any(rule.answer == "fail" for rule in rules):
        return Passed.NO
    return Passed.UNKNOWN if any(rule.answer == "unknown" for rule in rules) else Passed.YES


def _exit_code(passed: Passed, runs: Sequence[RunAnswer]) -> Literal[0, 1, 3, 7, 70]:
    if any(run.exit_code == UNDO_FAILED for run in runs):
        return UNDO_FAILED
    if any(run.exit_code == DEFECT for run in runs):
        return DEFECT
    if passed is Passed.NO:
        return 1
    return 3 if passed is Passed.UNKNOWN else 0


# --------------------------------------------------------------------------------------------------------- the rules


def _rules(material: Material) -> Iterator[RuleAnswer]:
    policy = material.policy
    if material.baseline is not None:
        yield _ratchet(material, material.baseline)
    else:
        yield from _by_change(material)
    if policy.incidents:
        yield _incidents(material)
    if policy.expired_waivers:
        ended = [each for each in material.seen if each.waiver_ended and not each.near_miss.closed]
        yield _about("expired-waiver", "No waiver has expired", ended, "its waiver is over", "no waiver has expired")
    yield _undone(material.runs)
    if policy.inconclusive != "ignore":
        yield _conclusive(material.runs, "unknown" if policy.inconclusive == "unknown" else "fail")
    if policy.overdue != "none":
        yield _overdue(material)
    if policy.not_run_for is not None:
        yield _fresh(material, policy.not_run_for)


def _about(name: str, title: str, near_misses: Sequence[Seen], fails: str, passes: str) -> RuleAnswer:
    """A rule that fails for each of these near misses."""
    if not near_misses:
        return RuleAnswer(name=name, title=title, answer="pass", why=passes)
    ids = tuple(each.near_miss.id for each in near_misses)
    first = near_misses[0].near_miss
    more = f", and {len(ids) - 1} more" if len(ids) > 1 else ""
    why = f"{first.id} ({first.priority.value}) {first.title}: {near_misses[0].waiver_ended or fails}{more}"
    return RuleAnswer(name=name, title=title, answer="fail", why=why, near_misses=ids)


def _urgent(near_misses: Sequence[Seen]) -> list[Seen]:
    return sorted(near_misses, key=lambda each: (each.near_miss.priority.value, each.near_miss.id))


def _by_change(material: Material) -> Iterator[RuleAnswer]:
    policy = material.policy
    for name, least in (("new", policy.new), ("regressed", policy.regressed)):
        if least == "none":
            continue
        meant = [
            each
            for each in material.seen
            if each.change == name
            and each.waits
            and not each.gone
            and counts(each.near_miss.priority, least)
            and each.near_miss.finding is not FindingClass.INCIDENT
        ]
        what = "new near miss" if name == "new" else "near miss that came back"
        title = f"No {what} is {least}" + ("" if least == Priority.P1 else " or more urgent")
        fails = "it is new" if name == "new" else "it came back"
        rule = _about(name, title, _urgent(meant), fails, f"there is no such {what}")
        lost = [run for run in material.runs if name == "new" and run.verdict is Answer.BROKEN and not run.near_misses]
        if lost and rule.answer == "pass":
            why = (
                f"{lost[0].experiment} broke, and its near miss is not in the register: how urgent it is cannot be told"
            )
            rule = rule.model_copy(update={"answer": "unknown", "why": why})
        yield rule


def _ratchet(material: Material, baseline: GateBaseline) -> RuleAnswer:
    """Only what is worse than the baseline: what it does not have, and what became more urgent."""
    before = {entry.fingerprint: entry.priority for entry in baseline.near_misses}

    def worse(near_miss: NearMiss) -> bool:
        was = [before[each] for each in (near_miss.fingerprint, *near_miss.former_fingerprints) if each in before]
        return not was or near_miss.priority.value < min(each.value for each in was)

    meant = [
        each
        for each in material.seen
        if each.waits
        and not each.gone
        and counts(each.near_miss.priority, material.policy.new)
        and worse(each.near_miss)
    ]
    least = material.policy.new
    title = f"Nothing is worse than the baseline of {baseline.recorded_on}"
    title += "" if least in (Priority.P4, "none") else f", of what is {least} or more urgent"
    passes = f"all of it was there on {baseline.recorded_on}"
    return _about("ratchet", title, _urgent(meant), "it is worse than the baseline", passes)


def _incidents(material: Material) -> RuleAnswer:
    known = {entry.fingerprint for entry in material.baseline.near_misses} if material.baseline else set[str]()
    meant = [
        each
        for each in material.seen
        if each.near_miss.finding is FindingClass.INCIDENT
        and each.waits
        and not each.gone
        and (each.shown or each.near_miss.state is not State.FIX_READY)
        and each.near_miss.fingerprint not in known
    ]
    fails = "the effect left what was meant to be hit"
    return _about("incident", "There is no incident", _urgent(meant), fails, "there is no incident")


def _overdue(material: Material) -> RuleAnswer:
    least = material.policy.overdue
    today = day_of(material.at)
    meant = [each for each in material.seen if each.near_miss.overdue(today) and counts(each.near_miss.priority, least)]
    title = f"No fix of a {least}" + ("" if least == Priority.P1 else ", or of what is more urgent,") + " is overdue"
    first = _urgent(meant)[:1]
    fails = f"its fix was due on {first[0].near_miss.due}" if first else ""
    return _about("overdue", title, _urgent(meant), fails, "no fix is overdue")


def _undone(runs: Sequence[RunAnswer]) -> RuleAnswer:
    failed = [run for run in runs if run.exit_code == UNDO_FAILED]
    title = "Every fault was taken back"
    if not failed:
        return RuleAnswer(name="undo-failed", title=title, answer="pass", why="everything is taken back")
    why = f"a fault of {failed[0].experiment} may still be in force: {failed[0].why}"
    ids = tuple(id for run in failed for id in run.near_misses)
    return RuleAnswer(name="undo-failed", title=title, answer="fail", why=why, near_misses=ids)


def _conclusive(runs: Sequence[RunAnswer], otherwise: Literal["unknown", "fail"]) -> RuleAnswer:
    name, title = "inconclusive", "Every experiment has a conclusive run"
    open_ = [run for run in runs if run.verdict is Answer.INCONCLUSIVE]
    if not open_:
        why = f"{_count(len(runs), 'experiment')}, all with an answer"
        return RuleAnswer(name=name, title=title, answer="pass", why=why)
    more = f", and {len(open_) - 1} more" if len(open_) > 1 else ""
    why = f"{open_[0].label}: {open_[0].why.rstrip('.')}{more}"
    return RuleAnswer(name=name, title=title, answer=otherwise, why=why)


def _fresh(material: Material, longest: float) -> RuleAnswer:
    name, title = "not-run", f"Every experiment was run within {write_duration(longest)}"
    names = dict.fromkeys(run.experiment for run in material.runs)
    last = {each: material.last_conclusive.get(each) for each in names}
    old = [each for each, at in last.items() if at is None or material.at - at > longest]
    if not old:
        return RuleAnswer(name=name, title=title, answer="pass", why="all of them were")
    at = last[old[0]]
    when = "no conclusive run of it is known" if at is None else f"last run on {day_of(at)}"
    more = f", and {len(old) - 1} more" if len(old) > 1 else ""
    return RuleAnswer(name=name, title=title, answer="fail", why=f"{old[0]}: {when}{more}")


# --------------------------------------------------------------------------------------------------------- the words


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _summary(passed: Passed, rules: Sequence[RuleAnswer], material: Material) -> str:
    if passed is Passed.YES:
        known = sum(each.waits for each in material.seen)
        waived = sum(each.waived for each in material.seen)
        told = [f"{known} known near miss{'' if known == 1 else 'es'}"] if known else []
        told += [f"{waived} waived"] if waived else []
        rest = f"; {', '.join(told)}" if told else ""
        return f"yes: {_count(len(material.runs), 'experiment')}, nothing new{rest}"
    wanted = "fail" if passed is Passed.NO else "unknown"
    reasons = [rule for rule in rules if rule.answer == wanted]
    more = f" ({len(reasons) - 1} more below)" if len(reasons) > 1 else ""
    word = "no" if passed is Passed.NO else "cannot be said"
    return f"{word}: {reasons[0].why}{more}"


def _shown(seen: Seen, material: Material, *, says_no: bool) -> GateNearMiss:
    it = seen.near_miss
    return GateNearMiss(
        id=it.id,
        title=it.title,
        finding=it.finding,
        kind=it.kind,
        service=it.service,
        priority=it.priority,
        state=it.state,
        owner=it.owner,
        due=it.due,
        overdue=it.overdue(day_of(material.at)),
        opened_at=it.opened_at,
        age=max(0.0, material.at - it.opened_at),
        change=seen.change,
        shown=seen.shown,
        gone=seen.gone,
        experiments=it.experiments,
        fingerprint=it.fingerprint,
        waived_until=it.waiver.until if it.waiver is not None else None,
        says_no=says_no,
        item=it.item,
    )


def _what_to_do(material: Material, rules: Sequence[RuleAnswer]) -> Iterator[str]:
    by_rule = {rule.name: rule for rule in rules}
    by_id = {each.near_miss.id: each.near_miss for each in material.seen}
    for run in material.runs:
        if run.exit_code == UNDO_FAILED:
            heal = f"chaosrunner heal {run.run or ''}".rstrip()
            yield f"Take back what {run.experiment} left in force, first of all: `{heal}`"
    said: set[str] = set()
    for name in TO_DO:
        rule = by_rule.get(name)
        meant = rule.near_misses if rule is not None and rule.answer == "fail" else ()
        for id in (id for id in meant if id not in said):
            yield f"{id} ({by_id[id].owner or 'no owner yet'}): {TO_DO[name].format(due=by_id[id].due)}"
        said |= set(meant)
    failed = [by_rule[name] for name in HOW if name in by_rule and by_rule[name].answer == "fail"]
    yield from dict.fromkeys(_how(rule, by_id, material.file or material.suite) for rule in failed)
    rule = by_rule.get("inconclusive")
    if rule is not None and rule.answer != "pass":
        yield from (_try_again(run) for run in material.runs if run.verdict is Answer.INCONCLUSIVE)
    rule = by_rule.get("not-run")
    if rule is not None and rule.answer == "fail":
        yield f"Run what has not been run for too long: `chaosrunner gate {material.file or material.suite}`"
    if fixed := [each.near_miss.id for each in material.seen if each.gone and each.near_miss.state in UNFIXED]:
        these = f"{', '.join(fixed[:MOST])}{' …' if len(fixed) > MOST else ''}"
        yield f"If {these} is fixed, say so: `chaosrunner near-miss set ID fix-ready --change COMMIT`"


MOST = 6
"""Near misses that one sentence names."""
UNFIXED = (State.OPEN, State.TRIAGED, State.IN_PROGRESS)
TO_DO = {
    "incident": "find out what else was hit, and fix it before this release",
    "new": "fix it before this release, or take it on until {due}",
    "regressed": "fix it again before this release, or take it on until {due}",
    "ratchet": "fix it before this release, or record the baseline anew",
    "expired-waiver": "decide anew: fix it, or have it waived again",
    "overdue": "fix it: that was due on {due}",
}
"""By rule, in the order of urgency."""
TAKE_ON = "To take {it} on, so that it is known from then on: `chaosrunner near-miss set {id} triaged --owner {team}`"
HOW = {
    "new": TAKE_ON,
    "regressed": TAKE_ON,
    "ratchet": "To record the baseline anew, and commit it: `chaosrunner gate {suite} --no-run --record-baseline`",
    "expired-waiver": "To waive {it} again: "
    "`chaosrunner near-miss set {id} waived --until DATE --by NAME --as WHY --control TEXT --reason TEXT`",
}


def _how(rule: RuleAnswer, by_id: Mapping[str, NearMiss], suite: str) -> str:
    """How it is done; of one near miss with all that is known of it."""
    words = {"it": "one", "id": "ID", "team": "TEAM"}
    if len(rule.near_misses) == 1:
        one = by_id[rule.near_misses[0]]
        words = {"it": "it", "id": one.id, "team": one.owner or "TEAM"}
    return HOW[rule.name].format(**words, suite=suite)


def _try_again(run: RunAnswer) -> str:
    look = f" (why: `chaosrunner report {run.run}`)" if run.run is not None else ""
    return f"{run.label} has no answer{look}: see to it that it can be run, and run the gate again"
