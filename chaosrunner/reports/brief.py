"""One run in one line, as `runs list` shows it, and two runs side by side, as `runs diff` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.clock import iso
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import MeasureVerdict, PhaseVerdict, Verdict
from chaosrunner.model.words import Answer
from chaosrunner.reports.account import Account
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.words import headline


class RunBrief(Frozen):
    """One run in one line."""

    run: str
    started_at: str
    experiment: str
    environment: str
    word: str
    """The answer as shown: `HELD`, `BROKEN`, … or `RUNNING`, `DAMAGED`."""
    answer: Answer | None = None
    exit_code: int | None = None
    seconds: float
    gaps: int = 0
    faults_in_force: int = 0
    """Faults whose undo is not on record: they may be in force."""
    note: str = ""


def brief(account: Account, verdict: Verdict, found: Sequence[ShownGap]) -> RunBrief:
    """A finished run in one line."""
    return RunBrief(
        run=account.started.run,
        started_at=iso(account.began_at),
        experiment=account.plan.experiment,
        environment=account.plan.environment.name,
        word=headline(verdict)[0],
        answer=verdict.answer,
        exit_code=verdict.exit_code,
        seconds=round(account.seconds, 3),
        gaps=len(found),
        faults_in_force=len(account.in_force),
    )


class NumberPair(Frozen):
    """One number of one measure in one phase, in both runs; None where a run has none."""

    measure: str
    phase: str
    what: str
    """`median` or `room`."""
    unit: str | None = None
    a: float | None = None
    b: float | None = None


class AnswerPair(Frozen):
    """An answer in both runs; None where a run does not have that hypothesis or measure."""

    name: str
    a: Answer | None = None
    b: Answer | None = None

    @property
    def change(self) -> str:
        """`better`, `worse`, or empty where it is the same or cannot be said."""
        if self.a is None or self.b is None or self.a is self.b:
            return ""
        return "better" if self.b.badness < self.a.badness else "worse"


class Comparison(Frozen):
    """Run A against run B: what was different about them, and what came out differently."""

    a: RunBrief
    b: RunBrief
    same_plan: bool
    plan_differs: tuple[str, ...] = ()
    """Parts of the plan that are not the same; times, seeds of targets and file hashes aside."""
    run: AnswerPair
    hypotheses: tuple[AnswerPair, ...] = ()
    measures: tuple[AnswerPair, ...] = ()
    numbers: tuple[NumberPair, ...] = ()
    recovery_seconds: tuple[float | None, float | None] = (None, None)
    gaps_gone: tuple[str, ...] = ()
    gaps_new: tuple[str, ...] = ()

    @property
    def better(self) -> tuple[str, ...]:
        """Hypotheses that came out better in B."""
        return tuple(pair.name for pair in self.hypotheses if pair.change == "better")

    @property
    def worse(self) -> tuple[str, ...]:
        """Hypotheses that came out worse in B."""
        return tuple(pair.name for pair in self.hypotheses if pair.change == "worse")


Side = tuple[Account, Verdict, Sequence[ShownGap]]
_ASIDE = ("schema", "sources", "command", "guards", "warnings", "seed")


def compare(a: Side, b: Side) -> Comparison:
    """Compare two runs, of the same experiment or not."""
    differs = tuple(_differences(a[0].plan, b[0].plan))
    gaps_a = {one.gap.fingerprint: one.gap.title for one in a[2]}
    gaps_b = {one.gap.fingerprint: one.gap.title for one in b[2]}
    return Comparison(
        a=brief(*a),
        b=brief(*b),
        same_plan=not differs,
        plan_differs=differs,
        run=AnswerPair(name="run", a=a[1].answer, b=b[1].answer),
        hypotheses=tuple(_answers(_hypotheses(a[1]), _hypotheses(b[1]))),
        measures=tuple(_answers(_measures(a[1]), _measures(b[1]))),
        numbers=tuple(_numbers(a[1], b[1])),
        recovery_seconds=(_recovered(a[1]), _recovered(b[1])),
        gaps_gone=tuple(title for key, title in gaps_a.items() if key not in gaps_b),
        gaps_new=tuple(title for key, title in gaps_b.items() if key not in gaps_a),
    )


def _differences(a: Plan, b: Plan) -> Iterator[str]:
    left, right = a.as_json(), b.as_json()
    for part in sorted({*left, *right} - set(_ASIDE)):
        if part == "method":
            if [_intended(fault.as_json()) for fault in a.faults] != [_intended(fault.as_json()) for fault in b.faults]:
                yield "method"
        elif left.get(part) != right.get(part):
            yield part


def _intended(fault: JsonObject) -> JsonObject:
    """A fault without what only this moment's system decided: which processes it found."""
    return {key: value for key, value in fault.items() if key not in ("targets", "candidates")}


def _recovered(verdict: Verdict) -> float | None:
    return verdict.recovery.seconds if verdict.recovery else None


def _hypotheses(verdict: Verdict) -> dict[str, Answer]:
    return {hypothesis.name: hypothesis.answer for hypothesis in verdict.hypotheses}


def _measure_verdicts(verdict: Verdict) -> dict[str, MeasureVerdict]:
    return {measure.key: measure for hypothesis in verdict.hypotheses for measure in hypothesis.measures}


def _measures(verdict: Verdict) -> dict[str, Answer]:
    return {key: measure.answer for key, measure in _measure_verdicts(verdict).items() if measure.judged}


def _answers(a: dict[str, Answer], b: dict[str, Answer]) -> Iterator[AnswerPair]:
    for name in [*a, *(name for name in b if name not in a)]:
        yield AnswerPair(name=name, a=a.get(name), b=b.get(name))


def _numbers(a: Verdict, b: Verdict) -> Iterator[NumberPair]:
    """Medians, and room; not of recovery, where the worst reading is the one that it had to recover from."""
    left, right = _phases(a), _phases(b)
    for key in [*left, *(key for key in right if key not in left)]:
        measure, phase = key
        unit, in_a = left.get(key) or (right[key][0], None)
        _, in_b = right.get(key) or (unit, None)
        for what, field in (("median", "median"), ("room", "margin")):
            pair = (getattr(in_a, field, None), getattr(in_b, field, None))
            if pair != (None, None) and (what, phase) != ("room", "recovery"):
                yield NumberPair(measure=measure, phase=phase, what=what, unit=unit, a=pair[0], b=pair[1])


def _phases(verdict: Verdict) -> dict[tuple[str, str], tuple[str | None, PhaseVerdict]]:
    return {
        (key, phase.phase.value): (measure.unit, phase)
        for key, measure in _measure_verdicts(verdict).items()
        for phase in measure.phases
    }
