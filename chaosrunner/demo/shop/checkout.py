"""Takes orders: `POST /orders {"order": ID}` reserves the goods at inventory, then takes the money at payments.

WEAK, twice: payments is called without a timeout, and a reservation that fails is tried again at once, and again.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from chaosrunner.demo.shop.repairs import Breaker, RetryBudget
from chaosrunner.demo.shop.web import KEPT, Request, Response, Service, Unavailable, Upstream, arguments, run

WORKERS = 32
TRIES, IMPATIENCE = 5, 0.1
"""WEAK: calls of inventory for one order, and the seconds that each may take."""
PATIENCE = 1.5
"""Repaired: seconds that inventory may take."""
PAYMENT_TIMEOUT = 0.25
"""Repaired: seconds that payments may take before the order is taken and the money later."""
MOST_UNPAID = 1000
"""Repaired: orders that may wait for their payment; beyond it orders are refused, so that the risk is bounded."""


class Checkout:
    """The order as it is handled; `fixed` picks the repaired way at each of the two weak places."""

    def __init__(self, inventory: Upstream, payments: Upstream, *, fixed: bool) -> None:
        self.inventory = inventory
        self.payments = payments
        self.fixed = fixed
        self.unpaid: deque[dict[str, Any]] = deque()
        self._breaker = Breaker()
        self._budget = RetryBudget()
        self._settling: asyncio.Task[None] | None = None

    async def order(self, request: Request) -> Response:
        """Reserve, charge, answer."""
        order = {"order": str(request.body["order"])}
        if self.fixed:
            await self._reserve_with_patience(order)
            payment = await self._charge_now_or_later(order)
        else:
            await self._reserve_at_any_price(order)
            payment = await self._charge(order)
        return Response(200, {**order, "payment": payment})

    async def _charge(self, order: dict[str, Any]) -> str:
        # WEAK: no timeout. While payments is slow or silent, each order keeps a worker until there are none left.
        await self.payments.call("POST", "/charges", order)
        return "paid"

    async def _charge_now_or_later(self, order: dict[str, Any]) -> str:
        if self._breaker.allows():
            try:
                await self.payments.call("POST", "/charges", order, within=PAYMENT_TIMEOUT)
                self._breaker.succeeded()
                return "paid"
            except Unavailable:
                self._breaker.failed()
        if len(self.unpaid) >= MOST_UNPAID:
            raise Unavailable("payments is not there, and too many orders wait for their payment")
        self.unpaid.append(order)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle())
        return "later"

    async def _settle(self) -> None:
        """Take the money of the orders that wait for it, as soon as payments answers again."""
        while self.unpaid:
            await asyncio.sleep(0.02)
            if not self._breaker.allows():
                continue
            try:
                await self.payments.call("POST", "/charges", self.unpaid[0], within=PAYMENT_TIMEOUT)
                self._breaker.succeeded()
                self.unpaid.popleft()
            except Unavailable:
                self._breaker.failed()

    async def _reserve_at_any_price(self, order: dict[str, Any]) -> None:
        # WEAK: every failure is tried again at once. When inventory is slow, each order asks it five times, and the
        # answers to the first four, which it still works out, are thrown away.
        for _ in range(TRIES - 1):
            try:
                await self.inventory.call("POST", "/reservations", order, within=IMPATIENCE)
                return
            except Unavailable:
                continue
        await self.inventory.call("POST", "/reservations", order, within=IMPATIENCE)

    async def _reserve_with_patience(self, order: dict[str, Any]) -> None:
        self._budget.earn()
        try:
            await self.inventory.call("POST", "/reservations", order, within=PATIENCE)
        except Unavailable:
            if not self._budget.spend():
                raise
            await asyncio.sleep(random.uniform(0.05, 0.15))
            await self.inventory.call("POST", "/reservations", order, within=PATIENCE)


def make(inventory: str, payments: str, *, fixed: bool = False, keep: int = KEPT) -> Service:
    """The service, not yet listening; `inventory` and `payments` are URLs."""
    checkout = Checkout(Upstream("inventory", inventory, keep), Upstream("payments", payments, keep), fixed=fixed)
    service = Service("checkout", workers=WORKERS, calls=(checkout.inventory, checkout.payments))
    service.route("POST", "/orders", checkout.order)
    service.gauges["orders_unpaid"] = lambda: len(checkout.unpaid)
    return service


if __name__ == "__main__":
    given = arguments("checkout", "inventory", "payments", repairs="timeouts, a breaker, retries from a budget")
    run(make(given.inventory, given.payments, fixed=given.fixed, keep=given.keep), given.port, given.host)
