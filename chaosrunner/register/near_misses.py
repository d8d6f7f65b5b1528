"""The register's interface: record what runs showed, change, list and show. Every write is one transaction, and none is
without its events; nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import sqlalchemy as sa

from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.description import Description, described
from chaosrunner.model.digest import Digest
from chaosrunner.model.figures import NearMissGroup
from chaosrunner.model.heard import Heard, UnderWay
from chaosrunner.model.life_cycle import Change, transition, with_due_date
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
from chaosrunner.model.report import Report
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.stats import Stats
from chaosrunner.model.words import Priority, State
from chaosrunner.records.light import dataclass
from chaosrunner.register import digesting, figures, finding, hearing, pruning, recording, rows, sorting, sums
from chaosrunner.register.database import connect, is_a_file, reading, writing, written
from chaosrunner.register.finding import Wanted
from chaosrunner.register.items import Items
from chaosrunner.register.pruning import Pruned
from chaosrunner.register.recording import Recorded, Teller, Tried
from chaosrunner.register.rows import Why

__all__ = ["Record", "Recorded", "Register", "Tried", "Wanted"]

T = TypeVar("T")


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
        teller = Teller(CHAOSRUNNER, self._clock.now())

        def write(connection: sa.Connection) -> list[Recorded]:
            rows.add_run(connection, facts, len(gaps))
            if lives := not is_a_file(self._engine):
                for wrong in hearing.ends(connection, facts):
                    recording.record_report(connection, wrong.report, wrong.by, teller.now)
            recorded = recording.record_gaps(connection, facts, gaps, teller)
            shown = {each.near_miss.id for each in recorded if each.sighting is not Sighting.KNOWN}
            if lives and shown:
                hearing.add_to(connection, shown, facts.run, teller.now)
            return recorded

        return self._write(write)

    def announce(self, run: UnderWay) -> None:
        """A run is about to break something: what is told of it meanwhile is its doing. A register that is a file does
        not keep it."""
        if not is_a_file(self._engine):
            self._write(lambda connection: hearing.begins(connection, run))

    def told(self, report: Report, actor: str) -> Recorded | Heard:
        """What an alert, or an incident tool, tells of: as `report` keeps it; or, where a run on the same environment
        and service explains it, as evidence of that run and of what that run shows."""
        now = self._clock.now()

        def write(connection: sa.Connection) -> Heard | None:
            run = hearing.explained_by(connection, report, now)
            return hearing.hear(connection, run, report, actor, now) if run else None

        return self._write(write) or self.report(report, actor)

    def report(self, report: Report, actor: str = "") -> Recorded:
        """Keep what a person, or an alert, tells of: a draft near miss, or another occurrence of the one that it is the
        same as. The same report twice changes nothing.

        `actor`: who hands it in (an integration's name); default: who reports it, or `anonymous`.
        """
        now = self._clock.now()
        return self._write(lambda connection: recording.record_report(connection, report, actor, now))

    def passed(self, facts: RunFacts) -> list[Tried]:
        """Hold the near misses that this run exercised and did not show against it. Call `record` first."""
        return self._write(lambda connection: recording.record_passes(connection, facts, self._clock.now()))

    def wake(self, facts: RunFacts | None = None) -> list[NearMiss]:
        """Open near misses whose waiver has ended; with a run, also those whose waiver's condition it showed broken."""

        def write(connection: sa.Connection) -> list[NearMiss]:
            now = self._clock.now()
            ended = recording.wake(connection, now)
            return ended + (recording.end_broken_waivers(connection, facts, now) if facts else [])

        self._count_the_overdue()
        return self._write(write)

    def _count_the_overdue(self) -> None:
        """Once a day, so that figures need not; also back, where a clock was far ahead."""
        if is_a_file(self._engine):
            return
        today = day_of(self._clock.now())
        with reading(self._engine) as connection:
            day = sums.counted_on(connection)
        if not today <= day <= today + timedelta(days=1):
            self._write(lambda connection: sums.bring_up_to(connection, today))

    # --------------------------------------------------------------------------------------------------- people

    def change(self, id: str, change: Change) -> NearMiss:
        """Move it to another state; see `transition` for what is refused."""

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            wish = change
            if wish.to is State.DUPLICATE and wish.duplicate_of:
                original = sorting.original_for(connection, near_miss, wish.duplicate_of)
                wish = wish.model_copy(update={"duplicate_of": original})
            after = transition(near_miss, wish)
            reason = " · ".join(part for part in (wish.reason, wish.change or "") if part)
            why = Why(wish.actor, self._clock.now(), reason, wish.run)
            rows.save(connection, near_miss, after, why)
            if after.state is State.DUPLICATE:
                sorting.after_merge(connection, after, why)
            elif near_miss.duplicate_of:
                sorting.after_parting(connection, near_miss.duplicate_of, why)
            return rows.load(connection, after.id)

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

    def split(self, id: str, by: str, value: str, actor: str, reason: str) -> NearMiss:
        """Another near miss for its occurrences of one experiment or environment (`by`); those found later go there
        too. Raises `UsageError` where nothing, or everything, would go."""
        if not reason.strip():
            raise UsageError("a split needs a reason: --reason TEXT")
        why = Why(actor, self._clock.now(), reason)

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            return sorting.split(connection, near_miss, by, value, why)

        return self._write(write)

    def link(self, id: str, experiments: Sequence[str], actor: str, reason: str = "") -> NearMiss:
        """Say which experiments would have found it. What was reported is then verified by their passing runs."""
        named = [name.strip() for name in experiments if name.strip()]
        if not named:
            raise UsageError("which experiment? name at least one")
        return self._edit(id, lambda it: it.model_copy(update={"links": _with(it.links, named)}), actor, reason)

    def unlink(self, id: str, experiments: Sequence[str], actor: str, reason: str = "") -> NearMiss:
        """Take links back. Raises `UsageError` for one that is not there."""

        def without(near_miss: NearMiss) -> NearMiss:
            if unknown := [name for name in experiments if name not in near_miss.links]:
                linked = ", ".join(near_miss.links) or "no experiment"
                raise UsageError(f"{near_miss.id} is not linked to {unknown[0]}, but to {linked}")
            kept = tuple(name for name in near_miss.links if name not in experiments)
            return near_miss.model_copy(update={"links": kept})

        return self._edit(id, without, actor, reason)

    def describe(self, id: str, what: Description, actor: str, reason: str = "") -> NearMiss:
        """Say how it failed, what defended, what contributed. The priority follows from it; what one of these says anew
        of the same defence or factor counts."""
        return self._edit(id, lambda near_miss: described(near_miss, what), actor, reason)

    def add_note(self, id: str, actor: str, text: str) -> NearMiss:
        """A remark, kept in the history."""
        if not text.strip():
            raise UsageError("a note needs some text")

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            rows.note(connection, near_miss.id, Why(actor, self._clock.now(), text), "note")
            return near_miss

        return self._write(write)

    def add_event(
        self, id: str, actor: str, what: str, *, after: str = "", reason: str = "", run: str | None = None
    ) -> NearMiss:
        """Something that somebody did about it which changes nothing of it, kept in the history."""

        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            rows.note(connection, near_miss.id, Why(actor, self._clock.now(), reason, run), what, after=after)
            return near_miss

        return self._write(write)

    def _edit(self, id: str, edit: Callable[[NearMiss], NearMiss], actor: str, reason: str) -> NearMiss:
        def write(connection: sa.Connection) -> NearMiss:
            near_miss = rows.load(connection, self._known(connection, id))
            after = edit(near_miss)
            rows.save(connection, near_miss, after, Why(actor, self._clock.now(), reason))
            return after

        return self._write(write)

    def prune(self, before: float, actor: str, age: str, *, remove: bool) -> Pruned:
        """Remove evidence of near misses that were closed before this time, or only say what that would be; `age`: the
        same in words."""
        with reading(self._engine) as connection:
            ids = pruning.old_ones(connection, before)
            if not remove:
                count = pruning.prune(connection, ids, before, None)
                return Pruned(tuple(ids), count, pruning.prune_alerts(connection, before, remove=False))
        why = Why(actor, self._clock.now(), f"older than {age}: curves and samples of log lines")
        count = 0
        for first in range(0, len(ids), pruning.AT_ONCE):
            some = ids[first : first + pruning.AT_ONCE]
            count += self._write(partial(pruning.prune, ids=some, before=before, why=why))
        alerts = self._write(lambda connection: pruning.prune_alerts(connection, before, remove=True))
        return Pruned(tuple(ids), count, alerts)

    # -------------------------------------------------------------------------------------------------- reading

    def list(self, wanted: Wanted | None = None) -> list[NearMiss]:
        """Those that match, the most urgent first, then the one that is due first."""
        with reading(self._engine) as connection:
            return finding.select(connection, wanted or Wanted())

    def count(self, wanted: Wanted | None = None) -> int:
        """How many match, on all pages."""
        with reading(self._engine) as connection:
            return int(connection.execute(finding.count(wanted or Wanted())).scalar_one())

    def stats(self, wanted: Wanted | None = None) -> Stats:
        """What all of them say together, or those of one service, owner or environment class."""
        with reading(self._engine) as connection:
            return figures.stats(connection, wanted or Wanted(closed=True), day_of(self._clock.now()))

    def digest(self, since: float) -> Digest:
        """What happened since a time, and what waits; of long chapters the most urgent are read."""
        now = self._clock.now()
        today = day_of(now)
        with reading(self._engine) as connection:
            chapters = digesting.chapters(connection, since, now, today)
            return Digest(day_of(since), today, chapters, tuple(hearing.since(connection, since, now)))

    def standing(self) -> tuple[Sequence[NearMissGroup], dict[str, int]]:
        """Those that are not closed, in groups; and how many are, by state. For metrics."""
        now = self._clock.now()
        with reading(self._engine) as connection:
            return digesting.standing(connection, now, day_of(now)), digesting.closed(connection)

    def events(self, since: float, until: float | None = None) -> Sequence[HistoryEvent]:
        """All that happened from one time until another (default: now), oldest first."""
        with reading(self._engine) as connection:
            return rows.events_since(connection, since, self._clock.now() if until is None else until)

    def runs(self, since: float = 0.0) -> Sequence[RunFacts]:
        """The runs that were recorded since, oldest first, also those that found nothing."""
        with reading(self._engine) as connection:
            return rows.runs_since(connection, since)

    def latest_runs(self, experiment: str, service: str, environment_class: str) -> Sequence[RunFacts]:
        """The last runs of an experiment, newest first; at most 20."""
        with reading(self._engine) as connection:
            return rows.latest_runs(connection, experiment, service, environment_class)

    def runs_named(self, runs: Iterable[str]) -> Sequence[RunFacts]:
        """Those of these runs that were recorded."""
        with reading(self._engine) as connection:
            return rows.runs_named(connection, sorted(set(runs)))

    def shown_by(self, run: str) -> Sequence[str]:
        """Ids of the near misses that a run showed."""
        with reading(self._engine) as connection:
            return sorted({*rows.shown_by(connection, run).values()})

    def get(self, id: str) -> NearMiss:
        """One near miss. Its id may be written in any case and shortened (`42`, `nm-2026-42`).

        Raises `UsageError` for one that is not there, with the nearest that is.
        """
        with reading(self._engine) as connection:
            return rows.read(connection, self._known(connection, id))

    def of_fingerprint(self, fingerprint: str) -> NearMiss | None:
        """The near miss that a gap with this fingerprint belongs to; None: it was never recorded."""
        with reading(self._engine) as connection:
            return finding.known_by(connection, fingerprint)

    def referred(self, runs: Iterable[str]) -> frozenset[str]:
        """Those of these runs that a near miss which is not closed names as its first or last sight."""
        with reading(self._engine) as connection:
            return finding.referred(connection, sorted(set(runs)))

    def show(self, id: str) -> Record:
        """Everything about one near miss, oldest first."""
        with reading(self._engine) as connection:
            known = self._known(connection, id)
            return Record(
                rows.read(connection, known),
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

        try:
            with writing(self._engine) as connection:
                return load(connection, lines)
        except sa.exc.IntegrityError as error:
            raise NotPossibleNow("another process wrote the same while the export was read: try it again") from error

    def _known(self, connection: sa.Connection, id: str) -> str:
        return finding.meant(connection, id)

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        return written(self._engine, work)


def _with(known: tuple[str, ...], added: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *added)))


def today(clock: Clock) -> date:
    """The UTC date."""
    return day_of(clock.now())
