"""The shop's weaknesses are there, its repairs repair them, and its strengths hold, each on real connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaosrunner.demo.shop.checkout import PAYMENT_TIMEOUT, TRIES, WORKERS
from chaosrunner.demo.shop.web import Unavailable, Upstream
from tests.demo.shops import Shop, eventually


@pytest.fixture(params=["weak", "repaired"])
def either(request: pytest.FixtureRequest) -> Shop:
    shop: Shop = request.getfixturevalue(request.param)
    return shop


async def until(ask: Callable[[], Awaitable[dict[str, Any]]], wanted: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether one of a few answers is as wanted: a repaired shop may fall back for a moment on a busy machine."""
    for _ in range(5):
        if wanted(await ask()):
            return True
    return False


async def test_a_healthy_shop_serves_pages_and_takes_orders(either: Shop) -> None:
    assert await until(either.page, lambda page: page["prices"] and page["recommendations"] == ["mug", "tray"])
    assert await until(either.order, lambda order: order["payment"] == "paid")


async def test_orders_have_ids_of_their_own(either: Shop) -> None:
    assert (await either.order())["order"] != (await either.order())["order"]


# ------------------------------------------------------------------------------------- weakness 1: no timeout


async def test_a_weak_checkout_waits_for_payments_as_long_as_it_takes(weak: Shop) -> None:
    weak.wires["payments"].passing.clear()
    order = asyncio.create_task(weak.order())
    done, _ = await asyncio.wait({order}, timeout=1)
    assert not done
    weak.wires["payments"].passing.set()
    assert (await order)["payment"] == "paid"


async def test_a_silent_payments_takes_every_worker_of_a_weak_checkout(weak: Shop) -> None:
    weak.wires["payments"].passing.clear()
    orders = [asyncio.create_task(weak.order()) for _ in range(WORKERS + 10)]
    metrics = weak.services["checkout"].metrics
    await eventually(lambda: metrics()["waiting"] == 10)
    assert metrics()["workers_busy"] == WORKERS
    health = Upstream("checkout", weak.wires["checkout"].url)
    assert (await health.call("GET", "/healthz", within=1))["status"] == "ok", "it looks healthy all the while"
    health.close()
    weak.wires["payments"].passing.set()
    assert {answer["payment"] for answer in await asyncio.gather(*orders)} == {"paid"}


async def test_a_repaired_checkout_takes_orders_while_payments_is_silent_and_the_money_later(repaired: Shop) -> None:
    repaired.wires["payments"].passing.clear()
    before = time.monotonic()
    answers = [await repaired.order() for _ in range(20)]
    assert {answer["payment"] for answer in answers} == {"later"}
    assert time.monotonic() - before < 20 * PAYMENT_TIMEOUT, (
        "the breaker opened: not every order waited for the timeout"
    )
    repaired.wires["payments"].passing.set()
    await eventually(lambda: not repaired.services["checkout"].metrics()["orders_unpaid"])
    assert await until(repaired.order, lambda order: order["payment"] == "paid")


async def test_a_repaired_checkout_does_not_need_payments_to_be_there(repaired: Shop) -> None:
    await repaired.wires["payments"].cut()
    assert (await repaired.order())["payment"] == "later"
    await repaired.wires["payments"].mend()
    await eventually(lambda: not repaired.services["checkout"].metrics()["orders_unpaid"])


# ------------------------------------------------------------------------------------- weakness 2: retries at once


async def test_a_slow_inventory_is_asked_five_times_for_an_order_by_a_weak_checkout(weak: Shop) -> None:
    weak.wires["inventory"].delay = 0.3
    with pytest.raises(Unavailable, match="502"):
        await weak.order()
    await eventually(lambda: weak.asked("inventory") == TRIES)  # the last of them are still on the wire


async def test_a_slow_inventory_is_asked_once_for_an_order_by_a_repaired_checkout(repaired: Shop) -> None:
    repaired.wires["inventory"].delay = 0.3
    await repaired.order()
    assert repaired.asked("inventory") == 1


async def test_a_repaired_checkout_multiplies_nothing_while_inventory_is_gone(repaired: Shop) -> None:
    await repaired.wires["inventory"].cut()
    outcomes = await asyncio.gather(*(repaired.order() for _ in range(40)), return_exceptions=True)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    await repaired.wires["inventory"].mend()
    assert await until(repaired.order, lambda order: order["payment"] == "paid")


# ------------------------------------------------------------------------------------- weakness 3: a hard dependency


async def test_without_recommendations_a_weak_storefront_has_no_page(weak: Shop) -> None:
    await weak.page()
    await weak.wires["recommendations"].cut()
    with pytest.raises(Unavailable, match="502"):
        await weak.page()
    await weak.wires["recommendations"].mend()
    assert (await weak.page())["recommendations"] == ["mug", "tray"]


async def test_without_recommendations_a_repaired_storefront_has_its_page(repaired: Shop) -> None:
    await repaired.wires["recommendations"].cut()
    page = await repaired.page()
    assert page["prices"] and page["recommendations"] == []


async def test_with_silent_recommendations_a_repaired_storefront_has_its_page(repaired: Shop) -> None:
    repaired.wires["recommendations"].passing.clear()
    assert (await repaired.page())["recommendations"] == []


# ------------------------------------------------------------------------------------- strengths


async def test_without_prices_pages_show_the_last_known_ones(either: Shop) -> None:
    known = (await either.page())["prices"]
    await either.wires["prices"].cut()
    assert (await either.page())["prices"] == known
    either.wires["prices"].passing.clear()
    await either.wires["prices"].mend()
    assert (await either.page())["prices"] == known
    assert either.services["storefront"].metrics()["pages_with_old_prices_per_second"] > 0


async def test_kept_connections_that_died_are_replaced_unseen(either: Shop) -> None:
    await asyncio.gather(*(either.order() for _ in range(10)))
    for name in ("checkout", "inventory", "payments"):
        either.wires[name].reset()
    assert len(await asyncio.gather(*(either.order() for _ in range(10)))) == 10


async def test_an_order_that_is_said_twice_is_charged_and_reserved_once(weak: Shop) -> None:
    for name, path in (("payments", "/charges"), ("inventory", "/reservations")):
        upstream = Upstream(name, weak.wires[name].url)
        assert not (await upstream.call("POST", path, {"order": "7"}))["before"]
        assert (await upstream.call("POST", path, {"order": "7"}))["before"]
        upstream.close()
