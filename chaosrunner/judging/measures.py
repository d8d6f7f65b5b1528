"""What each measure says of each phase.

* Baseline: the answer of `SteadyWatch`. It is held or inconclusive, never broken: nothing had been broken yet.
* Fault: readings wholly inside the judged pieces of a stretch in force; each stretch needs enough of them.
* Recovery: the answer of `RecoveryWatch`.

A rule for a phase that never came is inconclusive. A phase without a rule is counted and not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.judging.during import phases_read, rule_in
from chaosrunner.judging.facts import Facts
from chaosrunner.judging.hold import ResolvedRule, fits, resolve
from chaosrunner.judging.reading import Reading
from chaosrunner.judging.recovery import RecoveryState
from chaosrunner.judging.series import Series
from chaosrunner.judging.stretches import Stretch
from chaosrunner.judging.tally import Tally
from chaosrunner.model.plan import PlannedMeasure
from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Rule
from chaosrunner.model.verdict import MeasureVerdict, PhaseVerdict
from chaosrunner.model.words import Answer, Missing, Phase, worst
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class Judged:
    """A measure's verdict, and when its fault rule was first broken."""

    measure: PlannedMeasure
    verdict: MeasureVerdict
    broke: tuple[float, float] | None = None
    """From what the first outside reading tells, to the end of the one that completed `for:`."""
    aborted: bool = False
    """Its abort limit was reached, with a fault injected."""


def judge_measure(
    measure: PlannedMeasure, facts: Facts, judged: Sequence[Stretch], recovery: RecoveryState | None
) -> Judged:
    """One measure over the run."""
    fault, broke = _fault(measure, facts, judged)
    phases = [_baseline(measure, facts), fault, _recovery(measure, facts, recovery)]
    seen = tuple(phase for phase in phases if phase is not None)
    answer, reason = _answer(measure, seen)
    aborted = _abort_counts(measure, facts)
    if aborted:
        answer, reason = Answer.BROKEN, _abort_reason(facts, reason if answer is Answer.BROKEN else "")
    verdict = MeasureVerdict(
        key=measure.key,
        name=measure.name,
        unit=measure.unit,
        judged=aborted or measure.tolerance is not None,
        answer=answer,
        reason=reason,
        baseline=facts.medians.get(measure.key),
        phases=seen,
    )
    return Judged(measure, verdict, broke, aborted)


def _answer(measure: PlannedMeasure, phases: Sequence[PhaseVerdict]) -> tuple[Answer, str]:
    if measure.tolerance is None:
        return Answer.HELD, "observed only: it has no tolerance"
    judged = [phase for phase in phases if phase.judged]
    if not judged:
        return Answer.INCONCLUSIVE, f"its rules are for phases in which it is not read (during: {measure.during.value})"
    answer = worst(*(phase.answer for phase in judged))
    # Of phases with the same answer the fault's says most, then the recovery's.
    order = (Phase.FAULT, Phase.RECOVERY, Phase.BASELINE)
    chosen = min((phase for phase in judged if phase.answer is answer), key=lambda phase: order.index(phase.phase))
    return answer, chosen.reason


def _abort_counts(measure: PlannedMeasure, facts: Facts) -> bool:
    limit = facts.limit
    if limit is None or limit.blind or limit.measure != measure.key:
        return False
    return any(fault.injected_at is not None and fault.injected_at <= facts.limit_at for fault in facts.faults.values())


def _abort_reason(facts: Facts, broken: str) -> str:
    assert facts.limit is not None
    when = facts.limit.reading_ended if facts.limit.reading_ended is not None else facts.limit_at
    reached = f"its abort limit ({facts.limit.limit}) was reached at {when:.1f} s"
    return f"{broken}; {reached}" if broken else reached


# ------------------------------------------------------------------------------------------------ the single phases


def _resolved(measure: PlannedMeasure, phase: Phase, facts: Facts) -> tuple[ResolvedRule | None, str, str]:
    """(the rule, its words, why it cannot be resolved)."""
    rule = rule_in(measure, phase)
    if rule is None:
        return None, "", ""
    if rule.over_phase:
        return None, str(rule), ""
    baseline = facts.medians.get(measure.key)
    if rule.says_nothing(baseline):
        return None, str(rule), f"its baseline is 0, so that {rule} says nothing"
    try:
        return resolve(rule, measure.unit, baseline), str(rule), ""
    except ValueError as error:
        return None, str(rule), str(error)


def _inside(series: Series, start: float, end: float, lag: float) -> list[Reading]:
    """Readings that tell of what lies wholly between two moments."""
    return list(series.within(start + lag, end))


def _plain(measure: PlannedMeasure, facts: Facts, phase: Phase, rule: ResolvedRule | None) -> Tally | None:
    span = facts.phase(phase)
    if span is None:
        return None
    start, end = span
    if phase is Phase.RECOVERY and facts.recovery_from is not None:
        start = min(facts.recovery_from, end)
    tally = Tally(measure, rule, max(end - start, 0.0))
    tally.piece(start, end, _inside(facts.series[measure.key], start, end, measure.lag))
    return tally


def _observed(tally: Tally, phase: Phase) -> PhaseVerdict:
    return tally.verdict(phase, Answer.HELD, "observed only: no rule for this phase")


def _never_came(measure: PlannedMeasure, phase: Phase) -> PhaseVerdict | None:
    rule = rule_in(measure, phase)
    if rule is None:
        return None
    empty = Tally(measure, None, 0.0)
    return empty.verdict(phase, Answer.INCONCLUSIVE, f"the run had no {phase.value} phase", str(rule))


def _baseline(measure: PlannedMeasure, facts: Facts) -> PhaseVerdict | None:
    phase = Phase.BASELINE
    if phase not in phases_read(measure.during):
        return None
    rule, words, _ = _resolved(measure, phase, facts)
    tally = _plain(measure, facts, phase, rule)
    if tally is None:
        return _never_came(measure, phase)
    state = facts.steady.of_measure(measure.key) if facts.steady is not None else None
    if not words or state is None:
        return _observed(tally, phase)
    if state.ok:
        reason = state.reason if rule is None or tally.outside else tally.words_of_holding()
        return tally.verdict(phase, Answer.HELD, reason, words)
    return tally.verdict(phase, Answer.INCONCLUSIVE, f"before the fault {state.reason}", words)


def _recovery(measure: PlannedMeasure, facts: Facts, state: RecoveryState | None) -> PhaseVerdict | None:
    phase = Phase.RECOVERY
    if phase not in phases_read(measure.during):
        return None
    rule, words, trouble = _resolved(measure, phase, facts)
    tally = _plain(measure, facts, phase, rule)
    if tally is None:
        return _never_came(measure, phase)
    if trouble:
        return tally.verdict(phase, Answer.INCONCLUSIVE, trouble, words)
    if not words:
        return _observed(tally, phase)
    words = words if rule is None else rule.text
    if state is None:
        return tally.verdict(phase, Answer.INCONCLUSIVE, "a fault may still have been in force", words)
    concerned = measure.key in state.measures
    if state.kind == "recovered":
        return tally.verdict(phase, Answer.HELD, f"{state.reason}; should be {words}", words)
    if state.kind == "not-recovered" and concerned:
        return tally.verdict(phase, Answer.BROKEN, state.reason, words)
    if state.kind == "unreadable" and concerned and _missing_after_undo(measure, facts, tally):
        return tally.verdict(phase, Answer.BROKEN, f"no recovery: its readings are gone ({state.reason})", words)
    return _still_open(tally, state, words)


def _missing_after_undo(measure: PlannedMeasure, facts: Facts, tally: Tally) -> bool:
    undone = facts.recovery_from
    return undone is not None and tally.coverage.missing > 0 and missing_breaks(measure, facts, undone, facts.last)


def _still_open(tally: Tally, state: RecoveryState, words: str) -> PhaseVerdict:
    if state.kind == "not-recovered" and tally.coverage.readings and not tally.coverage.complaint():
        return tally.verdict(Phase.RECOVERY, Answer.HELD, "it is not what kept the system from recovering", words)
    if state.kind == "waiting":
        reason = "the run ended before a recovery could be seen"
        return tally.verdict(Phase.RECOVERY, Answer.INCONCLUSIVE, reason, words)
    return tally.verdict(Phase.RECOVERY, Answer.INCONCLUSIVE, state.reason, words)


def missing_breaks(measure: PlannedMeasure, facts: Facts, after: float, until: float) -> bool:
    """Whether readings that are missing mean that the measure broke: its author said so (`whenMissing: broken`), the
    baseline had readings, and the source still answered while they were missing.

    The source answered if any measure of the same probe, this one included, had a reading between the two moments.
    """
    baseline = facts.phase(Phase.BASELINE)
    if measure.when_missing is not Missing.BROKEN or baseline is None:
        return False
    if not facts.series[measure.key].read_between(*baseline):
        return False
    same = [other.key for other in facts.plan.measures if other.probe == measure.probe]
    return any(facts.series[key].read_between(after, until) for key in same)


def _fault(
    measure: PlannedMeasure, facts: Facts, judged: Sequence[Stretch]
) -> tuple[PhaseVerdict | None, tuple[float, float] | None]:
    phase = Phase.FAULT
    if phase not in phases_read(measure.during):
        return None, None
    rule, words, trouble = _resolved(measure, phase, facts)
    if not judged:
        if rule is None and not trouble:
            tally = _plain(measure, facts, phase, None)
            return (None if tally is None else _observed(tally, phase)), None
        empty = Tally(measure, None, 0.0)
        return empty.verdict(phase, Answer.INCONCLUSIVE, "no fault was seen in force", words), None
    together = rule_in(measure, phase)
    if together is not None and together.over_phase:
        return _fault_together(measure, facts, together, judged)
    tallies = [_in_stretch(measure, facts, rule, stretch) for stretch in judged]
    # The story is told by the first stretch that is worst; each of them must hold by itself.
    if trouble:
        return tallies[0].verdict(phase, Answer.INCONCLUSIVE, trouble, words), None
    if rule is None:
        return _observed(tallies[0], phase), None
    answers = [
        _of_stretch(measure, facts, tally, stretch) for tally, stretch in zip(tallies, judged, strict=True)
    ]  # fmt: skip
    return _worst_stretch(measure, tallies, answers)


def _fault_together(
    measure: PlannedMeasure, facts: Facts, rule: Rule, judged: Sequence[Stretch]
) -> tuple[PhaseVerdict | None, tuple[float, float] | None]:
    """A rule that looks at all readings of a stretch together; each stretch must hold by itself."""
    from chaosrunner.judging.whole_phase import judge_whole

    baseline = facts.steady.sample(measure.key) if facts.steady is not None else []
    found: list[tuple[PhaseVerdict, tuple[float, float] | None]] = []
    for stretch in judged:
        tally = _in_stretch(measure, facts, None, stretch)
        series = facts.series[measure.key]
        pieces = [
            [fits(one) for one in _inside(series, start, end, measure.lag)] for start, end in stretch.pieces
        ]  # fmt: skip
        said = judge_whole(measure, rule, baseline, pieces)
        answer, reason = said.answer, said.reason
        if answer is not Answer.BROKEN:
            sound, why = _of_stretch(measure, facts, tally, stretch)
            answer, reason = (answer, reason) if sound is Answer.HELD else (sound, why)
        verdict = tally.verdict(Phase.FAULT, answer, reason, said.rule)
        levels = {"low": said.low, "high": said.high, "margin": said.margin}
        broke = (stretch.start, stretch.end) if answer is Answer.BROKEN else None
        found.append((verdict.model_copy(update=levels), broke))
    answer = worst(*(verdict.answer for verdict, _ in found))
    return next(one for one in found if one[0].answer is answer)


def _in_stretch(measure: PlannedMeasure, facts: Facts, rule: ResolvedRule | None, stretch: Stretch) -> Tally:
    tally = Tally(measure, rule, stretch.judged_seconds)
    series = facts.series[measure.key]
    for start, end in stretch.pieces:
        tally.piece(start, end, _inside(series, start, end, measure.lag))
    return tally


def _of_stretch(measure: PlannedMeasure, facts: Facts, tally: Tally, stretch: Stretch) -> tuple[Answer, str]:
    if tally.completed is not None:
        return Answer.BROKEN, tally.words_of_violation()
    if measure.lag and stretch.seconds < 2 * measure.lag:
        lasting, lag = show(stretch.seconds, "s"), show(measure.lag, "s")
        return Answer.INCONCLUSIVE, f"the fault was in force for {lasting}, less than twice this measure's lag of {lag}"
    complaint = tally.coverage.complaint()
    if not complaint:
        too_long = _too_long_a_for(tally, stretch, measure.lag)
        if too_long or tally.rule is None:
            return (Answer.INCONCLUSIVE, too_long) if too_long else (Answer.HELD, "")
        return Answer.HELD, tally.words_of_holding()
    if not stretch.pieces:
        return Answer.INCONCLUSIVE, "the fault was in force no longer than its settle"
    if missing_breaks(measure, facts, *_missing_between(measure, facts, stretch)):
        return Answer.BROKEN, f"{complaint}; the source answers, and whenMissing is broken"
    return Answer.INCONCLUSIVE, complaint


def _too_long_a_for(tally: Tally, stretch: Stretch, lag: float) -> str:
    """Why readings outside mean nothing: the rule's `for:` could not be reached in what was judged. Or empty."""
    rule = tally.rule
    if rule is None or not tally.outside:
        return ""
    judged = max((end - start for start, end in stretch.pieces), default=0.0)
    if judged - lag > rule.for_ and tally.outside < tally.coverage.readings:
        return ""
    return (
        f"{tally.outside} of {tally.coverage.readings} readings were outside, and the {show(judged, 's')} that were "
        f"judged are too short to tell whether that lasts: it should be {rule.text}"
    )


def _missing_between(measure: PlannedMeasure, facts: Facts, stretch: Stretch) -> tuple[float, float]:
    """From the first missing reading to one turn after the last."""
    series = facts.series[measure.key]
    missing = [reading for reading in series.within(stretch.start, stretch.end) if not reading.is_reading]
    if not missing:
        return stretch.end, stretch.end
    return missing[0].began, min(missing[-1].ended + measure.every, stretch.end)


def _worst_stretch(
    measure: PlannedMeasure, tallies: Sequence[Tally], answers: Sequence[tuple[Answer, str]]
) -> tuple[PhaseVerdict, tuple[float, float] | None]:
    answer = worst(*(answer for answer, _ in answers))
    places = [place for place, (one, _) in enumerate(answers) if one is answer]
    # Among stretches that held, the one with the least room is told; otherwise the first.
    place = min(places, key=lambda place: _room(tallies[place])) if answer is Answer.HELD else places[0]
    tally = tallies[place]
    broke = None
    if tally.first is not None and tally.completed is not None:
        broke = (tally.first.tells_from(measure.lag), tally.completed.ended)
    return tally.verdict(Phase.FAULT, answer, answers[place][1]), broke


def _room(tally: Tally) -> float:
    return float("inf") if tally.margin is None else tally.margin
