"""What two branches wrote into the same file, come together: every line of both counts.

A merge that keeps the lines of both sides leaves two records of one near miss, or the same gap under two ids. Here they
become one again. What follows depends on the lines alone, so everybody who reads such a file sees the same register.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import sqlalchemy as sa

from chaosrunner.errors import UsageError
from chaosrunner.model.near_miss import CHAOSRUNNER, HistoryEvent, NearMiss
from chaosrunner.model.reunion import reunited, settled
from chaosrunner.register import exchange, rows, schema, sorting
from chaosrunner.register.exchange import Row
from chaosrunner.register.lines import Rows
from chaosrunner.register.rows import Why

TOGETHER = "two branches of the register came together"


def joined(found: Rows) -> tuple[Rows, set[str]]:
    """One row for each key, and the ids of near misses that were put together of several lines.

    Raises `UsageError` where two lines cannot be about the same register.
    """
    names = _same(found)
    if names:
        found = {kind: [(line, _renamed(kind, row, names)) for line, row in each] for kind, each in found.items()}
    near_misses, touched = _near_misses(found)
    result: Rows = {}
    for name, kind in exchange.KINDS.items():
        if name == "near_miss":
            result[name] = near_misses
        elif name == "history":
            result[name] = list(found[name])
        else:
            result[name] = _one_each(found[name], kind.keys, _BETTER.get(name, _text))
    for old, new in sorted(names.items()):
        result["history"].append((0, _event(new, old, found)))
    _complete(result)
    for name in ("occurrence", "passing", "history"):
        result[name].sort(key=lambda each: float(each[1]["at"]))  # of two branches, in the order in which it happened
    return result, touched | {*names.values()}


def after_joining(connection: sa.Connection, touched: set[str]) -> None:
    """Bring every occurrence home, and make each near miss that was put together, or that a person chose one side of,
    say what all of its occurrences say."""
    wrong = touched | _miscounted(connection)
    if not wrong:
        return
    at = connection.execute(sa.select(sa.func.max(schema.history.c.at))).scalar() or 0.0
    why = Why(CHAOSRUNNER, at, TOGETHER)
    for id in sorted(wrong):
        sorting.settle(connection, id, why)
    for id in sorted(wrong):
        sorting.recount(connection, id, why)
        before = rows.load(connection, id)
        lying = rows.lying_at(connection, id)
        after = settled(before, lying, rows.passes(connection, id))
        run = after.last_run if after.state is not before.state else None
        rows.save(connection, before, after, Why(CHAOSRUNNER, at, after.reason if run else TOGETHER, run))
        sorting.recount(connection, id, why)


def _miscounted(connection: sa.Connection) -> set[str]:
    """Near misses whose record says another number of occurrences than lie at them."""
    table, record = schema.occurrence, schema.near_miss_record
    lying = Counter(connection.execute(sa.select(table.c.near_miss)).scalars())
    return {
        each.near_miss
        for each in connection.execute(sa.select(record.c.near_miss, record.c.record))
        if each.record.get("occurrences", 1) != lying[each.near_miss]
    }


# ------------------------------------------------------------------------------------------ the same gap, under two ids


def _same(found: Rows) -> dict[str, str]:
    """Ids of near misses that are another one, by their fingerprint -> that one. The one seen first keeps its id."""
    seen = {row["id"]: (row["record"].get("firstSeen", 0.0), row["id"]) for _, row in found["near_miss"]}
    leads: dict[str, str] = {}
    names: dict[str, str] = {}

    def root(id: str) -> str:
        while id in names:
            id = names[id]
        return id

    led = [(row["fingerprint"], row["near_miss"]) for _, row in found["fingerprint"]]
    led += [
        (each, row["id"]) for _, row in found["near_miss"] for each in row["record"].get("fingerprints", {}).values()
    ]
    for fingerprint, id in led:
        one, other = root(leads.setdefault(fingerprint, id)), root(id)
        if one != other:
            kept, gone = sorted((one, other), key=lambda each: seen.get(each, (0.0, each)))
            names[gone] = kept
    return {id: root(id) for id in names}


def _renamed(kind: str, row: Row, names: dict[str, str]) -> Row:
    column = "id" if kind == "near_miss" else "near_miss"
    record = row.get("record")
    changes: Row = {column: names[row[column]]} if row.get(column) in names else {}
    if isinstance(record, dict):
        of_record = {key: names[record[key]] for key in ("id", "nearMiss", "duplicateOf") if record.get(key) in names}
        changes |= {"record": record | of_record} if of_record else {}
    return row | changes


def _event(id: str, former: str, found: Rows) -> Row:
    at = max((row["at"] for _, row in found["history"]), default=0.0)
    event = HistoryEvent(
        near_miss=id,
        at=at,
        actor=CHAOSRUNNER,
        what="found twice",
        before=former,
        after=id,
        reason=f"{former}, found on another branch, has the same fingerprint",
    )
    return {"near_miss": id, "at": at, "record": event.as_json()}


# ------------------------------------------------------------------------------------------------- one row for each key


def _near_misses(found: Rows) -> tuple[list[tuple[int, Row]], set[str]]:
    versions: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for line, row in found["near_miss"]:
        versions[row["id"]].append((line, row))
    if all(len(each) == 1 for each in versions.values()):
        return found["near_miss"], set()
    told = _told(found)
    result, touched = [], set()
    for id, each in versions.items():
        line, row = each[0]
        if len(each) > 1:
            touched.add(id)
            row = {"id": id, "record": _together(id, each, told.get(id, {})).as_json()}
        result.append((line, row))
    return result, touched


def _together(id: str, versions: list[tuple[int, Row]], told: dict[str, str]) -> NearMiss:
    whole: NearMiss | None = None
    for line, row in versions:
        try:
            near_miss = NearMiss.model_validate(row["record"])
        except ValueError as error:
            raise UsageError(f"line {line}: this is no near_miss: {error}") from None
        if whole is not None and not _fingerprints(whole) & _fingerprints(near_miss):
            raise UsageError(
                f"line {line}: {id} is another near miss in line {versions[0][0]}: two branches counted apart. Give "
                'one of them another id in all of its lines, and leave "numbers" out of the first line of the file'
            )
        whole = near_miss if whole is None else reunited(whole, near_miss, told)
    assert whole is not None
    return whole


def _fingerprints(near_miss: NearMiss) -> set[str]:
    return {*near_miss.fingerprints.values(), *near_miss.former_fingerprints}


def _told(found: Rows) -> dict[str, dict[str, str]]:
    """What the history of each says last, of each thing that it tells."""
    result: dict[str, dict[str, str]] = defaultdict(dict)
    for _, row in sorted(found["history"], key=lambda each: each[1]["at"]):
        record: dict[str, Any] = row["record"]
        result[row["near_miss"]][str(record.get("what"))] = str(record.get("after", ""))
    return result


def _text(row: Row) -> Any:
    return json.dumps(row, sort_keys=True)


def _item(row: Row) -> Any:
    """Made before being made, then as seen last."""
    return row["key"] is not None, row["record"].get("seenAt", 0.0), _text(row)


_BETTER = {"item": _item, "counter": lambda row: row["last"], "split": lambda row: row["near_miss"]}
"""By type: of two lines with one key, the one for which this is greatest counts."""


def _one_each(each: list[tuple[int, Row]], keys: tuple[str, ...], better: Any) -> list[tuple[int, Row]]:
    kept: dict[tuple[Any, ...], tuple[int, Row]] = {}
    for line, row in each:
        key = tuple(row[column] for column in keys)
        if key not in kept or better(row) > better(kept[key][1]):
            kept[key] = (line, row)
    return list(kept.values())


def _complete(found: Rows) -> None:
    """Every line must belong to a near miss of the file: one that is missing was lost in a merge."""
    known = {row["id"] for _, row in found["near_miss"]}
    leads = {row["fingerprint"] for _, row in found["fingerprint"]}
    for name, each in found.items():
        for line, row in each:
            if "near_miss" in row and row["near_miss"] not in known:
                raise UsageError(
                    f"line {line}: the {name} of {row['near_miss']}, which has no near_miss line: was it lost in a "
                    "merge?"
                )
            if name == "occurrence" and row["fingerprint"] not in leads:
                raise UsageError(
                    f"line {line}: an occurrence whose fingerprint has no fingerprint line: was it lost in a merge?"
                )
