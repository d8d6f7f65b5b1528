"""`GET /metrics`: runs, verdicts, abort times and near misses, for Prometheus."""

from __future__ import annotations

import asyncio

from chaosrunner.exposition import CONTENT_TYPE, exposition
from chaosrunner.serve.asking import Answer, Asked, Route, RouteContext


async def _metrics(asked: Asked, context: RouteContext) -> Answer:
    figures = await context.figures.now()
    return Answer(await asyncio.to_thread(exposition, figures), content_type=CONTENT_TYPE)


ROUTES = (Route("GET", "/metrics", _metrics, most_body=0),)
