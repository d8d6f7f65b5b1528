"""A probe that reads a query's value from a database."""

from __future__ import annotations

import asyncio
import getpass
import math
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn
from urllib.parse import quote, urlsplit

from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.http import is_own, why
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Clock, Parameters, TimedProbe, Value

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_DRIVERS = {
    "postgresql": ("postgresql+pg8000", "postgresql"),
    "postgres": ("postgresql+pg8000", "postgresql"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mariadb+pymysql", "mysql"),
    "sqlite": ("sqlite", ""),
}
"""Scheme -> the driver, and the extra of chaosrunner's package that brings it."""
_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values|table|show)\b", re.IGNORECASE | re.DOTALL)
_SILENT_STATES = ("08", "53", "55P03", "57")
"""PostgreSQL's SQLSTATEs (or their classes) of a server that cannot answer: connection lost, out of resources, lock not
to be had, told to stop or out of time (57014)."""
_SILENT_CODES = frozenset({1040, 1053, 1205, 1969, 2002, 2003, 2006, 2013, 3024})
"""MySQL's and MariaDB's: too many connections, shutting down, lock wait, out of time, cannot connect, gone, lost."""
_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
_MODES = _TLS_MODES | {"disable", "allow", "prefer"}


def _check_url(value: str | SecretRef) -> str | SecretRef:
    if isinstance(value, SecretRef):
        return value
    parts = urlsplit(value)
    if parts.scheme.partition("+")[0] not in _DRIVERS:
        raise ValueError("expected a URL that begins with postgresql://, mysql://, mariadb:// or sqlite:///")
    if parts.password is not None:
        raise ValueError("credentials never stand in a file: use `url: {env: NAME}`, or `password: {env: NAME}`")
    return value


def _check_query(text: str) -> str:
    if not _READS.match(text):
        raise ValueError("expected a query that reads: SELECT, WITH, VALUES, TABLE or SHOW")
    query = text.strip().removesuffix(";")
    if ";" in query:  # a second statement could end the read-only transaction
        raise ValueError("expected one statement, without a `;` (within a text, chr(59) stands for it)")
    return query


class Params(Parameters):
    """Which database, and what to ask it."""

    url: Annotated[str | SecretRef, AfterValidator(_check_url)]
    """`postgresql://user@host:5432/name`, `mysql://user@host/name`, `sqlite:///path`; or where the whole URL is a
    secret: `{env: DATABASE_URL}`. A driver in it (`postgresql+psycopg2:`) plays no part; `sslmode` is understood."""
    password: SecretRef | None = None
    """Where the password is, if not in the URL."""
    query: Annotated[str, AfterValidator(_check_query)] = Field(min_length=1)
    """A query that gives one row with one column: a number, text, or true/false."""
    read: Literal["value", "latency"] = "value"
    """`value`, or `latency`: seconds that the query takes on a connection that is kept open. Default value."""
    tls: bool = False
    """Speak TLS, and trust only a certificate for this host; so it is with `sslmode=require` and above in the URL.
    Default false: whoever answers is trusted, and PostgreSQL is spoken to with TLS if it can."""
    ca_file: str | None = None
    """With TLS: a private CA, PEM; the only one that is then trusted."""
    client_cert: str | None = None
    """With TLS: a certificate of our own, PEM."""
    client_key: str | None = None
    """Its key, PEM, without a pass phrase; default: it is in `clientCert`."""
    timeout: Duration = Field(default=5.0, gt=0)
    """Of the query, which the server then ends, and of connecting; default 5s."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("clientKey goes with clientCert")
        return self


class Sql(TimedProbe[Params]):
    """Reads one value with a query, on a connection that is kept open, in a transaction that is read-only.

    The database is part of the system under test: refused, lost, shutting down, out of connections, locked or too late
    is *no answer*. A query that it does not understand or allow, a wrong password or name, no row, several rows or
    columns, NULL, NaN, or a value that is no number, text or true/false is *no reading*. Each reading's transaction is
    rolled back. PostgreSQL and MySQL need the extra `chaosrunner[postgresql]` or `chaosrunner[mysql]`; SQLite files are
    opened read-only.
    """

    example = """sql:
  url: postgresql://reader@db.shop:5432/shop
  password: {env: DB_PASSWORD}
  query: SELECT count(*) FROM orders WHERE state = 'stuck'"""

    _session: _Session | None = None

    async def open(self) -> None:
        if self._session is None:
            engine, name, secrets = await asyncio.to_thread(self._engine)
            self._session = _Session(engine, name, secrets, self.params, self.context.clock)

    async def read(self) -> Value:
        if self._session is None:
            await self.open()
        assert self._session is not None
        value, taken = await asyncio.to_thread(self._session.ask)
        return taken if self.params.read == "latency" else value

    async def close(self) -> None:
        if self._session is not None:
            await asyncio.to_thread(self._session.close)

    def _engine(self) -> tuple[Engine, str, tuple[str, ...]]:
        """The engine, how the database is called in messages, and what must never be in them."""
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        url = self._url()
        driver, extra = _DRIVERS[url.get_backend_name()]
        if extra == "":
            path = self.context.folder / Path(url.database or "").expanduser()
            return (
                create_engine("sqlite://", creator=lambda: _sqlite(path, self.params.timeout), poolclass=NullPool),
                str(path),
                (),
            )
        mode = str(url.query.get("sslmode", "disable"))
        if set(url.query) - {"sslmode"} or mode not in _MODES:
            raise UsageError(
                f"the database's URL: of its options only sslmode is understood ({', '.join(sorted(_MODES))})"
            )
        tls: Any = self.context.http.trust(self.params) if self.params.tls or mode in _TLS_MODES else None
        if tls is None and mode == "disable" and "sslmode" in url.query:
            tls = False
        url = url.set(drivername=driver, query={})
        arguments = _arguments(url, self.params.timeout, tls)
        name = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}/{url.database or ''}"
        try:
            engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", **arguments)
        except (ModuleNotFoundError, NoSuchModuleError):
            raise UsageError(f"the driver for {name} is not installed: pip install 'chaosrunner[{extra}]'") from None
        except ArgumentError as error:
            raise UsageError(f"the database {name} cannot be used: {error}") from None
        return engine, name, (url.password,) if url.password else ()

    def _url(self) -> URL:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        given = self.params.url
        secret = self.context.http.secret
        try:
            url = make_url(secret(given).reveal() if isinstance(given, SecretRef) else given)
            known = url.get_backend_name() in _DRIVERS
        except (ArgumentError, ValueError):
            known = False
        if not known:  # never quoted: it may hold the password
            where = f"the {given}" if isinstance(given, SecretRef) else "url"
            raise UsageError(f"{where}: expected a URL of postgresql, mysql, mariadb or sqlite")
        return url if self.params.password is None else url.set(password=secret(self.params.password).reveal())


def _arguments(url: URL, timeout: float, tls: Any) -> dict[str, Any]:
    """What `create_engine` is told of time limits and trust. `tls`: a context; False: none; None: the driver's way."""
    patience = 1.1 * timeout + 0.2  # more than the server has, so that it can say that it ended the query
    if url.get_backend_name() in ("mysql", "mariadb"):
        whole = max(1, math.ceil(patience))  # PyMySQL takes no fractions
        limits = {"connect_timeout": whole, "read_timeout": whole, "write_timeout": whole}
        return {"connect_args": {**limits, **({"ssl": tls} if tls else {})}}
    return {"creator": lambda: _postgresql(url, patience, tls)}


def _postgresql(url: URL, timeout: float, tls: Any) -> Any:
    """A connection over a socket of our own, which pg8000 would leave open where it cannot make one of it."""
    import importlib

    host = url.host or "localhost"
    connected = socket.create_connection((host, url.port or 5432), timeout)
    try:
        return importlib.import_module("pg8000.dbapi").connect(
            url.username or getpass.getuser(),
            host,
            url.database,
            password=url.password,
            sock=connected,
            ssl_context=tls,
            application_name="chaosrunner",
        )
    except BaseException:
        connected.close()
        raise


def _sqlite(path: Path, timeout: float) -> Any:
    import sqlite3

    # Read-only: nor is a file made that is not there. Our own lock keeps threads apart, not SQLite's check.
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=timeout, check_same_thread=False)


class _Session:
    """One connection, opened when it is needed. Used from threads, one at a time."""

    def __init__(self, engine: Engine, name: str, secrets: tuple[str, ...], params: Params, clock: Clock) -> None:
        self._engine = engine
        self._name = name
        self._secrets = secrets
        self._query = params.query
        self._timeout = params.timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def ask(self) -> tuple[Value, float]:
        """The value, and how long the query took. Raises `NoAnswer`, `NoReading`."""
        from sqlalchemy.exc import SQLAlchemyError

        if not self._lock.acquire(timeout=self._timeout):
            raise NoReading(f"{self._name}: the reading before this one is still under way")
        try:
            for again in (False, True):
                kept = self._connection is not None
                try:
                    return self._ask()
                except (SQLAlchemyError, OSError) as error:
                    self._hang_up()
                    if not (kept and not again and _is_lost(error)):  # a kept connection may have been closed since
                        self._fail(error)
            raise AssertionError("the second attempt returns or fails")
        finally:
            self._lock.release()

    def close(self) -> None:
        """Give the connection up; idempotent."""
        with self._lock:
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            from sqlalchemy.exc import SQLAlchemyError

            with suppress(SQLAlchemyError, OSError):
                connection.invalidate()
                connection.close()

    def _ask(self) -> tuple[Value, float]:
        if self._connection is None:
            self._connection = self._engine.connect()
        connection = self._connection
        with _reading(connection, self._timeout, self._clock):
            began = self._clock.monotonic()
            result = connection.exec_driver_sql(self._query, execution_options={"no_parameters": True})
            rows = result.fetchmany(2)
            taken = self._clock.monotonic() - began
            columns = len(result.keys())
            result.close()
        if len(rows) != 1 or columns != 1:
            many = "no row" if not rows else "several rows" if len(rows) > 1 else f"{columns} columns"
            raise NoReading(f"{self._name}: the query gives {many}, expected one row with one column")
        return self._value(rows[0][0]), taken

    def _value(self, value: object) -> Value:
        if isinstance(value, bool | str):
            return value
        if isinstance(value, int | float | Decimal):
            with suppress(OverflowError):
                if math.isfinite(number := float(value)):
                    return number
        kind = "NULL" if value is None else f"{value!r:.60}"
        raise NoReading(f"{self._name}: the query gives {kind}, expected a number, text, or true/false")

    def _fail(self, error: Exception) -> NoReturn:
        met = getattr(error, "orig", None) or error
        reason = _said(met)
        for secret in self._secrets:
            reason = reason.replace(secret, "(secret)")
        words = f"{self._name}: {reason}"
        if is_own(met) or not _is_silence(met):
            raise NoReading(words) from None
        raise NoAnswer(words) from None


@contextmanager
def _reading(connection: Connection, timeout: float, clock: Clock) -> Iterator[None]:
    """A transaction that can change nothing, ends in time, and is rolled back."""
    name = connection.dialect.name
    run = connection.exec_driver_sql
    if name == "sqlite":
        deadline = clock.monotonic() + timeout
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: clock.monotonic() > deadline, 1000)
        run("PRAGMA query_only = ON")
        yield
        connection.rollback()
        return
    if name == "postgresql":
        run("BEGIN READ ONLY")
        run(f"SET LOCAL statement_timeout = {max(1, round(timeout * 1000))}")
    else:
        maria = getattr(connection.dialect, "is_mariadb", False)
        limit = (
            f"max_statement_time = {timeout:g}" if maria else f"max_execution_time = {max(1, round(timeout * 1000))}"
        )
        run(f"SET SESSION {limit}")
        run("START TRANSACTION READ ONLY")
    yield
    run("ROLLBACK")


def _details(error: BaseException) -> Mapping[str, Any]:
    """What PostgreSQL says of an error, by the letters of its protocol."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, dict) else {}


def _said(error: BaseException) -> str:
    """The reason in words."""
    details = _details(error)
    if details:
        return str(details.get("M", "it says nothing more"))
    for one in (error, error.__cause__ or error.__context__):
        if isinstance(one, OSError):
            return "no answer in time" if isinstance(one, TimeoutError) else why(one)
    return str(error.args[-1] if error.args else error)


def _is_lost(error: Exception) -> bool:
    """Whether a connection that was kept turns out to be closed: before the query, not by it."""
    met = getattr(error, "orig", None) or error
    if any(isinstance(one, TimeoutError) for one in (met, met.__cause__, met.__context__)):
        return False
    ended = str(_details(met).get("C", "")).startswith(("08", "57P"))
    return ended or (_is_silence(met) and bool(getattr(error, "connection_invalidated", False)))


def _is_silence(error: BaseException) -> bool:
    """Whether the database did not answer, as opposed to answering that it will not."""
    if isinstance(error, OSError):
        return True
    details = _details(error)
    if details:
        return str(details.get("C", "")).startswith(_SILENT_STATES)
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return code in _SILENT_CODES
    if type(error).__module__ == "sqlite3":
        return any(word in str(error) for word in ("locked", "interrupted", "busy"))
    return type(error).__name__ == "InterfaceError"
