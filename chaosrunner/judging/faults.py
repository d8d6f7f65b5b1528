"""What became of each fault: was it seen in force, met, and seen gone, and what makes the run inconclusive."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.judging.facts import Facts, FaultFacts
from chaosrunner.judging.stretches import Span
from chaosrunner.judging.tally import share
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.quantities import show
from chaosrunner.model.target import Target
from chaosrunner.model.verdict import FaultVerdict
from chaosrunner.model.words import Ending

NEEDED_IN_FORCE = 0.95
"""Held needs each fault in force for this share of its step."""
_CUT_SHORT = (Ending.ABORTED, Ending.HALTED)


def span_of(facts: Facts, fault: FaultFacts) -> Span | None:
    """When it was in force; None: it was never seen in force."""
    if fault.in_force_at is None:
        return None
    until = fault.in_force_until
    end = facts.last if until is None else until
    settle = fault.planned.settle if fault.planned is not None else 0.0
    return Span(fault.fault, fault.in_force_at, max(end, fault.in_force_at), settle)


def fault_verdicts(facts: Facts) -> tuple[FaultVerdict, ...]:
    """One for each fault on each target: those of the journal, then those that were planned and never prepared."""
    shown = [fault for fault in facts.faults.values() if not fault.fault.endswith("/0") and not _nothing(facts, fault)]
    verdicts = [_verdict(facts, fault) for fault in shown]
    for planned in facts.plan.faults:
        for number, target in enumerate(planned.targets, 1):
            name = f"{planned.id}/{number}"
            if name not in facts.faults:
                verdicts.append(_never(name, planned.id, planned.fault, target))
    return tuple(verdicts)


def _nothing(facts: Facts, fault: FaultFacts) -> bool:
    """Whether there is nothing to say about it: under `follow` its target went away before it was in force."""
    return fault.withdrawn and not undo_failed(facts, fault)


def _never(name: str, step: str, kind: str, target: Target) -> FaultVerdict:
    return FaultVerdict(fault=name, step=step, kind=kind, target=target, trouble="it was never injected")


def _verdict(facts: Facts, fault: FaultFacts) -> FaultVerdict:
    step = fault.fault.rpartition("/")[0]
    return FaultVerdict(
        fault=fault.fault,
        step=step,
        kind=fault.planned.fault if fault.planned is not None else step,
        target=fault.target,
        injected_at=fault.injected_at,
        in_force_at=fault.in_force_at,
        undone_at=fault.undone_at,
        share_in_force=share_in_force(facts, fault),
        touched=fault.touched,
        seen_gone=fault.seen_gone,
        undo_failed=undo_failed(facts, fault),
        trouble=_trouble(facts, fault),
    )


def undo_failed(facts: Facts, fault: FaultFacts) -> bool:
    """Whether it may still have been in force when the run ended: the undo gave up, the fault was seen after it, or
    the run ended without saying that it was undone. A run that died says nothing: then it ends by itself, or is healed.
    """
    if fault.undo_error or fault.seen_gone is False:
        return True
    return facts.ended is not None and fault.prepared and fault.undone_at is None


def share_in_force(facts: Facts, fault: FaultFacts) -> float:
    """Of the time that its step should have lasted."""
    span = span_of(facts, fault)
    if span is None or fault.planned is None:
        return 0.0
    in_force = span.end - span.start - fault.unseen
    if fault.unseen_since is not None:
        in_force -= max(0.0, span.end - fault.unseen_since)
    lasts = fault.planned.lasts if fault.appeared_at is None else span.end - span.start
    if lasts <= 0:
        return 1.0
    return max(0.0, min(1.0, in_force / lasts))


def _followed(fault: FaultFacts) -> bool:
    return fault.planned is not None and fault.planned.selector is not None and fault.planned.selector.follow


def share_covered(facts: Facts, step: PlannedFault) -> float:
    """Of the time that a step with `follow` should have lasted: in which it was in force on any target."""
    mine = [fault for fault in facts.faults.values() if fault.planned is step]
    spans = sorted((span.start, span.end) for fault in mine if (span := span_of(facts, fault)) is not None)
    covered, until = 0.0, float("-inf")
    for start, end in spans:
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return min(1.0, covered / step.lasts) if step.lasts > 0 else 1.0


def _trouble(facts: Facts, fault: FaultFacts) -> str:
    """Why held cannot be said; the first of what went wrong in the order of the fault's life."""
    if undo_failed(facts, fault):
        return f"the undo failed: {_why_not_undone(fault)}"
    if fault.barrier:
        return f"a barrier held: {fault.barrier}"
    failures = [(stage, error) for stage, error in fault.failures if stage != "touched"]
    for stage, error in failures:
        if stage == "confirm" and fault.in_force_at is not None:
            return error  # of one that is looked at again at its end
        if stage != "confirm" or fault.in_force_at is None:
            verb = {"prepare": "it could not be prepared", "inject": "it could not be injected"}
            return f"{verb.get(stage, 'it was never seen in force')}: {error}"
    if fault.in_force_at is None:
        return "it was never seen in force" if fault.injected_at is not None else "it was never injected"
    if fault.lost_at is not None and fault.because != "target-gone":
        when = show(fault.lost_at - fault.in_force_at, "s")
        return f"it was lost after {when} in force: {fault.lost_how}"
    if fault.touched == 0:
        return "it was in force, and nothing met it: no connection or request came by"
    return _too_short(facts, fault)


def _not_covered(facts: Facts, fault: FaultFacts, step: PlannedFault) -> str:
    """Where others took over from a target that went away, what counts is the step as a whole."""
    covered = share_covered(facts, step)
    if fault.because == "target-gone" and covered >= NEEDED_IN_FORCE:
        return ""
    part = covered if fault.because == "target-gone" else share_in_force(facts, fault)
    wanted = show(step.lasts, "s")
    return f"it was in force for {share(part)} of {wanted} only, and held needs {share(NEEDED_IN_FORCE)}"


def _why_not_undone(fault: FaultFacts) -> str:
    if fault.undo_error:
        return fault.undo_error
    if fault.seen_gone is False:
        return "after the undo it was still seen in force"
    return "the run ended without taking it back"


def _too_short(facts: Facts, fault: FaultFacts) -> str:
    """In force for less than the step. A run that was cut short (stopped, or dead) says so itself."""
    if facts.ended is None or facts.ended.ending in _CUT_SHORT:
        return ""
    part = share_in_force(facts, fault)
    if fault.planned is None or part >= NEEDED_IN_FORCE:
        return ""
    if _followed(fault):
        return _not_covered(facts, fault, fault.planned)
    gone = f" ({fault.lost_how})" if fault.lost_how else ""
    why = f" as its target went away{gone}" if fault.because == "target-gone" else ""
    wanted = show(fault.planned.lasts, "s")
    needed = share(NEEDED_IN_FORCE)
    return f"it was in force for {share(part)} of {wanted} only{why}, and held needs {needed}"


def strength(facts: Facts, broken_during: Sequence[str]) -> str:
    """Of how many targets it broke with, `2 of 3`; empty: with none."""
    steps = {fault.rpartition("/")[0] for fault in broken_during}
    planned = sum(len(fault.targets) for fault in facts.plan.faults if fault.id in steps)
    return f"{len(broken_during)} of {max(planned, len(broken_during))}" if broken_during else ""
