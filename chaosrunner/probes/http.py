"""A probe that asks over HTTP: status, latency, body, or one value of a JSON body."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.http import Asked, Exchange, Reply, Request, Url
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration, Size
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Probe, Value

_JSON_LIMIT = 1024 * 1024
_BODY_LIMIT = 10_000
Status = Annotated[int, Field(ge=100, le=599)]


def _check_method(text: str) -> str:
    if not re.fullmatch(r"[A-Z]+", text):
        raise ValueError(f"expected a method such as GET or POST, found {text!r}")
    return text


def _compile(path: str) -> Any:
    from jsonpath import JSONPathEnvironment

    return JSONPathEnvironment(strict=True).compile(path)


def _check_path(path: str) -> str:
    from jsonpath import JSONPathError

    try:
        _compile(path)
    except JSONPathError as error:
        raise ValueError(f"expected a JSONPath (RFC 9535) such as $.queue.depth, found {path!r}: {error}") from None
    return path


class Basic(Parameters):
    """Basic authentication."""

    user: str
    """The user's name."""
    password: SecretRef
    """Where the password is."""


class Params(Parameters):
    """What to ask, and what to read of the answer."""

    url: Url
    """Where to, http or https, without credentials. Redirects are not followed: they are answers."""
    method: Annotated[str, AfterValidator(_check_method)] = "GET"
    """HTTP method; default GET. GET, HEAD, OPTIONS, PUT and DELETE are sent a second time on another connection if a
    kept one turns out to be closed."""
    headers: dict[str, str | SecretRef] = {}
    """Request headers; a value is text, or where a secret is: `{env: API_KEY}`."""
    bearer_token: SecretRef | None = None
    """Where the token of `Authorization: Bearer …` is."""
    basic: Basic | None = None
    """`{user, password: {env: NAME}}`."""
    body: str | None = None
    """Request body; say its type in `headers`."""
    ca_file: str | None = None
    """A private CA, PEM; the only one that is then trusted."""
    timeout: Duration = Field(default=10.0, gt=0)
    """For all of it, from connecting to the last byte of the body; longer is no answer. Default 10s."""
    read: Literal["status", "latency", "body", "json"] = "status"
    """`status`: the status code; `latency`: seconds from asking to the last byte of the body; `body`: the body as
    text (at most 10 kB); `json`: the one value that `path` finds in it. Default status."""
    path: Annotated[str, AfterValidator(_check_path)] | None = None
    """With `read: json`: a JSONPath (RFC 9535) that finds exactly one number, text, or true/false."""
    expect: Status | tuple[Status, ...] | None = None
    """Statuses that count as an answer; any other is no answer. Default: all for `read: status`, otherwise 200 to
    399, so that a quick error page is never a good latency."""
    fresh: bool = False
    """Open a new connection for each reading, instead of keeping one open; default false."""
    limit: Size | None = None
    """With `read: json`: a longer body is no reading; default 1MiB."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if (self.path is None) == (self.read == "json"):
            raise ValueError("path goes with `read: json`, and `read: json` needs a path such as $.queue.depth")
        if self.limit is not None and self.read != "json":
            raise ValueError("limit goes with `read: json`")
        if self.bearer_token is not None and self.basic is not None:
            raise ValueError("expected one of bearerToken and basic")
        return self


class HttpProbe(Probe[Params]):
    """Asks the system under test over HTTP and reads the answer's status, latency, body, or one value of its JSON.

    Connections are kept and reused. Refused, reset, cut short, too late, a name that is not found, an expired
    certificate, or a status that was not expected: *no answer*, which meets no tolerance. This machine's own failures
    (no file descriptors, an authority that is not trusted here): *no reading*. An expected status with a body that
    does not hold what was asked for (no JSON, the path finds nothing, several values or an object, too long) is *no
    reading* too, because the path may be wrong as well as the system; `whenMissing: broken` on the measure makes it
    count against the system, once its baseline had readings.
    """

    example = 'http: {url: "http://127.0.0.1:7001/healthz", read: latency, timeout: 2s}'
    answers = True

    _exchange: Exchange | None = None

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "s" if params.read == "latency" else None

    @classmethod
    def kind_of(cls, params: Params) -> Literal["latency", "ratio", "rate"] | None:
        return "latency" if params.read == "latency" else None

    async def open(self) -> None:
        params = self.params
        self._limit = _BODY_LIMIT if params.read == "body" else int(params.limit or _JSON_LIMIT)
        self._path = _compile(params.path) if params.path is not None else None
        self._expect = (params.expect,) if isinstance(params.expect, int) else params.expect
        self._exchange = self.context.http.prepare(
            Request(
                params.url,
                method=params.method,
                headers=params.headers,
                body=None if params.body is None else params.body.encode(),
                timeout=params.timeout,
                asked=Asked.SYSTEM,
                bearer=params.bearer_token,
                basic=None if params.basic is None else (params.basic.user, params.basic.password),
                ca_file=params.ca_file,
                keep=self._limit if params.read in ("body", "json") else 0,
                fresh=params.fresh,
            )
        )

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
        found = self._found(document, what)
        if len(found) != 1:
            count = f"{len(found)} values" if found else "nothing"
            raise NoReading(f"{what}: {self.params.path} finds {count}, expected exactly one value")
        value = found[0]
        if isinstance(value, bool | str):
            return value
        number = _finite(value)
        if number is None:
            kind = {dict: "an object", list: "a list", type(None): "null"}.get(type(value), f"{value!r:.40}")
            raise NoReading(f"{what}: {self.params.path} is {kind}, expected a number, text, or true/false")
        return number

    def _found(self, document: Any, what: str) -> list[Any]:
        from jsonpath import JSONPathError

        if not isinstance(document, dict | list):
            raise NoReading(f"{what}: the body is a bare JSON value, expected an object or a list to look into")
        assert self._path is not None
        try:
            return list(self._path.findall(document))
        except (JSONPathError, RecursionError) as error:
            raise NoReading(f"{what}: {self.params.path} cannot be followed: {error}") from None


def _finite(value: Any) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
