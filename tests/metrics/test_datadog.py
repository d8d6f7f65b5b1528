"""The datadog probe against a stand-in with keys, a rate limit, and errors inside a 200."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading
from chaosrunner.http import Request
from tests import loopback
from tests.metrics.services import FakeDatadog, serve

QUERY = "sum:errors{service:checkout}.as_count()"
KEYS = {"apiKey": {"env": "DD_API"}, "appKey": {"env": "DD_APP"}}


@pytest.fixture
def datadog(server):
    fake = FakeDatadog()
    fake.url = serve(server, "/api/v1/query", fake.answer)
    return fake


@pytest.fixture
def environ():
    return {"DD_API": "api", "DD_APP": "app"}


@pytest.fixture
def read(datadog, probe):
    async def read(**params: Any) -> Any:
        return await probe("datadog", **{"url": datadog.url, "query": QUERY, "timeout": "10s", **KEYS, **params}).read()

    return read


def series(*values: float | None, interval: int = 10, age: float = 15, scope: str = "*") -> dict[str, Any]:
    """The last point began `age` seconds ago."""
    last = time.time() - age
    stamps = [last - interval * index for index in range(len(values))][::-1]
    points = [[round(at * 1000), value] for at, value in zip(stamps, values, strict=True)]
    return {"metric": "errors", "scope": scope, "interval": interval, "pointlist": points}


async def test_the_stand_in_refuses_what_datadog_refuses(datadog, context):
    async def status(path: str, **headers: str) -> int:
        return (await context.http.send(Request(datadog.url + path, headers=headers))).status

    keys = {"DD-API-KEY": "api", "DD-APPLICATION-KEY": "app"}
    assert await status("/api/v1/query?from=1&to=2&query=a") == 403
    assert await status("/api/v1/query?from=1&to=2&query=a", **{**keys, "DD-API-KEY": "other"}) == 403
    assert await status("/api/v1/query?from=1&query=a", **keys) == 400
    assert await status("/api/v1/query?from=2&to=1&query=a", **keys) == 400
    assert await status("/api/v1/query?from=1&to=2&query=a", **keys) == 200
    datadog.limit = 0
    assert await status("/api/v1/query?from=1&to=2&query=a", **keys) == 429


async def test_the_last_whole_interval_is_read(datadog, read):
    datadog.series[QUERY] = [series(1, 2, 3, 4, None)]
    assert await read() == 4
    datadog.series[QUERY] = [series(1, 2, 3, age=5)]
    assert await read() == 2
    datadog.series[QUERY] = [series(1, 2, 3, 6)]
    assert await read(take="mean") == 3
    assert await read(take="max") == 6


@pytest.mark.parametrize(
    ("found", "params", "words"),
    [
        (lambda: [], {}, "no data (no series)"),
        (lambda: [series()], {}, "no data (no points)"),
        (lambda: [series(None, None)], {}, "no data (no point has a value)"),
        (lambda: [series(3, age=5, interval=3600)], {}, "the interval of its only points is still running"),
        (
            lambda: [series(1, scope="host:a"), series(1, scope="host:b")],
            {},
            "gives 2 series (host:a, host:b), expected one",
        ),
        (lambda: [series(1, 2, age=200)], {}, "the newest point is"),
        (lambda: [series(1, None, None, 4)], {"take": "mean"}, "2 of 4 points have a number, at least 80% are needed"),
        (lambda: [{"interval": 10, "pointlist": [["soon", 1]]}], {}, "no data|answered points that are none"),
        (lambda: [7], {}, "not an answer to a query"),
    ],
)
async def test_what_datadog_does_not_know_is_no_reading(server, read, found, params, words):
    server.on("/api/v1/query", loopback.as_json({"status": "ok", "series": found()}))
    with pytest.raises(NoReading, match="|".join(map(re.escape, words.split("|")))):
        await read(**params)


async def test_an_error_inside_a_200_is_no_reading(datadog, read):
    datadog.broken = "Rule 'scope_expr' didn't match at ','"
    with pytest.raises(NoReading, match="refused the query: Rule 'scope_expr' didn't match"):
        await read()


async def test_wrong_keys_are_no_reading_and_are_never_shown(read):
    with pytest.raises(NoReading, match=r"refused the query \(403\): Forbidden") as caught:
        await read(apiKey={"env": "TOKEN"})
    assert "s3cr3t" not in str(caught.value)


async def test_over_its_limit_it_is_left_alone_until_the_reset_by_all_measures(datadog, read):
    datadog.series[QUERY] = [series(1, 2)]
    datadog.limit = 1
    assert await read() == 2
    with pytest.raises(NoReading, match=r"asks for 42 s of patience \(429\): Too many requests"):
        await read()
    with pytest.raises(NoReading, match="asked for patience, it is asked again in 42 s"):
        await read(take="max")
    assert datadog.asked == 2


@pytest.mark.parametrize("behaviour", [loopback.html(500, "Oops"), loopback.hang, loopback.close])
async def test_a_datadog_in_trouble_is_no_reading(server, read, behaviour):
    server.on("/api/v1/query", behaviour)
    with pytest.raises(NoReading, match=r"text/html: Oops|no answer within|closed without an answer"):
        await read(timeout="1s")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"query": "errors"}, "expected a metrics query"),
        ({"query": QUERY, "site": "example.com"}, "Input should be"),
        ({"query": QUERY, "bearerToken": {"env": "A"}}, "asked with apiKey and appKey"),
        ({"query": QUERY, "over": "10s"}, "greater than or equal to 60"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "datadog").Params.model_validate({**KEYS, **params})
