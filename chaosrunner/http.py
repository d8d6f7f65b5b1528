"""HTTP for everything that speaks it: probes, trackers, notifiers. The only importer of httpx and tenacity.

Both are imported when the first request is made ready, so a run without HTTP does not pay for them. A request is made
ready once (`Http.prepare`) and sent as often as wanted; connections are kept open and reused. Whose failure it is
depends on who was asked (`Asked`); redirects are not followed, cookies are not kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from chaosrunner import __version__
from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.http_errors import THEIRS, Asked, failure, is_own, refusal, why
from chaosrunner.http_messages import REPEATABLE, Reply, Request, request_as
from chaosrunner.http_pool import MOST_IDLE, Pool
from chaosrunner.http_trust import Papers, trust, trust_nobody
from chaosrunner.model.secret import Secret, SecretRef
from chaosrunner.secrets import hide, resolve
from chaosrunner.urls import Url, check_url, proxy_for, redact

if TYPE_CHECKING:
    import ssl

    import httpx
    import tenacity

    from chaosrunner.http_line import Line, ThroughProxy

__all__ = [
    "Asked",
    "Exchange",
    "Http",
    "Reply",
    "Request",
    "Url",
    "check_url",
    "is_own",
    "redact",
    "refusal",
    "request_as",
    "retry_after",
    "why",
]

_AGAIN = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 30.0
_IDLE = 75.0
"""Seconds that an unused connection is kept: longer than measures usually pause."""
_STALE = 3
"""How many kept connections may turn out to be closed in one reading."""


class Http:
    """All HTTP of one run: pooled connections, TLS, proxies of the environment, secrets.

    Use it as `async with Http(clock) as http`, or call `aclose`. `environ` stands in for the process's environment.
    """

    def __init__(self, clock: Clock, *, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.clock = clock
        self.folder = folder or Path()
        self._environ = os.environ if environ is None else environ
        self.patience: dict[str, float] = {}
        """Until when (monotonic) a host asked to be left alone, by the part of its URLs that names it."""
        self._pools: dict[tuple[object, ...], Pool[Line | ThroughProxy]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; idempotent, and it can be used again afterwards."""
        for pool in self._pools.values():
            await pool.aclose()

    def secret(self, ref: SecretRef) -> Secret:
        """The value of a reference. Raises `UsageError` naming the reference, never the value."""
        return resolve(ref, self.folder, self._environ)

    def prepare(self, request: Request) -> Exchange:
        """Make a request ready to be sent again and again.

        Raises `UsageError` for a URL, header, secret, CA file or proxy that cannot be used.
        """
        _load_httpx()
        import httpx

        try:
            content = request.body if request.json is None else json.dumps(request.json).encode()
            message = httpx.Request(
                request.method.upper(), request.url, headers=self._headers(request), content=content
            )
        except (httpx.InvalidURL, UnicodeError, TypeError) as error:
            raise UsageError(f"{request}: cannot be sent: {error}") from None
        return Exchange(self, request, message)

    async def send(self, request: Request) -> Reply:
        """Prepare and send once; see `Exchange.send`."""
        return await self.prepare(request).send()

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "User-Agent": f"chaosrunner/{__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "close" if request.fresh else "keep-alive",
        }
        if request.json is not None:
            headers["Content-Type"] = "application/json"
        if request.bearer is not None:
            headers["Authorization"] = f"Bearer {self._header_secret(request.bearer)}"
        if request.basic is not None:
            pair = f"{request.basic[0]}:{self.secret(request.basic[1]).reveal()}"
            import base64

            encoded = base64.b64encode(pair.encode()).decode()
            hide(encoded)
            headers["Authorization"] = f"Basic {encoded}"
        given = {name.lower() for name in request.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in given}
        for name, value in request.headers.items():
            if isinstance(value, SecretRef):
                headers[name] = self._header_secret(value)
            elif any(ord(letter) < 32 for letter in value) or not value.isascii():
                raise UsageError(f"{request}: header {name} holds a letter that headers cannot carry")
            else:
                headers[name] = value
        return headers

    def _header_secret(self, ref: SecretRef) -> str:
        value = self.secret(ref).reveal()
        if not (value.isascii() and value.isprintable()):  # said here: later messages would quote the value
            raise UsageError(f"the {ref} holds a letter that an HTTP header cannot carry (a line end, perhaps)")
        return value

    def pool(self, request: Request) -> Pool[Line | ThroughProxy]:
        """The connections for a request: one pool for each server, trust, way and freshness."""
        tls = request.url.lower().startswith("https:")
        proxy = proxy_for(request.url, self._environ)
        trusted = (request.ca_file, request.client_cert, request.client_key) if tls else None
        key = (urlsplit(request.url).netloc, trusted, proxy, request.fresh)
        if key not in self._pools:
            self._pools[key] = self._new_pool(request, tls, proxy)
        return self._pools[key]

    def _new_pool(self, request: Request, tls: bool, proxy: str | None) -> Pool[Line | ThroughProxy]:
        import httpx

        from chaosrunner.http_line import Line, ThroughProxy

        keep = 0 if request.fresh else MOST_IDLE
        if proxy is None:
            url, trust = httpx.URL(request.url), self.trust(request) if tls else None
            return Pool(lambda: Line(url, trust, _IDLE), keep)
        known = self.trust(request) if tls or proxy.startswith("https:") else trust_nobody()
        limits = httpx.Limits(keepalive_expiry=_IDLE)
        try:
            way = httpx.Proxy(proxy)
            ThroughProxy(verify=known, limits=limits, trust_env=False, proxy=way)
        except (ImportError, ValueError, httpx.InvalidURL):
            raise UsageError(
                f"{request}: the environment's proxy {redact(proxy)} cannot be used: expected http://HOST:PORT "
                "(HTTP_PROXY, HTTPS_PROXY, ALL_PROXY; NO_PROXY excludes hosts)"
            ) from None
        return Pool(lambda: ThroughProxy(verify=known, limits=limits, trust_env=False, proxy=way), keep)

    def trust(self, papers: Papers) -> ssl.SSLContext:
        """Whom a TLS connection trusts, and who it says that we are. Raises `UsageError` for unusable files."""
        return trust(self.folder, self._environ, papers)


def _load_httpx() -> None:
    """Import httpx without its command line (and the terminal libraries that this would import: half of 150 ms), and
    without its log lines, which hold whole URLs."""
    if "httpx" in sys.modules:
        return
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # "not installed", which httpx is prepared for
    import anyio
    import httpcore
    import httpx

    assert httpx is not None
    del sys.modules["httpx._main"]
    import importlib.util

    if importlib.util.find_spec("sniffio") is None:
        # httpcore tries to import it several times for each request. Where it is not installed, that search of all of
        # sys.path is a quarter of a request's time; this entry makes it fail at once.
        sys.modules["sniffio"] = None  # type: ignore[assignment]
    # What they import on first use would otherwise count as latency of the first answer (some 30 ms).
    httpcore.AnyIOBackend()
    with suppress(RuntimeError):  # outside of an event loop
        anyio.get_current_task()


class _Stage:
    """How far a request has come, as httpcore tells: for messages, and to tell a reused connection."""

    __slots__ = ("answering", "connecting", "sent")

    def __init__(self) -> None:
        self.connecting = False
        self.sent = False
        self.answering = False

    async def __call__(self, name: str, info: object) -> None:
        if name == "connection.connect_tcp.started":
            self.connecting = True
        elif name == "http11.send_request_headers.started":
            self.sent = True
        elif name == "http11.receive_response_headers.complete":
            self.answering = True

    @property
    def stale(self) -> bool:
        """It failed on a connection that was kept open, before a byte of an answer."""
        return self.sent and not self.connecting and not self.answering

    def late(self, seconds: float) -> str:
        if self.answering:
            return f"the answer did not end within {seconds:g} s"
        if self.sent:
            return f"no answer within {seconds:g} s"
        return f"no connection within {seconds:g} s"


def _failures() -> tuple[type[Exception], ...]:
    import httpcore
    import httpx

    of_httpx = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
    of_httpcore = (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    )
    return (*of_httpx, *of_httpcore, OSError)


class Exchange:
    """A request made ready."""

    def __init__(self, http: Http, request: Request, message: httpx.Request) -> None:
        self.request = request
        self._http = http
        self._clock = http.clock
        self._message = message
        self._pool = http.pool(request)
        self._expected = _failures()
        self._repeatable = request.keyed or request.method.upper() in REPEATABLE

    async def send(self) -> Reply:
        """Send it and read the answer to its end. Any status is an answer.

        Raises, by who was asked, `NoAnswer`, `NoReading` or `NotPossibleNow` with the reason; `NoReading` also where
        the failure is this machine's own (no file descriptors, an authority that is not trusted here).
        """
        if not self.request.retries:
            return await self._attempt()
        import tenacity

        retrying = tenacity.AsyncRetrying(
            sleep=self._clock.sleep,
            stop=tenacity.stop_after_attempt(self.request.retries + 1),
            retry=tenacity.retry_if_exception(_of_the_network) | tenacity.retry_if_result(_asks_for_patience),
            wait=self._pause,
            retry_error_callback=_last_outcome,
        )
        reply: Reply = await retrying(self._attempt)
        return reply

    def _pause(self, state: tenacity.RetryCallState) -> float:
        import tenacity

        outcome = state.outcome
        if outcome is not None and not outcome.failed:
            named = retry_after(outcome.result().headers.get("retry-after", ""), self._clock.now())
            if named is not None:
                return min(named, _LONGEST_WAIT)
        return tenacity.wait_random_exponential(multiplier=0.5, max=8)(state)

    async def _attempt(self) -> Reply:
        began = self._clock.monotonic()
        stage = _Stage()
        try:
            async with asyncio.timeout(self.request.timeout):
                for _ in range(_STALE):
                    try:
                        return await self._exchange(stage, began)
                    except self._expected:
                        if not (stage.stale and self._repeatable):
                            raise
                    # The server closed a kept connection just as it was used again: as every HTTP client, try another.
                    stage = _Stage()
                return await self._exchange(stage, began)
        except TimeoutError as error:
            reason = stage.late(self.request.timeout)
            raise failure(error, self.request.asked, str(self.request), reason=reason) from error
        except self._expected as error:
            raise failure(error, self.request.asked, str(self.request), cut=stage.answering) from error

    async def _exchange(self, stage: _Stage, began: float) -> Reply:
        message = self._message
        transport, generation = self._pool.take()
        try:
            # Being told of each step takes a tenth of an exchange; on a connection that is open nothing is to be told.
            stage.sent = await transport.is_open()
            message.extensions = {} if stage.sent else {"trace": stage}  # taken up at once: exchanges may overlap
            response = await transport.handle_async_request(message)
            stage.answering = True
            response.request = message
            try:
                body, cut = await self._read(response)
            finally:
                await response.aclose()
        finally:
            await self._pool.give_back(transport, generation)
        return Reply(
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            body=body,
            cut=cut,
            seconds=self._clock.monotonic() - began,
            charset=response.charset_encoding or "utf-8",
        )

    async def _read(self, response: httpx.Response) -> tuple[bytes, bool]:
        keep = self.request.keep
        if not keep:
            assert isinstance(response.stream, AsyncIterable)
            async for _ in response.stream:
                pass
            return b"", False
        kept = bytearray()
        async for chunk in response.aiter_bytes():
            kept += chunk
            if len(kept) > keep:
                return bytes(kept[:keep]), True
        return bytes(kept), False


def _of_the_network(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in THEIRS and not is_own(error)


def _asks_for_patience(reply: Reply) -> bool:
    return reply.status in _AGAIN


def _last_outcome(state: tenacity.RetryCallState) -> Reply:
    assert state.outcome is not None
    reply: Reply = state.outcome.result()
    return reply


def retry_after(text: str, now: float) -> float | None:
    """Seconds of a Retry-After header: a number, or a date."""
    if text.strip().isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError):
        return None
