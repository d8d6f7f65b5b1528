"""The shop's HTTP: what it refuses, and what its metrics say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from chaosrunner.demo.shop.repairs import Breaker, RetryBudget
from chaosrunner.demo.shop.web import Request, Response, Service, Unavailable, Upstream


@pytest.fixture
async def port() -> AsyncIterator[int]:
    service = Service("echo", workers=2)

    async def echo(request: Request) -> Response:
        return Response(request.body["status"], {"said": request.body})

    service.route("POST", "/echo", echo)
    yield await service.start(0)
    await service.stop()


async def say(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


async def test_a_connection_is_closed_where_the_client_asks_for_it(port: int) -> None:
    answer = await say(port, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\n{",
        b"POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /echo HTTP/1.1\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_answered_with_400(port: int, text: bytes) -> None:
    assert (await say(port, text)).startswith(b"HTTP/1.1 400 ")


async def test_an_unknown_path_is_answered_with_404_and_the_known_ones(port: int) -> None:
    answer = await say(port, b"GET /nowhere HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ") and b"POST /echo" in answer


async def test_a_5xx_is_unavailable_and_counts_as_an_error(port: int) -> None:
    echo = Upstream("echo", f"http://127.0.0.1:{port}")
    assert (await echo.call("POST", "/echo", {"status": 200}))["said"] == {"status": 200}
    with pytest.raises(Unavailable, match="echo answered 503"):
        await echo.call("POST", "/echo", {"status": 503})
    metrics = await echo.call("GET", "/metrics.json")
    echo.close()
    assert (metrics["requests_total"], metrics["errors_total"], metrics["error_ratio"]) == (2, 1, 0.5)


async def test_its_numbers_are_there_for_prometheus_too_with_those_of_its_calls(port: int) -> None:
    upstream = Upstream("echo", f"http://127.0.0.1:{port}")
    caller = Service("caller", workers=1, calls=[upstream])
    caller.gauges["unpaid"] = lambda: None
    await upstream.call("POST", "/echo", {"status": 200})
    with pytest.raises(Unavailable):
        await upstream.call("POST", "/echo", {"status": 503})
    at = await caller.start(0)
    answer = (await say(at, b"GET /metrics HTTP/1.0\r\n\r\n")).decode()
    await caller.stop()
    assert "Content-Type: text/plain; version=0.0.4" in answer
    lines = answer.split("\r\n\r\n")[1].splitlines()
    assert {"shop_requests_total 0", 'shop_calls_total{to="echo"} 2', 'shop_calls_failures_total{to="echo"} 1'} <= set(
        lines
    )
    assert all(re.fullmatch(r"shop_\w+(\{to=\"echo\"\})? [\d.]+", line) for line in lines), lines


async def test_its_log_tells_of_answers_failures_and_waiting() -> None:
    service = Service("echo", workers=1)
    said: list[str] = []
    service.say = lambda level, words: said.append(f"{level} {words}")
    go_on = asyncio.Event()

    async def slow(_: Request) -> Response:
        await go_on.wait()
        return Response(503, {"error": "too slow"})

    service.route("GET", "/slow", slow)
    port = await service.start(0)
    asked = [asyncio.create_task(say(port, b"GET /slow HTTP/1.0\r\n\r\n")) for _ in range(2)]
    while not said:
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*asked)
    await service.stop()
    assert said == ["WARN no free worker: 1 requests wait", *["ERROR GET /slow 503: too slow"] * 2]


async def test_a_service_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable, match="payments is not there"):
        await Upstream("payments", f"http://127.0.0.1:{unused_tcp_port}").call("GET", "/")


def test_an_address_without_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match="host and port"):
        Upstream("payments", "http://payments")


def test_a_breaker_opens_after_failures_in_a_row_and_a_success_closes_it() -> None:
    breaker = Breaker(failures=3, pause=60)
    breaker.failed()
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()


def test_an_open_breaker_allows_one_trial_in_each_pause() -> None:
    breaker = Breaker(failures=1, pause=0)
    breaker.failed()
    assert breaker.allows()
    patient = Breaker(failures=1, pause=60)
    patient.failed()
    assert not patient.allows()


def test_a_retry_budget_allows_a_tenth_and_a_few_at_first() -> None:
    budget = RetryBudget(share=0.1, most=2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
