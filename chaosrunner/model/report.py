"""What a person, or an alert, tells of: a near miss that no run found. Pure: a report becomes what a run would have
said, with nothing known of a fault, so that the register keeps, finds and counts it in the same way.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.gap import Gap
from chaosrunner.model.marks import Field
from chaosrunner.model.near_miss import Conditions, Found, RunFacts
from chaosrunner.model.priority import ScoreInputs, StoppedBy, score
from chaosrunner.model.words import DetectedBy, FailureMode, FindingClass, GapKind, Source

UNKNOWN_CLASS = "unspecified"
"""The environment class of reports that name none."""


class WrittenReport(Frozen):
    """One report as it stands in a file: `title`, `service`, and what else is known."""

    title: str = Field(min_length=1, max_length=300)
    """One line."""
    service: str = Field(min_length=1, max_length=100)
    """Whose promise was, or could have been, broken."""
    story: str = ""
    """What happened, in plain sentences."""
    happened: str = ""
    """When: `2026-11-20`, `2026-11-20T10:30Z`; default: now."""
    environment: str = ""
    """Its file is looked for as everywhere; default: none is named."""
    finding: FindingClass = FindingClass.NEAR_MISS
    """`near-miss` (default), `unsafe-condition`, `incident`."""
    outage: bool = False
    """Whether users were really hit."""
    failure_mode: FailureMode | None = None
    """How it failed."""
    effect: Literal["loss", "degraded", "weakness"] = "degraded"
    """What it would do to production; default `degraded`."""
    tier: int | None = Field(default=None, ge=1, le=4)
    """Of the service, 1 the most important."""
    stopped_by: StoppedBy = "unknown"
    """What kept it from becoming an outage."""
    standing: int = Field(default=0, ge=0)
    """Automatic defences that worked."""
    detected_by: DetectedBy | None = None
    """Who noticed it first."""
    owner: str | None = None
    """The team that sees to it."""
    labels: tuple[str, ...] = ()
    """For the tracker."""
    experiments: tuple[str, ...] = ()
    """Experiments that would have found it."""
    links: tuple[str, ...] = ()
    """Where more can be read."""
    same_as: str = ""
    """What two reports of the same near miss have in common; default: each is its own."""


class Report(Frozen):
    """One report. A draft near miss comes of it, until somebody takes it on (`triaged`)."""

    title: str = Field(min_length=1, max_length=300)
    """One line."""
    service: str = Field(min_length=1, max_length=100)
    """Whose promise was, or could have been, broken."""
    story: str = ""
    """What happened, in plain sentences. No names of people: what they did is enough."""
    at: float = 0.0
    """When it happened, epoch seconds; 0: when it is recorded."""
    environment: str = ""
    environment_class: str = UNKNOWN_CLASS
    tracker: str | None = None
    """Kind of the environment's tracker."""
    due_days: dict[str, int] = {}
    source: Source = Source.PERSON
    reported_by: str | None = None
    """None: without a name; nothing then says who it was."""
    finding: FindingClass = FindingClass.NEAR_MISS
    outage: bool = False
    """Whether users were really hit."""
    failure_mode: FailureMode | None = None
    effect: Literal["loss", "degraded", "weakness"] = "degraded"
    """What it would do to production: the service is lost, or worse than promised; or only weaker than it should be."""
    tier: int | None = Field(default=None, ge=1, le=4)
    stopped_by: StoppedBy = "unknown"
    """What kept it from becoming an outage."""
    standing: int = Field(default=0, ge=0)
    """Automatic defences that worked."""
    detected_by: DetectedBy | None = None
    owner: str | None = None
    labels: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    """Experiments that would have found it."""
    links: tuple[str, ...] = ()
    """Where more can be read: a dashboard, an incident."""
    same_as: str = ""
    """What makes two reports the same near miss (an alert's name and labels); empty: each report is its own."""
    delivery: str = ""
    """What makes two the same report (an incident's id), so that one that arrives twice counts once; empty: their
    contents."""

    @property
    def id(self) -> str:
        """The same for the same report, in place of a run's id."""
        told: JsonObject = {"delivery": self.delivery} if self.delivery else self.as_json()
        canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"report-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def gap_of(report: Report) -> Gap:
    """The gap that it tells of. Its subject is what it is the same as: it never merges with what a run found."""
    return Gap(
        kind=GapKind.REPORTED,
        finding=report.finding,
        title=report.title,
        story=report.story or report.title,
        environment_class=report.environment_class,
        service=report.service,
        fault_classes=(),
        subject=report.same_as or report.id,
    )


def found_of(report: Report) -> Found:
    """What the register keeps of it."""
    inputs = ScoreInputs(
        finding=report.finding,
        kinds=(GapKind.REPORTED,),
        tier=report.tier,
        stopped_by=report.stopped_by,
        standing=report.standing,
        undetected=report.detected_by in (DetectedBy.USER, DetectedBy.CHAOSRUNNER),
        failure_mode=report.failure_mode,
        effect=report.effect,
    )
    return Found(
        gap=gap_of(report),
        conditions=_no_conditions(report),
        scoring=score(inputs),
        failure_mode=report.failure_mode,
        detected_by=report.detected_by,
    )


def facts_of_report(report: Report, now: float) -> RunFacts:
    """It, as the register is told of runs."""
    at = report.at or now
    return RunFacts(
        run=report.id,
        began=at,
        ended=at,
        experiment="",
        title=report.title,
        environment=report.environment,
        environment_class=report.environment_class,
        service=report.service,
        owner=report.owner,
        labels=report.labels,
        seed=0,
        tracker=report.tracker,
        due_days=report.due_days,
        conditions=_no_conditions(report),
    )


def _no_conditions(report: Report) -> Conditions:
    return Conditions(environment=report.environment, faults=(), recovery_within=0.0)
