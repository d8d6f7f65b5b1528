"""detect: Verdict -> gaps. Pure.

| gap | when | finding |
|---|---|---|
| impact | a hypothesis broke while a fault was in force | near miss |
| no recovery | a hypothesis was not back in time after the last undo | near miss |
| aborted | an abort limit was reached | near miss |
| undetected | the expected alert did not fire in time; or a hypothesis broke and no alert began to fire | near miss |
| close call | held, with less than 10 % room, for latencies, ratios and rates only | unsafe condition |
| spill-over | something that was not a target broke | incident |
| undo failed | a fault may still be in force | near miss |
| no redundancy | a guard refused because nothing could take over | unsafe condition |

One run opens at most one near miss for each hypothesis: the first of impact, no recovery and aborted that applies is
its kind, the others stand in `also`. An inconclusive run opens only what was really seen broken, so never a close call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from chaosrunner.judging.tally import share
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import Plan, PlannedFault, PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.verdict import FaultVerdict, HypothesisVerdict, MeasureVerdict, PhaseVerdict, Verdict
from chaosrunner.model.words import Answer, FindingClass, GapKind, Phase

CLOSE_CALL = 0.10
"""Less room than this, as a share of the limit, is a close call."""


def detect(verdict: Verdict, plan: Plan) -> tuple[Gap, ...]:
    """The gaps that a run showed; none, one or many."""
    gaps = [gap for hypothesis in verdict.hypotheses if (gap := _of_hypothesis(hypothesis, verdict, plan)) is not None]
    gaps += _undetected(verdict, plan)
    return (*gaps, *_spilled(verdict, plan), *_not_undone(verdict, plan), *_without_redundancy(plan))


# ----------------------------------------------------------------------------------------------------- a hypothesis


def _of_hypothesis(hypothesis: HypothesisVerdict, verdict: Verdict, plan: Plan) -> Gap | None:
    kinds = _kinds(hypothesis, verdict)
    if kinds:
        return _failed(hypothesis, kinds, verdict, plan)
    close = _close(hypothesis, verdict, plan)
    return _close_call(hypothesis, close, verdict, plan) if close else None


def _phase(measure: MeasureVerdict, phase: Phase) -> PhaseVerdict | None:
    return next((one for one in measure.phases if one.phase is phase and one.judged), None)


def _broke(measure: MeasureVerdict, phase: Phase) -> bool:
    found = _phase(measure, phase)
    return found is not None and found.answer is Answer.BROKEN


def _aborted(measure: MeasureVerdict, verdict: Verdict) -> bool:
    """Whether its abort limit counted: the judge calls such a measure broken, whatever else it says of it."""
    abort = verdict.abort
    return abort is not None and not abort.blind and abort.measure == measure.key and measure.answer is Answer.BROKEN


def _kinds(hypothesis: HypothesisVerdict, verdict: Verdict) -> list[GapKind]:
    kinds = []
    if any(_broke(measure, Phase.FAULT) for measure in hypothesis.measures):
        kinds.append(GapKind.IMPACT)
    if any(_broke(measure, Phase.RECOVERY) for measure in hypothesis.measures):
        kinds.append(GapKind.NO_RECOVERY)
    if any(_aborted(measure, verdict) for measure in hypothesis.measures):
        kinds.append(GapKind.ABORTED)
    return kinds


def _failed(hypothesis: HypothesisVerdict, kinds: list[GapKind], verdict: Verdict, plan: Plan) -> Gap:
    faults = [fault for fault in verdict.faults if fault.fault in hypothesis.broken_during] or _all_in_force(verdict)
    failed = [measure for measure in hypothesis.measures if measure.answer is Answer.BROKEN]
    verb = {GapKind.NO_RECOVERY: "does not come back after", GapKind.ABORTED: "reaches its abort limit under"}
    return Gap(
        kind=kinds[0],
        also=tuple(kinds[1:]),
        finding=FindingClass.NEAR_MISS,
        title=f"{plan.service}: {hypothesis.name} {verb.get(kinds[0], 'breaks under')} {_faults(faults)}",
        story=_story(hypothesis, failed, faults, verdict),
        hypothesis=hypothesis.name,
        strength=hypothesis.strength,
        measures=tuple(_numbers(measure, verdict) for measure in failed),
        **_marks(faults, plan),
    )


def _all_in_force(verdict: Verdict) -> list[FaultVerdict]:
    return [fault for fault in verdict.faults if fault.in_force_at is not None] or [
        fault for fault in verdict.faults if fault.injected_at is not None
    ]


def _story(
    hypothesis: HypothesisVerdict, failed: Sequence[MeasureVerdict], faults: Sequence[FaultVerdict], verdict: Verdict
) -> str:
    names = _join([f"{fault.kind} on {fault.target.name}" for fault in faults])
    said = [f"{names} {'was' if len(faults) == 1 else 'were'} in force." if faults else "A fault was injected."]
    said += [f"{measure.name}: {measure.reason}." for measure in failed]
    abort = verdict.abort
    if abort is not None and any(_aborted(measure, verdict) for measure in failed):
        after = abort.undone_after
        said.append(
            "The run was aborted" + (f"; all was undone {show(after, 's')} later." if after is not None else ".")
        )
    if verdict.recovery is not None and verdict.recovery.seconds is not None:
        said.append(f"The system recovered in {show(verdict.recovery.seconds, 's')} after the undo.")
    elif verdict.recovery is not None:
        said.append(f"After the undo: {verdict.recovery.reason}.")
    if len(faults) > 1 and hypothesis.strength:
        said.append(f"It broke with {hypothesis.strength} targets in force.")
    return " ".join(said)


def _numbers(measure: MeasureVerdict, verdict: Verdict) -> JsonObject:
    """What failed, for the occurrence: of the phase that broke, the fault's first."""
    broken = next((phase for phase in (Phase.FAULT, Phase.RECOVERY) if _broke(measure, phase)), Phase.FAULT)
    found = _phase(measure, broken)
    if found is None:
        return {"key": measure.key, "unit": measure.unit, "reason": measure.reason}
    return {
        "key": measure.key,
        "unit": measure.unit,
        "phase": found.phase.value,
        "rule": found.rule,
        "worst": found.worst,
        "margin": found.margin,
        "violatedFor": found.violated_for,
        "firstViolation": found.first_violation,
        "noAnswers": found.no_answers,
        "readings": found.readings,
        "baseline": measure.baseline,
        "aborted": _aborted(measure, verdict),
        "reason": measure.reason,
    }


# ------------------------------------------------------------------------------------------------------- close call


def _close(
    hypothesis: HypothesisVerdict, verdict: Verdict, plan: Plan
) -> list[tuple[PlannedMeasure, MeasureVerdict, PhaseVerdict]]:
    """The measures that held with too little room; none where held cannot be said of the run's faults."""
    if hypothesis.answer is not Answer.HELD or verdict.inconclusive_because:
        return []
    planned = {measure.key: measure for measure in plan.measures}
    found = []
    for measure in hypothesis.measures:
        phase = _phase(measure, Phase.FAULT)
        if phase is None or phase.margin is None or planned[measure.key].room is None:
            continue
        if phase.answer is Answer.HELD and phase.margin < CLOSE_CALL:
            found.append((planned[measure.key], measure, phase))
    return found


def _close_call(
    hypothesis: HypothesisVerdict,
    close: Sequence[tuple[PlannedMeasure, MeasureVerdict, PhaseVerdict]],
    verdict: Verdict,
    plan: Plan,
) -> Gap:
    faults = _all_in_force(verdict)
    said = [
        f"{measure.name} held with {share(phase.margin or 0.0)} room: {phase.reason}." for _, measure, phase in close
    ]
    return Gap(
        kind=GapKind.CLOSE_CALL,
        finding=FindingClass.UNSAFE_CONDITION,
        title=f"{plan.service}: {hypothesis.name} holds by a hair's breadth under {_faults(faults)}",
        story=" ".join(said)
        + f" Less than {share(CLOSE_CALL)} is a close call: a little more, and it would have broken.",
        hypothesis=hypothesis.name,
        measures=tuple(_numbers(measure, verdict) for _, measure, _ in close),
        **_marks(faults, plan),
    )


# -------------------------------------------------------------------------------------- what is not of a hypothesis


def _undetected(verdict: Verdict, plan: Plan) -> list[Gap]:
    """One for each expected alert that did not fire in time, and each hypothesis that broke with nobody told."""
    gaps = []
    for alert in verdict.alerts:
        if alert.answer is Answer.BROKEN:
            faults = [fault for fault in verdict.faults if fault.step == alert.step]
            said = f"{_faults(faults)} was in force, and the alert {alert.alert} should fire: {alert.reason}."
            gaps.append(_silent(alert.alert, f"the alert {alert.alert} does not fire in time", said, faults, plan))
    for name in verdict.unnoticed:
        broken = next(one for one in verdict.hypotheses if one.name == name)
        faults = [fault for fault in verdict.faults if fault.fault in broken.broken_during] or _all_in_force(verdict)
        said = f"{name} broke ({broken.reason}), and no alert began to fire: nobody would have been told."
        gaps.append(_silent(name, f"nobody is alerted when {name} breaks", said, faults, plan))
    return gaps


def _silent(subject: str, title: str, story: str, faults: Sequence[FaultVerdict], plan: Plan) -> Gap:
    return Gap(
        kind=GapKind.UNDETECTED,
        finding=FindingClass.NEAR_MISS,
        title=f"{plan.service}: {title} under {_faults(faults)}",
        story=story,
        subject=subject,
        **_marks(faults, plan),
    )


def _spilled(verdict: Verdict, plan: Plan) -> list[Gap]:
    """One for each service that was hit and was no target."""
    faults = _all_in_force(verdict)
    marks = _marks(faults, plan)
    hit: dict[str, list[str]] = {}
    for line in verdict.spilled:
        service, _, detail = line.partition(": ")
        hit.setdefault(service, []).append(detail)
    return [
        Gap(
            kind=GapKind.SPILL_OVER,
            finding=FindingClass.INCIDENT,
            title=f"{service} is hit, though no target, by {_faults(faults)}",
            story=f"{service} was not a target of {_faults(faults)}, and changed: {'; '.join(details)}.",
            subject=service,
            **marks,
        )
        for service, details in hit.items()
    ]


def _not_undone(verdict: Verdict, plan: Plan) -> list[Gap]:
    """One for each kind of fault that could not be taken back."""
    kinds: dict[str, list[FaultVerdict]] = {}
    for fault in verdict.faults:
        if fault.undo_failed:
            kinds.setdefault(fault.kind, []).append(fault)
    return [_left(kind, faults, plan) for kind, faults in kinds.items()]


def _left(kind: str, faults: Sequence[FaultVerdict], plan: Plan) -> Gap:
    return Gap(
        kind=GapKind.UNDO_FAILED,
        finding=FindingClass.NEAR_MISS,
        title=f"{kind} could not be taken back",
        story=" ".join(f"{fault.fault} on {fault.target.name}: {fault.trouble}." for fault in faults),
        subject=kind,
        **_marks(faults, plan),
    )


def _without_redundancy(plan: Plan) -> list[Gap]:
    """One for each thing that a guard refused to take, as there is nothing that could take over."""
    reasons: dict[str, list[str]] = {}
    for answer in plan.guards:
        if answer.unsafe_condition and not answer.go:
            reasons.setdefault(answer.subject or plan.service, []).append(answer.reason)
    return [_missing_redundancy(subject, said, plan) for subject, said in reasons.items()]


def _missing_redundancy(subject: str, reasons: Sequence[str], plan: Plan) -> Gap:
    services = {target.service for fault in plan.faults for target in fault.targets if target.service is not None}
    return Gap(
        kind=GapKind.NO_REDUNDANCY,
        finding=FindingClass.UNSAFE_CONDITION,
        title=f"{subject} has no redundancy",
        story=f"The run was refused, and nothing was touched: {'; '.join(dict.fromkeys(reasons))}.",
        environment_class=plan.environment.class_name,
        service=plan.service,
        subject=subject,
        fault_classes=tuple(sorted({fault.fault_class for fault in plan.faults})),
        target_services=tuple(sorted(services)),
    )


# --------------------------------------------------------------------------------------------------------- identity


def _planned(faults: Sequence[FaultVerdict], plan: Plan) -> list[PlannedFault]:
    steps = {fault.step for fault in faults}
    return [fault for fault in plan.faults if fault.id in steps]


def _faults(faults: Sequence[FaultVerdict]) -> str:
    """`network-latency on checkout to payments`: kinds and services, nothing that changes from run to run."""
    names = []
    for fault in faults:
        target = fault.target
        where = " to ".join(name for name in (target.service, target.to) if name)
        names.append(f"{fault.kind} on {where}" if where else fault.kind)
    return _join(sorted(set(names))) or "the fault"


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


class _Marks(TypedDict):
    """What makes it another near miss, besides its kind and what it is about."""

    environment_class: str
    service: str
    fault_classes: tuple[str, ...]
    identity: dict[str, str]
    target_services: tuple[str, ...]


def _marks(faults: Sequence[FaultVerdict], plan: Plan) -> _Marks:
    """Of the faults' classes, the plugins' identity parameters, the dependency (the targets' `to`), the targets'
    services. Where several faults name the same parameter, their values are joined, sorted."""
    planned = _planned(faults, plan)
    values: dict[str, set[str]] = {}
    for fault in planned:
        for name, value in fault.identity.items():
            values.setdefault(name, set()).add(value)
    for verdict in faults:
        if verdict.target.to is not None:
            values.setdefault("to", set()).add(verdict.target.to)
    return {
        "environment_class": plan.environment.class_name,
        "service": plan.service,
        "fault_classes": tuple(sorted({fault.fault_class for fault in planned})),
        "identity": {name: ",".join(sorted(found)) for name, found in sorted(values.items())},
        "target_services": tuple(sorted({one.target.service for one in faults if one.target.service is not None})),
    }
