"""A gate: runs what is due of a suite, asks the register what is known, and answers by the suite's policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaosrunner.app.desk import Tell
from chaosrunner.app.suites import Progress, SuiteOrder, SuiteReport, read_suite, run_suite
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow, UsageError
from chaosrunner.judging.gate import answer, record_baseline
from chaosrunner.judging.gate_facts import Material, Seen, change_of, held_against
from chaosrunner.model.frozen import in_text, json_text
from chaosrunner.model.gate import GateAnswer, GateBaseline, HypothesisAnswer, RunAnswer
from chaosrunner.model.near_miss import CHAOSRUNNER, NearMiss, RunFacts, day_of
from chaosrunner.model.suite_result import SuiteItem
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Answer, State
from chaosrunner.person import who
from chaosrunner.records.light import dataclass, replace
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.stages.judge import judge
from chaosrunner.stages.learning import runs_of
from chaosrunner.stages.suite import LoadedSuite
from chaosrunner.store.journal import read_journal
from chaosrunner.store.kept import write_file
from chaosrunner.store.runs import Runs

MOST_JOURNALS = 100
"""Runs whose journals are looked at for what no register knows."""


@dataclass(frozen=True)
class GateOrder(SuiteOrder):
    """What a gate was asked."""

    run: bool = True
    """False: it judges by what the register knows."""
    record_baseline: bool = False
    """Whether what is there now becomes what `ratchet` compares with."""


async def ask_gate(
    order: GateOrder, tell: Tell = lambda words: None, progress: Progress = lambda line: None
) -> GateAnswer:
    """May this release go out?

    Raises `UsageError` and `FileProblems` before anything is started, `NotPossibleNow` where the register is out of
    reach.
    """
    clock = SystemClock()
    began, monotonic = clock.now(), clock.monotonic()
    loaded = read_suite(order)
    baseline = _read_baseline(loaded, order)
    gate = _Gate(loaded, order, clock)
    with open_register(order.state, clock) as book:
        due = gate.due(book)
    done = await run_suite(order, tell, progress, loaded=loaded, only=due, gate=loaded.name) if due else None
    with open_register(order.state, clock) as book:
        material = gate.material(book, done, began)
    seconds = clock.monotonic() - monotonic
    if order.record_baseline:
        recorded = record_baseline(material, who())
        tell(_write_baseline(loaded, recorded))
        baseline = recorded if loaded.suite.spec.gate.ratchet is not None else None
    given = answer(replace(material, baseline=baseline, seconds=seconds))
    _keep(given, done, order.state, tell)
    return given


def _keep(given: GateAnswer, done: SuiteReport | None, state: Path, tell: Tell) -> None:
    """Beside the suite's result, if anything was run."""
    if done is None:
        return
    try:
        write_file(state / "suites" / done.result.id / "gate.json", json_text(given.as_json()))
    except NotPossibleNow as error:
        tell(str(error))


# ------------------------------------------------------------------------------------------------------- the baseline


def baseline_path(loaded: LoadedSuite) -> Path:
    """Where the baseline of a suite lies: where its policy says, or beside its file."""
    named = loaded.suite.spec.gate.ratchet
    return loaded.path.parent / (named or f"{loaded.name}.baseline.json")


def _read_baseline(loaded: LoadedSuite, order: GateOrder) -> GateBaseline | None:
    if loaded.suite.spec.gate.ratchet is None or order.record_baseline:
        return None
    path = baseline_path(loaded)
    try:
        found: GateBaseline = GateBaseline.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        record = f"`chaosrunner gate {order.suite} --record-baseline` records what is there now"
        raise UsageError(f"there is no baseline {path}: {record}; look at it, and commit it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"the baseline {path} cannot be read: {error}") from None
    return found


def _write_baseline(loaded: LoadedSuite, baseline: GateBaseline) -> str:
    """Where it is, and what is left to be done about it."""
    path = write_file(baseline_path(loaded), json_text(baseline.as_json()))
    several = "near miss" if len(baseline.near_misses) == 1 else "near misses"
    told = f"the baseline is {path}, with {len(baseline.near_misses)} {several}: look at it, and commit it"
    counts = loaded.suite.spec.gate.ratchet is not None
    return told if counts else f"{told}; it counts once {loaded.file} says `gate: {{ratchet: {path.name}}}`"


# ---------------------------------------------------------------------------------------------------- what is judged


class _Gate:
    """One gate under way: from the register and the runs to what the rules need."""

    def __init__(self, loaded: LoadedSuite, order: GateOrder, clock: Clock) -> None:
        self._loaded = loaded
        self._order = order
        self._clock = clock
        self._policy = loaded.suite.spec.gate
        self._known: dict[int, list[RunFacts]] = {}
        """Recorded runs of each item, newest first."""
        self._journals: list[RunFacts] | None = None
        """The last runs in this state folder; None: nobody has asked for them."""

    def due(self, book: Register) -> frozenset[int]:
        """Numbers of the items that are run now."""
        self._look(book)
        if not self._order.run:
            return frozenset()
        oldest = self._clock.now() - self._policy.due_after
        last = {number: self._last_conclusive(number) for number in self._known}
        return frozenset(
            number for number, at in last.items() if at is None or at < oldest or not self._policy.due_after
        )

    def _look(self, book: Register) -> None:
        for number, item in enumerate(self._loaded.items):
            runs = book.latest_runs(item.experiment, item.service, item.environment_class) or self._unrecorded(item)
            self._known[number] = [facts for facts in runs if _same_parameters(item, facts)]

    def _unrecorded(self, item: SuiteItem) -> list[RunFacts]:
        """Runs that only their journals know, newest first: what held before there was a register is in none."""
        if self._journals is None:
            self._journals = sorted(runs_of(self._order.state, (), last=MOST_JOURNALS), key=lambda facts: -facts.ended)
        wanted = (item.experiment, item.service, item.environment_class)
        return [each for each in self._journals if (each.experiment, each.service, each.environment_class) == wanted]

    def _last_conclusive(self, number: int) -> float | None:
        return next((facts.ended for facts in self._known[number] if facts.answer != Answer.INCONCLUSIVE.value), None)

    def material(self, book: Register, done: SuiteReport | None, began: float) -> Material:
        """Everything that the rules are held against, as it is now."""
        woken = {each.id for each in book.wake()}
        self._look(book)
        runs = tuple(self._run_answers(book, done))
        last: dict[str, float | None] = {}
        for number, item in enumerate(self._loaded.items):
            at = [each for each in (last.get(item.experiment), self._last_conclusive(number)) if each is not None]
            last[item.experiment] = max(at, default=None)
        seen = tuple(self._seen(book, runs, woken, began))
        return Material(
            suite=self._loaded.name,
            title=self._loaded.suite.spec.title,
            file=self._loaded.file,
            environment=", ".join(environment.name for environment in self._loaded.environments),
            policy=self._policy,
            at=self._clock.now(),
            runs=runs,
            seen=held_against(seen, runs),
            last_conclusive=last,
        )

    # -- runs

    def _run_answers(self, book: Register, done: SuiteReport | None) -> Iterator[RunAnswer]:
        ran = dict(zip(done.numbers, done.result.items, strict=True)) if done is not None else {}
        for number, item in enumerate(self._loaded.items):
            result = ran.get(number)
            if done is None or result is None:
                yield self._known_run(number, item, book)
                continue
            reports = done.reports.get(number, ())
            counts = next((each for each in reports if each.verdict.run == done.counting.get(number)), None)
            yield _answer_of(item).model_copy(
                update={
                    "run": counts.verdict.run if counts is not None else result.runs[-1] if result.runs else None,
                    "attempts": result.runs,
                    "verdict": result.answer,
                    "exit_code": result.exit_code,
                    "why": result.why,
                    "hypotheses": _hypotheses(counts.verdict) if counts is not None else (),
                    "began": result.began,
                    "seconds": result.seconds,
                    "report": str(counts.html) if counts is not None else None,
                    "near_misses": tuple(sorted({gap.id for one in reports for gap in one.found if gap.id})),
                }
            )

    def _known_run(self, number: int, item: SuiteItem, book: Register) -> RunAnswer:
        """What is known of an item that is not run now: its last run."""
        if not self._known[number]:
            why = "no run of it is known"
            return _answer_of(item).model_copy(update={"now": False, "why": why})
        facts = self._known[number][0]
        verdict = self._verdict(facts.run)
        code = {Answer.HELD.value: 0, Answer.BROKEN.value: 1}.get(facts.answer, 3)
        report = Runs(self._order.state).folder(facts.run) / "report.html"
        found = Answer(facts.answer) if facts.answer else Answer.INCONCLUSIVE
        return _answer_of(item).model_copy(
            update={
                "run": facts.run,
                "attempts": (facts.run,),
                "now": False,
                "verdict": found,
                "exit_code": verdict.exit_code if verdict is not None else code,
                "why": verdict.summary if verdict is not None else facts.trouble or f"its last run: {found.value}",
                "hypotheses": _hypotheses(verdict) if verdict is not None else (),
                "began": facts.began,
                "seconds": facts.ended - facts.began,
                "report": str(report) if report.is_file() else None,
                "near_misses": tuple(book.shown_by(facts.run)),
            }
        )

    def _verdict(self, run: str) -> Verdict | None:
        """Of a run whose journal is in this state folder."""
        journal = Runs(self._order.state).journal(run)
        if not journal.is_file():
            return None
        try:
            return judge(read_journal(journal))
        except ChaosrunnerError:
            return None

    # -- near misses

    def _seen(self, book: Register, runs: Sequence[RunAnswer], woken: set[str], began: float) -> Iterator[Seen]:
        ours = {run for each in runs for run in each.attempts}
        within = [each for each in self._candidates(book, began) if self._in_scope(each)]
        untouched = [each for each in within if each.state is State.OPEN and each.triaged_at is None]
        first = {facts.run: facts for facts in book.runs_named(each.first_run for each in untouched)}
        for each in within:
            facts = first.get(each.first_run)
            by_gate = each.first_run in ours or (facts is not None and facts.gate is not None)
            change = change_of(each, found_by_a_gate=by_gate)
            yield Seen(each, change, waiver_ended=self._waiver_ended(book, each, woken))

    def _candidates(self, book: Register, began: float) -> Iterator[NearMiss]:
        """Those that are not closed, and those that the runs have verified."""
        for name in dict.fromkeys(environment.class_name for environment in self._loaded.environments):
            yield from book.list(Wanted(environment_class=name))
            verified = Wanted(environment_class=name, states=frozenset({State.VERIFIED}))
            if self._order.run:
                yield from (each for each in book.list(verified) if each.state_since >= began)

    def _in_scope(self, near_miss: NearMiss) -> bool:
        if self._policy.scope == "environment":
            return True
        items = self._loaded.items
        names = {item.experiment for item in items}
        return near_miss.service in {item.service for item in items} or not names.isdisjoint(near_miss.experiments)

    def _waiver_ended(self, book: Register, it: NearMiss, woken: set[str]) -> str:
        """Why its waiver is over, if nobody has decided anything since."""
        today = day_of(self._clock.now())
        if it.state is State.WAIVED and it.waiver is not None and today > it.waiver.until:
            return f"the waiver of {it.waiver.accepted_by} ended on {it.waiver.until}"
        if it.state is not State.OPEN or not it.waivers:
            return ""
        if it.id in woken:
            return it.reason
        moves = [event for event in book.show(it.id).history if event.after == State.OPEN.value]
        last = moves[-1] if moves else None
        ended = last is not None and last.actor == CHAOSRUNNER and last.before == State.WAIVED.value
        return it.reason if ended else ""


def _same_parameters(item: SuiteItem, facts: RunFacts) -> bool:
    """Whether a run had the parameters that a suite gives."""
    return all(in_text(facts.parameters.get(name)) == in_text(value) for name, value in item.parameters.items())


def _answer_of(item: SuiteItem) -> RunAnswer:
    return RunAnswer(
        experiment=item.experiment,
        title=item.title,
        service=item.service,
        environment=item.environment_name,
        parameters=item.parameters,
        verdict=Answer.INCONCLUSIVE,
        exit_code=3,
        why="it was not run",
        file=item.file,
        line=item.line,
    )


def _hypotheses(verdict: Verdict) -> tuple[HypothesisAnswer, ...]:
    return tuple(
        HypothesisAnswer(name=each.name, title=each.title, answer=each.answer, why=each.reason)
        for each in verdict.hypotheses
    )
