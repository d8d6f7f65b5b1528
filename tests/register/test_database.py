"""The database under the register: several processes, upgrades, exports, and what cannot be opened."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.register import open_register, schema, sqlite
from chaosrunner.register.database import MIGRATIONS, bring_up_to_date, connect
from chaosrunner.register.near_misses import Register, Wanted
from tests.near_misses.world import ONE_RUN, START, SetClock, facts, finding, gap, passing
from tests.register.conftest import Place

FIRST = Path(__file__).parent / "first-schema.sql"


async def test_opening_a_register_that_is_up_to_date_does_not_import_alembic(tmp_path: Path) -> None:
    open_register(tmp_path, SetClock()).close()
    program = (
        "import sys; from pathlib import Path; from chaosrunner.clock import SystemClock;"
        "from chaosrunner.register import open_register, register_exists; state = Path(sys.argv[1]);"
        "assert register_exists(state) and 'sqlalchemy' not in sys.modules;"
        "open_register(state, SystemClock()).close(); assert 'alembic' not in sys.modules"
    )
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(tmp_path))
    assert await worker.wait() == 0


# -------------------------------------------------------------------------------------------------------- upgrades


def filled(register: Register) -> None:
    """What the stored first schema holds: one that was verified and came back, and one that is open."""
    register.record(facts(), [finding(), finding(gap(identity={"to": "inventory"}))])


def first_schema(where: Path | str) -> None:
    """A register as the first chaosrunner left it; in another database than SQLite: its tables, with the same rows."""
    if isinstance(where, Path):
        where.mkdir()
        with closing(sqlite3.connect(where / "register.db")) as raw:
            raw.executescript(FIRST.read_text())
        return
    engine = engine_at(where)
    bring_up_to_date(engine, MIGRATIONS, "0001")
    tables = sa.MetaData()
    tables.reflect(engine)
    with closing(sqlite3.connect(":memory:")) as raw, engine.begin() as connection:
        raw.executescript(FIRST.read_text())
        raw.row_factory = sqlite3.Row
        for table in tables.sorted_tables:
            for row in raw.execute(f"select * from {table.name}") if table.name != "alembic_version" else ():
                values = {column.name: read(column, row[column.name]) for column in table.columns if column.name != "n"}
                connection.execute(table.insert().values(**values))
    engine.dispose()


def read(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(column.type, sa.JSON):
        return json.loads(value)
    return date.fromisoformat(value) if isinstance(column.type, sa.Date) and value else value


def engine_at(where: Path | str) -> sa.Engine:
    url = f"sqlite:///{where}" if isinstance(where, Path) else where.replace("postgresql:", "postgresql+pg8000:")
    return sa.create_engine(url)


def test_a_register_of_the_first_schema_is_read_with_everything_in_it(fresh: Place) -> None:
    where = fresh("old")
    first_schema(where)
    with open_register(where, SetClock()) as register:
        assert [each.id for each in register.list()] == ["NM-2026-0001", "NM-2026-0002"]
        record = register.show("1")
        assert [each.run for each in record.occurrences] == ["run-1", "run-3"]
        assert [each.run for each in record.passes] == ["run-2"]
        assert record.near_miss.regressed and record.history[0].what == "found"
        assert [(each.month, each.event, each.count) for each in register.stats().over_time] == [
            ("2026-09", "fix-ready", 1),
            ("2026-09", "found", 2),
            ("2026-09", "regressed", 1),
            ("2026-09", "verified", 1),
        ]
        recorded = register.record(facts("run-4", at=START + 900), [finding()])
        assert recorded[0].near_miss.occurrences == 3
        assert register.count(Wanted(service="checkout")) == 2


def test_an_export_of_the_first_schema_is_read(tmp_path: Path) -> None:
    """With the columns that were in it then."""
    first_schema(tmp_path / "old")
    with closing(sqlite3.connect(tmp_path / "old" / "register.db")) as raw:
        raw.row_factory = sqlite3.Row
        lines = [json.dumps({"type": "register", "format": "chaosrunner.register/1", "schema": "0001"})]
        for name in ("near_miss", "fingerprint", "occurrence", "passing", "history", "item", "counter"):
            for row in raw.execute(f"select * from {name}"):
                values = {key: value for key, value in dict(row).items() if key != "n"}
                values |= {"record": json.loads(row["record"])} if "record" in values else {}
                lines.append(json.dumps({"type": name, **values}))
    with open_register(tmp_path / "old", SetClock()) as old, open_register(tmp_path / "new", SetClock()) as new:
        assert new.load(lines) == len(lines) - 1
        assert list(new.export()) == list(old.export())


def test_the_migrations_lead_to_the_tables_that_a_new_register_has(fresh: Place) -> None:
    where = fresh("migrated")
    engine = engine_at(where)
    bring_up_to_date(engine)
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: (kind, name) != ("table", "alembic_version")}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **options})
        assert compare_metadata(context, schema.metadata) == []
        assert connection.execute(sa.select(schema.version.c.version_num)).scalar() == schema.HEAD
    engine.dispose()


@pytest.mark.parametrize("migrated", [False, True])
def test_the_database_itself_keeps_the_history(fresh: Place, migrated: bool) -> None:
    where = fresh("kept")
    if migrated:
        first_schema(where)
    with open_register(where, SetClock()) as register:
        filled(register)
    engine = engine_at(where / "register.db" if isinstance(where, Path) else where)
    for statement in ("delete from history", "update history set at = 0"):
        with pytest.raises(sa.exc.DatabaseError, match="the history is append-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_the_newest_migration_is_the_one_that_the_code_expects() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == schema.HEAD


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("near_miss") as table:
        table.add_column(sa.Column("team", sa.String(50), nullable=False, server_default="none"))
    {then}
"""


def with_next(tmp_path: Path, then: str = "") -> Path:
    later = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, later)
    (later / "versions" / "next.py").write_text(NEXT.format(then=then, head=schema.HEAD))
    return later


def test_an_upgrade_keeps_what_is_there(tmp_path: Path) -> None:
    with open_register(tmp_path, SetClock()) as register:
        filled(register)
        before = list(register.export())
    engine = connect(tmp_path / "register.db")
    bring_up_to_date(engine, with_next(tmp_path), "next")
    with engine.begin() as connection:
        assert connection.execute(sa.text("select team from near_miss")).scalars().all() == ["none", "none"]
        assert connection.execute(sa.select(schema.version.c.version_num)).scalar() == "next"
        connection.execute(schema.version.update().values(version_num=schema.HEAD))
    engine.dispose()
    with open_register(tmp_path, SetClock()) as register:
        assert list(register.export()) == before


def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    with open_register(tmp_path, SetClock()) as register:
        filled(register)
    engine = connect(tmp_path / "register.db")
    with pytest.raises(ZeroDivisionError):
        bring_up_to_date(engine, with_next(tmp_path, then="1 / 0"), "next")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "register.db")) as raw:
        assert "team" not in [row[1] for row in raw.execute("pragma table_info(near_miss)")]
    with open_register(tmp_path, SetClock()) as register:
        assert len(register.list()) == 2


def test_a_register_of_a_newer_chaosrunner_is_refused(tmp_path: Path) -> None:
    open_register(tmp_path, SetClock()).close()
    with closing(sqlite3.connect(tmp_path / "register.db")) as raw:
        raw.execute("update alembic_version set version_num = '0099'")
        raw.commit()
    with pytest.raises(NotPossibleNow, match=r"written by a newer chaosrunner .revision 0099.*update chaosrunner"):
        open_register(tmp_path, SetClock())


# --------------------------------------------------------------------------------------------- what cannot be opened


def test_a_file_that_is_no_register_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "register.db").write_text("dear diary, " * 200)
    with pytest.raises(NotPossibleNow, match="cannot be read: file is not a database"):
        open_register(tmp_path, SetClock())


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(NotPossibleNow, match="cannot be opened"):
        open_register(tmp_path / "state", SetClock())


@pytest.mark.parametrize("url", ["nonsense", "nosuchdatabase://x/y"])
def test_a_url_that_means_nothing_is_said(url: str) -> None:
    with pytest.raises(
        NotPossibleNow, match=r"URL cannot be used: .*; expected postgresql://…, or .* that ends in .jsonl"
    ):
        open_register(url, SetClock())


def test_a_url_opens_the_same_register(tmp_path: Path) -> None:
    with open_register(tmp_path, SetClock()) as register:
        filled(register)
    with open_register(f"sqlite:///{tmp_path / 'register.db'}", SetClock()) as register:
        assert len(register.list()) == 2


def test_what_one_register_has_put_into_sql_the_next_need_not(tmp_path: Path) -> None:
    def fill(name: str) -> set[object]:
        with open_register(tmp_path / name, SetClock()) as register:
            filled(register)
            assert len(register.list()) == 2
        return set(sqlite.ONE_CACHE["compiled_cache"])

    assert (first := fill("one")) and fill("another") == first


# --------------------------------------------------------------------------------------------------- export, import


def test_an_export_loaded_into_an_empty_register_is_the_same_register(place: Place) -> None:
    with open_register(place("one"), SetClock()) as register:
        filled(register)
        register.passed(passing("run-2", at=START + 5, verification=ONE_RUN))
        register.record(facts("run-3", experiment="another"), [finding()])
        register.split("1", "experiment", "another", "ana", "another problem")
        for _ in range(2):
            register.add_note("1", "ana", "twice the same, at the same time")
        register.add_note("1", "ana", "ünïcode")
        lines = list(register.export())
        records = [register.show(each.id) for each in register.list(Wanted(closed=True))]
    with open_register(place("two"), SetClock()) as other:
        assert other.load(lines) == len(lines) - 1
        assert list(other.export()) == lines
        assert [other.show(each.id) for each in other.list(Wanted(closed=True))] == records
        assert other.load(lines) == 0
        (new,) = other.record(facts("run-9"), [finding(gap(service="cart"))])
        assert new.near_miss.id == "NM-2026-0004"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "line 1: expected an export of the register"),
        (lambda lines: [lines[0], "not json"], "line 2: not JSON"),
        (lambda lines: [lines[0], '{"type": "recipe"}'], "line 2: unknown type 'recipe'"),
        (lambda lines: [lines[0], '{"type": "counter"}'], "line 2: a counter has last, year"),
        (lambda lines: [lines[0], "[]"], "line 2: expected an object with a type"),
    ],
)
def test_what_is_no_export_is_refused_as_a_whole(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with open_register(tmp_path / "one", SetClock()) as register:
        filled(register)
        lines = list(register.export())
    with open_register(tmp_path / "two", SetClock()) as other:
        with pytest.raises(UsageError, match=message):
            other.load(change(lines))
        assert other.list() == []


def test_an_export_that_contradicts_what_is_there_is_refused(tmp_path: Path) -> None:
    with open_register(tmp_path / "one", SetClock()) as register:
        filled(register)
        lines = list(register.export())
    changed = [
        lines[0],
        json.dumps({**json.loads(lines[1]), "record": {**json.loads(lines[1])["record"], "owner": "somebody else"}}),
    ]
    with open_register(tmp_path / "one", SetClock()) as register:
        with pytest.raises(UsageError, match="line 2: near_miss NM-2026-0001 is in the register with other contents"):
            register.load(changed)
        assert list(register.export()) == lines
