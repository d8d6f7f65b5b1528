"""The ways to a server: a connection of our own, or the environment's proxy. Part of the HTTP seam.

A `Line` is httpcore's connection without the pool and the transport of httpx above it, which take as long as the rest
of an exchange: a pool of lines (`http_pool`) gives each line to one exchange at a time, so nothing is left for them to
do. Imported when the first request is made ready, after httpx.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl


class _Body(httpx.AsyncByteStream):
    """The body as it comes in."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_stream()

    async def aclose(self) -> None:
        await self._response.aclose()


class Line(httpx.AsyncBaseTransport):
    """At most one connection to one server; for one exchange at a time. It is opened, and opened again, on use."""

    def __init__(self, url: httpx.URL, trust: ssl.SSLContext | None, idle: float) -> None:
        """`trust` is None for plain HTTP; a connection that was unused for `idle` seconds is not used again."""
        self._origin = _url(url).origin
        self._trust = trust
        self._idle = idle
        self._connection: httpcore.AsyncHTTPConnection | None = None

    async def is_open(self) -> bool:
        """Look at the connection before an exchange; one that the server closed, or that is too old, is given up."""
        connection = self._connection
        if connection is not None and connection.is_available() and not connection.has_expired():
            return True
        await self.aclose()
        return False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; the response's body is still to be read.

        What it and the body raise are httpcore's errors, which have the names of httpx's.
        """
        message = httpcore.Request(
            request.method,
            _url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        if self._connection is None:
            self._connection = httpcore.AsyncHTTPConnection(
                self._origin, ssl_context=self._trust, keepalive_expiry=self._idle
            )
        response = await self._connection.handle_async_request(message)
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close the connection, if there is one; idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()


class ThroughProxy(httpx.AsyncHTTPTransport):
    """The same through a proxy, with httpx's own transport."""

    async def is_open(self) -> bool:
        """Not known: its events tell."""
        return False


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
