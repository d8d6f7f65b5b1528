"""The JSON report: everything that the HTML report shows, in a stable shape (`chaosrunner.report/1`).

Fields are only ever added. `JsonReport.model_json_schema(by_alias=True)` is its JSON Schema. Times are in seconds since
the run's start; `startedAt`, `endedAt` and a timeline entry's `at` are wall time, RFC 3339.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from chaosrunner.clock import iso
from chaosrunner.model.evidence import Clues
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.plan import GuardAnswer, Source
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.model.verdict import Verdict
from chaosrunner.reports.account import Account, FaultSpan, Series
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.thinning import thin
from chaosrunner.reports.words import Tone, headline, statements

COLUMNS = 500
"""Series of more than four times as many readings are thinned; their extremes stay."""


class RunPart(Frozen):
    """Which run, when, where, by whom."""

    id: str
    started_at: str
    ended_at: str
    seconds: float
    who: str
    host: str
    versions: dict[str, str]


class ExperimentPart(Frozen):
    """What was run."""

    name: str
    title: str
    service: str
    owner: str | None = None
    environment: str
    environment_class: str
    labels: dict[str, str] = {}
    seed: int
    command: str
    sources: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()


class StatementPart(Frozen):
    """One of the three things that a run says."""

    tone: Tone
    question: str
    says: str
    details: tuple[str, ...] = ()


class NearMissPart(Frozen):
    """What the register knows of a gap."""

    id: str
    priority: str = ""
    state: str = ""
    occurrences: int = 0
    remediation: str = ""
    regressed: bool = False


class GapPart(Frozen):
    """One gap, with its near miss where it was recorded."""

    fingerprint: str
    gap: JsonObject
    near_miss: NearMissPart | None = None
    clues: Clues | None = None
    """What else changed while its faults were in force: hints, not causes."""


class PhasePart(Frozen):
    """One phase; without `end` where the journal does not say."""

    phase: str
    start: float
    end: float | None = None
    because: str = ""


class FaultPart(Frozen):
    """One fault on one target."""

    fault: str
    step: str
    kind: str
    target: Target
    injected: float | None = None
    in_force: float | None = None
    lost: float | None = None
    undone: float | None = None
    because: str = ""
    looks: int = 0
    seen: int = 0
    seen_how: str = ""
    touched: int | None = None
    seen_gone: bool | None = None
    gone_how: str = ""
    troubles: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class SeriesPart(Frozen):
    """One measure's readings, each `[when it ended, value]`; no answers and missing ones as `[when, why]`."""

    key: str
    unit: str | None = None
    readings: tuple[tuple[float, Value], ...]
    count: int
    """How many readings there were; more than are listed where `thinned`."""
    thinned: bool
    no_answers: tuple[tuple[float, str], ...] = ()
    missing: tuple[tuple[float, str], ...] = ()


class EventPart(Frozen):
    """One line of the timeline."""

    t: float
    at: str
    tone: Tone
    topic: str
    text: str


class JsonReport(Frozen):
    """The report of one run."""

    format: Literal["chaosrunner.report/1"] = "chaosrunner.report/1"
    word: str
    """The answer in one word, as shown: `HELD`, `BROKEN`, `INCONCLUSIVE`, …"""
    exit_code: int
    run: RunPart
    experiment: ExperimentPart
    statements: tuple[StatementPart, ...]
    gaps: tuple[GapPart, ...]
    verdict: Verdict
    guards: tuple[GuardAnswer, ...]
    phases: tuple[PhasePart, ...]
    faults: tuple[FaultPart, ...]
    series: tuple[SeriesPart, ...]
    timeline: tuple[EventPart, ...]


def json_report(account: Account, verdict: Verdict, found: Sequence[ShownGap] = ()) -> JsonObject:
    """The report, ready for `json.dumps`; fields that say nothing (null) are left out."""
    return JsonReport(
        word=headline(verdict)[0],
        exit_code=verdict.exit_code,
        run=_run(account),
        experiment=_experiment(account),
        statements=tuple(
            StatementPart(tone=said.tone, question=said.title, says=said.says, details=said.details)
            for said in statements(verdict)
        ),
        gaps=tuple(_gap(one) for one in found),
        verdict=verdict,
        guards=tuple(account.guards),
        phases=tuple(
            PhasePart(phase=span.phase, start=span.start, end=span.end, because=span.because) for span in account.phases
        ),
        faults=tuple(_fault(span) for span in account.faults.values()),
        series=tuple(_series(series) for series in account.series.values()),
        timeline=tuple(
            EventPart(t=one.t, at=iso(one.at), tone=one.told.tone, topic=one.told.topic, text=one.told.text)
            for one in account.happenings
        ),
    ).as_json()


def _run(account: Account) -> RunPart:
    started = account.started
    return RunPart(
        id=started.run,
        started_at=iso(account.began_at),
        ended_at=iso(account.began_at + account.seconds),
        seconds=account.seconds,
        who=started.who,
        host=started.host,
        versions=started.versions,
    )


def _experiment(account: Account) -> ExperimentPart:
    plan = account.plan
    return ExperimentPart(
        name=plan.experiment,
        title=plan.title,
        service=plan.service,
        owner=plan.owner,
        environment=plan.environment.name,
        environment_class=plan.environment.class_name,
        labels=plan.labels,
        seed=plan.seed,
        command=plan.command,
        sources=plan.sources,
        warnings=plan.warnings,
    )


def judged(verdict: Verdict, found: Sequence[ShownGap]) -> JsonObject:
    """A verdict and its gaps alone, as `judge --json` prints them."""
    return {
        "run": verdict.run,
        "word": headline(verdict)[0],
        "exitCode": verdict.exit_code,
        "verdict": verdict.as_json(),
        "gaps": [_gap(one).as_json() for one in found],
    }


def _gap(one: ShownGap) -> GapPart:
    near_miss = None
    if one.id:
        near_miss = NearMissPart(
            id=one.id,
            priority=one.priority,
            state=one.state,
            occurrences=one.occurrences,
            remediation=one.remediation,
            regressed=one.regressed,
        )
    return GapPart(fingerprint=one.gap.fingerprint, gap=one.gap.as_json(), near_miss=near_miss, clues=one.clues)


def _fault(span: FaultSpan) -> FaultPart:
    return FaultPart(
        fault=span.fault,
        step=span.step,
        kind=span.kind,
        target=span.target,
        injected=span.injected_at,
        in_force=span.in_force_at,
        lost=span.lost_at,
        undone=span.undone_at,
        because=span.because,
        looks=span.looks,
        seen=span.seen,
        seen_how=span.seen_how,
        touched=span.touched,
        seen_gone=span.seen_gone,
        gone_how=span.gone_how,
        troubles=tuple(span.troubles),
        commands=span.commands,
    )


def _series(series: Series) -> SeriesPart:
    points = thin(series.times, series.values, COLUMNS)
    return SeriesPart(
        key=series.measure.key,
        unit=series.measure.unit,
        readings=tuple((t, series.words[int(value)] if series.textual else value) for t, value in points),
        count=len(series.times),
        thinned=len(points) < len(series.times),
        no_answers=tuple(series.no_answers[: 4 * COLUMNS]),
        missing=tuple(series.missing[: 4 * COLUMNS]),
    )
