"""judge: Plan + Journal -> Verdict. Pure: the same journal always gives the same verdict, on any day, anywhere.

The plan stands in the journal's first line. The entries are walked once. The rules are those of `judging`, which the
run itself used while it was under way; what the run decided then is not believed but derived again from its facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaosrunner.judging.alerts import alert_verdicts, told_or_not
from chaosrunner.judging.during import rule_in
from chaosrunner.judging.facts import Facts, gather
from chaosrunner.judging.faults import fault_verdicts, span_of, strength
from chaosrunner.judging.measures import Judged, judge_measure
from chaosrunner.judging.recovery import RecoveryState
from chaosrunner.judging.sentences import describe, summary
from chaosrunner.judging.stretches import Span, in_force_between, stretches
from chaosrunner.model.journal import Entry
from chaosrunner.model.plan import PlannedHypothesis
from chaosrunner.model.verdict import (
    AbortVerdict,
    AlertVerdict,
    FaultVerdict,
    HypothesisVerdict,
    PhaseVerdict,
    RecoveryVerdict,
    Verdict,
)
from chaosrunner.model.words import Answer, Ending, Phase, worst

__all__ = ["describe", "exit_code", "judge"]

_ENDINGS = {
    Ending.DEFECT: "chaosrunner itself failed",
    Ending.HALTED: "the run was halted before its end",
    Ending.REFUSED: "a guard refused",
    Ending.NOT_STEADY: "the baseline was not steady",
    Ending.NOT_READABLE: "the measures could not be read",
    Ending.FAULT_FAILED: "a fault did not do what it should",
    Ending.BARRIER_HELD: "a barrier held, so that the fault did not happen",
    Ending.JOURNAL_FAILED: "the journal could not be written",
}


def judge(entries: Iterable[Entry]) -> Verdict:
    """The verdict of a journal, whole or cut off anywhere.

    Raises `JournalFailed` where it is empty or does not begin with its run.
    """
    facts = gather(entries)
    faults = fault_verdicts(facts)
    spans = [span for fault in facts.faults.values() if (span := span_of(facts, fault)) is not None]
    state = _recovery_state(facts, faults)
    judged = stretches(spans)
    measures = {one.key: judge_measure(one, facts, judged, state) for one in facts.plan.measures}
    hypotheses = tuple(
        _hypothesis(hypothesis, [measures[measure.key] for measure in hypothesis.measures], facts, spans)
        for hypothesis in facts.plan.hypotheses
    )
    recovery = _recovery(facts, state, hypotheses)
    alerts = alert_verdicts(facts)
    noticed, unnoticed = told_or_not(facts, hypotheses, alerts)
    because = _inconclusive_because(facts, faults, hypotheses, recovery, alerts)
    # A recovery that failed is in the hypotheses' answers already, one that cannot be told in the reasons against it.
    answer = worst(*(one.answer for one in hypotheses), *([Answer.INCONCLUSIVE] if because else []))
    ending = facts.ended.ending if facts.ended is not None else None
    undo_failed = any(fault.undo_failed for fault in faults)
    gap = bool(facts.spilled or unnoticed) or any(one.answer is Answer.BROKEN for one in alerts)
    verdict = Verdict(
        run=facts.started.run,
        experiment=facts.plan.experiment,
        answer=answer,
        ending=ending,
        ending_reason=facts.ended.reason if facts.ended is not None else "the journal stops before the run's end",
        exit_code=exit_code(answer, ending, undo_failed=undo_failed, gap=gap, halted=facts.halted),
        summary="",
        inconclusive_because=because,
        hypotheses=hypotheses,
        faults=faults,
        recovery=recovery,
        abort=_abort(facts),
        spilled=tuple(f"{spill.service}: {spill.what}, {spill.detail}" for spill in facts.spilled),
        alerts=alerts,
        noticed=noticed,
        unnoticed=unnoticed,
        seconds=facts.last,
    )
    return verdict.model_copy(update={"summary": summary(verdict)})


def exit_code(answer: Answer, ending: Ending | None, *, undo_failed: bool, gap: bool, halted: bool = False) -> int:
    """Where several apply: 7, 70, 1, 6, 5, 4, 3, 0. `gap`: one that is not in the answer, like spill-over. `ending`
    None: the journal stops before the run's end. `halted`: somebody halted it, whatever else had ended it before."""
    applying = {
        7: undo_failed,
        70: ending is Ending.DEFECT,
        1: gap or answer is Answer.BROKEN,
        6: ending is Ending.HALTED or (halted and ending is not None),
        5: ending is Ending.NOT_STEADY,
        4: ending is Ending.REFUSED,
        3: answer is not Answer.HELD or ending is not Ending.FINISHED,
    }
    return next((code for code, applies in applying.items() if applies), 0)


# ------------------------------------------------------------------------------------------------------- hypotheses


def _hypothesis(
    hypothesis: PlannedHypothesis, measures: Sequence[Judged], facts: Facts, spans: Sequence[Span]
) -> HypothesisVerdict:
    judged = [one for one in measures if one.verdict.judged]
    answer = worst(*(one.verdict.answer for one in judged))
    reason = next((_named(one) for one in judged if one.verdict.answer is answer), "nothing in it is judged")
    closest = _closest(measures)
    during = _broken_during(measures, facts, spans)
    if answer is Answer.HELD and closest is not None:
        reason = _named(closest)
    return HypothesisVerdict(
        name=hypothesis.name,
        title=hypothesis.title,
        answer=answer,
        reason=reason,
        closest=closest.verdict.key if closest is not None else None,
        margin=_margin(closest) if closest is not None else None,
        broken_during=during,
        strength=strength(facts, during),
        measures=tuple(one.verdict for one in measures),
    )


def _named(judged: Judged) -> str:
    return f"{judged.verdict.name}: {judged.verdict.reason}"


def _fault_phase(judged: Judged) -> PhaseVerdict | None:
    return next((phase for phase in judged.verdict.phases if phase.phase is Phase.FAULT and phase.judged), None)


def _margin(judged: Judged) -> float | None:
    phase = _fault_phase(judged)
    return phase.margin if phase is not None else None


def _closest(measures: Sequence[Judged]) -> Judged | None:
    """The measure with the least room while faults were in force."""
    room = [(margin, place) for place, one in enumerate(measures) if (margin := _margin(one)) is not None]
    return measures[min(room)[1]] if room else None


def _broken_during(measures: Sequence[Judged], facts: Facts, spans: Sequence[Span]) -> tuple[str, ...]:
    """The faults in force when the hypothesis first broke; faults that came later had no part in that."""
    broke = [one.broke for one in measures if one.broke is not None]
    for one in measures:
        if one.aborted and facts.limit is not None:
            ended = facts.limit.reading_ended if facts.limit.reading_ended is not None else facts.limit_at
            broke.append((ended, max(ended, facts.limit_at)))
    if not broke:
        return ()
    start, end = min(broke, key=lambda one: one[1])
    found = in_force_between(spans, start, end)
    if found:
        return found
    # An abort limit may be reached before the fault's first sighting: then it was those that were injected.
    injected = [fault for fault in facts.faults.values() if fault.injected_at is not None and fault.injected_at <= end]
    return tuple(sorted(fault.fault for fault in injected if fault.ended_at is None or fault.ended_at >= start))


# --------------------------------------------------------------------------------------------------------- the rest


def _recovery_state(facts: Facts, faults: Sequence[FaultVerdict]) -> RecoveryState | None:
    """None: it cannot be asked, as something may still have been in force."""
    if facts.recovery is None or any(fault.undo_failed for fault in faults):
        return None
    span = facts.phase(Phase.RECOVERY)
    return facts.recovery.state(span[1] if span is not None else facts.last)


def _recovery(
    facts: Facts, state: RecoveryState | None, hypotheses: Sequence[HypothesisVerdict]
) -> RecoveryVerdict | None:
    if not facts.injected:
        return None
    if state is None:
        left = any(fault.undone_at is None for fault in facts.faults.values() if fault.injected_at is not None)
        reason = "not everything was seen undone" if left else "nobody watched the system come back"
        return RecoveryVerdict(answer=Answer.INCONCLUSIVE, reason=reason)
    if state.kind == "recovered":
        if state.seconds is None:
            return None
        return RecoveryVerdict(answer=Answer.HELD, seconds=state.seconds, reason=state.reason)
    phases = [phase for one in hypotheses for measure in one.measures for phase in measure.phases]
    broken = any(phase.phase is Phase.RECOVERY and phase.answer is Answer.BROKEN for phase in phases)
    if state.kind == "not-recovered" or broken:
        return RecoveryVerdict(answer=Answer.BROKEN, reason=state.reason)
    if state.kind == "waiting":
        return RecoveryVerdict(answer=Answer.INCONCLUSIVE, reason="the run ended before a recovery could be seen")
    return RecoveryVerdict(answer=Answer.INCONCLUSIVE, reason=state.reason)


def _abort(facts: Facts) -> AbortVerdict | None:
    limit = facts.limit
    if limit is None:
        return None
    at = limit.reading_ended if limit.reading_ended is not None else facts.limit_at
    prepared = [fault for fault in facts.faults.values() if fault.prepared]
    undone = [fault.undone_at for fault in prepared if fault.undone_at is not None and fault.because != "heal"]
    after = max(undone, default=at) - at if len(undone) == len(prepared) else None
    return AbortVerdict(
        measure=limit.measure,
        limit=limit.limit,
        blind=limit.blind,
        at=at,
        undone_after=None if after is None else max(0.0, after),
    )


def _inconclusive_because(
    facts: Facts,
    faults: Sequence[FaultVerdict],
    hypotheses: Sequence[HypothesisVerdict],
    recovery: RecoveryVerdict | None,
    alerts: Sequence[AlertVerdict],
) -> tuple[str, ...]:
    """Every reason for which this run may not be called held, the first cause first."""
    reasons = []
    ending = facts.ended.ending if facts.ended is not None else None
    if facts.ended is None:
        reasons.append("the journal stops before the run's end: the runner died, or is still at work")
    elif ending in _ENDINGS:
        why = facts.ended.reason.removeprefix("baseline: ")
        reasons.append(_ENDINGS[ending] + (f": {why}" if why else ""))
    elif facts.limit is not None and facts.limit.blind:
        reasons.append(f"{facts.limit.measure} had no reading for too long, so the run was stopped: flying blind")
    elif ending is Ending.ABORTED:
        reasons.append("the run was aborted before its end")
    if ending in (Ending.REFUSED, Ending.NOT_STEADY, Ending.NOT_READABLE) and not facts.injected:
        return tuple(reasons)
    if not any(rule_in(measure, phase) for measure in facts.plan.measures for phase in (Phase.FAULT, Phase.RECOVERY)):
        reasons.append("nothing is judged while a fault is in force, or after it")
    empty = [fault.id for fault in facts.plan.faults if not fault.targets]
    reasons += [f"{step} matched no target" for step in empty]
    if not any(fault.in_force_at is not None for fault in faults):
        reasons.append("no fault was seen in force")
    finished = ending is Ending.FINISHED
    reasons += [
        f"{fault.fault}: {fault.trouble}"
        for fault in faults
        if fault.trouble and (finished or fault.injected_at is not None or not fault.trouble.startswith("it was never"))
    ]
    reasons += [f"{one.name}: {one.reason}" for one in hypotheses if one.answer is Answer.INCONCLUSIVE]
    if recovery is not None and recovery.answer is Answer.INCONCLUSIVE:
        reasons.append(f"recovery: {recovery.reason}")
    reasons += [f"the alert {one.alert}: {one.reason}" for one in alerts if one.answer is Answer.INCONCLUSIVE]
    return tuple(dict.fromkeys(reasons))
