"""What people sort by hand: near misses merged, told apart again, and split. It is remembered: what is found later goes
where they said. Every occurrence lies at its home, the original of the near miss that its fingerprint leads to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.model.gap import FINGERPRINT_RULE
from chaosrunner.model.life_cycle import with_due_date
from chaosrunner.model.near_miss import NearMiss, Occurrence, day_of
from chaosrunner.model.priority import more_urgent
from chaosrunner.model.words import State
from chaosrunner.register import finding, recording, rows, schema
from chaosrunner.register.rows import Why

BY = ("experiment", "environment")
"""What one may be split by."""


def original_for(connection: sa.Connection, near_miss: NearMiss, named: str) -> str:
    """The id of the one that this is to be a duplicate of. Raises `UsageError` where that would be itself."""
    original = finding.meant(connection, named)
    if original == near_miss.id:
        raise UsageError(f"{original} cannot be a duplicate of itself")
    if recording.original(connection, rows.load(connection, original)).id == near_miss.id:
        raise UsageError(f"{original} is itself a duplicate of {near_miss.id}")
    return original


def after_merge(connection: sa.Connection, duplicate: NearMiss, why: Why) -> None:
    """Bring the occurrences of a fresh duplicate to its original, which is as urgent as the worse of the two."""
    settle(connection, duplicate.id, why)
    whole = recording.original(connection, rows.load(connection, duplicate.id))
    if more_urgent(duplicate.scoring.priority, whole.scoring.priority):
        scoring = duplicate.scoring.model_copy(
            update={"rationale": (*duplicate.scoring.rationale, f"taken over from its duplicate {duplicate.id}")}
        )
        after = with_due_date(whole.model_copy(update={"scoring": scoring}))
        rows.save(connection, whole, after, why._replace(reason=f"{duplicate.id} is a duplicate of it"))


def after_parting(connection: sa.Connection, former: str, why: Why) -> None:
    """Bring the occurrences of what is a duplicate no more back from its former original."""
    whole = recording.original(connection, rows.load(connection, former))
    settle(connection, whole.id, why)


def settle(connection: sa.Connection, id: str, why: Why) -> None:
    """Move occurrences that lie at this near miss, and are at home elsewhere."""
    table = schema.occurrence
    statement = sa.select(table.c.n, table.c.fingerprint, table.c.record).where(table.c.near_miss == id)
    homes: dict[tuple[str, str, str], str] = {}
    moves: dict[str, list[int]] = {}
    for number, fingerprint, record in connection.execute(statement).all():
        key = (fingerprint, str(record["experiment"]), str(record["environment"]))
        if key not in homes:
            found = recording.home(connection, fingerprint, {"experiment": key[1], "environment": key[2]})
            assert found is not None
            homes[key] = found.id
        if homes[key] != id:
            moves.setdefault(homes[key], []).append(number)
    for to, numbers in sorted(moves.items()):
        connection.execute(table.update().where(table.c.n.in_(numbers)).values(near_miss=to))
        runs = "1 occurrence" if len(numbers) == 1 else f"{len(numbers)} occurrences"
        rows.note(connection, id, why, "occurrences moved", after=f"{runs} to {to}")
        rows.note(connection, to, why, "occurrences moved", after=f"{runs} from {id}")
        recount(connection, to, why)
    if moves:
        recount(connection, id, why)


def recount(connection: sa.Connection, id: str, why: Why) -> None:
    """Make what a near miss says of its occurrences agree with those that lie at it."""
    near_miss = rows.load(connection, id)
    seen = sorted(rows.lying_at(connection, id), key=lambda each: (each.at, each.run))
    update: dict[str, object] = {"occurrences": len(seen)}
    if seen:
        since = {each.run for each in seen if each.at >= near_miss.opened_at}
        update |= {
            "first_seen": seen[0].at,
            "first_run": seen[0].run,
            "last_seen": seen[-1].at,
            "last_run": seen[-1].run,
            "experiments": tuple(sorted({each.experiment for each in seen} - {""})),
            "seen": max(1, len(since)),
        }
    rows.save(connection, near_miss, near_miss.model_copy(update=update), why)


# ----------------------------------------------------------------------------------------------------------- a split


def split(connection: sa.Connection, near_miss: NearMiss, by: str, value: str, why: Why) -> NearMiss:
    """Another near miss for those occurrences whose experiment, or environment, is this; those found later go there
    too. Raises `UsageError` where none, or all, are so."""
    if by not in BY:
        raise UsageError(f"one can be split by {' or '.join(BY)}, not by {by!r}")
    if near_miss.state is State.DUPLICATE:
        raise UsageError(f"{near_miss.id} is a duplicate: split {near_miss.duplicate_of} instead")
    seen = rows.lying_at(connection, near_miss.id)
    apart = [each for each in seen if getattr(each, by) == value]
    known = ", ".join(sorted({getattr(each, by) for each in seen}))
    if not apart:
        raise UsageError(f"{near_miss.id} was never seen by {by} {value!r}, only by {known}")
    if len(apart) == len(seen):
        raise UsageError(f"{near_miss.id} was seen by {by} {value!r} only: there is nothing to tell apart")
    own = _own_fingerprint(near_miss.fingerprint, by, value)
    fresh = _part(rows.next_id(connection, day_of(why.at).year, own), near_miss, by, value, apart)
    rows.insert(connection, fresh)
    rows.note(connection, fresh.id, why, "split off", before=near_miss.id, after=f"{by} {value}")
    for fingerprint in sorted({each.fingerprint for each in apart}):
        rows.add_split(connection, fingerprint, by, value, fresh.id)
    kept = near_miss.model_copy(update={"apart": (*near_miss.apart, {by: value})})
    rows.save(connection, near_miss, kept, why)
    rows.note(connection, near_miss.id, why, "split", after=f"{by} {value} is now {fresh.id}")
    settle(connection, near_miss.id, why)
    return rows.load(connection, fresh.id)


def _part(id: str, near_miss: NearMiss, by: str, value: str, apart: Sequence[Occurrence]) -> NearMiss:
    latest = max(apart, key=lambda each: each.at)
    return near_miss.model_copy(
        update={
            "id": id,
            "title": f"{near_miss.title} ({by} {value})",
            "fingerprints": {FINGERPRINT_RULE: _own_fingerprint(near_miss.fingerprint, by, value)},
            "former_fingerprints": (),
            "only": {**near_miss.only, by: value},
            "apart": (),
            "conditions": latest.conditions,
            "environment": latest.environment,
            "item": None,
            "links": (),
        }
    )


def _own_fingerprint(fingerprint: str, by: str, value: str) -> str:
    canonical = json.dumps([fingerprint, by, value], separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
