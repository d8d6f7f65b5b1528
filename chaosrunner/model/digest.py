"""What became of near misses in some days, and what waits: the nouns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.heard import Heard
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.priority import triage_by
from chaosrunner.records.light import dataclass

SOON = timedelta(days=14)
LISTED = 25
"""Near misses of a chapter that are listed; all are counted."""
_LONGEST = 10
"""Days, at least as long as somebody may take to look at something."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """Near misses with one thing in common."""

    count: int
    listed: tuple[NearMiss, ...]
    """The most urgent, then those that are due first."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The chapters that have something in them, and what was heard while runs broke something."""

    since: date
    today: date
    chapters: Mapping[str, Chapter]
    heard: tuple[Heard, ...] = ()

    def as_json(self) -> JsonObject:
        """The stable shape of `--json`: ids by chapter, the 25 most urgent of each, and how many there are."""
        ids: JsonObject = {name: [each.id for each in found.listed] for name, found in self.chapters.items()}
        counts: JsonObject = {name: found.count for name, found in self.chapters.items()}
        heard: list[JsonValue] = [
            {"run": each.run, "service": each.report.service, "title": each.report.title} for each in self.heard
        ]
        days = {"since": self.since.isoformat(), "today": self.today.isoformat()}
        return {**days, **ids, "counts": counts, "alertsOfRuns": heard}


def seen_by(today: date) -> date:
    """The last day of which everything urgent that was opened on it should have been looked at before today."""
    days = (today - timedelta(days=n) for n in range(_LONGEST))
    return next(day for day in days if triage_by(day) < today)
