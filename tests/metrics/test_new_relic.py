"""The new-relic probe against a stand-in of NerdGraph: errors inside a 200, partial data, zeros of nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading
from chaosrunner.http import Request
from tests import loopback
from tests.metrics.services import FakeNewRelic, serve

QUERY = "SELECT average(duration) FROM Transaction WHERE name = 'a \"b\"' SINCE 1 minute ago"
COUNT = "SELECT count(*) FROM TransactionError SINCE 30 seconds ago"


@pytest.fixture
def new_relic(server):
    fake = FakeNewRelic()
    fake.url = serve(server, "/graphql", fake.answer)
    return fake


@pytest.fixture
def environ():
    return {"KEY": "NRAK-1"}


@pytest.fixture
def read(new_relic, probe):
    async def read(query: str = QUERY, **params: Any) -> Any:
        given = {"url": new_relic.url, "account": 7, "apiKey": {"env": "KEY"}, "timeout": "10s", **params}
        return await probe("new-relic", query=query, **given).read()

    return read


async def test_the_stand_in_refuses_what_nerdgraph_refuses(new_relic, context):
    async def ask(query: str, key: str = "NRAK-1") -> Any:
        request = Request(f"{new_relic.url}/graphql", "POST", {"API-Key": key}, json={"query": query}, keep=10_000)
        reply = await context.http.send(request)
        return reply.status, json.loads(reply.body)

    right = '{ actor { account(id: 7) { nrql(query: "SELECT 1 FROM A", timeout: 5) { results } } } }'
    assert (await ask(right, key="other"))[0] == 401
    status, answer = await ask(right.replace("} }", "}", 1))
    assert (status, answer["errors"][0]["message"][:12]) == (200, "Syntax Error")
    assert (await ask(right.replace("7", "8")))[1]["data"]["actor"]["account"] is None
    assert "NRQL Syntax Error" in (await ask(right.replace("SELECT 1", "SLECT 1")))[1]["errors"][0]["message"]
    assert "errors" not in (await ask(right))[1]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ({"average.duration": 0.25}, 0.25),
        ({"percentile.duration": {"95": 0.125}}, 0.125),
        ({"count": 12, "inspectedCount": 99}, 12),
    ],
)
async def test_the_one_number_is_read_also_one_level_down(new_relic, read, row, value):
    new_relic.results[QUERY] = [row]
    assert await read() == value
    assert new_relic.asked == [QUERY]


async def test_a_zero_counts_only_where_the_event_type_has_events(new_relic, read):
    with pytest.raises(NoReading, match="0 of nothing: there is no event of TransactionError within 3600 s"):
        await read(COUNT)
    new_relic.results[COUNT] = [{"count": 0}]
    new_relic.events["TransactionError"] = 5
    assert await read(COUNT) == 0
    assert new_relic.asked[-1] == "SELECT count(*) FROM TransactionError SINCE 3600 seconds ago"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "the query has no data (no rows)"),
        ([{"average.duration": None}], "average.duration is null: the query has no data"),
        ([{"latest.name": "a"}], "latest.name is the text 'a', expected a number"),
        ([{"a": 1, "b": 2}], "the query gives 2 values (a, b), expected one"),
        ([{"a": 1}, {"a": 2}], "the query gives 2 rows, expected one"),
        ([{}], "the query gives 0 values (none), expected one"),
        ([{"a": True}], "the value True is not a number"),
    ],
)
async def test_what_is_not_one_number_is_no_reading(new_relic, read, rows, words):
    new_relic.results[QUERY] = rows
    with pytest.raises(NoReading, match=re.escape(words)):
        await read()


async def test_errors_inside_a_200_are_no_reading_also_beside_partial_data(new_relic, read):
    new_relic.partial = True
    with pytest.raises(NoReading, match="refused the query: NRDB:1106924"):
        await read()


async def test_an_account_that_the_key_does_not_see_is_no_reading(read):
    with pytest.raises(NoReading, match="the account is not there, or the key may not see it"):
        await read(account=8)


async def test_a_wrong_key_is_no_reading_and_is_never_shown(read):
    with pytest.raises(NoReading, match=r"refused the query \(401\): Invalid or missing API key") as caught:
        await read(apiKey={"env": "TOKEN"})
    assert "s3cr3t" not in str(caught.value)


async def test_over_its_limit_it_is_left_alone(new_relic, read):
    new_relic.limit = 0
    with pytest.raises(NoReading, match=r"asks for 60 s of patience \(429\): NRQL rate limit exceeded"):
        await read()
    with pytest.raises(NoReading, match="asked again in 60 s"):
        await read()
    assert len(new_relic.asked) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        loopback.html(503, "Oops"),
        loopback.as_json({"data": {"actor": {"account": {"nrql": None}}}}),
        loopback.as_json({"data": None}),
        loopback.as_json([]),
        loopback.close,
    ],
)
async def test_other_answers_are_no_reading(server, read, behaviour):
    server.on("/graphql", behaviour)
    words = "text/html: Oops|no result .partial data.|not an answer to a query|expected a JSON object|without an answer"
    with pytest.raises(NoReading, match=words):
        await read()


def test_its_lag_is_the_time_that_the_query_looks_back():
    plugin = catalog.find("probes", "new-relic")
    params = {"account": 1, "apiKey": {"env": "A"}}
    assert plugin.lag(plugin.Params.model_validate({**params, "query": QUERY})) == 60
    assert plugin.lag(plugin.Params.model_validate({**params, "query": COUNT})) == 30


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("count(*)", "expected NRQL such as"),
        ("SELECT count(*) FROM A", "without it, New Relic reads the last hour"),
        ("SELECT count(*) FROM A WHERE x = 'SINCE 1 minute ago'", "without it, New Relic reads the last hour"),
        ("SELECT count(*) FROM A SINCE 1 minute ago FACET host", "without FACET"),
        ("SELECT count(*) FROM A SINCE 1 minute ago TIMESERIES", "without TIMESERIES"),
    ],
)
def test_a_query_that_cannot_give_one_number_is_refused_in_words(query, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "new-relic").Params.model_validate(
            {"account": 1, "apiKey": {"env": "A"}, "query": query}
        )
