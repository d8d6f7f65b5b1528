"""The sql probe against a real MariaDB, which speaks MySQL's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from chaosrunner.errors import NoAnswer, NoReading
from tests.metrics.mariadb_server import PASSWORD, MariadbServer


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariadbServer]:
    server = MariadbServer()
    yield server
    server.remove()


@pytest.fixture
def environ(mariadb):
    return {
        "PASSWORD": PASSWORD,
        "DATABASE_URL": f"mysql+mysqldb://boss:{quote(PASSWORD, safe='')}@127.0.0.1:{mariadb.port}/shop",
    }


@pytest.fixture
async def make(probe, mariadb):
    """A probe on MariaDB, closed in the end."""
    made: list[Any] = []

    def new(query: str, **params: Any) -> Any:
        given = {"url": f"mariadb://boss@127.0.0.1:{mariadb.port}/shop", "password": {"env": "PASSWORD"}}
        made.append(probe("sql", query=query, **{**given, **params}))
        return made[-1]

    yield new
    for one in made:
        await one.close()


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("SELECT 3", 3.0),
        ("SELECT 0.25", 0.25),
        ("SELECT '100%'", "100%"),
        ("SELECT 7 % 4", 3.0),
        ("SELECT count(*) FROM mysql.user WHERE User LIKE 'bo%s'", 1.0),
    ],
)
async def test_a_value_is_read(make, query, value):
    assert await make(query).read() == value


async def test_the_url_of_an_application_may_be_given_as_a_secret(make):
    assert await make("SELECT database()", url={"env": "DATABASE_URL"}, password=None).read() == "shop"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT NULL", "the query gives NULL"),
        ("SELECT 1 WHERE false", "no row"),
        ("SELECT count(*) FROM missing", r"Table 'shop\.missing' doesn't exist"),
        ("SELECT nextval(shop.s)", "read-only|READ ONLY|doesn't exist"),
    ],
)
async def test_what_is_not_one_value_is_no_reading(make, query, words):
    with pytest.raises(NoReading, match=words):
        await make(query).read()


async def test_a_query_that_takes_too_long_is_ended_by_the_server_and_is_no_answer(make):
    with pytest.raises(NoAnswer, match=r"max_statement_time exceeded|timed out|no answer in time"):
        await make("SELECT sum(a.seq * b.seq) FROM seq_1_to_1000000 a, seq_1_to_1000000 b", timeout="300ms").read()


async def test_a_wrong_password_is_no_reading(make):
    with pytest.raises(NoReading, match="Access denied for user 'boss'") as caught:
        await make("SELECT 1", password={"env": "TOKEN"}).read()
    assert "s3cr3t" not in str(caught.value)


async def test_a_database_that_is_killed_is_no_answer_until_it_is_back(make, mariadb):
    reader = make("SELECT connection_id() > 0")
    assert await reader.read() == 1
    mariadb.stop()
    with pytest.raises(NoAnswer, match=r"refused|Can't connect|[Ll]ost connection"):
        await reader.read()
    mariadb.start()
    assert await reader.read() == 1
    mariadb.stop()
    mariadb.start()
    assert await reader.read() == 1
