"""Keeps the goods: `POST /reservations {"order": ID}`. An order is reserved once, however often it is asked for."""

from __future__ import annotations

import asyncio

from chaosrunner.demo.shop.web import Request, Response, Service, arguments, run

WORK = 0.005
"""Seconds that a reservation takes."""
REMEMBERED = 10_000
"""Orders, so that memory stays small however long the shop runs."""


def make() -> Service:
    """The service, not yet listening."""
    service = Service("inventory", workers=64)
    reserved: dict[str, bool] = {}

    async def reserve(request: Request) -> Response:
        order = str(request.body["order"])
        await asyncio.sleep(WORK)
        again = order in reserved
        reserved[order] = True
        if len(reserved) > REMEMBERED:
            del reserved[next(iter(reserved))]
        return Response(200, {"order": order, "reserved": True, "before": again})

    service.route("POST", "/reservations", reserve)
    return service


if __name__ == "__main__":
    given = arguments("inventory")
    run(make(), given.port, given.host)
