"""history news: what the register says happened -> what people and incident tools are told. Pure.

It tells of what people did by command, and of what a run recorded whose runner died before it could tell; told once
more, a piece of news has the same id as when the run tells it itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from chaosrunner.model.near_miss import CHAOSRUNNER, HistoryEvent, NearMiss, RunFacts
from chaosrunner.model.news import News, Notice
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.words import Source, State
from chaosrunner.stages.news import SIGHTED, Turn, notice_of, of_closing, sighted

_MOVES = frozenset({State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.FIX_READY, State.NEEDS_INFO})


def of_history(
    events: Iterable[HistoryEvent],
    known: Mapping[str, NearMiss],
    runs: Mapping[str, RunFacts],
    environment: str,
) -> Iterator[Notice]:
    """News of these events that concern an environment: its own runs, and what people did to its near misses.

    `known`: near misses as they are now, by id; what is over by now is not told as if it had just begun. `runs`: those
    of the events that were recorded.
    """
    for event in events:
        near_miss = known.get(event.near_miss)
        if near_miss is None:
            continue
        run = runs.get(event.run or "")
        if (run.environment if run else near_miss.environment) != environment:
            continue
        if event.run and run is None and near_miss.source is Source.ALERT:
            continue  # whoever is told of alerts knows
        if (notice := _of_event(event, near_miss)) is not None:
            yield notice


def _of_event(event: HistoryEvent, near_miss: NearMiss) -> Notice | None:
    if event.what in ("found", "seen again"):
        sighting = Sighting.NEW if event.what == "found" else Sighting(event.after)
        if near_miss.closed or sighting not in SIGHTED or not event.run:
            return None
        return sighted(near_miss, sighting, event.run, event.at)
    if event.what != "state" or event.after != near_miss.state.value:
        return None
    state = near_miss.state
    if state is State.VERIFIED:
        told = f"Verified: {near_miss.id} of {near_miss.service}, {near_miss.title}"
        return notice_of(near_miss, Turn(News.VERIFIED, event.run or "", told, f"{event.reason}.", event.at))
    if near_miss.closed:
        return of_closing(near_miss, event.at)
    if state is State.WAIVED and near_miss.waiver is not None:
        waiver = near_miss.waiver
        told = f"Waived until {waiver.until}: {near_miss.id} of {near_miss.service}, {near_miss.title}"
        text = f"Accepted by {waiver.accepted_by}: {waiver.reason}"
        return notice_of(near_miss, Turn(News.WAIVED, f"{event.at:.3f}", told, text, event.at))
    shown = event.actor == CHAOSRUNNER and event.before != State.WAIVED.value
    if state not in _MOVES or shown:
        return None
    told = f"{near_miss.id} of {near_miss.service} is now {state.value}: {near_miss.title}"
    why = f": {event.reason}" if event.reason else ""
    return notice_of(near_miss, Turn(News.MOVED, f"{event.at:.3f}", told, f"By {event.actor}{why}", event.at))


def of_overdue(near_miss: NearMiss, at: float) -> Notice:
    """That its fix should have been ready; once for each date on which that was due."""
    told = f"Overdue: {near_miss.id} {near_miss.priority} of {near_miss.service}, {near_miss.title}"
    text = f"Its fix was due on {near_miss.due}. Owner: {near_miss.owner or 'not named yet'}."
    return notice_of(near_miss, Turn(News.OVERDUE, f"due-{near_miss.due}", told, text, at))
