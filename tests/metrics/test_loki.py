"""The loki probe against a stand-in that counts lines which were pushed to it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading
from chaosrunner.http import Request
from tests import loopback
from tests.metrics.services import FakeLoki, serve

PATH = "/loki/api/v1/query"
LINES = '{app="checkout"} |= "panic"'
METRIC = 'sum(rate({app="checkout"}[1m]))'


@pytest.fixture
def loki(server):
    fake = FakeLoki()
    fake.url = serve(server, PATH, fake.answer)
    return fake


@pytest.fixture
def read(loki, probe):
    async def read(**params: Any) -> Any:
        what = {} if "query" in params else {"lines": LINES, "over": "30s"}
        return await probe("loki", url=loki.url, **{"timeout": "10s", **what, **params}).read()

    return read


async def test_the_stand_in_refuses_what_loki_refuses(loki, context):
    async def ask(body: str, **headers: str) -> tuple[int, str]:
        form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        reply = await context.http.send(Request(loki.url + PATH, "POST", form, body.encode(), keep=1000))
        return reply.status, reply.text()

    assert (await ask("query=up&time=1"))[1].startswith("parse error at line 1")
    assert (await ask("query=up&time=now"))[0] == 400
    loki.tenant = "shop"
    assert await ask("query=up&time=1") == (401, "no org id\n")
    assert (await ask("query=up&time=1", **{"X-Scope-OrgID": "shop"}))[0] == 400


async def test_lines_that_match_within_the_time_are_counted(loki, read):
    for age in (10, 20, 30, 60):
        loki.push("a panic", age, app="checkout")
    loki.push("all is well", 10, app="checkout")
    loki.push("a panic", 10, app="cart")
    loki.push("a panic that Loki may not have yet", 2, app="checkout")
    assert await read() == 3
    assert await read(delay="0s") == 3


async def test_no_line_is_0_only_where_the_stream_has_lines(loki, read):
    with pytest.raises(NoReading, match=r'\{app="checkout"\} had no line at all within 10m: its labels are wrong'):
        await read()
    loki.push("all is well", 300, app="checkout")
    assert await read() == 0
    with pytest.raises(NoReading, match="had no line at all within 1m"):
        await read(alive="1m")


async def test_a_metric_query_is_read(loki, read, server):
    loki.tenant = "shop"
    loki.answers[METRIC] = {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0.5"]}]}
    assert await read(query=METRIC, tenant="shop") == 0.5
    assert server.met[0].form["query"] == METRIC


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"resultType": "vector", "result": []}, "no data (an empty result)"),
        ({"resultType": "vector", "result": [{"metric": {"a": "1"}}, {"metric": {"a": "2"}}]}, "gives 2 series"),
        ({"resultType": "vector", "result": [{"value": [1, "NaN"]}]}, "the value is NaN"),
        ({"resultType": "vector", "result": [{"value": [1, "+Inf"]}]}, "the value is +Inf"),
        ({"resultType": "vector", "result": [{"value": []}]}, "answered a sample that is none"),
        ({"resultType": "streams", "result": []}, "gives lines, expected one number: count them with `lines`"),
        ({"resultType": "matrix", "result": []}, "gives a matrix, expected one number"),
        ({"hello": 1}, "not an answer to a query"),
    ],
)
async def test_what_is_not_one_number_is_no_reading(loki, read, data, words):
    loki.answers[METRIC] = data
    with pytest.raises(NoReading, match=re.escape(words)):
        await read(query=METRIC)


async def test_a_scalar_is_a_number(loki, read):
    loki.answers["1 + 1"] = {"resultType": "scalar", "result": [1, "2"]}
    assert await read(query="1 + 1") == 2


async def test_warnings_are_no_reading(loki, read):
    loki.push("a panic", 10, app="checkout")
    loki.warnings = ["maximum of series reached for a single query"]
    with pytest.raises(NoReading, match="the data may be partial: maximum of series"):
        await read()


async def test_refusals_in_plain_text_are_no_reading(loki, read):
    with pytest.raises(NoReading, match=r"refused the query \(400\): parse error at line 1, col 1"):
        await read(query="sum(")
    loki.tenant = "shop"
    with pytest.raises(NoReading, match=r"refused the query \(401\): no org id"):
        await read()


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (loopback.html(502, "Bad Gateway"), "refused the query (502): Bad Gateway"),
        (loopback.html(200, "Please log in"), "expected JSON, found text/html: Please log in"),
        (loopback.raw(loopback.page(b"too many", 429)), "asks for 1 s of patience (429): too many"),
        (loopback.hang, "no answer within 1 s"),
    ],
)
async def test_a_loki_in_trouble_is_no_reading(read, server, behaviour, words):
    server.on(PATH, behaviour)
    with pytest.raises(NoReading, match=re.escape(words)):
        await read(timeout="1s")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "expected one of query and lines"),
        ({"query": METRIC, "lines": LINES}, "expected one of query and lines"),
        ({"lines": LINES}, "lines needs over"),
        ({"query": METRIC, "over": "1m"}, "lines needs over"),
        ({"query": LINES}, "a log query goes with `lines`"),
        ({"lines": METRIC, "over": "1m"}, "expected a log query such as"),
        ({"lines": '{app="a"} [5m]', "over": "1m"}, "expected a log query without a range"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "loki").Params.model_validate({"url": "http://a", **params})


def test_its_lag_is_the_time_it_looks_back_and_the_delay():
    plugin = catalog.find("probes", "loki")
    assert plugin.lag(plugin.Params.model_validate({"url": "http://a", "lines": LINES, "over": "30s"})) == 35
    assert plugin.lag(plugin.Params.model_validate({"url": "http://a", "query": METRIC})) == 65
