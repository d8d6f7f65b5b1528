"""Every database that a register may live in: the same tests hold for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pg8000.dbapi
import pytest

from chaosrunner.register import exchange, schema
from tests.metrics.postgres_server import PASSWORD, PostgresServer

Place = Callable[[str], Path | str]
"""The name of a register in this test -> a folder, or a URL, with nothing in it yet."""


class Databases:
    """Databases of one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._open: dict[str, pg8000.dbapi.Connection] = {}

    def url(self, name: str) -> str:
        return f"postgresql://boss:{quote(PASSWORD, safe='')}@127.0.0.1:{self._server.port}/{name}"

    def fresh(self, name: str) -> str:
        """Without a table."""
        self._make(name)
        self.do(name, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.url(name)

    def empty(self, name: str) -> str:
        """Without a row; making the tables takes longer than most tests."""
        self._make(name)
        self.do(
            name,
            "DO $$ BEGIN IF to_regclass('near_miss') IS NOT NULL THEN "
            f"TRUNCATE {', '.join(table.name for table in schema.TABLES)} RESTART IDENTITY; END IF; END $$",
        )
        return self.url(name)

    def do(self, database: str, statement: str) -> None:
        with closing(self._connection(database).cursor()) as cursor:
            cursor.execute(statement)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()
        self._server.remove()

    def _make(self, name: str) -> None:
        if name not in self._open:
            self.do("postgres", f'CREATE DATABASE "{name}"')

    def _connection(self, database: str) -> pg8000.dbapi.Connection:
        if database not in self._open:
            reach = {"user": "boss", "password": PASSWORD, "host": "127.0.0.1", "port": self._server.port}
            self._open[database] = pg8000.dbapi.connect(database=database, **reach)
            self._open[database].autocommit = True
        return self._open[database]


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    found = Databases(PostgresServer(connections=40))
    yield found
    found.close()


def in_file(folder: Path, name: str) -> str:
    """A register that is a file, with nothing in it but how its near misses are numbered: as everywhere else."""
    file = folder / f"{name}.jsonl"
    header = {"type": "register", "format": exchange.FORMAT, "numbers": "counted", "schema": schema.HEAD}
    file.write_text(json.dumps(header) + "\n")
    return f"jsonl://{file}"


@pytest.fixture(params=["sqlite", "file", pytest.param("postgresql", marks=pytest.mark.real_time)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return lambda name: tmp_path / name
    if request.param == "file":
        return lambda name: in_file(tmp_path, name)
    databases: Databases = request.getfixturevalue("databases")
    return databases.empty


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real_time)])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The same, without even a table."""
    if request.param == "sqlite":
        return lambda name: tmp_path / name
    databases: Databases = request.getfixturevalue("databases")
    return lambda name: databases.fresh(f"fresh-{name}")
