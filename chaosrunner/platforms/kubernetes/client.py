"""The one module that speaks to a cluster: over the `kubernetes` package's transport (`connecting`), with plain JSON
objects instead of its models, which cost seconds and hundreds of megabytes on large lists.

Paths are those of the API (`/api/v1/namespaces/shop/pods`); `path()` makes them from a group, a resource and names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from chaosrunner.platforms.kubernetes import tables
from chaosrunner.platforms.kubernetes.answers import (
    TIMEOUT,
    Answer,
    ApiError,
    Executed,
    Object,
    WatchEvent,
    exit_code,
    hint,
    in_words,
    refusal,
)
from chaosrunner.platforms.kubernetes.connecting import Rest, configured
from chaosrunner.platforms.kubernetes.tables import Listing, Table

__all__ = [
    "METADATA_ONLY",
    "TABLE",
    "Answer",
    "ApiError",
    "Channel",
    "Cluster",
    "Executed",
    "Object",
    "PatchType",
    "WatchEvent",
    "path",
]

T = TypeVar("T")
PatchType = Literal[
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

PAGE = 500
"""Objects of one page of a list, as kubectl asks for."""
ROWS = 10_000
"""Objects of one page of which little is kept, of some 2 kB each. One such page costs the API server half of what four
smaller ones do."""
CELLS = 20_000
"""Rows of one page of a table, of 150 bytes each."""
GOODBYE = 0.3
"""Seconds that the other side of a stream has to say that it is closed: one that died says nothing, and the next stream
to the same container must not wait for it."""
TRIES = 4
AT_ONCE = 64
"""Requests under way at the same time; watches and streams into containers, which stay open, are not counted."""
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    where: str
    query: Mapping[str, Any]
    body: Any = None
    accept: str = "application/json"
    content_type: str = "application/json"
    again: bool = False

    @property
    def harmless(self) -> bool:
        """Whether it may be sent twice."""
        return self.again or self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.where}"


def path(api: str, resource: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """`path("apps/v1", "deployments", "shop", "cart", "scale")`; the core group's api is `v1`."""
    parts = [f"/apis/{api}" if "/" in api else f"/api/{api}"]
    parts += [f"namespaces/{namespace}"] if namespace is not None else []
    parts += [resource]
    parts += [name] if name is not None else []
    parts += [sub] if sub is not None else []
    return "/".join(parts)


class Cluster:
    """A cluster's API, asked as one user. Made cheaply; connects at the first request.

    Every method raises `ApiError` with the server's own words, and `UsageError` if the kubeconfig cannot be used.
    Reading requests are tried again when the server is overloaded, restarts or breaks the connection; writing ones only
    where the server said that it did nothing (429), or when the caller says that doing it twice is harmless.
    """

    def __init__(
        self,
        *,
        context: str | None = None,
        kubeconfig: str | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
        timeout: float = TIMEOUT,
    ) -> None:
        self._context = context
        self._kubeconfig = kubeconfig
        self._sleep = sleep
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._rest: Rest | None = None
        self._closed = False
        self.unanswered = 0
        """Requests so far that the API server did not answer at all."""

    # -- objects

    async def get(self, where: str, **query: Any) -> Object:
        """One object, or a whole short list."""
        return await self._json(_Request("GET", where, query))

    async def find(self, where: str) -> Object | None:
        """The same; None: there is no such object (any more)."""
        try:
            return await self.get(where)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def pages(self, where: str, *, accept: str = METADATA_ONLY, **query: Any) -> AsyncIterator[Object]:
        """A list page by page, each as the server sends it; of a list that changes meanwhile, one consistent state.

        A page token that the server forgot (410) begins the list anew: callers keep what they saw by uid.
        """
        return self._pages(_Request("GET", where, query, accept=accept), json.loads, _token)

    def listings(self, where: str, **query: Any) -> AsyncIterator[Listing]:
        """The same for a long list, of whose metadata only what `Metadata` names is read."""
        request = _Request("GET", where, {"limit": ROWS} | query, accept=METADATA_ONLY)
        return self._pages(request, tables.listing, lambda page: page.token)

    def tables(self, where: str, **query: Any) -> AsyncIterator[Table]:
        """The same for what is printed of each object, without the object."""
        request = _Request("GET", where, {"limit": CELLS} | query | {"includeObject": "None"}, accept=TABLE)
        return self._pages(request, tables.table, lambda page: page.token)

    async def _pages(
        self, request: _Request, read: Callable[[bytearray], T], token_of: Callable[[T], str | None]
    ) -> AsyncIterator[T]:
        """While the caller works at one page, the server makes the next."""
        first = replace(request, query={"limit": PAGE, **request.query})
        coming, token = asyncio.create_task(self._read(first, read)), None
        try:
            while True:
                try:
                    page = await coming
                except ApiError as error:
                    if error.code != 410 or token is None:
                        raise
                    coming, token = asyncio.create_task(self._read(first, read)), None
                    continue
                token = token_of(page)
                if token is None:
                    yield page
                    return
                following = replace(first, query=dict(first.query) | {"continue": token})
                coming = asyncio.create_task(self._read(following, read))
                await asyncio.sleep(0)  # it is asked for before the caller begins to work
                yield page
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def create(self, where: str, body: Object, *, again: bool = False, **query: Any) -> Object:
        """Make an object, or call a subresource such as `eviction`. `again`: making it twice is harmless."""
        return await self._json(_Request("POST", where, query, body, again=again))

    async def replace(self, where: str, body: Object, **query: Any) -> Object:
        """Put an object in the place of the one with the same resourceVersion."""
        return await self._json(_Request("PUT", where, query, body))

    async def patch(
        self,
        where: str,
        body: Any,
        type: PatchType = "application/merge-patch+json",
        *,
        again: bool = True,
        **query: Any,
    ) -> Object:
        """Change parts of an object; a merge may be sent twice."""
        return await self._json(_Request("PATCH", where, query, body, content_type=type, again=again))

    async def apply(self, where: str, body: Object, manager: str, *, force: bool = False, dry: bool = False) -> Object:
        """Make an object, or have it as `body` says where there is one (server-side apply): fields that `manager` set
        before and that are not in it any more go. Others' fields are taken over only by `force`; else 409, and `held`
        of the error names them. `dry`: what would come of it."""
        query: Object = {"fieldManager": manager}
        query |= ({"force": "true"} if force else {}) | ({"dryRun": "All"} if dry else {})
        return await self.patch(where, body, "application/apply-patch+yaml", **query)

    async def delete(self, where: str, body: Object | None = None, **query: Any) -> Object:
        """Delete an object (`body`: DeleteOptions such as `preconditions: {uid: …}`)."""
        return await self._json(_Request("DELETE", where, query, body, again=True))

    async def text(self, where: str, **query: Any) -> str:
        """What is not JSON: a container's log."""
        return (await self._ask(_Request("GET", where, query, accept="*/*"))).decode("utf-8", "replace")

    async def pass_on(
        self, method: str, where: str, headers: Mapping[str, str], body: bytes | None, *, keep: int, within: float
    ) -> Answer:
        """Send a request through a `proxy` subresource, once, and give back whatever is answered. `where` may have a
        query. Raises `ApiError` (code 0) where nothing was answered, and TimeoutError when the time is over."""
        rest = await self._opened()
        made = {**await rest.headers("*/*"), **headers}
        try:
            async with (
                asyncio.timeout(within),
                rest.session.request(
                    method,
                    rest.url(where, ()),
                    headers=made,
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None),
                ) as response,
            ):
                kept = bytearray()
                async for chunk in response.content.iter_any():
                    kept += chunk[: max(0, keep + 1 - len(kept))]
                named = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, response.reason or "", named, bytes(kept[:keep]), len(kept) > keep)
        except aiohttp.ClientError as error:
            raise ApiError(f"{method} {where}", 0, in_words(error)) from None

    async def watch(
        self,
        where: str,
        *,
        resource_version: str,
        accept: str = "application/json",
        silence: float | None = None,
        **query: Any,
    ) -> AsyncIterator[WatchEvent]:
        """Changes after a resourceVersion, until the server ends the watch (it does so every few minutes: list again,
        watch again). Raises `ApiError` with code 410 if the version is too old, and 0 after so many seconds of
        `silence`: the server sends a bookmark about once a minute."""
        asked = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": resource_version, **query}
        rest = await self._opened()
        words = f"watch {where}"
        try:
            async with rest.session.get(
                rest.url(where, asked),
                headers=await rest.headers(accept),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=silence),
            ) as response:
                if response.status >= 400:
                    raise refusal(words, response.status, await response.read(), response.headers)
                async for line in response.content:
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        status = change["object"]
                        raise ApiError(words, int(status.get("code", 0)), str(status.get("message", "")))
                    yield WatchEvent(change["type"], change["object"])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(words, 0, in_words(error)) from None

    # -- streams into containers

    @asynccontextmanager
    async def attach(self, namespace: str, pod: str, container: str) -> AsyncIterator[Channel]:
        """The running container's standard input and output (it must have been started with `stdin: true`)."""
        query = {"container": container, "stdin": "true", "stdout": "true", "stderr": "false"}
        async with self._stream(path("v1", "pods", namespace, pod, "attach"), query) as channel:
            yield channel

    @asynccontextmanager
    async def converse(
        self, namespace: str, pod: str, container: str, command: Sequence[str]
    ) -> AsyncIterator[Channel]:
        """Run a command in a container and speak with it over its standard input and output, until this ends."""
        query = [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "false")]
        query += [("command", word) for word in command]
        async with self._stream(path("v1", "pods", namespace, pod, "exec"), query) as channel:
            yield channel

    async def execute(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, within: float = TIMEOUT
    ) -> Executed:
        """Run a command in a container and wait for its end. Raises `ApiError` (code 0) when the time is over."""
        query = [("container", container), ("stdout", "true"), ("stderr", "true"), *(("command", c) for c in command)]
        where = path("v1", "pods", namespace, pod, "exec")
        out: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
        try:
            async with asyncio.timeout(within), self._stream(where, query) as channel:
                async for number, data in channel:
                    out.setdefault(number, []).append(data)
        except TimeoutError:
            raise ApiError(f"exec {command[0]} in {namespace}/{pod}", 0, f"not through within {within:g} s") from None
        return Executed(
            exit_code(b"".join(out[3])),
            b"".join(out[1]).decode("utf-8", "replace"),
            b"".join(out[2]).decode("utf-8", "replace"),
        )

    @asynccontextmanager
    async def _stream(self, where: str, query: Any) -> AsyncIterator[Channel]:
        rest = await self._opened()
        words = f"connect {where}"
        try:
            async with asyncio.timeout(TIMEOUT):
                socket = await rest.session.ws_connect(
                    rest.url(where, query).replace("http", "ws", 1),
                    headers=await rest.headers(None),
                    protocols=_PROTOCOLS,
                    max_msg_size=0,
                    heartbeat=None,
                    timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(words, error.status, f"{error.message}{hint(error.status)}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(words, 0, in_words(error)) from None
        try:
            yield Channel(socket, words)
        finally:
            await socket.close()

    # -- rights

    async def may(
        self, verb: str, resource: str, group: str = "", *, namespace: str | None = None, subresource: str = ""
    ) -> tuple[bool, str]:
        """Whether this user may do it (SelfSubjectAccessReview), and the server's reason."""
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        attributes |= {"namespace": namespace} if namespace is not None else {}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, again=True)
        status = answer.get("status", {})
        return bool(status.get("allowed")), str(status.get("reason") or status.get("evaluationError") or "")

    async def version(self) -> tuple[str, float | None]:
        """The server's version (`v1.36.2`), and its clock when it answered, in whole epoch seconds; None: not said."""
        rest = await self._opened()
        try:
            async with rest.session.get(
                rest.url("/version", {}),
                headers=await rest.headers("application/json"),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            ) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise refusal("GET /version", response.status, answer, response.headers)
                told = response.headers.get("Date")
                return str(json.loads(answer)["gitVersion"]), parsedate_to_datetime(told).timestamp() if told else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError("GET /version", 0, in_words(error)) from None
        except (ValueError, KeyError):
            raise ApiError("GET /version", 200, "what came back is no version; is this a Kubernetes API?") from None

    async def resources(self, api: str) -> frozenset[str]:
        """Resources that a group and version (`policy/v1`) has here; empty: there is no such group."""
        try:
            found = await self.get(f"/apis/{api}" if "/" in api else f"/api/{api}")
        except ApiError as error:
            if error.not_found:
                return frozenset()
            raise
        return frozenset(str(each["name"]) for each in found.get("resources", ()))

    async def close(self) -> None:
        """End all connections, for good: who asks afterwards is refused. Idempotent."""
        self._closed = True
        if self._rest is not None:
            rest, self._rest = self._rest, None
            await rest.session.close()

    # -- underneath

    async def _json(self, request: _Request) -> Object:
        read: Callable[[bytearray], Object] = json.loads
        return await self._read(request, read)

    async def _read(self, request: _Request, read: Callable[[bytearray], T]) -> T:
        answer = await self._ask(request)
        try:
            return read(answer)
        except ValueError as problem:
            words = f"what came back is not what was asked for ({problem}); is this a Kubernetes API?"
            raise ApiError(str(request), 200, words) from None

    async def _ask(self, request: _Request) -> bytearray:
        def worth_it(error: BaseException) -> bool:
            if not isinstance(error, ApiError) or "DisruptionBudget" in error.causes:
                return False
            return error.code == 429 or (request.harmless and error.passing)

        async for attempt in AsyncRetrying(
            retry=retry_if_exception(worth_it),
            stop=stop_after_attempt(TRIES),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        ):
            with attempt:
                async with self._turn:
                    return await self._ask_once(request)
        raise AssertionError("the loop either returns or raises")

    async def _ask_once(self, request: _Request) -> bytearray:
        rest = await self._opened()
        headers = await rest.headers(request.accept)
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        try:
            async with rest.session.request(
                request.method,
                rest.url(request.where, request.query),
                headers=headers,
                data=None if request.body is None else json.dumps(request.body),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            ) as response:
                answer = bytearray()  # of a long list, half of what collecting its parts and joining them takes
                async for part in response.content.iter_any():
                    answer += part
                if response.status >= 400:
                    raise refusal(str(request), response.status, bytes(answer), response.headers)
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unanswered += 1
            raise ApiError(str(request), 0, in_words(error, self._timeout)) from None

    async def _opened(self) -> Rest:
        async with self._opening:
            if self._closed:
                raise ApiError("the API", 0, "the connection to it is closed already")
            if self._rest is None:
                self._rest = Rest(await configured(self._kubeconfig, self._context))
            return self._rest


class Channel:
    """Streams of a container over one websocket: iterate for (stream number, bytes); 1 output, 2 errors, 3 its end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, words: str) -> None:
        self._socket = socket
        self._words = words

    async def send(self, data: bytes) -> None:
        """To the container's standard input. Raises `ApiError` if the connection is broken."""
        try:
            await self._socket.send_bytes(b"\x00" + data)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ApiError(self._words, 0, in_words(error)) from None

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.BINARY and message.data:
                yield message.data[0], message.data[1:]


def _token(page: Object) -> str | None:
    token: str | None = page.get("metadata", {}).get("continue")
    return token or None


def _wait(state: RetryCallState) -> float:
    """The server's own Retry-After, or 0.1 s doubling; at most 2 s."""
    error = state.outcome.exception() if state.outcome is not None else None
    told = error.retry_after if isinstance(error, ApiError) else None
    return float(min(told if told is not None else 0.1 * 2 ** (state.attempt_number - 1), 2.0))
