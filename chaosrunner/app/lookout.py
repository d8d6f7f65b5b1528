"""Looking for what else changed: makes an environment's sources, lets them take note while a run lasts, asks them after
it, and writes what they tell into the run's journal, so that all reports can be made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.app.desk import Desk, context_of
from chaosrunner.app.orders import make_platform
from chaosrunner.errors import ChaosrunnerError, JournalFailed, NotPossibleNow
from chaosrunner.judging import facts
from chaosrunner.model.evidence import Clues
from chaosrunner.model.gap import Gap
from chaosrunner.model.journal import AlertSeen, Entry, EvidenceGathered, FaultPrepared, PhaseBegan, PhaseEnded, Spilled
from chaosrunner.model.material import Happening
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Ending
from chaosrunner.ports import Platform, Source
from chaosrunner.records.light import replace
from chaosrunner.stages.evidence import OtherRun, Seen, by_gap, gather_evidence
from chaosrunner.store.journal import Journal, read_journal
from chaosrunner.store.runs import Runs

IMPATIENT = 5.0
"""Seconds that sources have where somebody waits: after a halt, and for a dead run before the next one."""
ALERT = 25.0
"""How heavy an alert weighs among happenings: more than a warning of Kubernetes."""
_MOST_RUNS = 50
"""The newest runs of the state folder that are looked at."""


class Lookout:
    """The sources of one run. `observe` only lets them note what cannot be asked for by time."""

    def __init__(self, plan: Plan, desk: Desk, platform: Platform | None) -> None:
        """`platform`: for looking, not the run's own, which ends with it; None: there is none to be had."""
        self.platform = platform
        self.sources: list[Source[Any]] = []
        self.blind: list[str] = []
        context = replace(context_of(plan, desk), platform=platform)
        for call in plan.environment.spec.evidence.sources:
            try:
                plugin = catalog.find("sources", call.kind)
                self.sources.append(plugin(plugin.Params.model_validate(call.with_), context))
            except (ChaosrunnerError, ValueError) as error:
                self.blind.append(f"{call.kind}: {error}")

    def observe(self, entry: Entry) -> None:
        """See an entry of the run's journal."""
        if isinstance(entry.event, PhaseBegan | PhaseEnded):
            for source in self.sources:
                source.note(entry.at)

    async def close(self) -> None:
        """Let go of everything."""
        if self.platform is not None:
            await self.platform.close()


def lookout(plan: Plan, desk: Desk) -> Lookout:
    """With a platform of its own."""
    try:
        platform: Platform | None = make_platform(plan.environment, Path(plan.folder), desk.clock)
    except ChaosrunnerError:
        platform = None
    return Lookout(plan, desk, platform)


async def look_around(
    verdict: Verdict, gaps: Sequence[Gap], journal: Path, desk: Desk, there: Lookout | None, *, dead: bool = False
) -> Mapping[str, Clues]:
    """What else changed, by the gap's fingerprint; it stands in the journal then. A source that fails is said there;
    that nothing can be written is told."""
    entries = list(read_journal(journal, skip_damaged=True))
    told = [entry.event for entry in entries if isinstance(entry.event, EvidenceGathered)]
    if told or not gaps:
        return by_gap(told)
    found = facts.gather(entries)
    mine = there or lookout(found.plan, desk)
    zero = entries[0].at - entries[0].t
    spec = found.plan.environment.spec.evidence
    within = min(spec.within, IMPATIENT) if dead or verdict.ending is Ending.HALTED else spec.within
    others = await _others(verdict.run, found.plan, zero - spec.history, desk, mine)
    acted = {entry.event.fault: entry.t for entry in entries if isinstance(entry.event, FaultPrepared)}
    noticed = tuple(_noticed(entries))
    seen = Seen(verdict, gaps, found, zero, acted, others, noticed, tuple(mine.blind), within)
    try:
        events = await gather_evidence(seen, mine.sources)
    finally:
        await mine.close()
    _write(journal, events, desk)
    return by_gap(events)


def _noticed(entries: Sequence[Entry]) -> Iterator[Happening]:
    """Alerts that began to fire, and what was no target and changed."""
    for entry in entries:
        event = entry.event
        if isinstance(event, AlertSeen) and event.state == "firing" and event.after is not None:
            labels = ", ".join(f"{key}={value}" for key, value in sorted(event.labels.items()))
            says = f"the alert {event.alert}{f' ({labels})' if labels else ''} began to fire"
            yield Happening(entry.at, event.alert, says, weight=ALERT)
        if isinstance(event, Spilled):
            says = f"{event.service}, which was no target, {event.what}: {event.detail}"
            yield Happening(entry.at, event.service, says, weight=ALERT)


def _write(journal: Path, events: Sequence[EvidenceGathered], desk: Desk) -> None:
    if not events:
        return
    try:
        book = Journal(journal, desk.clock)
        try:
            for event in events:
                book.append(event)
        finally:
            book.close()
    except JournalFailed as error:
        desk.tell(f"what else changed is not kept: {error}")


# --------------------------------------------------------------------------------------------------------- other runs


async def _others(run: str, plan: Plan, since: float, desk: Desk, there: Lookout) -> Sequence[OtherRun]:
    """Runs on this environment: those of the state folder, and those that the platform knows of now."""
    found = list(_of_this_folder(run, plan.environment.class_name, since, Runs(desk.state)))
    known = {run, *(other.run for other in found)}
    if there.sources and there.platform is not None:
        try:
            for seen in await there.platform.runs():
                began = _began(seen.run)
                if seen.run not in known and began is not None:
                    found.append(OtherRun(seen.run, f"by {seen.by}", began, desk.clock.now()))
        except NotPossibleNow as error:
            there.blind.append(f"runs from other machines: {error}")
    return found


def _of_this_folder(run: str, environment: str, since: float, runs: Runs) -> Iterator[OtherRun]:
    for name in runs.list()[:_MOST_RUNS]:
        began = _began(name)
        if name == run or began is None:
            continue
        try:
            path = runs.journal(name)
            ended = path.stat().st_mtime
            if ended < since:
                continue
            with path.open("rb") as file:
                plan = json.loads(file.readline())["plan"]
            whose = plan["environment"]
            if environment == (whose["spec"].get("class") or whose["metadata"]["name"]):
                yield OtherRun(name, str(plan["experiment"]), began, ended)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a run that cannot be read says nothing


def _began(run: str) -> float | None:
    """A run's id begins with its time."""
    try:
        return datetime.strptime(run[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
