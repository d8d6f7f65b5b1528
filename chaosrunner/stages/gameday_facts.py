"""A run -> what a game day's log keeps of it: enough for the after-action report where the journal is not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosrunner.model import gameday_log as log
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.journal import AlertSeen, Entry, Noted, RunStarted
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import MeasureVerdict, Verdict
from chaosrunner.model.words import Answer, FindingClass, GapKind
from chaosrunner.reports.account import Account, Series
from chaosrunner.reports.narrator import Narrator
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.thinning import thin
from chaosrunner.reports.words import headline

COLUMNS = 40
"""Of a measure's readings in the log: at most four points for each."""
_MOST_GAPS = 60

Find = Callable[[str], NearMiss | None]
"""The near miss with an id, if the register can be asked."""


class Listener:
    """Sees a run's entries on their way: tells what is worth a line, and keeps what the account of it does not."""

    def __init__(self, item: int, put: Callable[[Frozen], None]) -> None:
        self._item = item
        self._put = put
        self._narrator = Narrator()
        self.run = ""
        self.alerts: list[log.AlertTold] = []

    def observe(self, entry: Entry) -> None:
        """Take note of one entry."""
        event = entry.event
        if isinstance(event, RunStarted):
            self.run = event.run
            self._put(log.RunBegan(item=self._item, run=event.run))
        if isinstance(event, AlertSeen) and event.state == "firing" and event.after is not None:
            self.alerts.append(log.AlertTold(name=event.alert, at=entry.at - entry.t + event.ended))
        if isinstance(event, Noted) and event.who != "chaosrunner":
            return  # people's notes are in the log already
        told = self._narrator.tell(entry)
        if told is not None and told.important:
            self._put(
                log.Happened(item=self._item, when=entry.at, tone=told.tone.value, topic=told.topic, text=told.text)
            )


def facts_of(
    account: Account,
    verdict: Verdict,
    found: Sequence[ShownGap],
    alerts: Sequence[log.AlertTold],
    find: Find,
    report: str,
) -> log.Facts:
    """What a run came to. `alerts`: those that began to fire; `report`: where its own report is."""
    plan, zero = account.plan, account.began_at
    recovery = verdict.recovery
    near_misses = [_near_miss(shown, find) for shown in found if shown.id]
    return log.Facts(
        experiment=plan.experiment,
        parameters=plan.parameters,
        title=plan.title,
        service=plan.service,
        owner=plan.owner or "",
        word=headline(verdict)[0],
        answer=verdict.answer.value,
        exit_code=verdict.exit_code,
        ending=verdict.ending.value if verdict.ending is not None else "",
        ending_reason=verdict.ending_reason,
        summary=verdict.summary,
        began=zero,
        ended=zero + account.seconds,
        faults=tuple(_fault(account, fault, zero) for fault in account.faults),
        alerts=_alerts(plan, alerts),
        alerts_read=plan.environment.spec.prometheus is not None or plan.environment.spec.alertmanager is not None,
        hypotheses=tuple(
            log.HypothesisTold(title=each.title or each.name, answer=each.answer.value, reason=each.reason)
            for each in verdict.hypotheses
        ),
        measures=_measures(account, verdict, zero),
        recovered_after=recovery.seconds if recovery is not None and recovery.answer is Answer.HELD else None,
        recovery=recovery.reason if recovery is not None else "",
        aborted=verdict.abort is not None,
        incident=any(_is_incident(shown, find) for shown in found),
        near_misses=tuple({each.id: each for each in near_misses}.values()),
        report=report,
    )


def _is_incident(shown: ShownGap, find: Find) -> bool:
    if shown.gap.kind is GapKind.SPILL_OVER:
        return True
    near_miss = find(shown.id) if shown.id else None
    return near_miss is not None and near_miss.finding is FindingClass.INCIDENT


def _fault(account: Account, name: str, zero: float) -> log.FaultTold:
    span = account.faults[name]
    what = f"{span.kind} on {span.target.name}" if span.target.name else span.kind
    began = span.in_force_at if span.in_force_at is not None else span.injected_at
    return log.FaultTold(
        what=what,
        began=None if began is None else zero + began,
        ended=None if span.undone_at is None else zero + span.undone_at,
    )


def _alerts(plan: Plan, alerts: Sequence[log.AlertTold]) -> tuple[log.AlertTold, ...]:
    expected = {fault.expect_alert.name for fault in plan.faults if fault.expect_alert is not None}
    first: dict[str, log.AlertTold] = {}
    for one in sorted(alerts, key=lambda alert: alert.at):
        first.setdefault(one.name, one.model_copy(update={"expected": one.name in expected}))
    return tuple(first.values())


def _measures(account: Account, verdict: Verdict, zero: float) -> tuple[log.MeasureTold, ...]:
    verdicts = {measure.key: measure for hypothesis in verdict.hypotheses for measure in hypothesis.measures}
    return tuple(
        _measure(series, verdicts.get(key), zero) for key, series in account.series.items() if not series.textual
    )


def _measure(series: Series, verdict: MeasureVerdict | None, zero: float) -> log.MeasureTold:
    judged = next((phase for phase in verdict.phases if phase.phase.value == "fault"), None) if verdict else None
    points = thin(series.times, series.values, COLUMNS)
    return log.MeasureTold(
        key=series.measure.key,
        unit=series.measure.unit,
        answer=verdict.answer.value if verdict is not None and verdict.judged else "",
        low=judged.low if judged is not None else None,
        high=judged.high if judged is not None else None,
        points=tuple((round(zero + t, 2), float(f"{value:.5g}")) for t, value in points),
        gaps=tuple(round(zero + t, 2) for t, _ in series.no_answers[:: max(1, len(series.no_answers) // _MOST_GAPS)]),
    )


def _near_miss(shown: ShownGap, find: Find) -> log.NearMissTold:
    known = find(shown.id)
    return log.NearMissTold(
        id=shown.id,
        title=shown.gap.title,
        story=shown.gap.story,
        priority=shown.priority,
        state=shown.state,
        owner=(known.owner if known is not None else None) or "",
        due=known.due.isoformat() if known is not None else "",
        work=shown.remediation,
        news=shown.news,
    )
