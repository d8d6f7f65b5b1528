"""Just enough HTTP/1.1 for the shop: a server with workers and metrics, and a client with kept connections.

JSON bodies with a Content-Length, keep-alive, no TLS, no chunked bodies: what the shop's services send each other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from chaosrunner.demo.shop.told import Say, Seldom, exposition, printed, silent

REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 502: "Bad Gateway", 503: "Service Unavailable"}
LARGEST_BODY = 1 << 20
LOOPBACK = "127.0.0.1"
KEPT = 32
"""Connections that are kept to each service."""


class Unavailable(Exception):
    """Another service refused, broke off, did not answer in time, or answered with a 5xx; the text says which."""


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived."""

    method: str
    path: str
    body: Any
    """The JSON body, None without one."""
    keep: bool
    """Whether the client wants to go on using the connection."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; the body is sent as JSON, text as it is."""

    status: int
    body: Any = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """The response as it goes over the wire."""
        if isinstance(self.body, str):
            body, kind = self.body.encode(), "text/plain; version=0.0.4"
        else:
            body, kind = json.dumps(self.body).encode(), "application/json"
        reason = REASONS.get(self.status, "Unknown")
        head = f"HTTP/1.1 {self.status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


Handler = Callable[[Request], Awaitable[Response]]
Gauge = Callable[[], float | None]
"""None: there is nothing to tell at the moment."""


class Recent:
    """Counts what happened in the last second."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.total = 0
        self._seconds = seconds
        self._times: deque[float] = deque()

    def count(self) -> None:
        """One more, now."""
        self.total += 1
        self._times.append(time.monotonic())
        self._forget()

    def rate(self) -> float:
        """How many a second, of the last second."""
        self._forget()
        return len(self._times) / self._seconds

    def _forget(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._times and self._times[0] < oldest:
            self._times.popleft()


class Service:
    """An HTTP server with so many workers: further requests wait until one is free.

    `/healthz`, `/metrics.json` and `/metrics` need no worker. That is how it often is, and why a shop that serves
    nobody any more can look healthy.
    """

    def __init__(self, name: str, workers: int, calls: Sequence[Upstream] = ()) -> None:
        self.name = name
        self.workers = workers
        self._calls = calls
        """The services that it calls; their connections end with it."""
        self.requests = Recent()
        self.errors = Recent()
        self.gauges: dict[str, Gauge] = {}
        self.say: Say = silent
        """Where its log goes."""
        self._seldom = Seldom(0.2)
        self._busy = 0
        self._waiting = 0
        self._free = asyncio.Semaphore(workers)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._routes: dict[tuple[str, str], Handler] = {}

    def route(self, method: str, path: str, handler: Handler) -> None:
        """Answer this method and path with the handler's response."""
        self._routes[method, path] = handler

    def metrics(self) -> dict[str, Any]:
        """What `/metrics.json` says; rates are of the last second."""
        requests, errors = self.requests.rate(), self.errors.rate()
        return {
            "service": self.name,
            "requests_total": self.requests.total,
            "errors_total": self.errors.total,
            "requests_per_second": requests,
            "error_ratio": errors / requests if requests else 0.0,
            "workers": self.workers,
            "workers_busy": self._busy,
            "waiting": self._waiting,
            **{name: gauge() for name, gauge in self.gauges.items()},
        }

    async def start(self, port: int, host: str = LOOPBACK) -> int:
        """Listen on this port; 0 picks a free one. Returns the port."""
        self._server = await asyncio.start_server(self._talk, host, port, backlog=512)
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def stop(self) -> None:
        """Stop listening and drop every connection, whatever is being answered."""
        if self._server is not None:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        for upstream in self._calls:
            upstream.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            keep = True
            while keep and (request := await _read_request(reader)) is not None:
                keep = request.keep
                writer.write((await self._answer(request)).as_bytes())
                await writer.drain()
        except ValueError as error:
            writer.write(Response(400, {"error": str(error)}).as_bytes())
        except OSError:
            pass  # the client has gone
        finally:
            writer.close()
            self._talks.discard(talk)

    async def _answer(self, request: Request) -> Response:
        if request.path == "/healthz":
            return Response(200, {"service": self.name, "status": "ok"})
        if request.path == "/metrics.json":
            return Response(200, self.metrics())
        if request.path == "/metrics":
            return Response(200, exposition(self.metrics(), {call.name: call.numbers() for call in self._calls}))
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            return Response(404, {"error": f"{self.name} has no {request.method} {request.path}; it has {known}"})
        return await self._work(handler, request)

    async def _work(self, handler: Handler, request: Request) -> Response:
        self.requests.count()
        began = time.monotonic()
        if self._free.locked() and self._seldom.may(began):
            self.say("WARN", f"no free worker: {self._waiting + 1} requests wait")
        self._waiting += 1
        async with self._free:
            self._waiting -= 1
            self._busy += 1
            try:
                response = await handler(request)
            except Unavailable as unavailable:
                response = Response(502, {"error": str(unavailable)})
            except (KeyError, TypeError) as error:
                response = Response(400, {"error": f"the body is not what {request.path} expects: {error!r}"})
            finally:
                self._busy -= 1
        took = (time.monotonic() - began) * 1e3
        if response.status >= 500:
            self.errors.count()
            self.say("ERROR", f"{request.method} {request.path} {response.status}: {response.body.get('error', '')}")
        else:
            self.say("INFO", f"{request.method} {request.path} {response.status} in {took:.0f} ms")
        return response


class Upstream:
    """Another service, by its address: calls it over connections that are kept and used again."""

    def __init__(self, name: str, url: str, keep: int = KEPT) -> None:
        place = urlsplit(url)
        if place.hostname is None or place.port is None:
            raise ValueError(f"expected a URL with host and port for {name}, found {url!r}")
        self.name = name
        self._host, self._port = place.hostname, place.port
        self._keep = keep
        self._kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._calls, self._failures, self._seconds, self._open = 0, 0, 0.0, 0

    async def call(self, method: str, path: str, body: Any = None, *, within: float | None = None) -> Any:
        """The body of the answer.

        Raises `Unavailable` for a 5xx and for no answer; `within` in seconds, None waits for ever.
        """
        began = time.monotonic()
        self._calls, self._open = self._calls + 1, self._open + 1
        try:
            answer = await self._called(self._wire(method, path, body), within)
        except Unavailable:
            self._failures += 1
            raise
        finally:
            self._open -= 1
            self._seconds += time.monotonic() - began
        return answer

    def numbers(self) -> dict[str, float]:
        """Calls made, those that failed, the seconds that they took, and how many are under way."""
        return {
            "total": self._calls,
            "failures_total": self._failures,
            "seconds_sum": round(self._seconds, 6),
            "open": self._open,
        }

    async def _called(self, wire: bytes, within: float | None) -> Any:
        try:
            async with asyncio.timeout(within):
                response = await self._exchange(wire)
        except TimeoutError:
            raise Unavailable(f"{self.name} did not answer in time") from None
        except (OSError, EOFError, ValueError) as error:
            raise Unavailable(f"{self.name} is not there: {error}") from None
        if response.status >= 500:
            raise Unavailable(f"{self.name} answered {response.status}")
        return response.body

    def close(self) -> None:
        """Let go of the kept connections."""
        while self._kept:
            self._kept.pop()[1].close()

    def _wire(self, method: str, path: str, body: Any) -> bytes:
        sent = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(sent)}\r\n\r\n"
        return head.encode() + sent

    async def _exchange(self, wire: bytes) -> Response:
        if (kept := self._alive()) is not None:
            # A kept connection may have died unseen: then, and only then, a fresh one decides. Saying a request twice
            # is safe here, because orders carry an id and are reserved and charged once only.
            with contextlib.suppress(OSError, EOFError):
                return await self._ask(*kept, wire)
        return await self._ask(*await asyncio.open_connection(self._host, self._port), wire)

    def _alive(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._kept:
            reader, writer = self._kept.pop()
            if not (reader.at_eof() or reader.exception() or writer.is_closing()):
                return reader, writer
            writer.close()
        return None

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: bytes) -> Response:
        whole = False
        try:
            writer.write(wire)
            await writer.drain()
            response = await _read_response(reader)
            whole = True
            return response
        finally:
            if whole and len(self._kept) < self._keep:
                self._kept.append((reader, writer))
            else:
                writer.close()  # given up half-way: what still arrives belongs to nobody


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        first, headers, body = await _read_message(reader)
    except EOFError:
        return None
    method, path, version = first.split()
    keep = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower() != "close"
    return Request(method, path.partition("?")[0], body, keep)


async def _read_response(reader: asyncio.StreamReader) -> Response:
    first, _, body = await _read_message(reader)
    return Response(int(first.split()[1]), body)


async def _read_message(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], Any]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise ValueError("the headers are too long") from None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= LARGEST_BODY:
        raise ValueError(f"expected a body of at most {LARGEST_BODY} bytes, found {length}")
    body = await reader.readexactly(length)
    return first, headers, json.loads(body) if body else None


def parser(service: str, *upstreams: str) -> argparse.ArgumentParser:
    """The words of a service's command line: where it listens, and where the services that it calls are."""
    made = argparse.ArgumentParser(prog=f"python -m chaosrunner.demo.shop.{service}")
    made.add_argument("--port", type=int, required=True, help="where to listen")
    made.add_argument("--host", default=LOOPBACK, help=f"on which address (default: {LOOPBACK}; in a pod 0.0.0.0)")
    for upstream in upstreams:
        made.add_argument(f"--{upstream}", required=True, metavar="URL", help=f"where {upstream} is")
    if upstreams:
        kept = f"connections to keep to each of them (default: {KEPT}; 0 spreads the calls over a Service's pods)"
        made.add_argument("--keep", type=int, default=KEPT, metavar="N", help=kept)
    return made


def arguments(service: str, *upstreams: str, repairs: str = "") -> argparse.Namespace:
    """What the command line of a service says; with `--fixed` where it has weak places."""
    words = parser(service, *upstreams)
    if repairs:
        words.add_argument("--fixed", action="store_true", help=repairs)
    return words.parse_args()


def run(service: Service, port: int, host: str, beside: Coroutine[Any, Any, None] | None = None) -> None:
    """Serve until a signal ends the process; `beside`: what else it does."""
    service.say = printed

    async def serve() -> None:
        await service.start(port, host)
        await (asyncio.Event().wait() if beside is None else beside)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
