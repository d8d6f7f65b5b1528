"""The shoppers that visit the shop in a cluster: how often they come, and what they tell of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from chaosrunner.demo.shop import shopper
from chaosrunner.demo.shop.shopper import Shopper, Visits, visit
from chaosrunner.demo.shop.web import Request, Response, Service, Upstream


@pytest.fixture
async def front() -> AsyncIterator[tuple[Service, int]]:
    """Shows the page, and sells nothing."""
    service = Service("storefront", workers=8)

    async def page(_: Request) -> Response:
        return Response(200)

    async def sold_out(_: Request) -> Response:
        return Response(503)

    service.route("GET", "/", page)
    service.route("POST", "/checkout", sold_out)
    yield service, await service.start(0)
    await service.stop()


async def test_they_tell_what_they_saw(front: tuple[Service, int]) -> None:
    service, port = front
    pages, orders = Visits(), Visits()
    told = shopper.make(pages, orders)
    assert told.metrics()["pages_failed"] is None, "nobody came: nothing to tell"
    going = asyncio.create_task(
        visit(Shopper(Upstream("storefront", f"http://127.0.0.1:{port}", 0)), pages, orders, 50, 50)
    )
    async with asyncio.timeout(10):
        while service.requests.total < 10:
            await asyncio.sleep(0.01)
        while told.metrics()["order_seconds"] is not None or not (pages.rate() and orders.rate()):
            await asyncio.sleep(0.01)
    metrics = told.metrics()
    assert (metrics["pages_failed"], metrics["orders_failed"]) == (0, 1)
    assert metrics["page_seconds"] > 0
    going.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await going


async def test_a_shop_that_is_not_there_does_not_keep_them_away() -> None:
    pages, orders = Visits(), Visits()
    going = asyncio.create_task(visit(Shopper(Upstream("storefront", "http://127.0.0.1:9", 0)), pages, orders, 50, 50))
    async with asyncio.timeout(10):
        while pages.rate() < 3:
            await asyncio.sleep(0.01)
    assert pages.failed() == 1
    assert pages.seconds() is None
    going.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await going
