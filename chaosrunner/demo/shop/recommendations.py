"""What else one might like: `GET /recommendations`. A nicety; no shop should need it."""

from __future__ import annotations

import asyncio

from chaosrunner.demo.shop.web import Request, Response, Service, arguments, run

WORK = 0.003
"""Seconds that thinking of something takes."""


def make() -> Service:
    """The service, not yet listening."""
    service = Service("recommendations", workers=64)

    async def recommend(_: Request) -> Response:
        await asyncio.sleep(WORK)
        return Response(200, {"items": ["mug", "tray"]})

    service.route("GET", "/recommendations", recommend)
    return service


if __name__ == "__main__":
    given = arguments("recommendations")
    run(make(), given.port, given.host)
