"""Takes the money: `POST /charges {"order": ID}`. An order is charged once, however often it is asked for."""

from __future__ import annotations

import asyncio

from chaosrunner.demo.shop.web import Request, Response, Service, arguments, run

WORK = 0.005
"""Seconds that a charge takes."""
REMEMBERED = 10_000
"""Orders, so that memory stays small however long the shop runs."""


def make() -> Service:
    """The service, not yet listening."""
    service = Service("payments", workers=64)
    charged: dict[str, bool] = {}

    async def charge(request: Request) -> Response:
        order = str(request.body["order"])
        await asyncio.sleep(WORK)
        again = order in charged
        charged[order] = True
        if len(charged) > REMEMBERED:
            del charged[next(iter(charged))]
        return Response(200, {"order": order, "charged": True, "before": again})

    service.route("POST", "/charges", charge)
    return service


if __name__ == "__main__":
    given = arguments("payments")
    run(make(), given.port, given.host)
