"""What follows a run: judge its journal, keep what was found, write the report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.app.desk import Desk, context_of
from chaosrunner.errors import JournalFailed, NotPossibleNow, UndoFailed
from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import GapKind, State
from chaosrunner.records.light import dataclass
from chaosrunner.reports.account import Account, gather
from chaosrunner.reports.shown_gap import ShownGap, shown
from chaosrunner.stages.detect import detect
from chaosrunner.stages.findings import Findings
from chaosrunner.stages.judge import judge
from chaosrunner.stages.run import RunOutcome
from chaosrunner.store.journal import read_journal

if TYPE_CHECKING:
    from chaosrunner.app.lookout import Lookout
    from chaosrunner.model.evidence import Clues
    from chaosrunner.model.near_miss import NearMiss
    from chaosrunner.register.near_misses import Register, Tried
    from chaosrunner.stages.register import Registered


@dataclass(frozen=True)
class RunReport:
    """All that came out of one run."""

    plan: Plan
    outcome: RunOutcome
    verdict: Verdict
    gaps: tuple[Gap, ...]
    account: Account
    """The journal's content as the reports need it."""
    found: tuple[ShownGap, ...]
    """Each gap with its near miss, where one was recorded."""
    verified: tuple[str, ...]
    """What passing meant to near misses that wait for it, in sentences."""
    html: Path

    @property
    def close_call(self) -> bool:
        """Whether a hypothesis held with too little room."""
        return any(gap.kind is GapKind.CLOSE_CALL for gap in self.gaps)


async def conclude(plan: Plan, outcome: RunOutcome, desk: Desk, there: Lookout | None = None) -> RunReport:
    """Judge the journal, look for what else changed, keep what was found, write the report. What fails here changes no
    verdict: it is told. `there`: the sources of evidence that took note of the run."""
    verdict = _verdict(outcome)
    gaps = detect(verdict, plan)
    clues = await _look_around(verdict, gaps, outcome.journal, desk, there)
    account = gather(read_journal(outcome.journal))
    found, verified = await _keep(Findings(plan, verdict, gaps, desk.clock.now(), clues, account), desk)
    html = _write_report(account, verdict, found, outcome.journal, desk)
    await _tell(plan, verdict, desk)
    return RunReport(plan, outcome, verdict, gaps, account, found, verified, html)


def _verdict(outcome: RunOutcome) -> Verdict:
    """What the journal says; that an undo failed is not forgotten where the journal could not be written any more."""
    words = f"an undo failed, and a fault may still be in force: `chaosrunner heal {outcome.run}`"
    try:
        verdict = judge(read_journal(outcome.journal))
    except JournalFailed as error:
        if outcome.undo_failed:
            raise UndoFailed(f"{words} ({error})") from error
        raise
    if not outcome.undo_failed or verdict.exit_code == UndoFailed.exit_code:
        return verdict
    return verdict.model_copy(update={"exit_code": UndoFailed.exit_code, "summary": f"{words}. {verdict.summary}"})


async def conclude_dead(plan: Plan, journal: Path, desk: Desk) -> tuple[ShownGap, ...]:
    """The same for a run whose runner died before it could: what it found is not forgotten."""
    entries = list(read_journal(journal, skip_damaged=True))
    verdict = judge(entries)
    gaps = detect(verdict, plan)
    clues = await _look_around(verdict, gaps, journal, desk, None, dead=True)
    found, _ = await _keep(Findings(plan, verdict, gaps, entries[-1].at, clues, gather(entries)), desk)
    entries = list(read_journal(journal, skip_damaged=True))
    _write_report(gather(entries), verdict, found, journal, desk)
    if plan.environment.spec.notify:
        from chaosrunner.app.announcing import announce_dead

        await announce_dead(plan, entries, verdict, found, desk)
    await _tell(plan, verdict, desk)
    return found


async def _tell(plan: Plan, verdict: Verdict, desk: Desk) -> None:
    """Tell people and incident tools what is new: everything is undone and written down by now."""
    if not plan.environment.spec.notify:
        return
    from chaosrunner.app.telling import deliver, post, receivers_of
    from chaosrunner.stages.news import of_run

    receivers = receivers_of(plan.environment, Path(plan.folder), desk)
    post(of_run(plan, verdict, desk.clock.now()), receivers, desk)
    await deliver(receivers, desk)


def _catch_up(plan: Plan, book: Register, desk: Desk) -> None:
    """Before anything is recorded: what happened since the last time. Should this process die between recording and
    telling, the next one finds what it recorded in the same way."""
    if plan.environment.spec.notify:
        from chaosrunner.app.catching_up import catch_up
        from chaosrunner.app.telling import receivers_of

        catch_up(book, plan.environment, receivers_of(plan.environment, Path(plan.folder), desk), desk)


def _post(plan: Plan, done: Registered, known: Sequence[NearMiss], run: str, desk: Desk) -> None:
    """Keep what is new of near misses for those who are to be told, as long as it is known what is new."""
    if not plan.environment.spec.notify:
        return
    from chaosrunner.app.telling import post, receivers_of
    from chaosrunner.stages.news import of_near_misses

    receivers = receivers_of(plan.environment, Path(plan.folder), desk)
    post(of_near_misses(plan, run, done, known, desk.clock.now()), receivers, desk)


async def _look_around(
    verdict: Verdict, gaps: Sequence[Gap], journal: Path, desk: Desk, there: Lookout | None, *, dead: bool = False
) -> Mapping[str, Clues]:
    """What else changed, by the gap's fingerprint; nobody is asked where there is no gap."""
    if not gaps:
        if there is not None:
            await there.close()
        return {}
    from chaosrunner.app.lookout import look_around

    # A task, as its failure is a value then: whatever a source brought, what was found must be written down.
    looking = asyncio.ensure_future(look_around(verdict, gaps, journal, desk, there, dead=dead))
    try:
        await asyncio.wait({looking})
    finally:
        looking.cancel()
    if (error := looking.exception()) is not None:
        desk.tell(f"what else changed cannot be told: {type(error).__name__}: {error}")
        return {}
    return looking.result()


def _write_report(account: Account, verdict: Verdict, found: tuple[ShownGap, ...], journal: Path, desk: Desk) -> Path:
    from chaosrunner.stages.report import Review, write_html

    html = journal.with_name("report.html")
    try:
        write_html(Review(account, verdict, found), html)
    except NotPossibleNow as error:
        desk.tell(str(error))
    return html


async def _keep(findings: Findings, desk: Desk) -> tuple[tuple[ShownGap, ...], tuple[str, ...]]:
    """Record near misses and their remediation. The register is opened only where there is something to say to it."""
    from chaosrunner.register import open_register, register_exists

    plan, run, gaps, clues = findings.plan, findings.verdict.run, findings.gaps, findings.clues
    if not gaps and not register_exists(desk.state):
        return (), ()
    from chaosrunner.stages.register import register
    from chaosrunner.stages.remediate import open_tracker, remediate

    try:
        with open_register(desk.state, desk.clock) as book:
            tracker = open_tracker(plan.environment, context_of(plan, desk))
            _catch_up(plan, book, desk)
            done = register(findings, book)
            _post(plan, done, [each.near_miss for each in done.recorded], run, desk)
            items = await remediate(done, book, tracker, desk.clock)
            known = [book.get(each.near_miss.id) for each in done.recorded]
            _post(plan, done, known, run, desk)  # once more, now that there are items to link to
    except NotPossibleNow as error:
        desk.tell(f"the near misses of this run are not recorded: {error}; they are in `chaosrunner judge {run}`")
        return tuple(ShownGap(gap, clues=clues.get(gap.fingerprint)) for gap in gaps), ()
    for item in items:
        if item.trouble:
            desk.tell(f"{item.near_miss.id}: {item.trouble}")
    return _shown(gaps, known, clues), tuple(progress(each) for each in done.tried)


def _shown(gaps: Sequence[Gap], known: Sequence[NearMiss], clues: Mapping[str, Clues]) -> tuple[ShownGap, ...]:
    """Each gap with its near miss; gaps of one fingerprint share theirs."""
    by_fingerprint = {fingerprint: each for each in known for fingerprint in each.fingerprints.values()}
    return tuple(shown(gap, by_fingerprint.get(gap.fingerprint), clues.get(gap.fingerprint)) for gap in gaps)


def progress(tried: Tried) -> str:
    """What a passing run meant to a near miss, in a sentence that says what is to be done, if anything is."""
    near_miss = tried.near_miss
    if tried.verified:
        return f"{near_miss.id} is verified: {near_miss.title}"
    if tried.counts and near_miss.state in (State.OPEN, State.TRIAGED, State.IN_PROGRESS):
        fixed = f"chaosrunner near-miss set {near_miss.id} fix-ready --change COMMIT"
        return f"{near_miss.id} ({near_miss.state.value}) was not shown; if it is fixed, say `{fixed}`"
    so_far = f"{near_miss.verification}: " if tried.counts and near_miss.verification else ""
    return f"{near_miss.id} ({near_miss.state.value}): {so_far}{tried.why}"
