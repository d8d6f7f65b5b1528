"""What a verdict says, in sentences for people."""

from __future__ import annotations

from chaosrunner.judging.tally import share
from chaosrunner.model.quantities import show
from chaosrunner.model.verdict import FaultVerdict, HypothesisVerdict, Verdict
from chaosrunner.model.words import Answer, Ending

_SAY_ENOUGH = (Ending.REFUSED, Ending.NOT_STEADY, Ending.NOT_READABLE, Ending.HALTED)
"""Ends of a run that are an answer by themselves."""


def describe(verdict: Verdict) -> tuple[str, str, str]:
    """The three things that a run says: the fault was seen in force and met; the hypotheses' answers, with the closest
    margin of each; the fault was seen gone, and the system recovered in N s."""
    return (_in_force(verdict), _answers(verdict), _gone(verdict))


def _in_force(verdict: Verdict) -> str:
    seen = [fault for fault in verdict.faults if fault.in_force_at is not None]
    if not seen:
        return "No fault was seen in force."
    counted = [fault.touched for fault in seen if fault.touched is not None]
    met = f", met {sum(counted)} times" if counted else ""
    count = "" if len(seen) == len(verdict.faults) == 1 else f" ({len(seen)} of {len(verdict.faults)})"
    verb = "was" if len(seen) == 1 else "were"
    return f"{_names(seen)} {verb} seen in force{count}{met}.{_troubles(verdict)}"


def _names(faults: list[FaultVerdict]) -> str:
    names = [
        f"{fault.kind} on {fault.target.name}" if fault.target.kind != "nothing" else fault.kind for fault in faults
    ]
    return _list(list(dict.fromkeys(names)))


def _troubles(verdict: Verdict) -> str:
    troubles = [f"{fault.fault}: {fault.trouble}" for fault in verdict.faults if fault.trouble]
    return "".join(f" {trouble}." for trouble in troubles)


def _answers(verdict: Verdict) -> str:
    if not verdict.hypotheses:
        return "No hypothesis was judged."
    return "; ".join(_answer(hypothesis) for hypothesis in verdict.hypotheses) + "."


def _answer(hypothesis: HypothesisVerdict) -> str:
    if hypothesis.answer is Answer.HELD and hypothesis.margin is not None:
        name = (hypothesis.closest or "").rpartition("/")[2]
        return f"{hypothesis.name} held, the closest was {name} with {share(hypothesis.margin)} room"
    if hypothesis.answer is Answer.HELD:
        return f"{hypothesis.name} held"
    several = hypothesis.strength and hypothesis.strength != "1 of 1"
    strength = f" with {hypothesis.strength} targets in force" if several else ""
    return f"{hypothesis.name} {_was(hypothesis.answer)}{strength}: {hypothesis.reason}"


def _was(answer: Answer) -> str:
    return "broke" if answer is Answer.BROKEN else "is inconclusive"


def _gone(verdict: Verdict) -> str:
    acted = [fault for fault in verdict.faults if fault.injected_at is not None]
    if not acted:
        return "Nothing was injected, so nothing had to be undone."
    left = [fault.fault for fault in acted if fault.undo_failed or fault.undone_at is None]
    if left:
        return f"{_list(left)} may still be in force: run `chaosrunner heal`."
    gone = "seen gone" if all(fault.seen_gone for fault in acted) else "undone"
    recovery = verdict.recovery
    if recovery is None:
        return f"Every fault was {gone}; no measure is judged after it."
    if recovery.answer is Answer.HELD and recovery.seconds is not None:
        return f"Every fault was {gone}, and the system recovered in {show(recovery.seconds, 's')}."
    return f"Every fault was {gone}. Recovery: {recovery.reason}."


def summary(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if any(fault.undo_failed for fault in verdict.faults):
        left = _list([fault.fault for fault in verdict.faults if fault.undo_failed])
        return f"Taking back {left} failed: it may still be in force."
    if verdict.ending is Ending.DEFECT:
        return f"chaosrunner itself failed: {verdict.ending_reason or 'no reason given'}."
    if verdict.answer is Answer.BROKEN:
        return _broken(verdict)
    if verdict.answer is Answer.INCONCLUSIVE:
        because = verdict.inconclusive_because[0] if verdict.inconclusive_because else "nothing was judged"
        if verdict.ending in _SAY_ENOUGH:
            return f"{because[0].upper()}{because[1:]}."
        return f"Nothing can be said: {because}."
    return _held(verdict)


def _broken(verdict: Verdict) -> str:
    broken = [hypothesis for hypothesis in verdict.hypotheses if hypothesis.answer is Answer.BROKEN]
    if not broken:
        reason = verdict.recovery.reason if verdict.recovery is not None else "a gap was found"
        return f"The system did not recover: {reason}."
    names = _list([hypothesis.name for hypothesis in broken])
    during = [fault for fault in verdict.faults if fault.fault in broken[0].broken_during]
    when = f" while {_names(during)} {'was' if len(during) == 1 else 'were'} in force" if during else " after the fault"
    return f"{names} broke{when}: {broken[0].reason}."


def _held(verdict: Verdict) -> str:
    every = "The hypothesis" if len(verdict.hypotheses) == 1 else f"All {len(verdict.hypotheses)} hypotheses"
    seen = [fault for fault in verdict.faults if fault.in_force_at is not None]
    margins = [(one.margin, one.closest or "") for one in verdict.hypotheses if one.margin is not None]
    closest = f"; the closest was {min(margins)[1]} with {share(min(margins)[0])} room" if margins else ""
    back = ""
    if verdict.recovery is not None and verdict.recovery.seconds is not None:
        back = f"; recovered in {show(verdict.recovery.seconds, 's')}"
    spilled = f"; but {len(verdict.spilled)} things that were no targets changed" if verdict.spilled else ""
    were = "was" if len(seen) == 1 else "were"
    return f"{every} held while {_names(seen)} {were} in force{closest}{back}{spilled}{_alerts(verdict)}."


def _alerts(verdict: Verdict) -> str:
    """Of expected alerts: how long the slowest took, or which did not come."""
    silent = [one.alert for one in verdict.alerts if one.answer is Answer.BROKEN]
    if silent:
        return f"; but the alert {_list(silent)} did not fire in time"
    took = [one.detected_after for one in verdict.alerts if one.detected_after is not None]
    return f"; detected in {show(max(took), 's')}" if took else ""


def _list(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
