"""The price list: `GET /prices`, in cents."""

from __future__ import annotations

from chaosrunner.demo.shop.web import Request, Response, Service, arguments, run

PRICES = {"kettle": 3900, "lamp": 2450, "mug": 890, "teapot": 4200, "tray": 1500}


def make() -> Service:
    """The service, not yet listening."""
    service = Service("prices", workers=64)

    async def prices(_: Request) -> Response:
        return Response(200, {"prices": PRICES})

    service.route("GET", "/prices", prices)
    return service


if __name__ == "__main__":
    given = arguments("prices")
    run(make(), given.port, given.host)
