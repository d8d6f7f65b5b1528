"""The register's interface: record what runs showed, change, list and show. Every write is one transaction, and none is
without its events; nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import sqlalchemy as sa

from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.model.life_cycle import Change, Party, transition, with_due_date
from chaosrunner.model.near_miss import (
    CHAOSRUNNER,
    Found,
    HistoryEvent,
    NearMiss,
    Occurrence,
    Override,
    Pass,
    RunFacts,
    day_of,
)
from chaosrunner.model.sightings import (
    Sighting,
    as_shown_before,
    found,
    judge_pass,
    occurrence_of,
    passed,
    seen_again,
    tried,
)
from chaosrunner.model.words import Priority, State
from chaosrunner.records.light import dataclass
from chaosrunner.register import rows
from chaosrunner.register.database import connect, reading, written
from chaosrunner.register.items import Items
from chaosrunner.register.rows import Why

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which near misses to list; everything that is not given matches."""

    states: frozenset[State] = frozenset()
    service: str | None = None
    priorities: frozenset[Priority] = frozenset()
    environment_class: str | None = None
    closed: bool = False
    """With the closed ones too; named states are listed in any case."""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything about one near miss."""

    near_miss: NearMiss
    occurrences: tuple[Occurrence, ...]
    passes: tuple[Pass, ...]
    history: tuple[HistoryEvent, ...]


class Register:
    """The near misses of a state folder, or of a database. Several processes may use it at once."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self.items = Items(engine)
        """The ledger of remediation items."""

    @classmethod
    def open(cls, where: Path | str, clock: Clock) -> Register:
        """Of a state folder (made on first use), or at a database URL. Raises `NotPossibleNow`."""
        from chaosrunner.register import FILE

        return cls(connect(where / FILE if isinstance(where, Path) else where), clock)

    def close(self) -> None:
        """Let go of the database; idempotent."""
        self._engine.dispose()

    def __enter__(self) -> Register:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------ runs

    def record(self, facts: RunFacts, gaps: Sequence[Found]) -> list[Recorded]:
        """Make or find a near miss for each gap of a run, and add its occurrence. A run that was recorded before adds
        nothing, and is answered with `known`."""
        return self._write(lambda connection: [self._one_gap(connection, facts, gap) for gap in _merged(gaps)])

    def passed(self, facts: RunFacts) -> list[Tried]:
        """Hold the near misses that this run exercised and did not show against it. Call `record` first."""
        return self._write(lambda connection: self._passes(connection, facts))

    def wake(self) -> list[NearMiss]:
        """Open near misses whose waiver has ended."""
        return self._write(self._wake)

    def _one_gap(self, connection: sa.Connection, facts: RunFacts, what: Found) -> Recorded:
        near_miss, alias = self._find(connection, facts, what)
        if near_miss is None:
            return self._new(connection, facts, what)
        if rows.has_occurrence(connection, facts.run, what.gap.fingerprint):
            return Recorded(near_miss, Sighting.KNOWN)
        why = Why(CHAOSRUNNER, self._clock.now(), run=facts.run)
        if alias:
            near_miss = self._adopt(connection, near_miss, what, alias, why)
        after, sighting = seen_again(near_miss, facts, what)
        rows.add_occurrence(connection, occurrence_of(near_miss.id, facts, what))
        rows.note(connection, near_miss.id, why._replace(reason=what.gap.story), "seen again", after=sighting.value)
        moved = after.reason if after.state is not near_miss.state else what.gap.story
        rows.save(connection, near_miss, after, why._replace(reason=moved))
        return Recorded(after, sighting)

    def _find(self, connection: sa.Connection, facts: RunFacts, what: Found) -> tuple[NearMiss | None, str]:
        """The near miss with this fingerprint, and the earlier name that it was found under."""
        for alias in ("", *facts.aliases):
            gap = as_shown_before(what.gap, alias) if alias else what.gap
            near_miss = rows.by_fingerprint(connection, gap.fingerprint)
            if near_miss is not None:
                return self._original(connection, near_miss), alias
        return None, ""

    def _original(self, connection: sa.Connection, near_miss: NearMiss) -> NearMiss:
        followed = {near_miss.id}
        while near_miss.duplicate_of and near_miss.duplicate_of not in followed:
            near_miss = rows.load(connection, near_miss.duplicate_of)
            followed.add(near_miss.id)
        return near_miss

    def _new(self, connection: sa.Connection, facts: RunFacts, what: Found) -> Recorded:
        near_miss = found(rows.next_id(connection, day_of(facts.ended).year), facts, what)
        rows.insert(connection, near_miss)
        rows.add_occurrence(connection, occurrence_of(near_miss.id, facts, what))
        why = Why(CHAOSRUNNER, self._clock.now(), what.gap.story, facts.run)
        rows.note(connection, near_miss.id, why, "found", after=near_miss.state.value)
        return Recorded(near_miss, Sighting.NEW)

    def _adopt(self, connection: sa.Connection, near_miss: NearMiss, what: Found, alias: str, why: Why) -> NearMiss:
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

    def _passes(self, connection: sa.Connection, facts: RunFacts) -> list[Tried]:
        shown = rows.near_misses_of_run(connection, facts.run)
        result = []
        for near_miss in rows.of_services(connection, facts.environment_class, (facts.service, *facts.aliases)):
            exercised = not near_miss.closed or near_miss.state is State.VERIFIED
            if near_miss.id not in shown and exercised and tried(near_miss, facts):
                result.append(self._one_pass(connection, near_miss, facts))
        return result

    def _one_pass(self, connection: sa.Connection, near_miss: NearMiss, facts: RunFacts) -> Tried:
        run = judge_pass(near_miss, facts)
        if facts.trouble or rows.has_pass(connection, near_miss.id, facts.run):
            return Tried(near_miss, run.counts, run.why, verified=False)
        after = passed(near_miss, run, facts.verification)
        rows.add_pass(connection, run)
        why = Why(CHAOSRUNNER, self._clock.now(), run.why, facts.run)
        what = "run passed" if run.counts else "run not counted"
        rows.note(connection, near_miss.id, why, what, after=str(after.verification or ""))
        rows.save(connection, near_miss, after, why._replace(reason=after.reason))
        verified = after.state is State.VERIFIED and near_miss.state is not State.VERIFIED
        return Tried(after, run.counts, run.why, verified)

    def _wake(self, connection: sa.Connection) -> list[NearMiss]:
        now = self._clock.now()
        woken = []
        for near_miss in rows.waiver_ended(connection, day_of(now)):
            assert near_miss.waiver is not None
            reason = f"the waiver of {near_miss.waiver.accepted_by} ended on {near_miss.waiver.until}"
            change = Change(to=State.OPEN, actor=CHAOSRUNNER, party=Party.CHAOSRUNNER, at=now, reason=reason)
            after = transition(near_miss, change)
            rows.save(connection, near_miss, after, Why(CHAOSRUNNER, now, reason))
            woken.append(after)
        return woken

    # --------------------------------------------------------------------------------------------------- people

    def change(self, id: str, change: Change) -> NearMiss:
        """Move it to another state; see `transition` for what is refused."""

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            wish = change
            if wish.to is State.DUPLICATE and wish.duplicate_of:
                original = self._known(connection, wish.duplicate_of)
                if original == near_miss.id:
                    raise UsageError(f"{original} cannot be a duplicate of itself")
                if self._original(connection, rows.load(connection, original)).id == near_miss.id:
                    raise UsageError(f"{original} is itself a duplicate of {near_miss.id}")
                wish = wish.model_copy(update={"duplicate_of": original})
            after = transition(near_miss, wish)
            reason = " · ".join(part for part in (wish.reason, wish.change or "") if part)
            rows.save(connection, near_miss, after, Why(wish.actor, self._clock.now(), reason, wish.run))
            return after

        return self._write(write)

    def prioritise(self, id: str, priority: Priority | None, actor: str, reason: str) -> NearMiss:
        """Set the priority by hand, with a reason; None: back to the computed one."""
        if not reason.strip():
            raise UsageError("a priority set by hand needs a reason: --reason TEXT")
        now = self._clock.now()
        override = None if priority is None else Override(priority=priority, by=actor, at=now, reason=reason)
        return self._edit(id, lambda it: with_due_date(it.model_copy(update={"override": override})), actor, reason)

    def assign(self, id: str, owner: str, actor: str, reason: str = "") -> NearMiss:
        """Name the team that owns it."""
        if not owner.strip():
            raise UsageError("an owner is the name of a team")
        return self._edit(id, lambda near_miss: near_miss.model_copy(update={"owner": owner}), actor, reason)

    def add_note(self, id: str, actor: str, text: str) -> NearMiss:
        """A remark, kept in the history."""
        if not text.strip():
            raise UsageError("a note needs some text")

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            rows.note(connection, near_miss.id, Why(actor, self._clock.now(), text), "note")
            return near_miss

        return self._write(write)

    def _edit(self, id: str, edit: Callable[[NearMiss], NearMiss], actor: str, reason: str) -> NearMiss:
        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            after = edit(near_miss)
            rows.save(connection, near_miss, after, Why(actor, self._clock.now(), reason))
            return after

        return self._write(write)

    # -------------------------------------------------------------------------------------------------- reading

    def list(self, wanted: Wanted | None = None) -> list[NearMiss]:
        """Those that match, the most urgent first, then the one that is due first."""
        with reading(self._engine) as connection:
            return rows.select(connection, wanted or Wanted())

    def get(self, id: str) -> NearMiss:
        """One near miss. Its id may be written in any case and shortened (`42`, `nm-2026-42`).

        Raises `UsageError` for one that is not there, with the nearest that is.
        """
        with reading(self._engine) as connection:
            return rows.load(connection, self._known(connection, id))

    def show(self, id: str) -> Record:
        """Everything about one near miss, oldest first."""
        with reading(self._engine) as connection:
            known = self._known(connection, id)
            return Record(
                rows.load(connection, known),
                rows.occurrences(connection, known),
                rows.passes(connection, known),
                rows.events(connection, known),
            )

    def export(self) -> Iterable[str]:
        """Everything as JSON Lines, in an order that `load` takes."""
        from chaosrunner.register.exchange import export

        with reading(self._engine) as connection:
            yield from export(connection)

    def load(self, lines: Iterable[str]) -> int:
        """Add everything of an export; what is already there in the same words is left. Answers how many records were
        added. Raises `UsageError` for a line that is none of an export, or that contradicts what is there."""
        from chaosrunner.register.exchange import load

        return self._write(lambda connection: load(connection, lines))

    def _known(self, connection: sa.Connection, id: str) -> str:
        return rows.meant(connection, id)

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return written(self._engine, work)


def _merged(gaps: Sequence[Found]) -> list[Found]:
    """One for each fingerprint: a run adds one occurrence to a near miss, and loses no word of it."""
    merged: dict[str, Found] = {}
    for what in gaps:
        known = merged.get(what.gap.fingerprint)
        if known is None:
            merged[what.gap.fingerprint] = what
            continue
        gap = known.gap.model_copy(
            update={
                "also": tuple(dict.fromkeys((*known.gap.also, what.gap.kind, *what.gap.also))),
                "story": f"{known.gap.story}\n\n{what.gap.story}",
                "measures": (*known.gap.measures, *what.gap.measures),
            }
        )
        evidence = (*known.evidence, *(new for new in what.evidence if new not in known.evidence))
        merged[what.gap.fingerprint] = known.model_copy(update={"gap": gap, "evidence": evidence})
    return list(merged.values())


def today(clock: Clock) -> date:
    """The UTC date."""
    return day_of(clock.now())
