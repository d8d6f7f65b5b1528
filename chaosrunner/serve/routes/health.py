"""`GET /healthz`: whether the server answers at all. It says nothing about any system, so anybody may ask."""

from __future__ import annotations

from chaosrunner.serve.asking import Answer, Asked, Route, RouteContext


async def _healthy(asked: Asked, context: RouteContext) -> Answer:
    return Answer("ok\n")


ROUTES = (Route("GET", "/healthz", _healthy, for_all=True, most_body=0),)
