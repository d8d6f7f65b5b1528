"""Shoppers: look at the page and buy, at steady rates, each on a new connection, however slow the shop is.

What they saw lately is in `/metrics.json`: `pages_per_second`, `pages_failed` (a share),
`page_seconds` (the median), and the same of orders. In a cluster they are what the shop is judged by: they come in by
its front door.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from chaosrunner.demo.shop.web import Service, Unavailable, Upstream, parser, run

WINDOW = 3.0
"""Seconds that the metrics tell of."""
PATIENCE = 1.5
"""Seconds that a shopper waits."""


class Visits:
    """What became of one sort of visit lately."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, float, bool]] = deque()
        """(when, after how many seconds, whether it was answered)."""

    def ended(self, seconds: float, answered: bool) -> None:
        """One more."""
        self._ended.append((time.monotonic(), seconds, answered))

    def rate(self) -> float:
        """How many ended, a second."""
        return len(self._lately()) / WINDOW

    def failed(self) -> float | None:
        """The share that failed; None: there were none."""
        lately = self._lately()
        return sum(not answered for _, _, answered in lately) / len(lately) if lately else None

    def seconds(self) -> float | None:
        """The median time of those that were answered; None: none was."""
        times = [seconds for _, seconds, answered in self._lately() if answered]
        return median(times) if times else None

    def _lately(self) -> deque[tuple[float, float, bool]]:
        oldest = time.monotonic() - WINDOW
        while self._ended and self._ended[0][0] < oldest:
            self._ended.popleft()
        return self._ended


class Shopper:
    """Visits the shop, from the moment that it is started."""

    def __init__(self, storefront: Upstream) -> None:
        self._storefront = storefront
        self._visits: set[asyncio.Task[None]] = set()

    async def keep_visiting(self, method: str, path: str, rate: float, visits: Visits) -> None:
        """Begin a visit whenever one is due; none waits for the one before it."""
        due = time.monotonic()
        while True:
            visit = asyncio.create_task(self._visit(method, path, visits))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
            due = max(due + 1 / rate, time.monotonic() - WINDOW)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _visit(self, method: str, path: str, visits: Visits) -> None:
        began = time.monotonic()
        try:
            await self._storefront.call(method, path, within=PATIENCE)
            answered = True
        except Unavailable:
            answered = False
        visits.ended(time.monotonic() - began, answered)


def make(pages: Visits, orders: Visits) -> Service:
    """The service that tells of the visits, not yet listening."""
    service = Service("shopper", workers=1)
    for name, visits in (("page", pages), ("order", orders)):
        told: dict[str, Callable[[], float | None]] = {
            f"{name}s_per_second": visits.rate,
            f"{name}s_failed": visits.failed,
            f"{name}_seconds": visits.seconds,
        }
        service.gauges |= told
    return service


async def visit(shopper: Shopper, pages: Visits, orders: Visits, page_rate: float, order_rate: float) -> None:
    """Look and buy until cancelled."""
    await asyncio.gather(
        shopper.keep_visiting("GET", "/", page_rate, pages),
        shopper.keep_visiting("POST", "/checkout", order_rate, orders),
    )


if __name__ == "__main__":
    words = parser("shopper", "storefront")
    words.add_argument("--pages", type=float, default=5, help="a second (default: 5)")
    words.add_argument("--orders", type=float, default=3, help="a second (default: 3)")
    words.set_defaults(keep=0)  # each visit is another shopper, and meets whatever pod the cluster sends it to
    given = words.parse_args()
    looked, bought = Visits(), Visits()
    shoppers = Shopper(Upstream("storefront", given.storefront, given.keep))
    run(make(looked, bought), given.port, given.host, visit(shoppers, looked, bought, given.pages, given.orders))
