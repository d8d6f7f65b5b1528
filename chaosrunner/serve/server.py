"""The server: who may ask, how much, how many at once and for how long. The answers are the routes'.

It keeps its bounds towards anybody: so many connections and no more, a body and headers of limited size, an answer in
limited time, and a connection that sends nothing for a while is closed.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from chaosrunner.clock import Clock
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow, UsageError
from chaosrunner.model.secret import Secret
from chaosrunner.records.light import dataclass
from chaosrunner.serve.asking import MOST_BODY, Answer, Asked, Route, RouteContext

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Bounds:
    """What one server bears."""

    connections: int = 100
    answers: int = 16
    """At once; more are sent away (503)."""
    seconds: float = 30.0
    """That an answer may take (503)."""
    idle: float = 60.0
    """Seconds after which a connection that asks nothing is closed."""


class Server:
    """Answers routes until its `serving` ends."""

    def __init__(
        self, routes: Sequence[Route], context: RouteContext, token: Secret | None = None, bounds: Bounds | None = None
    ) -> None:
        self._context = context
        self._token = token
        self._bounds = bounds or Bounds()
        self._answering = 0
        self._active: dict[object, float] = {}
        """When a connection was last busy; infinity: it is."""
        self._app = web.Application(client_max_size=MOST_BODY)
        for route in routes:
            self._app.router.add_route(route.method, route.path, self._handler(route))

    @asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen; the port, which is a free one where 0 was asked for.

        Raises `UsageError` for an address beyond this machine without a token, `NotPossibleNow` where it cannot listen.
        """
        if host not in LOOPBACK and self._token is None:
            raise UsageError(
                f"listening on {host} lets others ask: expected a token (--token-file, or CHAOSRUNNER_SERVE_TOKEN), or "
                "--host 127.0.0.1"
            )
        runner = web.AppRunner(self._app, access_log=None, keepalive_timeout=self._bounds.idle, lingering_time=1.0)
        await runner.setup()
        assert runner.server is not None
        inner = runner.server
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(lambda: self._accept(inner), host, port, backlog=64)
        except OSError as error:
            await runner.cleanup()
            raise NotPossibleNow(f"cannot listen on {host}:{port}: {error.strerror}") from None
        sweeping = asyncio.ensure_future(self._sweep(inner, self._context.clock))
        try:
            yield listening.sockets[0].getsockname()[1]
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            listening.close()
            await runner.cleanup()

    def _accept(self, inner: web.Server) -> asyncio.Protocol:
        if len(inner.connections) >= self._bounds.connections:
            return _Turned()
        protocol = inner()
        self._active[protocol] = self._context.clock.monotonic()
        return protocol

    async def _sweep(self, inner: web.Server, clock: Clock) -> None:
        """Close connections that ask nothing: also those that never finish asking."""
        while True:
            await clock.sleep(self._bounds.idle / 4)
            self._active = {each: at for each, at in self._active.items() if each in set(inner.connections)}
            for connection in list(inner.connections):
                if clock.monotonic() - self._active.get(connection, clock.monotonic()) > self._bounds.idle:
                    connection.force_close()

    # -- answering

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self._active[request.protocol] = float("inf")
            try:
                return _response(await self._answer(route, request))
            finally:
                self._active[request.protocol] = self._context.clock.monotonic()

        return handle

    async def _answer(self, route: Route, request: web.Request) -> Answer:
        if not route.for_all and not self._may_ask(request.headers):
            return Answer("expected `Authorization: Bearer TOKEN`\n", 401, headers={"WWW-Authenticate": "Bearer"})
        if self._answering >= self._bounds.answers:
            return Answer("too many questions at once\n", 503, headers={"Retry-After": "1"})
        if (request.content_length or 0) > route.most_body:
            return Answer(f"expected at most {route.most_body} bytes\n", 413)
        self._answering += 1
        try:
            async with asyncio.timeout(self._bounds.seconds):
                body = await request.read() if request.can_read_body else b""
                if len(body) > route.most_body:
                    return Answer(f"expected at most {route.most_body} bytes\n", 413)
                asked = Asked(request.method, request.path, request.query, request.headers, body)
                return await route.answer(asked, self._context)
        except TimeoutError:
            return Answer(f"no answer within {self._bounds.seconds:g} s\n", 503, headers={"Retry-After": "5"})
        except ChaosrunnerError as error:
            return Answer(f"{error}\n", 400 if isinstance(error, UsageError) else 503)
        finally:
            self._answering -= 1

    def _may_ask(self, headers: Mapping[str, str]) -> bool:
        if self._token is None:
            return True
        given = headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, f"Bearer {self._token.reveal()}".encode())


class _Turned(asyncio.Protocol):
    """A connection more than the server bears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it at once."""
        transport.close()


def _response(answer: Answer) -> web.Response:
    body = answer.body.encode() if isinstance(answer.body, str) else answer.body
    headers = {
        "Server": "chaosrunner",
        "Content-Type": answer.content_type,
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    return web.Response(status=answer.status, body=body, headers=headers)
