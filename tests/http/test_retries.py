"""Retries: only where they are safe and asked for, patient as long as the server says, never endless."""

from __future__ import annotations

import pytest

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, Http, Request
from tests import loopback
from tests.loopback import HttpServer


class PatientClock:
    """Real time, but sleeps are only written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running


@pytest.fixture
def clock():
    return PatientClock()


@pytest.fixture
async def http(clock):
    async with Http(clock, environ={}) as client:
        yield client


def busy(status: int = 503, **headers: str) -> loopback.Behaviour:
    return loopback.as_json({"message": "busy"}, status, **headers)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_busy_server_is_asked_again(server, http, clock, status):
    url = server.on("/a", loopback.in_turn(busy(status), busy(status), loopback.text("ok")))
    assert (await http.send(Request(url, retries=3))).status == 200
    assert len(clock.slept) == 2
    assert all(0 <= slept <= 8 for slept in clock.slept)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(server, http, status):
    assert (await http.send(Request(server.on("/a", busy(status)), retries=3))).status == status
    assert len(server.met) == 1


async def test_without_being_asked_nothing_is_repeated(server, http):
    assert (await http.send(Request(server.on("/a", busy())))).status == 503
    assert len(server.met) == 1


async def test_the_last_answer_counts_when_patience_ends(server, http):
    assert (await http.send(Request(server.on("/a", busy()), retries=2))).status == 503
    assert len(server.met) == 3


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("7", 7.0),
        ("3600", 30.0),
        ("Tue, 14 Nov 2023 22:13:32 GMT", 12.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
    ],
)
async def test_retry_after_is_honoured_and_capped(server, http, clock, header, waited):
    url = server.on("/a", loopback.in_turn(busy(Retry_After=header), loopback.text("ok")))
    await http.send(Request(url, retries=1))
    assert clock.slept == [waited]


async def test_failures_of_the_network_are_tried_again_and_then_told(server, http):
    url = server.on("/a", loopback.in_turn(loopback.close, loopback.text("ok")))
    assert (await http.send(Request(url, retries=1, asked=Asked.SERVICE))).status == 200
    with pytest.raises(NotPossibleNow, match="connection refused"):
        await http.send(Request(f"http://127.0.0.1:{loopback.free_port()}/", retries=2, asked=Asked.SERVICE))


def test_a_post_is_repeated_only_with_a_key():
    with pytest.raises(ValueError, match="cannot be sent twice safely"):
        Request("http://127.0.0.1/", method="POST", retries=1)
    assert Request("http://127.0.0.1/", method="POST", retries=1, keyed=True).retries == 1
