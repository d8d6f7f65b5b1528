"""Opening the database: made on first use, upgraded when it is older, refused when it is newer. The only place that
knows SQLite from other databases, and the only one that maps SQLAlchemy's errors to ours.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import StaticPool

from chaosrunner.errors import NotPossibleNow
from chaosrunner.register import rows, schema, sqlite
from chaosrunner.register.file import RegisterFile, file_of
from chaosrunner.register.lines import BY_FINGERPRINT
from chaosrunner.register.queueing import turn as turn_of

BUSY_SECONDS = 180
"""How long a write waits for other processes' writes. SQLite itself serves nobody in turn: where there is no queue, one
of many writers may wait for long, and what it has to say must not be lost."""

TRIES = 8
"""How often a write is begun again when another process recorded the same fingerprint in between, or each of two
waited for the other."""

POSTGRESQL_DRIVER = "pg8000"
"""Where the URL names none."""
_BEGIN_AGAIN = ("40001", "40P01")
"""PostgreSQL's codes for transactions that got in each other's way: nothing was done, and the next try may pass."""
_LOCK = 0x6368616F73
"""Of PostgreSQL's advisory locks, the one that is held while tables are made or upgraded."""

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"


def connect(where: Path | str, answers_within: float | None = None) -> sa.Engine:
    """An engine on an up-to-date register: of a state folder, at a URL, or in a file of JSON Lines. `answers_within`:
    seconds after which a PostgreSQL that says nothing is out of reach; None: when the operating system says so.

    Raises `NotPossibleNow` where it cannot be reached or was written by a newer chaosrunner.
    """
    with errors_in_words(_without_secrets(where)):
        if not isinstance(where, Path) and (file := file_of(where)):
            return _in_memory(RegisterFile(file))
        if isinstance(where, Path):
            where.parent.mkdir(parents=True, exist_ok=True)
            if not where.exists():
                _make_file(where)
            engine = _engine(f"sqlite:///{where}")
        else:
            engine = _engine(where, answers_within)
            _make_tables(engine)
        try:
            bring_up_to_date(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine


@contextmanager
def errors_in_words(where: str) -> Iterator[None]:
    """Failures of the database become `NotPossibleNow`, in words."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, sqlite3.OperationalError) as error:
        cause = getattr(error, "orig", None) or error
        raise NotPossibleNow(f"the near-miss register {where} is out of reach: {cause}") from error
    except (exc.DatabaseError, sqlite3.DatabaseError) as error:
        if isinstance(error, exc.IntegrityError):
            raise
        cause = getattr(error, "orig", None) or error
        raise NotPossibleNow(f"the near-miss register {where} cannot be read: {cause}") from error
    except OSError as error:
        raise NotPossibleNow(f"the near-miss register {where} cannot be opened: {error}") from error


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads: one state of everything, whatever is written meanwhile. Waits for nobody."""
    file = _file(engine)
    turn = file.up_to_date(engine) if file else nullcontext()
    with errors_in_words(_name(engine)), turn, engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # SQLite shows one state throughout a transaction anyway
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes: all of it or nothing, one after the other."""
    with errors_in_words(_name(engine)), _transaction(engine) as connection:
        yield connection


@contextmanager
def _transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    file = _file(engine)
    turn: AbstractContextManager[None] = file.alone(engine) if file else _queue(engine)
    with turn, engine.connect() as connection:
        connection = connection.execution_options(chaosrunner_writes=True)
        if file is None:
            with connection.begin():
                yield connection
            return
        by_fingerprint = {rows.NUMBERS_BY_FINGERPRINT: file.numbers == BY_FINGERPRINT}
        connection = connection.execution_options(**by_fingerprint)
        with connection.begin():
            file.begun(connection)
            yield connection
            file.keep(connection)


def _queue(engine: sa.Engine) -> AbstractContextManager[None]:
    """Writers' turns; PostgreSQL needs none, as its writers rarely wait for each other."""
    path = engine.url.database
    return turn_of(Path(path)) if engine.dialect.name == "sqlite" and path else nullcontext()


def _code(error: exc.DBAPIError) -> str:
    """PostgreSQL's code of an error, as its drivers tell it."""
    cause: Any = error.orig
    said = cause.args[0] if cause is not None and cause.args else None
    return str(said.get("C", "") if isinstance(said, dict) else getattr(cause, "sqlstate", None) or "")


def written(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    """What `work` answers, its writes committed. Begun again where another process wrote the same key in between."""
    for _ in range(TRIES):
        try:
            with _transaction(engine) as connection:
                return work(connection)
        except exc.DBAPIError as error:
            if not isinstance(error, exc.IntegrityError) and _code(error) not in _BEGIN_AGAIN:
                with errors_in_words(_name(engine)):
                    raise
            clash = error
    raise NotPossibleNow(f"the near-miss register {_name(engine)} is too busy: {clash.orig}") from clash


def _without_secrets(where: Path | str) -> str:
    """How messages name it."""
    if isinstance(where, Path) or (file := file_of(where)):
        return str(where if isinstance(where, Path) else file)
    try:
        return sa.make_url(where).render_as_string()
    except exc.ArgumentError:
        return "at a URL that cannot be read"


def _file(engine: sa.Engine) -> RegisterFile | None:
    """Where an engine holds what a file says: that file."""
    found: RegisterFile | None = engine.get_execution_options().get("chaosrunner_file")
    return found


def is_a_file(engine: sa.Engine) -> bool:
    """Whether it holds what a file of JSON Lines says, and no longer than its process lives."""
    return _file(engine) is not None


def _in_memory(file: RegisterFile) -> sa.Engine:
    """An engine on what the file says; one connection, which all threads share in turn."""
    options = {"chaosrunner_file": file, **sqlite.ONE_CACHE}
    once = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    engine = sa.create_engine(f"{sqlite.DRIVER}://", execution_options=options, **once)
    event.listen(engine, "connect", _own_transactions)
    event.listen(engine, "begin", _begin)
    with file.up_to_date(engine):
        return engine


def _name(engine: sa.Engine) -> str:
    if (file := _file(engine)) is not None:
        return str(file.path)
    return engine.url.database or str(engine.url) if engine.dialect.name == "sqlite" else engine.url.render_as_string()


def _engine(url: str, answers_within: float | None = None) -> sa.Engine:
    more: dict[str, Any] = {}
    try:
        where = sa.make_url(url)
        if where.drivername in ("postgres", "postgresql"):
            where = where.set(drivername=f"postgresql+{POSTGRESQL_DRIVER}")
        of_sqlite = where.get_backend_name() == "sqlite"
        if where.drivername in ("sqlite", "sqlite+pysqlite"):
            where = where.set(drivername=sqlite.DRIVER)
        if of_sqlite:
            more = {"connect_args": {"timeout": BUSY_SECONDS}, "execution_options": sqlite.ONE_CACHE}
        elif answers_within is not None and where.get_driver_name() == POSTGRESQL_DRIVER:
            more = {"connect_args": {"timeout": answers_within}}
        engine = sa.create_engine(where, **more)
    except ModuleNotFoundError as error:
        raise NotPossibleNow(
            f"the near-miss register's URL cannot be used: {error}; for PostgreSQL: pip install chaosrunner[postgresql]"
        ) from error
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        meant = "expected postgresql://…, or the name of a file that ends in .jsonl"
        raise NotPossibleNow(f"the near-miss register's URL cannot be used: {error}; {meant}") from error
    if of_sqlite:
        event.listen(engine, "connect", _own_transactions)
        event.listen(engine, "begin", _begin)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _by_itself)
    return engine


def _by_itself(connection: Any, _record: object) -> None:
    """No helpers for what is asked: to start them takes longer than what they would do, above all on a busy server."""
    cursor = connection.cursor()
    cursor.execute("SET max_parallel_workers_per_gather = 0")
    cursor.close()
    connection.commit()


def _own_transactions(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: BEGIN is ours, so that DDL is in it too


def _begin(connection: sa.Connection) -> None:
    # A write takes its lock at once: one that began as a read could find another's write in its way and be lost.
    writes = connection.get_execution_options().get("chaosrunner_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_file(file: Path) -> None:
    """A whole new database appears at once, so that no other process ever sees half of one."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with closing(sqlite3.connect(fresh)) as raw:
            raw.execute("PRAGMA journal_mode=WAL")
            raw.executescript(";\n".join(("BEGIN", *schema.sqlite_statements(), "COMMIT")))
        with suppress(FileExistsError):  # another process was first; theirs is as good
            os.link(fresh, file)
    finally:
        for left in (
            fresh,
            fresh.with_name(fresh.name + "-wal"),
            fresh.with_name(fresh.name + "-shm"),
        ):
            left.unlink(missing_ok=True)


def _make_tables(engine: sa.Engine) -> None:
    """The tables of a database that has none; nothing happens to one that has."""
    with reading(engine) as connection:
        if _version(connection) is not None:
            return
    with writing(engine) as connection:
        _alone(connection)
        if _version(connection) is not None:
            return
        schema.metadata.create_all(connection)
        schema.version.create(connection)
        connection.execute(schema.version.insert().values(version_num=schema.HEAD))


def _alone(connection: sa.Connection) -> None:
    """Until the end of this transaction no other process makes or upgrades tables."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _version(connection: sa.Connection) -> str | None:
    if not connection.dialect.has_table(connection, schema.version.name):
        return None
    found: str | None = connection.execute(sa.select(schema.version.c.version_num)).scalar()
    return found


def bring_up_to_date(engine: sa.Engine, migrations: Path = MIGRATIONS, head: str = schema.HEAD) -> None:
    """Upgrade an older register, in one transaction; Alembic is imported only then."""
    with reading(engine) as connection:
        if _version(connection) == head:
            return
    with writing(engine) as connection:
        _alone(connection)
        found = _version(connection)  # once more, now that no other process can be upgrading it
        if found != head:
            _upgrade(connection, found, migrations, head)


def _upgrade(connection: sa.Connection, found: str | None, migrations: Path, head: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise NotPossibleNow(
            f"the near-miss register {connection.engine.url.database} was written by a newer chaosrunner "
            f"(revision {found}, this one knows {head}): update chaosrunner"
        )

    def steps(revision: Any, context: Any) -> Any:
        return scripts._upgrade_revs(head, revision)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=head) as environment:
        environment.configure(connection=connection, target_metadata=schema.metadata, render_as_batch=True)
        environment.run_migrations()
