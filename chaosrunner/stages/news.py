"""news: what a run did to the register -> what people and incident tools are told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chaosrunner.errors import UndoFailed
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.news import News, Notice
from chaosrunner.model.plan import Plan
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.verdict import Verdict
from chaosrunner.register.near_misses import Recorded
from chaosrunner.stages.register import Registered

SIGHTED = {
    Sighting.NEW: (News.FOUND, "New near miss"),
    Sighting.SEEN_AGAIN: (News.SEEN_AGAIN, "Seen again"),
    Sighting.FIX_FAILED: (News.FIX_FAILED, "The fix failed"),
    Sighting.REGRESSED: (News.REGRESSED, "Regressed"),
}
"""What became of a gap, as news; nothing of one that was recorded before."""


def of_near_misses(plan: Plan, run: str, done: Registered, known: Sequence[NearMiss], at: float) -> list[Notice]:
    """News of the near misses that a run showed or verified. `known`: how they are now, with their items."""
    now = {near_miss.id: near_miss for near_miss in known}
    notices = [each for recorded in done.recorded for each in _sighted(plan, run, recorded, now, at)]
    for tried in done.tried:
        if tried.verified:
            near_miss = now.get(tried.near_miss.id, tried.near_miss)
            told = f"Verified: {near_miss.id} of {near_miss.service}, {near_miss.title}"
            proof = f"{tried.why}." if tried.why else "Enough runs passed."
            notices.append(notice_of(near_miss, Turn(News.VERIFIED, run, told, proof, at), plan))
    return notices


def _sighted(plan: Plan, run: str, recorded: Recorded, now: dict[str, NearMiss], at: float) -> Iterator[Notice]:
    if recorded.sighting in SIGHTED:
        near_miss = now.get(recorded.near_miss.id, recorded.near_miss)
        yield sighted(near_miss, recorded.sighting, run, at, plan)


def sighted(near_miss: NearMiss, sighting: Sighting, run: str, at: float, plan: Plan | None = None) -> Notice:
    """That a run showed it; `plan`: of the run, where it is at hand."""
    news, word = SIGHTED[sighting]
    told = f"{word}: {near_miss.id} {near_miss.priority} of {near_miss.service}, {near_miss.title}"
    why = f" Seen {near_miss.occurrences} times." if near_miss.occurrences > 1 else ""
    text = f"{near_miss.title}. Due {near_miss.due}, owner {near_miss.owner or 'not named yet'}.{why}"
    return notice_of(near_miss, Turn(news, run, told, text, at), plan)


def of_closing(near_miss: NearMiss, at: float) -> Notice:
    """That a person closed it."""
    reason = f": {near_miss.reason}" if near_miss.reason else ""
    verified = near_miss.state.value == "verified"
    told = f"{near_miss.state.value.capitalize()}: {near_miss.id} of {near_miss.service}, {near_miss.title}"
    news = News.VERIFIED if verified else News.CLOSED
    since = f"{near_miss.state_since:.0f}"
    return notice_of(near_miss, Turn(news, since, told, f"It is {near_miss.state.value}{reason}.", at))


def of_run(plan: Plan, verdict: Verdict, at: float) -> list[Notice]:
    """News of the run itself."""
    where = f"{verdict.experiment} on {plan.environment.name}"
    over = Notice(
        news=News.RUN_ENDED,
        id=f"{verdict.run}:run-ended",
        at=at,
        headline=f"{verdict.answer.value.capitalize()}: {where}",
        text=verdict.summary,
        run=verdict.run,
        experiment=verdict.experiment,
        service=plan.service,
        owner=plan.owner,
        environment=plan.environment.name,
        command=plan.command,
    )
    if verdict.exit_code != UndoFailed.exit_code:
        return [over]
    told = f"A fault may still be in force: {where}. Run: chaosrunner heal {verdict.run}"
    failed = {"news": News.UNDO_FAILED, "id": f"{verdict.run}:undo-failed", "headline": told}
    return [over.model_copy(update=failed), over]


def of_not_started(what: str, id: str, where: str, reasons: Sequence[str], at: float) -> Notice:
    """That what was due by schedule could not begin. `what`: `the suite daily`; `reasons`: a line each."""
    return Notice(
        news=News.NOT_STARTED,
        id=f"{id}:not-started:{where}",
        at=at,
        headline=f"Not started: {what} on {where}, {len(reasons)} of it"
        if len(reasons) > 1
        else f"Not started: {what} on {where}",
        text="\n".join(reasons),
        run=id,
        environment=where,
    )


class Turn(NamedTuple):
    """What became of a near miss, in words."""

    news: News
    since: str
    """The run that made it, or when it was; with the news it is the notice's identity."""
    headline: str
    text: str
    at: float
    """Wall time, epoch seconds."""


def notice_of(near_miss: NearMiss, turn: Turn, plan: Plan | None = None) -> Notice:
    """News of a near miss. `plan`: of the run that made it, where it is at hand."""
    item = near_miss.item
    return Notice(
        news=turn.news,
        id=f"{turn.since}:{turn.news.value}:{near_miss.fingerprint}",
        at=turn.at,
        headline=turn.headline,
        text=turn.text,
        run=near_miss.last_run if plan is None else turn.since,
        experiment=plan.experiment if plan else (near_miss.experiments or ("",))[-1],
        service=near_miss.service,
        owner=near_miss.owner,
        environment=near_miss.environment,
        near_miss=near_miss.id,
        fingerprint=near_miss.fingerprint,
        priority=near_miss.priority,
        state=near_miss.state.value,
        due=near_miss.due.isoformat(),
        occurrences=near_miss.occurrences,
        url=item.url if item and item.url.startswith(("http://", "https://")) else "",
        command=plan.command if plan else "",
    )
