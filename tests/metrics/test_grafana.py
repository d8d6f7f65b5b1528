"""The grafana probe against a stand-in with a token, data sources, frames, and errors of single queries."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading
from chaosrunner.http import Request
from tests import loopback
from tests.metrics.services import FakeGrafana, serve

PATH = "/api/ds/query"


@pytest.fixture
def grafana(server):
    fake = FakeGrafana()
    fake.url = serve(server, PATH, fake.answer)
    return fake


@pytest.fixture
def environ():
    return {"GRAFANA": "glsa"}


@pytest.fixture
def read(grafana, probe):
    async def read(*frames: Any, **params: Any) -> Any:
        grafana.sources["prom"] = {"sum(up)": list(frames)}
        given = {"url": grafana.url, "bearerToken": {"env": "GRAFANA"}, "datasource": "prom", "timeout": "10s"}
        return await probe("grafana", **{**given, "query": {"expr": "sum(up)"}, **params}).read()

    return read


def frame(
    *values: Any, age: float = 5, step: float = 10, timed: bool = True, meta: Any = None, **more: Any
) -> dict[str, Any]:
    last = time.time() - age
    stamps = [round((last - step * index) * 1000) for index in range(len(values))][::-1]
    fields: list[dict[str, Any]] = [{"name": "Value", "type": "number", "labels": more.pop("labels", {})}]
    columns: list[list[Any]] = [list(values)]
    if timed:
        fields.insert(0, {"name": "Time", "type": "time"})
        columns.insert(0, stamps)
    return {
        "schema": {"refId": "A", "fields": fields, **({"meta": meta} if meta else {})},
        "data": {"values": columns, **more},
    }


async def test_the_stand_in_refuses_what_grafana_refuses(grafana, context):
    grafana.sources["prom"] = {}

    async def ask(body: Any, token: str = "glsa") -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        reply = await context.http.send(Request(grafana.url + PATH, "POST", headers, json=body, keep=10_000))
        return reply.status, json.loads(reply.body)

    query = {"refId": "A", "datasource": {"uid": "prom"}, "expr": "sum(up"}
    right = {"queries": [query], "from": "1", "to": "2"}
    assert (await ask(right, token="other"))[0] == 401
    assert (await ask({**right, "queries": []}))[0] == 400
    assert (await ask({**right, "to": "1"}))[0] == 400
    assert (await ask({**right, "queries": [{**query, "datasource": {"uid": "no"}}]}))[0] == 404
    status, answer = await ask(right)
    assert (status, answer["results"]["A"]["status"]) == (400, 400)


async def test_the_newest_point_of_a_series_is_read_or_what_is_made_of_all(read, server):
    assert await read(frame(1, 2, 3)) == 3
    assert await read(frame(1, 2, 3, None)) == 3
    assert await read(frame(1, 2, 6), take="mean") == 3
    assert await read(frame(1, 2, 6), take="p50") == 2
    question = json.loads(server.met[0].body)
    assert int(question["to"]) - int(question["from"]) == 300_000
    assert question["queries"][0] | {"intervalMs": 0} == {
        "expr": "sum(up)",
        "refId": "A",
        "datasource": {"uid": "prom"},
        "intervalMs": 0,
        "maxDataPoints": 100,
    }


async def test_a_table_of_one_number_is_read(read):
    assert await read(frame(7, timed=False)) == 7


async def test_the_organisation_is_said(read, server):
    await read(frame(1), org=3)
    assert server.met[0].headers["x-grafana-org-id"] == "3"


NOTICE = {"notices": [{"severity": "warning", "text": "a store is down"}]}


@pytest.mark.parametrize(
    ("frames", "params", "words"),
    [
        (lambda: [], {}, "no data (an empty result)"),
        (lambda: [frame()], {}, "no data (an empty result)"),
        (lambda: [{"schema": {"fields": []}, "data": {"values": []}}], {}, "no data (an empty result)"),
        (lambda: [frame(None, None)], {}, "no data (no point has a value)"),
        (lambda: [frame(1, age=100)], {}, "s old, at most 60 s are allowed"),
        (
            lambda: [frame(1, labels={"a": "1"}), frame(1, labels={"a": "2"})],
            {},
            'gives 2 series (Value{a="1"}, Value{a="2"})',
        ),
        (lambda: [frame(1, 2, timed=False)], {}, "a table of 2 rows without times, expected one row"),
        (lambda: [frame(1, None, entities=[None, {"NaN": [1]}])], {}, "the value is nan (0 divided by 0, perhaps)"),
        (lambda: [frame(1, None, entities=[None, {"Inf": [1]}])], {}, "the value is inf"),
        (lambda: [frame(1, None, None, 4)], {"take": "max"}, "2 of 4 points have a number"),
        (lambda: [frame(1, meta=NOTICE)], {}, "the data may be partial: a store is down"),
        (lambda: [{"no": "frame"}], {}, "answered a frame that is not one"),
        (lambda: [frame("a")], {}, "answered a frame that is not one|not a number"),
    ],
)
async def test_what_a_data_source_does_not_know_is_no_reading(read, frames, params, words):
    with pytest.raises(NoReading, match="|".join(map(re.escape, words.split("|")))):
        await read(*frames(), **params)


async def test_an_error_of_the_query_alone_is_no_reading(read, server):
    with pytest.raises(NoReading, match=r"the data source refused the query \(400\): bad_data: parse error"):
        await read(query={"expr": "sum("})
    failed = {"results": {"A": {"error": "upstream is down", "status": 502, "frames": [frame(1)]}}}
    for status in (200, 207):
        server.on(PATH, loopback.as_json(failed, status))
        with pytest.raises(NoReading, match=r"the data source refused the query \(502\): upstream is down"):
            await read()


async def test_a_source_or_token_that_is_not_known_is_no_reading(read):
    with pytest.raises(NoReading, match=r"refused the query \(404\): Data source not found"):
        await read(datasource="other")
    with pytest.raises(NoReading, match=r"refused the query \(401\): Invalid API key") as caught:
        await read(bearerToken={"env": "TOKEN"})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (loopback.html(502, "Bad Gateway"), "text/html: Bad Gateway"),
        (loopback.as_json({"results": {}}), "not an answer to a query"),
        (loopback.as_json({"message": "hi"}), "not an answer to a query"),
        (loopback.hang, "no answer within 1 s"),
        (loopback.text("x" * 2_000_000), "answered more than 1048576 bytes"),
    ],
)
async def test_a_grafana_in_trouble_is_no_reading(read, server, behaviour, words):
    server.on(PATH, behaviour)
    with pytest.raises(NoReading, match=re.escape(words)):
        await read(timeout="1s")


@pytest.mark.parametrize(
    ("params", "words"),
    [({"query": {}}, "at least 1 item"), ({"query": {"refId": "B", "expr": "up"}}, "refId are written by the probe")],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "grafana").Params.model_validate({"url": "http://a", "datasource": "b", **params})
