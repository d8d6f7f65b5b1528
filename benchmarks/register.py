"""The register with 100 000 near misses and 1 000 000 occurrences, in SQLite and in PostgreSQL: what a page, a filter
and the figures take; and eight processes that record 10 000 gaps into an empty one, with nothing lost or doubled.

Query time: from sending the statement to having its rows, without opening the database. The worst of all filters is
shown.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from benchmarks.measuring import NotMeasured, Scale
from benchmarks.table import Row, spread
from chaosrunner.clock import SystemClock
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import GapKind, Priority, State
from chaosrunner.register import open_register, sums
from chaosrunner.register.near_misses import Register, Wanted

NEAR_MISSES, EACH = 100_000, 10
BAR = 0.2
START = 1_760_000_000.0
DAY = 86400.0
KINDS = ("impact", "impact", "impact", "no-recovery", "aborted", "close-call", "spill-over", "undetected")
FAULTS = ("instance-loss", "instance-hang", "dependency-gone", "dependency-slow", "dependency-flaky", "capacity")
STATES = ("open", "triaged", "in-progress", "fix-ready", "waived", *["verified"] * 4, "rejected", "obsolete")
SERVICES = 300
COPIED = {
    "near_miss": (
        *("id", "environment_class", "service", "state", "closed", "priority", "finding", "kind", "fault", "owner"),
        *("due", "waived_until", "first_seen", "last_seen", "regressions", "fixed_in", "verified_in", "source"),
        *("outage", "covered", "opened_at", "triaged"),
    ),
    "near_miss_record": ("near_miss", "record"),
    "fingerprint": ("fingerprint", "near_miss"),
    "occurrence": ("near_miss", "run", "fingerprint", "at", "record"),
    "history": ("near_miss", "at", "event", "month", "record"),
    "recorded_run": ("run", "at", "experiment", "environment_class", "service", "answer", "gaps", "record"),
    "counter": ("year", "last"),
}


def rows(scale: Scale) -> list[Row]:
    """For each database: a page, filters, figures; and the crowd."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaosrunner-bench-register-") as folder:
        found += _of(scale, "SQLite", Path(folder) / "state", Path(folder))
    try:
        with postgresql() as url:
            found += _of(scale, "PostgreSQL", url, None)
    except NotMeasured as why:
        found.append(Row("register on PostgreSQL", "not measured", note=str(why)))
    return found


def _of(scale: Scale, name: str, where: Path | str, folder: Path | None) -> list[Row]:
    found = [_crowd(name, where, 1_000 if scale.quick else 10_000)]
    count = NEAR_MISSES // (20 if scale.quick else 1)
    big = folder / "big" if folder else str(where)
    with open_register(big, SystemClock()) as register:
        fill(register, count)
        register.wake()
    with open_register(big, SystemClock()) as register:
        timed = {what: spread([_seconds(ask, register) for _ in range(scale.rounds(9))]) for what, ask in ASKED.items()}
    groups = {"list": ("page",), "filter": tuple(w for w in ASKED if w.startswith("filter")), "stats": ("stats",)}
    groups |= {"digest of a week": ("digest",), "what /metrics asks": ("metrics",)}
    for figure, among in groups.items():
        worst = max(among, key=lambda what: timed[what].median)
        note = "" if len(among) == 1 else f"the slowest of {len(among)} filters: {worst.removeprefix('filter ')}"
        size = f"{count:,} near misses, {count * EACH:,} occurrences".replace(",", "\u202f")
        said = f"register on {name}, {figure} ({size})"
        bar = "under 200 ms"
        found.append(Row(said, timed[worst].text("ms", 1000), bar=bar, met=timed[worst].median < BAR, note=note))
    return found


ASKED: dict[str, Callable[[Register], object]] = {
    "page": lambda register: register.list(Wanted(limit=50)),
    "filter service": lambda register: register.list(Wanted(service="service-17", limit=50)),
    "filter service, last page": lambda register: register.list(Wanted(service="service-17", limit=50, offset=100)),
    "filter owner": lambda register: register.list(Wanted(owner="team-7", limit=50)),
    "filter state": lambda register: register.list(Wanted(states=frozenset({State.WAIVED}), limit=50)),
    "filter two states": lambda register: register.list(
        Wanted(states=frozenset({State.FIX_READY, State.TRIAGED}), limit=50)
    ),
    "filter priority and kind": lambda register: register.list(
        Wanted(priorities=frozenset({Priority.P4}), kinds=frozenset({GapKind.UNDETECTED}), limit=50)
    ),
    "filter fault of a service": lambda register: register.list(
        Wanted(service="service-17", fault="capacity", closed=True, limit=50)
    ),
    "filter overdue": lambda register: register.list(Wanted(overdue=date(2026, 6, 1), limit=50)),
    "filter without an experiment": lambda register: register.list(Wanted(covered=False, limit=50)),
    "filter nothing matches": lambda register: register.list(Wanted(owner="nobody", limit=50)),
    "filter page 1000": lambda register: register.list(Wanted(closed=True, limit=50, offset=50_000)),
    "filter count": lambda register: register.count(Wanted()),
    "filter one by its number": lambda register: register.show("4242"),
    "stats": lambda register: register.stats(),
    "digest": lambda register: register.digest(START + 393 * DAY),
    "metrics": lambda register: register.standing(),
}
"""What is asked; times include making records of rows."""


def _seconds(ask: Callable[[Register], object], register: Register) -> float:
    began = time.perf_counter()
    ask(register)
    return time.perf_counter() - began


# ------------------------------------------------------------------------------------------------------------ the crowd


CROWD = """
import os, sys
from pathlib import Path
from chaosrunner.register import open_register, near_misses
from tests.near_misses.world import SetClock, facts, finding, gap, START

def work(name, runs):
    state = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
    with open_register(state, SetClock()) as register:
        for number in range(runs):
            services = ["shared", *(f"s{(number + n) % 40}" for n in range(4))]
            found = [finding(gap(service=each)) for each in services]
            register.record(facts(f"{name}-{number}", at=START + number), found)

children = []
for number in range(8):
    child = os.fork()
    if not child:
        try:
            work(f"w{number}", int(sys.argv[2]))
        except BaseException as error:
            print(error, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def _crowd(name: str, where: Path | str, gaps: int) -> Row:
    runs = gaps // 8 // 5
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CROWD, str(where), str(runs)], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    with open_register(where, SystemClock()) as register:
        near_misses = register.list(Wanted(closed=True))
        records = [register.show(each.id) for each in near_misses]
    shown = [(each.run, each.fingerprint) for record in records for each in record.occurrences]
    counted = sum(each.occurrences for each in near_misses)
    whole = (
        len(shown) == len({*shown}) == counted == gaps
        and len(near_misses) == 1 + min(40, runs + 3)
        and done.returncode == 0
    )
    note = f"{gaps / seconds:.0f} gaps a second; {done.stderr[-300:]}".rstrip("; ")
    figure = f"register on {name}, {gaps:,} gaps of 8 processes".replace(",", "\u202f")
    lost = gaps - len({*shown})
    return Row(
        figure,
        f"{lost} lost, {len(shown) - len({*shown})} doubled",
        bar="none lost, none doubled",
        met=whole,
        note=note,
    )


# ------------------------------------------------------------------------------------------------------------- filling


def fill(register: Register, count: int) -> None:
    """So many near misses with ten occurrences each, by the shortest way into the database."""
    engine = register._engine
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if engine.dialect.name == "sqlite":  # filling is not what is measured
            for pragma in ("cache_size = -1000000", "synchronous = OFF"):
                cursor.execute(f"PRAGMA {pragma}")
        for table, columns in COPIED.items():
            if engine.dialect.name == "sqlite":
                marks = ", ".join("?" * len(columns))
                cursor.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", _rows(table, count))
            else:
                _copy(cursor, table, columns, _rows(table, count))
        raw.commit()
        _count(engine, count)
        if engine.dialect.name == "postgresql":
            raw.driver_connection.autocommit = True
            cursor.execute("VACUUM ANALYZE")
            raw.driver_connection.autocommit = False  # the connection is used again
        else:
            cursor.execute("ANALYZE")
            raw.commit()
    finally:
        raw.close()


def _count(engine: sa.Engine, count: int) -> None:
    names, rows = COPIED["near_miss"], _rows("near_miss", count)
    with engine.begin() as connection:
        while several := [dict(zip(names, row, strict=True)) for row in islice(rows, 5_000)]:
            sums.count(connection, [row | {"due": date.fromisoformat(row["due"])} for row in several])


def _copy(cursor: Any, table: str, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryFile() as stream:
        for row in rows:
            stream.write(("\t".join(map(_copied, row)) + "\n").encode())
        stream.seek(0)
        cursor.execute(f"TRUNCATE {table} CASCADE")
        cursor.execute(f"COPY {table} ({', '.join(columns)}) FROM STDIN", stream=stream)


def _copied(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _rows(table: str, count: int) -> Iterator[tuple[Any, ...]]:
    if table == "counter":
        yield (2026, count)
        return
    dice = random.Random(7)
    made = {
        "near_miss": lambda one: [one.row],
        "near_miss_record": lambda one: [(one.id, one.record)],
        "fingerprint": lambda one: [(one.fingerprint, one.id)],
        "occurrence": lambda one: one.occurrences,
        "history": lambda one: one.history,
        "recorded_run": lambda one: one.runs,
    }[table]
    for number in range(1, count + 1):
        yield from made(_One(number, dice))


class _One:
    """The rows of one near miss; the same dice give the same ones."""

    def __init__(self, number: int, dice: random.Random) -> None:
        self.number, self.id = number, f"NM-2026-{number:04d}"
        self.service = f"service-{dice.randrange(SERVICES)}"
        self.state, self.kind = dice.choice(STATES), dice.choice(KINDS)
        self.priority, self.fault = dice.choice(("P1", "P2", "P2", "P3", "P3", "P4")), dice.choice(FAULTS)
        self.first = START + dice.random() * 400 * DAY
        self.fixed = dice.random() * 60 * DAY if self.state in ("fix-ready", "verified") else None
        self.fingerprint = f"sha256:{number:064x}"
        self.covered = dice.random() < 0.995
        self.regressions = int(dice.random() < 0.1)

    @property
    def row(self) -> tuple[Any, ...]:
        closed = self.state in ("verified", "rejected", "obsolete")
        due = datetime.fromtimestamp(self.first, UTC).date() + timedelta(days=30)
        waived = date(2027, 1, 1).isoformat() if self.state == "waived" else None
        proven = self.fixed / 3 if self.fixed and self.state == "verified" else None
        team = f"team-{int(self.service[8:]) % 40}"
        return (
            *(self.id, "staging", self.service, self.state, closed, self.priority, "near-miss", self.kind, self.fault),
            *(team, due.isoformat(), waived, self.first, self.first + 90 * DAY, self.regressions, self.fixed, proven),
            *("run", False, self.covered, self.first, self.state != "open"),
        )

    @property
    def record(self) -> str:
        changed = {"id": self.id, "service": self.service, "priority": self.priority, "state": self.state}
        return _TEMPLATE.format(**{key: value for key, value in changed.items()}, fingerprint=self.fingerprint)

    @property
    def occurrences(self) -> Iterator[tuple[Any, ...]]:
        for n in range(EACH):
            run = f"run-{self.number:07d}-{n}"
            yield (self.id, run, self.fingerprint, self.first + n * DAY, _OCCURRENCE.replace("run-1", run))

    @property
    def history(self) -> Iterator[tuple[Any, ...]]:
        events = ["found"] + (["fix-ready"] if self.fixed else []) + (["verified"] if self.state == "verified" else [])
        for n, event in enumerate(events):
            at = self.first + n * 20 * DAY
            told = {"nearMiss": self.id, "at": at, "actor": "chaosrunner", "what": "state", "after": event}
            yield (self.id, at, event, datetime.fromtimestamp(at, UTC).strftime("%Y-%m"), json.dumps(told))

    @property
    def runs(self) -> Iterator[tuple[Any, ...]]:
        for n, answer in enumerate(("broken", "held", "inconclusive")[: 1 + self.number % 3]):
            yield (f"run-{self.number:07d}-{n}", self.first, "experiment", "staging", self.service, answer, 1, "{}")


def _templates() -> tuple[str, str]:
    from chaosrunner.model.sightings import found, occurrence_of
    from tests.near_misses.world import facts, finding

    near_miss: NearMiss = found("{id}", facts(), finding())
    text = json.dumps(near_miss.as_json()).replace("{", "{{").replace("}", "}}")
    text = text.replace("{{id}}", "{id}").replace('"service": "checkout"', '"service": "{service}"', 1)
    text = text.replace(near_miss.fingerprint, "{fingerprint}").replace('"state": "open"', '"state": "{state}"', 1)
    return text, json.dumps(occurrence_of("NM-2026-0001", facts(), finding()).as_json())


_TEMPLATE, _OCCURRENCE = _templates()


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database of a server of our own."""
    if not (shutil.which("postgres") or [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]):
        raise NotMeasured("PostgreSQL is not installed (tools/debian installs it)")
    from tests.metrics.postgres_server import PASSWORD, PostgresServer

    server = PostgresServer(connections=40)
    try:
        yield f"postgresql://boss:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/postgres"
    finally:
        server.remove()


if __name__ == "__main__":
    for row in rows(Scale(quick="--quick" in sys.argv)):
        print(row.figure, "|", row.ours, "|", row.verdict, "|", row.note, flush=True)
    os._exit(0)
