"""What a run does to a near miss: found for the first time, seen again, or passed. Pure.

Nothing here loses an occurrence, and nothing but enough passing runs after a fix verifies one.
"""

from __future__ import annotations

from enum import StrEnum

from chaosrunner.model.environment import Verification
from chaosrunner.model.gap import FINGERPRINT_RULE, Gap
from chaosrunner.model.life_cycle import Change, Party, transition, with_due_date
from chaosrunner.model.near_miss import (
    CHAOSRUNNER,
    Conditions,
    Found,
    NearMiss,
    Occurrence,
    Override,
    Pass,
    RunFacts,
    day_of,
)
from chaosrunner.model.priority import due_date, more_urgent, raised, score
from chaosrunner.model.verification import Reproduced, differences, exercises, required, with_run
from chaosrunner.model.words import FindingClass, GapKind, State

SERIOUS = (FindingClass.UNSAFE_CONDITION, FindingClass.NEAR_MISS, FindingClass.INCIDENT)
_BY_HYPOTHESIS = (GapKind.IMPACT, GapKind.NO_RECOVERY, GapKind.ABORTED, GapKind.CLOSE_CALL)


class Sighting(StrEnum):
    """What became of a gap."""

    NEW = "new"
    SEEN_AGAIN = "seen-again"
    FIX_FAILED = "fix-failed"
    """A fix was said to be ready, and the run showed it again: open."""
    REGRESSED = "regressed"
    """It had been closed: open again, one step more urgent."""
    KNOWN = "known"
    """This run was recorded before; nothing changed."""


def found(id: str, facts: RunFacts, what: Found) -> NearMiss:
    """A near miss that nobody knew of."""
    gap, opened = what.gap, facts.ended
    return NearMiss(
        id=id,
        finding=gap.finding,
        kind=gap.kind,
        title=gap.title,
        environment_class=gap.environment_class,
        service=gap.service,
        fault_classes=gap.fault_classes,
        identity=gap.identity,
        target_services=gap.target_services,
        hypothesis=gap.hypothesis,
        subject=gap.subject,
        fingerprints={FINGERPRINT_RULE: gap.fingerprint},
        experiments=(facts.experiment,) if facts.experiment else (),
        failure_mode=what.failure_mode,
        detected_by=what.detected_by,
        environment=facts.environment,
        tracker=facts.tracker,
        state_since=opened,
        owner=facts.owner,
        assignee=facts.assignee,
        labels=facts.labels,
        scoring=what.scoring,
        opened_at=opened,
        due=due_date(day_of(opened), what.scoring.priority, policy=facts.due_days),
        due_days=facts.due_days,
        first_seen=opened,
        first_run=facts.run,
        last_seen=opened,
        last_run=facts.run,
        conditions=what.conditions,
    )


def occurrence_of(near_miss: str, facts: RunFacts, what: Found) -> Occurrence:
    """The run's evidence."""
    gap = what.gap
    return Occurrence(
        near_miss=near_miss,
        fingerprint=gap.fingerprint,
        run=facts.run,
        at=facts.ended,
        experiment=facts.experiment,
        environment=facts.environment,
        kind=gap.kind,
        also=gap.also,
        finding=gap.finding,
        title=gap.title,
        story=gap.story,
        strength=gap.strength,
        evidence=what.evidence,
        clues=what.clues,
        measures=gap.measures,
        failure_mode=what.failure_mode,
        detected_by=what.detected_by,
        recovered_in=what.recovered_in,
        seed=facts.seed,
        command=facts.command,
        runbook=facts.runbook,
        conditions=what.conditions,
    )


def seen_again(
    near_miss: NearMiss, facts: RunFacts, what: Found, *, another_run: bool = True
) -> tuple[NearMiss, Sighting]:
    """Another run showed it, or the same run once more in another way (`another_run=False`).

    A run that ended before the near miss was closed (an old journal, recorded late) adds its occurrence and opens
    nothing.
    """
    after = near_miss.model_copy(
        update={
            "occurrences": near_miss.occurrences + 1,
            "experiments": tuple(sorted({*near_miss.experiments, facts.experiment} - {""})),
            "failure_mode": what.failure_mode or near_miss.failure_mode,
            "detected_by": what.detected_by or near_miss.detected_by,
            "owner": near_miss.owner or facts.owner,
            "assignee": near_miss.assignee or facts.assignee,
            "labels": tuple(sorted({*near_miss.labels, *facts.labels})),
        }
    )
    after = _latest(after, facts)
    later = facts.ended > near_miss.state_since
    if later and near_miss.state in (State.VERIFIED, State.REJECTED, State.OBSOLETE):
        return _regressed(after, facts, what), Sighting.REGRESSED
    if not near_miss.closed:
        update = {"seen": after.seen + another_run, "conditions": _harder(after.conditions, what)}
        after = after.model_copy(update=update)
    after = _more_serious(after, what)
    if later and near_miss.state is State.FIX_READY:
        return fix_failed(after, facts.run, facts.ended), Sighting.FIX_FAILED
    return after, Sighting.SEEN_AGAIN


def _latest(near_miss: NearMiss, facts: RunFacts) -> NearMiss:
    update: dict[str, object] = {}
    if facts.ended >= near_miss.last_seen:
        update |= {"last_seen": facts.ended, "last_run": facts.run}
        update |= {"environment": facts.environment, "tracker": facts.tracker, "due_days": facts.due_days}
    if facts.ended < near_miss.first_seen:
        update |= {"first_seen": facts.ended, "first_run": facts.run}
    return with_due_date(near_miss.model_copy(update=update))


def _by_us(to: State, at: float, run: str, reason: str) -> Change:
    return Change(to=to, actor=CHAOSRUNNER, party=Party.CHAOSRUNNER, at=at, reason=reason, run=run)


def _regressed(near_miss: NearMiss, facts: RunFacts, what: Found) -> NearMiss:
    after = came_back(_more_serious(near_miss, what), facts.run, facts.ended)
    return after.model_copy(update={"conditions": _harder(near_miss.conditions, what)})


def came_back(near_miss: NearMiss, run: str, at: float) -> NearMiss:
    """What was closed is open again, and one step more urgent: a run that ended then showed it."""
    times = near_miss.regressions + 1
    reason = f"run {run} showed it again after it was {near_miss.state}"
    after = transition(near_miss, _by_us(State.OPEN, at, run, reason))
    override = near_miss.override
    if override is not None:
        urgent = raised(override.priority)
        override = Override(priority=urgent, by=CHAOSRUNNER, at=at, reason=f"raised: {reason}")
    inputs = after.scoring.inputs.model_copy(update={"regressions": times})
    return with_due_date(
        after.model_copy(
            update={
                "scoring": score(inputs),
                "override": override,
                "regressions": times,
                "opened_at": at,
                "paused_days": 0,
                "waivers": 0,
                "triaged_at": None,
                "seen": 1,
                "clean": 0,
            }
        )
    )


def fix_failed(near_miss: NearMiss, run: str, at: float) -> NearMiss:
    """A fix was said to be ready, and a run that ended then showed it again."""
    tried = len(near_miss.verification.runs) if near_miss.verification else 0
    reason = f"run {run} showed it again although {near_miss.fixed_by} was to fix it"
    after = transition(near_miss, _by_us(State.OPEN, at, run, reason))
    return after.model_copy(update={"attempts": after.attempts + 1, "clean": after.clean + tried})


def _more_serious(near_miss: NearMiss, what: Found) -> NearMiss:
    """The worse of what is known and what was found: a class, or a priority, falls by itself never."""
    update: dict[str, object] = {}
    if SERIOUS.index(what.gap.finding) > SERIOUS.index(near_miss.finding):
        update |= {"finding": what.gap.finding, "kind": what.gap.kind, "title": what.gap.title}
    inputs = what.scoring.inputs.model_copy(update={"regressions": near_miss.regressions})
    if more_urgent((scoring := score(inputs)).priority, near_miss.scoring.priority):
        update["scoring"] = scoring
    return with_due_date(near_miss.model_copy(update=update)) if update else near_miss


def _harder(known: Conditions, what: Found) -> Conditions:
    """What a passing run will be held against: the newest definition, but never a weaker one, nor one of other faults
    (which an occurrence of a duplicate may have)."""
    if not exercises(known, what.conditions):
        return known
    weaker = any(difference.what == "weaker" for difference in differences(known, what.conditions))
    return known if weaker else what.conditions


def as_shown_before(gap: Gap, alias: str) -> Gap:
    """The gap as it would have been found under an earlier name of its service."""
    services = tuple(sorted(alias if name == gap.service else name for name in gap.target_services))
    return gap.model_copy(update={"service": alias, "target_services": services})


# ------------------------------------------------------------------------------------------------- runs that pass it


def tried(near_miss: NearMiss, facts: RunFacts) -> bool:
    """Whether the run could have shown it at all: the same faults on the same services, and the same hypothesis."""
    if near_miss.environment_class != facts.environment_class:
        return False
    if not _on_its_side(near_miss, facts):
        return False
    judged = {expectation.measure.partition("/")[0] for expectation in facts.conditions.expectations}
    if near_miss.kind in _BY_HYPOTHESIS and near_miss.hypothesis not in judged:
        return False
    return exercises(near_miss.conditions, facts.conditions)


def _on_its_side(near_miss: NearMiss, facts: RunFacts) -> bool:
    """Whether what the run would have shown is this near miss, where one was split by hand."""
    of_run = {"experiment": facts.experiment, "environment": facts.environment}
    apart = any(of_run.get(by) == value for part in near_miss.apart for by, value in part.items())
    return not apart and all(of_run.get(by) == value for by, value in near_miss.only.items())


def judge_pass(near_miss: NearMiss, facts: RunFacts) -> Pass:
    """Whether this run, which did not show it, counts as having passed it, and why."""
    why = _why_not(near_miss, facts)
    return Pass(
        near_miss=near_miss.id,
        run=facts.run,
        began=facts.began,
        at=facts.ended,
        experiment=facts.experiment,
        environment=facts.environment,
        counts=not why,
        why=why or "the same or a harder fault, and nothing that was expected was loosened",
    )


def _why_not(near_miss: NearMiss, facts: RunFacts) -> str:
    if facts.trouble:
        return facts.trouble
    if near_miss.kind in _BY_HYPOTHESIS and near_miss.hypothesis not in facts.held:
        return f"the hypothesis {near_miss.hypothesis} did not hold"
    if near_miss.kind is GapKind.REPORTED and (facts.broken or not facts.held):
        return f"{facts.broken[0]} broke" if facts.broken else "no hypothesis was seen to hold"
    if near_miss.kind is GapKind.UNDETECTED and near_miss.subject not in facts.detected:
        return "a run without this gap does not yet show that the alert fired"
    if not facts.recovered:
        return "the system was not seen recovered"
    found = differences(near_miss.conditions, facts.conditions) if near_miss.conditions.faults else []
    return "; ".join(difference.why for difference in found)


def link_broke(near_miss: NearMiss, facts: RunFacts) -> NearMiss | None:
    """A reported one is open again where an experiment that it is linked to broke after the fix; None: it is not."""
    ready = near_miss.kind is GapKind.REPORTED and near_miss.state is State.FIX_READY
    if not ready or not facts.broken or facts.began < (near_miss.fix_ready_at or 0.0):
        return None
    reason = f"run {facts.run} of {facts.experiment}, which it is linked to, showed {facts.broken[0]} broken"
    after = transition(near_miss, _by_us(State.OPEN, facts.ended, facts.run, reason))
    return after.model_copy(update={"attempts": after.attempts + 1})


def passed(near_miss: NearMiss, run: Pass, asked: Verification, under: Conditions | None = None) -> NearMiss:
    """A run passed it. After a fix it counts towards verification; before, it only says how often the gap shows.

    What no run has shown yet is held against the conditions of the first run that passes it (`under`).
    """
    if not run.counts or near_miss.closed:
        return near_miss
    if not near_miss.conditions.faults and under is not None:
        near_miss = near_miss.model_copy(update={"conditions": under})
    if near_miss.state is not State.FIX_READY or run.began < (near_miss.fix_ready_at or 0.0):
        in_this_cycle = run.began >= near_miss.opened_at
        return near_miss.model_copy(update={"clean": near_miss.clean + 1}) if in_this_cycle else near_miss
    reproduced = Reproduced(near_miss.seen, near_miss.seen + near_miss.clean, near_miss.priority)
    progress = required(reproduced, asked, run.environment)
    so_far = near_miss.verification
    if so_far is not None:
        progress = progress.model_copy(update={"runs": so_far.runs, "days": so_far.days})
    progress = with_run(progress, run.run, run.at)
    after = near_miss.model_copy(update={"verification": progress})
    if not progress.complete:
        return after
    change = Change(
        to=State.VERIFIED,
        actor=CHAOSRUNNER,
        party=Party.CHAOSRUNNER,
        at=run.at,
        reason=f"{progress}, as {progress.asked_by} asks",
        run=run.run,
    )
    return transition(after, change)
