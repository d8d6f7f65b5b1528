"""`near-miss stats` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.model.stats import Group, Month, Stats
from chaosrunner.reports.tables import table
from chaosrunner.reports.words import count

_DAY = 86400.0
_MOST = 12
"""Groups of each sort that are shown; the JSON has all."""
_SORTS = {
    "service": "By service",
    "owner": "By owner",
    "kind": "By kind of gap",
    "fault": "By class of fault",
    "priority": "By priority",
    "state": "By state",
}
EVENTS = ("found", "fix-ready", "verified", "fix-failed", "regressed")


def stats_text(stats: Stats) -> Iterator[str]:
    """All figures, each with what it must be read with."""
    total = stats.total
    yield (
        f"{count(stats.near_misses, 'near miss', 'near misses')} found: {total.waiting} not closed, "
        f"{total.fix_ready} with a fix to be verified, {total.verified} verified, {total.regressed} came back, "
        f"{total.overdue} overdue"
    )
    yield f"until a fix is ready: {_days(stats.to_fix)} (median); from there until verified: {_days(stats.to_verify)}"
    if stats.uncovered:
        yield f"{stats.uncovered} that no experiment shows: chaosrunner near-miss uncovered"
    yield from _rates(stats)
    for sort, title in _SORTS.items():
        if groups := stats.by.get(sort):
            yield ""
            yield from _groups(title, groups)
    if stats.over_time:
        yield ""
        yield from _months(stats.over_time)
    yield ""
    yield "More near misses usually means more testing, not a worse system; fewer is no success by itself."


def _rates(stats: Stats) -> Iterator[str]:
    if stats.per_outage is not None:
        yield f"{count(stats.outages, 'outage')} recorded: {stats.per_outage:.3g} near misses for each"
    if stats.per_hundred_runs is not None:
        conclusive = stats.runs.get("held", 0) + stats.runs.get("broken", 0)
        yield (
            f"{count(conclusive, 'conclusive run')}, {stats.runs.get('inconclusive', 0)} inconclusive: "
            f"{stats.per_hundred_runs:.3g} near misses for each hundred conclusive ones"
        )


def _groups(title: str, groups: Sequence[Group]) -> Iterator[str]:
    heads = (title.upper(), "FOUND", "NOT CLOSED", "VERIFIED", "CAME BACK", "OVERDUE", "TO FIX", "TO VERIFY")
    rows = [
        (
            group.value or "(none)",
            str(group.found),
            str(group.waiting),
            str(group.verified),
            str(group.regressed),
            str(group.overdue),
            _days(group.to_fix),
            _days(group.to_verify),
        )
        for group in groups[:_MOST]
    ]
    yield table(heads, rows)
    if len(groups) > _MOST:
        yield f"and {len(groups) - _MOST} more"


def _months(months: Sequence[Month]) -> Iterator[str]:
    by = {(each.month, each.event): each.count for each in months}
    latest = sorted({each.month for each in months})[-_MOST:]
    rows = [(month, *(str(by.get((month, event), 0)) for event in EVENTS)) for month in latest]
    yield table(("MONTH", *(event.upper() for event in EVENTS)), rows)


def _days(seconds: float | None) -> str:
    if seconds is None:
        return "—"
    if seconds >= _DAY:
        return f"{seconds / _DAY:.3g} days"
    return f"{seconds / 3600:.2g} h" if seconds >= 3600 else f"{seconds / 60:.2g} min"
