"""Gaps to near misses: deduplicated, kept, and held against by the runs that pass.

This stage says *what the run was* (its conditions, what held, why it may count for nothing) and *how bad the gap is*;
what becomes of a near miss is decided by `model.sightings`, and kept by the register.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaosrunner import catalog
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.judging.redacting import redacted
from chaosrunner.model.experiment import Remediation
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gap import Gap
from chaosrunner.model.near_miss import Conditions, Evidence, Expectation, FaultCondition, Found, NearMiss, RunFacts
from chaosrunner.model.plan import Plan, PlannedFault, PlannedMeasure
from chaosrunner.model.priority import ScoreInputs, StoppedBy, projected_budget, score
from chaosrunner.model.quantities import UNITS, convert
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.verdict import HypothesisVerdict, MeasureVerdict, PhaseVerdict, Verdict
from chaosrunner.model.words import Answer, DetectedBy, Ending, FailureMode, GapKind, Phase
from chaosrunner.records.light import dataclass
from chaosrunner.register.near_misses import Recorded, Register, Tried
from chaosrunner.reports.account import Account
from chaosrunner.reports.course import course_of
from chaosrunner.stages.findings import Findings


@dataclass(frozen=True, slots=True)
class Registered:
    """What a run did to the register."""

    recorded: tuple[Recorded, ...] = ()
    """For each gap: its near miss, and whether it is new, was seen again, regressed, or its fix failed."""
    tried: tuple[Tried, ...] = ()
    """Near misses that the run exercised and did not show: whether that counts, and whether it verified them."""
    woken: tuple[NearMiss, ...] = ()
    """Whose waiver has ended."""

    @property
    def shown(self) -> frozenset[str]:
        """Ids of those that this run showed."""
        return frozenset(each.near_miss.id for each in self.recorded if each.sighting is not Sighting.KNOWN)

    @property
    def changed(self) -> tuple[str, ...]:
        """Ids of all that a tracker may have to hear of."""
        verified = {each.near_miss.id for each in self.tried if each.verified}
        return tuple(sorted(self.shown | verified | {near_miss.id for near_miss in self.woken}))


def register(findings: Findings, register: Register) -> Registered:
    """Record a run: its gaps as occurrences of near misses, and itself as a pass of those that it tried and did not
    show. The same run recorded twice changes nothing. Raises `NotPossibleNow` where the register is out of reach.
    """
    facts = facts_of(findings.verdict, findings.plan, findings.ended)
    woken = register.wake(facts)
    recorded = register.record(facts, [_found(gap, findings) for gap in findings.gaps])
    return Registered(tuple(recorded), tuple(register.passed(facts)), tuple(woken))


def facts_of(verdict: Verdict, plan: Plan, ended: float) -> RunFacts:
    """What the register must know of a run."""
    remediation = plan.remediation
    return RunFacts(
        run=verdict.run,
        began=ended - verdict.seconds,
        ended=ended,
        experiment=plan.experiment,
        title=plan.title,
        environment=plan.environment.name,
        environment_class=plan.environment.class_name,
        service=plan.service,
        aliases=plan.aliases,
        owner=plan.owner,
        assignee=remediation.assignee if remediation else None,
        labels=remediation.labels if remediation else (),
        runbook=_runbook(remediation),
        seed=plan.seed,
        command=plan.command,
        verification=plan.environment.spec.verification,
        tracker=plan.environment.spec.tracker.kind if plan.environment.spec.tracker else None,
        conditions=_conditions(plan, plan.faults, plan.measures),
        held=tuple(each.name for each in verdict.hypotheses if each.answer is Answer.HELD),
        broken=tuple(each.name for each in verdict.hypotheses if each.answer is Answer.BROKEN),
        answer=verdict.answer.value,
        due_days=plan.environment.spec.due.days,
        detected=(*(each.alert for each in verdict.alerts if each.answer is Answer.HELD), *verdict.noticed),
        trouble=_trouble(verdict),
        recovered=verdict.recovery is not None and verdict.recovery.answer is Answer.HELD,
        gate=plan.gate,
        parameters=plan.parameters,
        acted=any(each.injected_at is not None for each in verdict.faults),
    )


def _runbook(remediation: Remediation | None) -> str:
    """What the experiment's runbook does; a plugin that is no longer there says its name."""
    if remediation is None or remediation.runbook is None:
        return ""
    call = remediation.runbook
    try:
        plugin = catalog.find("runbooks", call.kind)
        does: str = plugin.does(plugin.Params.model_validate(call.with_))
    except (ChaosrunnerError, ValueError):
        return f"Plays a runbook of {call.kind}."
    return redacted(does)  # it goes into items, and a command's arguments are part of it


def _trouble(verdict: Verdict) -> str:
    if verdict.inconclusive_because:
        return f"the run was inconclusive: {verdict.inconclusive_because[0]}"
    if verdict.ending is not Ending.FINISHED:
        ending = verdict.ending.value if verdict.ending else "cut off"
        return f"the run was {ending}" + (f": {verdict.ending_reason}" if verdict.ending_reason else "")
    for fault in verdict.faults:
        if fault.trouble or fault.undo_failed:
            return f"{fault.fault}: {fault.trouble or 'its undo failed'}"
    if verdict.answer is Answer.INCONCLUSIVE or not verdict.faults:
        return "the run was inconclusive"
    return ""


# ----------------------------------------------------------------------------------------------------- conditions


def _conditions(plan: Plan, faults: Sequence[PlannedFault], measures: Sequence[PlannedMeasure]) -> Conditions:
    return Conditions(
        environment=plan.environment.name,
        faults=tuple(_condition(fault) for fault in faults),
        expectations=tuple(
            Expectation(
                measure=measure.key,
                probe=measure.probe,
                params=measure.params,
                tolerance=measure.tolerance,
                unit=measure.unit,
                during=measure.during.value,
                when_missing=measure.when_missing.value,
            )
            for measure in measures
            if measure.tolerance is not None
        ),
        recovery_within=plan.recovery.within,
        recovery_holds=plan.recovery.holds,
        traffic=plan.traffic,
    )


def _condition(fault: PlannedFault) -> FaultCondition:
    params, harder = _hardness(fault)
    return FaultCondition(
        kind=fault.fault,
        fault_class=fault.fault_class,
        identity=fault.identity,
        services=_services(fault),
        to=tuple(sorted({target.to for target in fault.targets if target.to})),
        params=params,
        harder=harder,
        targets=len(fault.targets),
        lasts=fault.lasts,
        settle=fault.settle,
    )


def _services(fault: PlannedFault) -> tuple[str, ...]:
    return tuple(sorted({target.service for target in fault.targets if target.service}))


def _hardness(fault: PlannedFault) -> tuple[JsonObject, dict[str, float]]:
    """The parameters apart: those that only may be equal, and those with which the fault grows, as numbers that are
    greater where it is harder. A plugin that is no longer there leaves all of them to be equal."""
    try:
        plugin = catalog.find("faults", fault.fault)
        params = plugin.Params.model_validate(fault.params)
    except (ChaosrunnerError, ValueError):
        return fault.params, {}
    written: JsonObject = params.as_json()
    harder = {}
    for name, grows in plugin.harder.items():
        value = getattr(params, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            harder[name] = float(value) if grows == "more" else -float(value)
            written.pop(type(params).model_fields[name].alias or name, None)
    return written, harder


# ------------------------------------------------------------------------------------------------------- findings


def _found(gap: Gap, findings: Findings) -> Found:
    verdict, plan, gaps, account = findings.verdict, findings.plan, findings.gaps, findings.account
    hypothesis = next((each for each in verdict.hypotheses if each.name == gap.hypothesis), None)
    measures = [measure for measure in plan.measures if measure.hypothesis == gap.hypothesis]
    evidence = tuple(_evidence(gap, hypothesis)) if hypothesis else ()
    mode = failure_mode(gap, evidence, {measure.key: measure.room for measure in measures})
    inputs = _inputs(gap, plan, gaps, hypothesis).model_copy(update={"failure_mode": mode})
    return Found(
        gap=gap,
        evidence=evidence if account is None else _with_courses(evidence, account),
        clues=findings.clues.get(gap.fingerprint),
        conditions=_conditions(plan, _faults_of(gap, hypothesis, plan), measures),
        scoring=score(inputs),
        failure_mode=mode,
        detected_by=_detected_by(gaps, verdict),
        recovered_in=verdict.recovery.seconds if verdict.recovery else None,
    )


_MODES = {
    GapKind.UNDETECTED: FailureMode.ALERT_MISSING,
    GapKind.SPILL_OVER: FailureMode.BLAST_RADIUS_EXCEEDED,
    GapKind.UNDO_FAILED: FailureMode.ROLLBACK_FAILED,
    GapKind.NO_REDUNDANCY: FailureMode.NO_FAILOVER,
    GapKind.NO_RECOVERY: FailureMode.NO_RECOVERY,
}


def failure_mode(gap: Gap, evidence: Sequence[Evidence], rooms: Mapping[str, str | None]) -> FailureMode | None:
    """How it failed, as far as the measures tell (`rooms`: what each measures, `latency`, `ratio`, `rate`); None where
    they do not."""
    if gap.kind in _MODES:
        return _MODES[gap.kind]
    failed = [each for each in evidence if each.phase is Phase.FAULT] or list(evidence)
    if any(each.worst is None for each in failed):
        return FailureMode.UNAVAILABLE
    kinds = {rooms.get(each.measure) for each in failed}
    if "ratio" in kinds:
        return FailureMode.ERROR_RATE
    return FailureMode.SLOW_RESPONSE if "latency" in kinds else None


def _detected_by(gaps: Sequence[Gap], verdict: Verdict) -> DetectedBy | None:
    """Who would have noticed; None where nobody was asked."""
    if any(GapKind.UNDETECTED in (each.kind, *each.also) for each in gaps):
        return DetectedBy.CHAOSRUNNER
    fired = verdict.noticed or any(each.answer is Answer.HELD for each in verdict.alerts)
    return DetectedBy.ALERT if fired else None


def _faults_of(gap: Gap, hypothesis: HypothesisVerdict | None, plan: Plan) -> list[PlannedFault]:
    """The faults that the gap is about: those in force when the hypothesis broke; otherwise those of its classes."""
    steps = {fault.rpartition("/")[0] for fault in hypothesis.broken_during} if hypothesis else set()
    of_class = [fault for fault in plan.faults if fault.fault_class in gap.fault_classes]
    in_force = [fault for fault in of_class if fault.id in steps]
    here = [fault for fault in of_class if {*_services(fault)} & {*gap.target_services}]
    return in_force or here or of_class


def _evidence(gap: Gap, hypothesis: HypothesisVerdict) -> list[Evidence]:
    found = []
    named = {measure.get("key") for measure in gap.measures}
    for measure in hypothesis.measures:
        if measure.key in named:
            broken = [each for each in measure.phases if each.answer is Answer.BROKEN]
            in_force = [each for each in measure.phases if each.phase is Phase.FAULT]
            found += [_one_phase(measure, phase) for phase in broken or in_force]
    return found


def _one_phase(measure: MeasureVerdict, phase: PhaseVerdict) -> Evidence:
    below = phase.low is not None and isinstance(phase.worst, int | float) and phase.worst < phase.low
    return Evidence(
        measure=measure.key,
        phase=phase.phase,
        rule=phase.rule or "",
        limit=phase.low if below or phase.high is None else phase.high,
        worst=phase.worst,
        baseline=measure.baseline,
        unit=measure.unit,
        margin=phase.margin,
        violated_for=phase.violated_for,
        reason=phase.reason,
    )


def _with_courses(evidence: Sequence[Evidence], account: Account) -> tuple[Evidence, ...]:
    """The same with how each measure went over the run, once for each."""
    drawn: set[str] = set()
    found = []
    for each in evidence:
        worst, limit = each.worst, each.limit
        number = isinstance(worst, int | float) and not isinstance(worst, bool)
        low = number and limit is not None and float(str(worst)) < limit
        course = None if each.measure in drawn else course_of(account, each.measure, low_is_worse=low)
        drawn.add(each.measure)
        found.append(each.model_copy(update={"course": course}))
    return tuple(found)


def _inputs(gap: Gap, plan: Plan, gaps: Sequence[Gap], hypothesis: HypothesisVerdict | None) -> ScoreInputs:
    stopped_by, standing = _stopped_by(gap, gaps)
    return ScoreInputs(
        finding=gap.finding,
        kinds=(gap.kind, *gap.also),
        tier=_tier(plan),
        budget=_budget(gap, plan, hypothesis),
        stopped_by=stopped_by,
        standing=standing,
        undetected=any(GapKind.UNDETECTED in (each.kind, *each.also) for each in gaps),
    )


def _stopped_by(gap: Gap, gaps: Sequence[Gap]) -> tuple[StoppedBy, int]:
    """Why it did not become an outage, and how many defences of the system worked."""
    kinds = {gap.kind, *gap.also}
    if GapKind.ABORTED in kinds:
        return "experiment-abort", 0
    if GapKind.IMPACT in kinds:
        return "fault-ended", 0
    if GapKind.NO_REDUNDANCY in kinds:
        return "refusal", 0
    broke = any(GapKind.IMPACT in (each.kind, *each.also) for each in gaps)
    if kinds <= {GapKind.CLOSE_CALL, GapKind.UNDETECTED} and not broke:
        return "system-barrier", 1
    return "unknown", 0


def _tier(plan: Plan) -> int | None:
    services = plan.environment.spec.platform.with_.get("services")
    service = services.get(plan.service) if isinstance(services, dict) else None
    tier = service.get("tier") if isinstance(service, dict) else None
    return tier if isinstance(tier, int) and 1 <= tier <= 4 else None


def _budget(gap: Gap, plan: Plan, hypothesis: HypothesisVerdict | None) -> float | None:
    """Share of the error budget that an hour of this would spend, where the environment declares one and a ratio of
    failures broke its upper limit."""
    declared = plan.environment.spec.guards.error_budget
    if declared is None or hypothesis is None or declared.hypothesis != gap.hypothesis:
        return None
    ratios = {measure.key for measure in plan.measures if measure.room == "ratio"}
    worst = [
        _as_ratio(each)
        for each in _evidence(gap, hypothesis)
        if each.measure in ratios and each.phase is Phase.FAULT and isinstance(each.worst, int | float)
    ]
    if not worst:
        return None
    return projected_budget(max(worst), declared.objective, declared.window)


def _as_ratio(evidence: Evidence) -> float:
    assert isinstance(evidence.worst, int | float)
    value = convert(evidence.worst, evidence.unit, "ratio") if evidence.unit in UNITS else evidence.worst
    return min(1.0, max(0.0, float(value)))
