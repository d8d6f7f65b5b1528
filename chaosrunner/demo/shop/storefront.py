"""What shoppers see: `GET /` is the page, `POST /checkout` buys.

WEAK: the page cannot do without recommendations. STRONG: it can do without prices, with the last that it knew.
"""

from __future__ import annotations

import uuid
from typing import Any

from chaosrunner.demo.shop.web import KEPT, Recent, Request, Response, Service, Unavailable, Upstream, arguments, run

PRICES_TIMEOUT = 0.2
"""Seconds; then the last known prices are shown."""
NICETY_TIMEOUT = 0.2
"""Repaired: seconds that the page waits for recommendations, before it is shown without them."""
CHECKOUT_TIMEOUT = 10.0


class Storefront:
    """The page and the way to the checkout."""

    def __init__(self, recommendations: Upstream, prices: Upstream, checkout: Upstream, *, fixed: bool) -> None:
        self.recommendations = recommendations
        self.prices = prices
        self.checkout = checkout
        self.fixed = fixed
        self.old_prices = Recent()
        self._known_prices: dict[str, int] | None = None

    async def page(self, _: Request) -> Response:
        """Goods with their prices, and what else one might like."""
        prices = await self._prices()
        return Response(200, {"prices": prices, "recommendations": await self._recommended()})

    async def buy(self, _: Request) -> Response:
        """One order. Its id goes with it all the way, so that saying it twice buys once."""
        order = {"order": uuid.uuid4().hex}
        return Response(200, await self.checkout.call("POST", "/orders", order, within=CHECKOUT_TIMEOUT))

    async def _recommended(self) -> list[str]:
        if not self.fixed:
            # WEAK: a nicety, asked as if the page depended on it. So it does: without an answer there is no page.
            return _items(await self.recommendations.call("GET", "/recommendations", within=CHECKOUT_TIMEOUT))
        try:
            return _items(await self.recommendations.call("GET", "/recommendations", within=NICETY_TIMEOUT))
        except Unavailable:
            return []

    async def _prices(self) -> dict[str, int]:
        try:
            answer = await self.prices.call("GET", "/prices", within=PRICES_TIMEOUT)
            self._known_prices = {str(item): int(cents) for item, cents in answer["prices"].items()}
        except Unavailable:
            if self._known_prices is None:
                raise
            self.old_prices.count()
        return self._known_prices


def _items(answer: Any) -> list[str]:
    return [str(item) for item in answer["items"]]


def make(recommendations: str, prices: str, checkout: str, *, fixed: bool = False, keep: int = KEPT) -> Service:
    """The service, not yet listening; the rest are URLs."""
    places = {"recommendations": recommendations, "prices": prices, "checkout": checkout}
    upstreams = [Upstream(name, url, keep) for name, url in places.items()]
    storefront = Storefront(*upstreams, fixed=fixed)
    service = Service("storefront", workers=128, calls=upstreams)
    service.route("GET", "/", storefront.page)
    service.route("POST", "/checkout", storefront.buy)
    service.gauges["pages_with_old_prices_per_second"] = storefront.old_prices.rate
    return service


if __name__ == "__main__":
    given = arguments("storefront", "recommendations", "prices", "checkout", repairs="the page without recommendations")
    front = make(given.recommendations, given.prices, given.checkout, fixed=given.fixed, keep=given.keep)
    run(front, given.port, given.host)
