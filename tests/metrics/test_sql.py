"""The sql probe against a real PostgreSQL and SQLite files: values, and whose failure a failure is."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pg8000.dbapi
import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from tests.certificates import Authority
from tests.loopback import free_port
from tests.metrics.postgres_server import PASSWORD, PostgresServer


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("papers"))
    authority.issue("server")
    return authority


@pytest.fixture(scope="module")
def postgres(papers: Authority) -> Iterator[PostgresServer]:
    server = PostgresServer(str(papers.folder / "server.pem"), str(papers.folder / "server.key"))
    yield server
    server.remove()


@pytest.fixture
def environ(postgres):
    url = f"postgresql+psycopg2://boss:{quote(PASSWORD, safe='')}@127.0.0.1:{postgres.port}/postgres?sslmode=prefer"
    return {"PASSWORD": PASSWORD, "DATABASE_URL": url}


@pytest.fixture
async def make(probe, postgres):
    """A probe on PostgreSQL, closed in the end."""
    made: list[Any] = []

    def new(query: str, **params: Any) -> Any:
        given = {"url": f"postgresql://boss@127.0.0.1:{postgres.port}/postgres", "password": {"env": "PASSWORD"}}
        made.append(probe("sql", query=query, **{**given, **params}))
        return made[-1]

    yield new
    for one in made:
        await one.close()


def execute(postgres: PostgresServer, *statements: str) -> list[Any]:
    """As the database's owner."""
    connection = pg8000.dbapi.connect("boss", "127.0.0.1", "postgres", postgres.port, PASSWORD)
    connection.autocommit = True
    with closing(connection):
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        return [*cursor.fetchall()] if cursor.description else []


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 3", 3.0),
        ("SELECT 0.25::numeric", 0.25),
        ("SELECT 1.5::float8;", 1.5),
        ("SELECT true", True),
        ("SELECT 'ok'", "ok"),
        ("SELECT count(*) FROM pg_class WHERE relname LIKE 'pg_cl%s'", 1.0),
        ("SELECT '10:30 :x 100%'", "10:30 :x 100%"),
        ("-- how many?\nWITH a AS (SELECT 1 AS n) SELECT n FROM a", 1.0),
        ("SHOW transaction_read_only", "on"),
        ("SELECT 7 % 4", 3.0),
        ("VALUES (7)", 7.0),
    ],
)
async def test_a_value_is_read(make, query, value):
    assert await make(query).read() == value


async def test_the_whole_url_may_be_a_secret(make):
    assert await make("SELECT current_user::text", url={"env": "DATABASE_URL"}, password=None).read() == "boss"


async def test_the_latency_of_a_query_is_read_on_a_connection_that_is_kept(make, postgres):
    reader = make("SELECT pg_backend_pid()")
    assert await reader.read() == await reader.read()
    taken = await make("SELECT pg_sleep(0.1)::text", read="latency").read()
    assert 0.1 <= taken < 3


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT 1 WHERE false", "the query gives no row, expected one row with one column"),
        ("SELECT generate_series(1, 3)", "the query gives several rows"),
        ("SELECT 1, 2", "the query gives 2 columns"),
        ("SELECT NULL", "the query gives NULL, expected a number"),
        ("SELECT 'NaN'::float8", "the query gives nan"),
        ("SELECT 'Infinity'::numeric", "the query gives Decimal"),
        ("SELECT now()", "the query gives datetime"),
        ("SELECT count(*) FROM nothing", 'relation "nothing" does not exist'),
        ("SELECT 1 +", "syntax error"),
        ("SELECT 1 / 0", "division by zero"),
    ],
)
async def test_what_is_not_one_value_is_no_reading_and_the_connection_lives_on(make, query, words):
    reader = make(query)
    for _ in range(2):
        with pytest.raises(NoReading, match=words):
            await reader.read()


async def test_nothing_can_be_changed(make, postgres):
    execute(postgres, "DROP TABLE IF EXISTS orders", "CREATE TABLE orders (n int)", "INSERT INTO orders VALUES (1)")
    for query in (
        "WITH gone AS (DELETE FROM orders RETURNING n) SELECT count(*) FROM gone",
        "SELECT nextval('s')",
    ):
        execute(postgres, "CREATE SEQUENCE IF NOT EXISTS s")
        with pytest.raises(NoReading, match=r"cannot execute .* in a read-only transaction"):
            await make(query).read()
    assert await make("SELECT count(*) FROM orders").read() == 1


async def test_a_query_that_takes_too_long_is_ended_by_the_server_and_is_no_answer(make, postgres):
    reader = make("SELECT pg_sleep(30)::text", timeout="300ms")
    with pytest.raises(NoAnswer, match=r"statement timeout|no answer in time"):
        await reader.read()
    left = execute(postgres, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%'")
    assert left[0][0] == 0
    with pytest.raises(NoAnswer):
        await reader.read()


async def test_a_wrong_password_or_name_is_no_reading_and_no_secret_is_shown(make, postgres):
    with pytest.raises(
        NoReading, match=f'127.0.0.1:{postgres.port}/postgres: password authentication failed for user "boss"'
    ):
        await make("SELECT 1", password={"env": "TOKEN"}).read()
    with pytest.raises(NoReading, match='database "other" does not exist'):
        await make("SELECT 1", url=f"postgresql://boss@127.0.0.1:{postgres.port}/other").read()


async def test_out_of_connections_is_no_answer(make, postgres):
    held = [pg8000.dbapi.connect("boss", "127.0.0.1", "postgres", postgres.port, PASSWORD) for _ in range(7)]
    try:
        with pytest.raises(NoAnswer, match="too many clients already"):
            for _ in range(10):
                await make("SELECT 1").read()
    finally:
        for connection in held:
            connection.close()


async def test_a_database_that_restarts_or_stops_is_no_answer_until_it_is_back(make, postgres):
    reader = make("SELECT pg_backend_pid()")
    first = await reader.read()
    postgres.stop()
    with pytest.raises(NoAnswer, match=r"refused|closed|network error|terminat"):
        await reader.read()
    postgres.start()
    second = await reader.read()
    assert second != first
    postgres.stop(signal.SIGQUIT)
    postgres.start()
    assert await reader.read() != second


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(make, postgres):
    reader = make("SELECT pg_backend_pid()")
    first = await reader.read()
    execute(postgres, f"SELECT pg_terminate_backend({int(first)})")
    assert await reader.read() != first


async def test_a_server_that_accepts_and_says_nothing_is_no_answer_in_time(make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://boss@127.0.0.1:{silent.getsockname()[1]}/postgres"
        with pytest.raises(NoAnswer, match="no answer in time"):
            await make("SELECT 1", url=url, timeout="200ms").read()
    with pytest.raises(NoAnswer, match="connection refused"):
        await make("SELECT 1", url=f"postgresql://boss@127.0.0.1:{free_port()}/postgres").read()


async def test_tls_trusts_only_the_authority_that_is_named(make, papers, postgres):
    tls = {"tls": True, "caFile": papers.certificate}
    url = f"postgresql://boss@127.0.0.1:{postgres.port}/postgres"
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await make(query, url=f"{url}?sslmode=disable").read() is False
    assert await make(query, **tls).read() is True
    assert await make(query, url=f"{url}?sslmode=require", caFile=papers.certificate).read() is True
    with pytest.raises(NoReading, match="certificate"):
        await make(query, tls=True).read()


async def test_a_reading_that_was_given_up_is_waited_for_by_the_next(make):
    reader = make("SELECT pg_sleep(0.3)::text", timeout="5s")
    await reader.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read()
    assert await reader.read() == ""


# -- SQLite


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE orders (n); INSERT INTO orders VALUES (1), (2);")
    return path


@pytest.fixture
async def lite(probe):
    made: list[Any] = []

    def new(query: str, **params: Any) -> Any:
        made.append(probe("sql", query=query, **{"url": "sqlite:///shop.db", **params}))
        return made[-1]

    yield new
    for one in made:
        await one.close()


async def test_a_file_is_read_and_never_changed_or_made(lite, shop, tmp_path):
    reader = lite("SELECT count(*) FROM orders WHERE n LIKE '%'")
    assert await reader.read() == 2
    with closing(sqlite3.connect(shop)) as database:
        database.execute("INSERT INTO orders VALUES (3)")
        database.commit()
    assert await reader.read() == 3
    with pytest.raises(NoReading, match="readonly database"):
        await lite("WITH a AS (SELECT 1) INSERT INTO orders SELECT * FROM a RETURNING n").read()
    with pytest.raises(NoReading, match="unable to open database file"):
        await lite("SELECT 1", url="sqlite:///other.db").read()
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(NoReading, match="no such table"):
        await lite("SELECT count(*) FROM missing").read()


async def test_a_query_without_end_is_ended(lite, shop):
    endless = "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT count(*) FROM a"
    with pytest.raises(NoAnswer, match="interrupted"):
        await lite(endless, timeout="200ms").read()


async def test_a_locked_file_is_no_answer(lite, shop):
    with closing(sqlite3.connect(shop)) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NoAnswer, match="database is locked"):
            await lite("SELECT count(*) FROM orders", timeout="100ms").read()


# -- what the file says


async def test_a_secret_that_is_no_url_is_never_quoted(make, context):
    with pytest.raises(UsageError, match="environment variable TOKEN: expected a URL of postgresql") as caught:
        await make("SELECT 1", url={"env": "TOKEN"}, password=None).open()
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(UsageError, match="only sslmode is understood"):
        await make("SELECT 1", url="postgresql://a/b?options=x").open()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"url": "oracle://a"}, "expected a URL that begins with"),
        ({"url": "postgresql://a:secret@b/c"}, "credentials never stand in a file"),
        ({"query": "DELETE FROM orders"}, "expected a query that reads"),
        ({"query": "selects"}, "expected a query that reads"),
        ({"query": "/* a */ UPDATE a SET b = 1"}, "expected a query that reads"),
        ({"query": "SELECT 1; COMMIT; DROP TABLE orders"}, "expected one statement, without a `;`"),
        ({"clientKey": "a"}, "clientKey goes with clientCert"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words) as caught:
        catalog.find("probes", "sql").Params.model_validate({"url": "sqlite:///a", "query": "SELECT 1", **params})
    assert "secret@" not in str(caught.value).split("input_value")[0]
