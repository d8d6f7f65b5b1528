"""One near miss of which two branches kept a record each: what it is when the two come together. Pure.

Neither side is an earlier state of the other, so nothing is simply taken from the one that was written last: what was
seen is added up (by the register, from the occurrences), a class or a priority does not fall, the state is the one that
was reached last, and what one branch closed and the other saw afterwards came back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaosrunner.model.life_cycle import with_due_date
from chaosrunner.model.near_miss import ItemLink, NearMiss, Occurrence, Override, Pass, Progress
from chaosrunner.model.priority import more_urgent, score
from chaosrunner.model.sightings import SERIOUS, came_back, fix_failed
from chaosrunner.model.verification import differences, exercises
from chaosrunner.model.words import State

CAME_BACK = (State.VERIFIED, State.REJECTED, State.OBSOLETE)


def reunited(one: NearMiss, other: NearMiss, told: Mapping[str, str]) -> NearMiss:
    """The record of both, with the id of the first. `told`: what its history says last of each thing that is told
    (`owner`, `priority set by hand`); it decides where the two differ."""
    older, newer = sorted((one, other), key=_order)
    first, last = sorted((one, other), key=lambda each: (each.last_seen, each.last_run))
    renamed = newer.fingerprint in older.former_fingerprints
    named = older if renamed else newer
    update: dict[str, object] = {
        "id": one.id,
        "service": named.service,
        "target_services": named.target_services,
        "fingerprints": {**(newer if renamed else older).fingerprints, **named.fingerprints},
        "former_fingerprints": _all(older.former_fingerprints, newer.former_fingerprints),
        "experiments": _sorted(older.experiments, newer.experiments),
        "labels": _sorted(older.labels, newer.labels),
        "links": _all(older.links, newer.links),
        "apart": tuple(older.apart) + tuple(each for each in newer.apart if each not in older.apart),
        "barriers": tuple({each.name: each for each in (*older.barriers, *newer.barriers)}.values()),
        "factors": tuple({each.factor: each for each in (*older.factors, *newer.factors)}.values()),
        "failure_mode": newer.failure_mode or older.failure_mode,
        "detected_by": newer.detected_by or older.detected_by,
        "outage": older.outage or newer.outage,
        "assignee": newer.assignee or older.assignee,
        "owner": told.get("owner") or newer.owner or older.owner,
        "last_seen": last.last_seen,
        "last_run": last.last_run,
        "environment": last.environment,
        "tracker": last.tracker,
        "due_days": last.due_days,
        "conditions": _hardest(first, last),
        "clean": newer.clean if older.opened_at != newer.opened_at else max(older.clean, newer.clean),
        "attempts": max(older.attempts, newer.attempts),
        "waivers": max(older.waivers, newer.waivers),
        "verification": _verified_by_both(older, newer),
        "override": _override(older, newer, told),
        "item": _item(older, newer),
    }
    return _worst(newer.model_copy(update=update), older, newer)


def settled(near_miss: NearMiss, occurrences: Sequence[Occurrence], passes: Sequence[Pass]) -> NearMiss:
    """What follows from all that is known of it now: clean runs counted anew; open again where it was closed, or said
    to be fixed, before it was last seen."""
    later = [each for each in occurrences if each.at > near_miss.state_since]
    if later and near_miss.state in CAME_BACK:
        first = min(later, key=lambda each: (each.at, each.run))
        near_miss = came_back(near_miss, first.run, first.at)
    elif later and near_miss.state is State.FIX_READY:
        first = min(later, key=lambda each: (each.at, each.run))
        near_miss = fix_failed(near_miss, first.run, first.at)
    if near_miss.closed:
        return near_miss
    verifying = near_miss.verification.runs if near_miss.verification else ()
    clean = [each for each in passes if each.counts and each.began >= near_miss.opened_at]
    counted = sum(each.run not in verifying for each in clean)  # one that was split off has some of its original's
    return near_miss.model_copy(update={"clean": max(near_miss.clean, counted)})


def _order(near_miss: NearMiss) -> tuple[bool, float, float, str]:
    """Whose state was reached last; one that it only began with was never reached. The same in every process."""
    begun = near_miss.state is State.OPEN and near_miss.state_since == near_miss.opened_at and not near_miss.regressions
    return not begun, near_miss.state_since, near_miss.last_seen, near_miss.model_dump_json()


def _all(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _sorted(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*one, *other}))


def _hardest(first: NearMiss, last: NearMiss) -> object:
    """The newer conditions, but never weaker ones."""
    if not exercises(first.conditions, last.conditions):
        return last.conditions
    weaker = any(each.what == "weaker" for each in differences(first.conditions, last.conditions))
    return first.conditions if weaker else last.conditions


def _verified_by_both(older: NearMiss, newer: NearMiss) -> Progress | None:
    """The passing runs of both, where both verify the same fix."""
    one, other = older.verification, newer.verification
    if other is None or one is None or older.fix_ready_at != newer.fix_ready_at:
        return other
    runs = _all(one.runs, other.runs)
    return other.model_copy(update={"runs": runs, "days": tuple(sorted({*one.days, *other.days}))})


def _override(older: NearMiss, newer: NearMiss, told: Mapping[str, str]) -> Override | None:
    if told.get("priority set by hand") == "":
        return None
    given = [each.override for each in (older, newer) if each.override]
    return max(given, key=lambda each: each.at, default=None)


def _item(older: NearMiss, newer: NearMiss) -> ItemLink | None:
    items = [each.item for each in (older, newer) if each.item]
    return max(items, key=lambda each: (each.state != "gone", each.seen_at), default=None)


def _worst(near_miss: NearMiss, older: NearMiss, newer: NearMiss) -> NearMiss:
    """The more serious class and the more urgent priority of the two, and as many regressions as either counted."""
    serious = max((newer, older), key=lambda each: SERIOUS.index(each.finding))
    times = max(older.regressions, newer.regressions)
    scorings = [
        score(each.scoring.inputs.model_copy(update={"regressions": times}))
        if each.scoring.inputs.regressions != times
        else each.scoring
        for each in (newer, older)
    ]
    urgent = scorings[1] if more_urgent(scorings[1].priority, scorings[0].priority) else scorings[0]
    update = {
        "finding": serious.finding,
        "kind": serious.kind,
        "title": serious.title,
        "regressions": times,
        "scoring": urgent,
    }
    return with_due_date(near_miss.model_copy(update=update))
