"""Connections that are kept: how many, which one is next, and what becomes of those in use."""

from __future__ import annotations

import asyncio

from chaosrunner.clock import SystemClock
from chaosrunner.http import Http, Request
from chaosrunner.http_pool import MOST_IDLE, Pool
from tests import loopback
from tests.loopback import HttpServer


class Made:
    """Stands for a transport, and knows whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_the_one_used_last_is_used_next() -> None:
    pool = Pool(Made)
    first, second = pool.take(), pool.take()
    await pool.give_back(*first)
    await pool.give_back(*second)
    assert pool.take()[0] is second[0]
    assert pool.take()[0] is first[0]


async def test_nobody_shares_one() -> None:
    pool = Pool(Made)
    taken = [pool.take()[0] for _ in range(100)]
    assert len(set(map(id, taken))) == 100


async def test_after_a_burst_few_are_kept_and_the_rest_closed() -> None:
    pool = Pool(Made)
    taken = [pool.take() for _ in range(200)]
    for one in taken:
        await pool.give_back(*one)
    assert sum(not made.closed for made, _ in taken) == MOST_IDLE


async def test_closing_closes_the_unused_now_and_the_others_when_they_come_back() -> None:
    pool = Pool(Made)
    unused, used = pool.take(), pool.take()
    await pool.give_back(*unused)
    await pool.aclose()
    assert (unused[0].closed, used[0].closed) == (True, False)
    await pool.give_back(*used)
    assert used[0].closed
    again = pool.take()
    await pool.give_back(*again)
    assert not again[0].closed


async def test_many_requests_under_way_at_once_leave_few_connections_that_are_used_again() -> None:
    async with HttpServer() as server, Http(SystemClock(), environ={}) as http:
        url = server.on("/a", loopback.text("ok"))
        exchanges = [http.prepare(Request(url)) for _ in range(100)]
        replies = await asyncio.gather(*(exchange.send() for exchange in exchanges))
        assert {reply.status for reply in replies} == {200}
        opened = server.connections
        for exchange in exchanges:
            await exchange.send()
        assert server.connections == opened
