"""One run in the formats that a gate's answer has: JUnit and Markdown for a pipeline that runs a single experiment."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.model.gate import GateAnswer, HypothesisAnswer, Passed, RunAnswer
from chaosrunner.model.verdict import Verdict
from chaosrunner.reports.account import Account
from chaosrunner.reports.shown_gap import ShownGap

FORMATS = ("junit", "markdown")
_CODES = {0: Passed.YES, 1: Passed.NO, 7: Passed.NO, 70: Passed.UNKNOWN}


def written(account: Account, verdict: Verdict, found: Sequence[ShownGap], form: str, page: str = "") -> str:
    """The run in one of `FORMATS`, with a line end. `page` is the HTML report's path."""
    answer = as_answer(account, verdict, found, page)
    if form == "junit":
        from chaosrunner.reports.junit import junit

        return junit(answer)
    from chaosrunner.reports.markdown import of_run

    return of_run(answer)


def as_answer(account: Account, verdict: Verdict, found: Sequence[ShownGap], page: str = "") -> GateAnswer:
    """The run as if a gate without a policy had asked for nothing else."""
    plan = account.plan
    run = RunAnswer(
        experiment=plan.experiment,
        title=plan.title,
        service=plan.service,
        environment=plan.environment.name,
        parameters=plan.parameters,
        run=verdict.run,
        attempts=(verdict.run,),
        verdict=verdict.answer,
        exit_code=verdict.exit_code,
        why=verdict.summary,
        hypotheses=tuple(
            HypothesisAnswer(name=each.name, title=each.title, answer=each.answer, why=each.reason)
            for each in verdict.hypotheses
        ),
        began=account.began_at,
        seconds=account.seconds,
        report=page or None,
        near_misses=tuple(sorted({gap.id for gap in found if gap.id})),
    )
    passed = _CODES.get(verdict.exit_code, Passed.UNKNOWN)
    return GateAnswer(
        suite=plan.experiment,
        title=plan.title,
        environment=plan.environment.name,
        at=account.began_at + account.seconds,
        passed=passed,
        exit_code=0 if passed is Passed.YES else 1 if passed is Passed.NO else 3,
        summary=verdict.summary,
        seconds=account.seconds,
        runs=(run,),
        what_to_do=tuple(map(_see, found)),
    )


def _see(shown: ShownGap) -> str:
    if not shown.id:
        return f"{shown.gap.title} (not recorded)"
    told = ", ".join(each for each in (shown.priority, shown.state, shown.news) if each)
    return f"{shown.id} ({told}): {shown.gap.title}: `chaosrunner near-miss show {shown.id}`"
