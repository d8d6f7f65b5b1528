"""What runs and reports write into the register. Every function works inside the transaction it is handed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from chaosrunner.model.life_cycle import Change, Party, transition
from chaosrunner.model.near_miss import CHAOSRUNNER, Found, NearMiss, Pass, RunFacts, day_of
from chaosrunner.model.report import Report, facts_of_report, found_of
from chaosrunner.model.sightings import (
    Sighting,
    as_shown_before,
    found,
    judge_pass,
    link_broke,
    occurrence_of,
    passed,
    seen_again,
    tried,
)
from chaosrunner.model.words import Source, State
from chaosrunner.records.light import dataclass
from chaosrunner.register import rows
from chaosrunner.register.rows import Why

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one gap."""

    near_miss: NearMiss
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a near miss that a run exercised and did not show."""

    near_miss: NearMiss
    counts: bool
    """Whether the run counts as a pass."""
    why: str
    verified: bool
    """Whether this run completed the verification."""


class Teller(NamedTuple):
    """Who tells of a gap, and when it is written down."""

    actor: str
    now: float
    reported_by: str | None = None
    source: Source = Source.RUN
    outage: bool = False
    links: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    """Where more about it can be read."""


# ----------------------------------------------------------------------------------------------------------- gaps


def record_gaps(connection: sa.Connection, facts: RunFacts, gaps: Sequence[Found], teller: Teller) -> list[Recorded]:
    """Make or find a near miss for each gap of a run, and add the occurrence. One that is there already adds
    nothing."""
    shown = rows.shown_by(connection, facts.run)
    return [_record_gap(connection, facts, what, teller, shown) for what in merged(gaps)]


def record_report(connection: sa.Connection, report: Report, actor: str, now: float) -> Recorded:
    """What a person, or an alert, tells of. `actor`: who hands it in; empty: who reports it."""
    teller = Teller(
        actor=actor or report.reported_by or ANONYMOUS,
        now=now,
        reported_by=report.reported_by,
        source=report.source,
        outage=report.outage,
        links=tuple(dict.fromkeys(report.experiments)),
        evidence=report.links,
    )
    (recorded,) = record_gaps(connection, facts_of_report(report, now), [found_of(report)], teller)
    return recorded


def _record_gap(
    connection: sa.Connection, facts: RunFacts, what: Found, teller: Teller, shown: dict[str, str]
) -> Recorded:
    """`shown`: fingerprints that the run has shown already -> their near misses."""
    near_miss, alias = _find(connection, facts, what)
    fingerprint = what.gap.fingerprint
    if near_miss is None:
        new = _new(connection, facts, what, teller)
        shown[fingerprint] = new.near_miss.id
        return new
    if fingerprint in shown:
        return Recorded(near_miss, Sighting.KNOWN)
    why = Why(teller.actor, teller.now, run=facts.run)
    if alias:
        near_miss = _adopt(connection, near_miss, what, alias, why)
    another = near_miss.id not in shown.values()
    shown[fingerprint] = near_miss.id
    after, sighting = seen_again(near_miss, facts, what, another_run=another)
    occurrence = occurrence_of(near_miss.id, facts, what)
    told = occurrence.model_copy(update={"source": teller.source, "links": teller.evidence})
    rows.add_occurrence(connection, told)
    rows.note(connection, near_miss.id, why._replace(reason=what.gap.story), "seen again", after=sighting.value)
    moved = after.reason if after.state is not near_miss.state else what.gap.story
    rows.save(connection, near_miss, after, why._replace(reason=moved))
    return Recorded(after, sighting)


def home(connection: sa.Connection, fingerprint: str, facts: dict[str, str]) -> NearMiss | None:
    """The near miss that an occurrence with this fingerprint belongs to: what a person split off first, and the
    original of a duplicate. `facts`: the occurrence's experiment and environment."""
    near_miss = rows.split_off(connection, fingerprint, facts) or rows.by_fingerprint(connection, fingerprint)
    return None if near_miss is None else original(connection, near_miss)


def original(connection: sa.Connection, near_miss: NearMiss) -> NearMiss:
    """The one that it is a duplicate of, or itself."""
    followed = {near_miss.id}
    while near_miss.duplicate_of and near_miss.duplicate_of not in followed:
        near_miss = rows.load(connection, near_miss.duplicate_of)
        followed.add(near_miss.id)
    return near_miss


def _find(connection: sa.Connection, facts: RunFacts, what: Found) -> tuple[NearMiss | None, str]:
    """The near miss with this fingerprint, and the earlier name that it was found under."""
    of_run = {"experiment": facts.experiment, "environment": facts.environment}
    for alias in ("", *facts.aliases):
        gap = as_shown_before(what.gap, alias) if alias else what.gap
        near_miss = home(connection, gap.fingerprint, of_run)
        if near_miss is not None:
            return near_miss, alias
    return None, ""


def _new(connection: sa.Connection, facts: RunFacts, what: Found, teller: Teller) -> Recorded:
    fresh = found(rows.next_id(connection, day_of(facts.ended).year, what.gap.fingerprint), facts, what)
    near_miss = fresh.model_copy(
        update={
            "source": teller.source,
            "reported_by": teller.reported_by,
            "outage": teller.outage,
            "links": teller.links,
        }
    )
    rows.insert(connection, near_miss)
    occurrence = occurrence_of(near_miss.id, facts, what)
    rows.add_occurrence(connection, occurrence.model_copy(update={"source": teller.source, "links": teller.evidence}))
    why = Why(teller.actor, teller.now, what.gap.story, facts.run)
    rows.note(connection, near_miss.id, why, "found", after=near_miss.state.value)
    return Recorded(near_miss, Sighting.NEW)


def _adopt(connection: sa.Connection, near_miss: NearMiss, what: Found, alias: str, why: Why) -> NearMiss:
    rule = next(iter(near_miss.fingerprints))
    after = near_miss.model_copy(
        update={
            "service": what.gap.service,
            "target_services": what.gap.target_services,
            "fingerprints": {**near_miss.fingerprints, rule: what.gap.fingerprint},
            "former_fingerprints": (*near_miss.former_fingerprints, near_miss.fingerprint),
            "conditions": what.conditions,
        }
    )
    rows.add_fingerprint(connection, what.gap.fingerprint, near_miss.id)
    rows.save(connection, near_miss, after, why._replace(reason=f"{alias} is now called {what.gap.service}"))
    return after


# ---------------------------------------------------------------------------------------------------------- passes


def record_passes(connection: sa.Connection, facts: RunFacts, now: float) -> list[Tried]:
    """Hold against a run the near misses that it tried and did not show; and those that it is linked to."""
    shown = {*rows.shown_by(connection, facts.run).values()}
    result = []
    for near_miss in rows.of_services(connection, facts.environment_class, (facts.service, *facts.aliases)):
        if near_miss.source is Source.RUN and near_miss.id not in shown and tried(near_miss, facts):
            result.append(_one_pass(connection, near_miss, facts, now))
    for near_miss in rows.linked_to(connection, facts.experiment):
        if near_miss.id not in shown:
            result.append(_one_pass(connection, near_miss, facts, now))
    return result


def _one_pass(connection: sa.Connection, near_miss: NearMiss, facts: RunFacts, now: float) -> Tried:
    run: Pass = judge_pass(near_miss, facts)
    if facts.trouble or rows.has_pass(connection, near_miss.id, facts.run):
        return Tried(near_miss, run.counts, run.why, verified=False)
    broke = link_broke(near_miss, facts)
    after = broke or passed(near_miss, run, facts.verification, facts.conditions)
    rows.add_pass(connection, run)
    why = Why(CHAOSRUNNER, now, run.why, facts.run)
    what = "run passed" if run.counts else "run not counted"
    rows.note(connection, near_miss.id, why, what, after=str(after.verification or ""))
    rows.save(connection, near_miss, after, why._replace(reason=after.reason))
    verified = after.state is State.VERIFIED and near_miss.state is not State.VERIFIED
    return Tried(after, run.counts, run.why, verified)


# --------------------------------------------------------------------------------------------------------- waivers


def wake(connection: sa.Connection, now: float) -> list[NearMiss]:
    """Open those whose waiver has ended."""
    woken = []
    for near_miss in rows.waiver_ended(connection, day_of(now)):
        assert near_miss.waiver is not None
        reason = f"the waiver of {near_miss.waiver.accepted_by} ended on {near_miss.waiver.until}"
        woken.append(_opened(connection, near_miss, reason, now))
    return woken


def end_broken_waivers(connection: sa.Connection, facts: RunFacts, now: float) -> list[NearMiss]:
    """Open those whose waiver was given while a hypothesis holds that this run showed broken."""
    if not facts.broken:
        return []
    woken = []
    for near_miss in rows.waived(connection, facts.environment_class):
        assert near_miss.waiver is not None
        if broken := sorted({*near_miss.waiver.conditions} & {*facts.broken}):
            reason = f"the waiver was given while {broken[0]} holds, and run {facts.run} showed it broken"
            woken.append(_opened(connection, near_miss, reason, now, broken[0], facts.run))
    return woken


def _opened(
    connection: sa.Connection, near_miss: NearMiss, reason: str, now: float, broke: str = "", run: str | None = None
) -> NearMiss:
    change = Change(
        to=State.OPEN, actor=CHAOSRUNNER, party=Party.CHAOSRUNNER, at=now, reason=reason, broke=broke, run=run
    )
    after = transition(near_miss, change)
    rows.save(connection, near_miss, after, Why(CHAOSRUNNER, now, reason, run))
    return after


def merged(gaps: Sequence[Found]) -> list[Found]:
    """One for each fingerprint: a run adds one occurrence to a near miss, and loses no word of it. In an order that is
    the same in every process, so that none waits for another that waits for it."""
    known: dict[str, Found] = {}
    for what in gaps:
        before = known.get(what.gap.fingerprint)
        known[what.gap.fingerprint] = what if before is None else _together(before, what)
    return list(known.values())


def _together(one: Found, other: Found) -> Found:
    gap = one.gap.model_copy(
        update={
            "also": tuple(dict.fromkeys((*one.gap.also, other.gap.kind, *other.gap.also))),
            "story": f"{one.gap.story}\n\n{other.gap.story}",
            "measures": (*one.gap.measures, *other.gap.measures),
        }
    )
    evidence = (*one.evidence, *(new for new in other.evidence if new not in one.evidence))
    return one.model_copy(update={"gap": gap, "evidence": evidence})
