"""A probe that asks over HTTP: status, latency, body, or one value of a JSON body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from chaosrunner.errors import CannotDoHonestly, NoAnswer, NoReading
from chaosrunner.http import Asked, Reply, Request, check_url, request_as
from chaosrunner.model.access import Access
from chaosrunner.model.json_path import JsonPath, OneValue
from chaosrunner.model.marks import AfterValidator, BeforeValidator, Field, JsonValue, model_validator
from chaosrunner.model.quantities import Duration, Size
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Sending, ServiceCalls, TimedProbe, Value

_JSON_LIMIT = 1024 * 1024
_BODY_LIMIT = 10_000
_SERVICE = """the platform of the environment does not reach services by their name; give a whole `url`"""
Status = Annotated[int, Field(ge=100, le=599)]


def _check_method(text: str) -> str:
    if not re.fullmatch(r"[A-Z]+", text):
        raise ValueError(f"expected a method such as GET or POST, found {text!r}")
    return text


def _port(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ValueError(f"expected the number or name of a port, found {value!r}")


def _url_or_path(text: str) -> str:
    return text if text.startswith("/") else check_url(text)


class Params(Access):
    """What to ask, and what to read of the answer."""

    url: Annotated[str, AfterValidator(_url_or_path)]
    """Where to, http or https, without credentials; with `service` a path, such as /healthz. Redirects are not
    followed: they are answers."""
    service: str | None = None
    """A service of a Kubernetes environment: it is asked through the API server, which reaches it from anywhere."""
    port: Annotated[str, BeforeValidator(_port)] | None = None
    """With `service`: number or name of its port; default: the environment's, or its only one."""
    method: Annotated[str, AfterValidator(_check_method)] = "GET"
    """HTTP method; default GET. GET, HEAD, OPTIONS, PUT and DELETE are sent a second time on another connection if a
    kept one turns out to be closed."""
    body: str | None = None
    """Request body; say its type in `headers`."""
    timeout: Duration = Field(default=10.0, gt=0)
    """For all of it, from connecting to the last byte of the body; longer is no answer. Default 10s."""
    read: Literal["status", "latency", "body", "json"] = "status"
    """`status`: the status code; `latency`: seconds from asking to the last byte of the body; `body`: the body as
    text (at most 10 kB); `json`: the one value that `path` finds in it. Default status."""
    path: JsonPath | None = None
    """With `read: json`: a JSONPath (RFC 9535) that finds exactly one number, text, or true/false."""
    expect: Status | tuple[Status, ...] | None = None
    """Statuses that count as an answer; any other is no answer. Default: all for `read: status`, otherwise 200 to
    399, so that a quick error page is never a good latency."""
    fresh: bool = False
    """Open a new connection for each reading, instead of keeping one open; default false."""
    limit: Size | None = None
    """With `read: json`: a longer body is no reading; default 1MiB."""

    @model_validator(mode="after")
    def _way(self) -> Params:
        if self.service is None:
            if self.url.startswith("/"):
                raise ValueError(f"a path alone goes with `service`; expected a whole URL, found {self.url!r}")
            if self.port is not None:
                raise ValueError("port goes with service; without it, the port stands in the url")
        elif not re.fullmatch(r"/[!-~]*", self.url):
            raise ValueError(f"url: with `service` expected a path such as /healthz, found {self.url!r}")
        elif self.bearer_token or self.basic or self.ca_file or self.client_cert or self.fresh:
            raise ValueError("bearerToken, basic, caFile, clientCert and fresh go with a whole url, not with service")
        return self

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if (self.path is None) == (self.read == "json"):
            raise ValueError("path goes with `read: json`, and `read: json` needs a path such as $.queue.depth")
        if self.limit is not None and self.read != "json":
            raise ValueError("limit goes with `read: json`")
        return self


class HttpProbe(TimedProbe[Params]):
    """Asks the system under test over HTTP and reads the answer's status, latency, body, or one value of its JSON.

    Connections are kept and reused. Refused, reset, cut short, too late, a name that is not found, an expired
    certificate, or a status that was not expected: *no answer*, which meets no tolerance. This machine's own failures
    (no file descriptors, an authority that is not trusted here): *no reading*. An expected status with a body that
    does not hold what was asked for (no JSON, the path finds nothing, several values or an object, too long) is *no
    reading* too, because the path may be wrong as well as the system; `whenMissing: broken` on the measure makes it
    count against the system, once its baseline had readings.

    With `service`, the way is the API server's proxy (rights: `get services/proxy`; `create` for a POST). It picks one
    ready pod of the service for each request, as a client's connection would. No pod ready, or no connection to it: *no
    answer*. An API server that is silent, refuses or is overloaded: *no reading*. `latency` is then measured from
    chaosrunner and holds the way to the API server and through it, a few milliseconds: compare it with its baseline.
    """

    late: ClassVar[Mapping[str, JsonValue]] = {"body": "known later"}
    example = 'http: {url: "http://127.0.0.1:7001/healthz", read: latency, timeout: 2s}'

    _exchange: Sending | None = None

    @classmethod
    def bounds(cls, params: Params) -> tuple[float | None, float | None]:
        return (100.0, 599.0) if params.read == "status" else super().bounds(params)

    @classmethod
    def asks(cls, params: Params) -> int | None:
        return urlsplit(params.url).port if params.service is None else None

    @classmethod
    def reads_text(cls, params: Params) -> bool:
        return params.read in ("body", "json")

    async def open(self) -> None:
        params = self.params
        self._limit = _BODY_LIMIT if params.read == "body" else int(params.limit or _JSON_LIMIT)
        self._path = OneValue(params.path) if params.path is not None else None
        self._expect = (params.expect,) if isinstance(params.expect, int) else params.expect
        request = request_as(
            params,
            params.url,
            method=params.method,
            body=None if params.body is None else params.body.encode(),
            asked=Asked.SYSTEM,
            keep=self._limit if params.read in ("body", "json") else 0,
            fresh=params.fresh,
        )
        if params.service is None:
            self._exchange = self.context.http.prepare(request)
        else:
            self.answers = False  # the way there may be what is late; `send` tells them apart
            self._exchange = self._through_the_platform(params.service, request)

    def _through_the_platform(self, service: str, request: Request) -> Sending:
        secret = self.context.http.secret
        plain = {
            name: secret(value).reveal() if isinstance(value, SecretRef) else value
            for name, value in request.headers.items()
        }
        try:
            calls = None if self.context.platform is None else self.context.platform.ability(ServiceCalls)
        except CannotDoHonestly:
            calls = None
        if calls is None:
            raise NoReading(_SERVICE)
        return calls.prepare(service, self.params.port, replace(request, headers=plain))

    async def read(self) -> Value:
        if self._exchange is None:
            await self.open()
        assert self._exchange is not None
        reply = await self._exchange.send()
        if not self._is_expected(reply.status):
            raise NoAnswer(f"{self._exchange.request}: answered {reply}")
        if self.params.read == "status":
            return float(reply.status)
        if self.params.read == "latency":
            return reply.seconds
        if reply.cut:
            raise NoReading(f"{self._exchange.request}: the body is longer than {self._limit} bytes")
        if self.params.read == "body":
            return reply.text()
        return self._value(reply, str(self._exchange.request))

    def _is_expected(self, status: int) -> bool:
        if self._expect is not None:
            return status in self._expect
        return self.params.read == "status" or 200 <= status < 400

    def _value(self, reply: Reply, what: str) -> Value:
        try:
            document = reply.json()
        except ValueError as error:
            raise NoReading(f"{what}: {error}") from None
        assert self._path is not None
        try:
            return self._path.of(document)
        except ValueError as error:
            raise NoReading(f"{what}: {error}") from None
