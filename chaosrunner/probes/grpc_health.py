"""A probe that asks a gRPC server for its health, by the standard protocol (grpc.health.v1.Health/Check).

The one call is made by hand, over HTTP/2 of the `h2` package: its messages are one field each, and gRPC's own package
is fifty times as large. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and doc/health-checking.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.http import is_own, why
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, TimedProbe, Value

if TYPE_CHECKING:
    from h2.connection import H2Connection

_METHOD = "/grpc.health.v1.Health/Check"
_STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_OF_HTTP = {"401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED", "404": "UNIMPLEMENTED"}
"""What an HTTP status without a gRPC status means (doc/http-grpc-status-mapping.md); others: not available."""
_OURS = {
    "NOT_FOUND": "knows no service {service!r}: is the name right?",
    "UNIMPLEMENTED": "does not implement the health protocol (grpc.health.v1)",
    "UNAUTHENTICATED": "does not know who we are (UNAUTHENTICATED): it wants a token in `headers`, or another one",
    "PERMISSION_DENIED": "does not let us ask (PERMISSION_DENIED)",
}
"""Answers that say something of the question, not of the server's health."""
_LONGEST = 64 * 1024


class Params(Parameters):
    """Which server, which service of it."""

    host: str = Field(min_length=1)
    """Name or address."""
    port: int = Field(ge=1, le=65535)
    """TCP port."""
    service: str = ""
    """The service as the server calls it in its health: `shop.Checkout`; default empty, the server as a whole."""
    read: Literal["status", "latency"] = "status"
    """`status`: SERVING, NOT_SERVING, UNKNOWN or SERVICE_UNKNOWN; `latency`: seconds until it says SERVING, the
    connection included; it says anything else: no answer. Default status."""
    tls: bool = False
    """Speak TLS; default false."""
    server_name: str | None = None
    """With `tls`: the name that is asked for and that the certificate must have; default: `host`."""
    ca_file: str | None = None
    """With `tls`: a private CA, PEM; the only one that is then trusted."""
    client_cert: str | None = None
    """With `tls`: a certificate of our own for servers that ask for one (mTLS), PEM."""
    client_key: str | None = None
    """Its key, PEM, without a pass phrase; default: it is in `clientCert`."""
    headers: dict[str, str | SecretRef] = {}
    """Metadata of the call; a value is text, or where a secret is: `{env: TOKEN}`."""
    timeout: Duration = Field(default=5.0, gt=0)
    """For all of it, from connecting to the status; default 5s."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if not self.tls and (self.server_name or self.ca_file or self.client_cert or self.client_key):
            raise ValueError("serverName, caFile, clientCert and clientKey go with `tls: true`")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("clientKey goes with clientCert")
        for name in self.headers:
            if name.startswith(("grpc-", ":")) or name.endswith("-bin") or not name.isascii() or name != name.lower():
                raise ValueError(
                    f"headers: expected a name of metadata in lower case such as authorization, found {name!r}"
                )
        return self


class GrpcHealth(TimedProbe[Params]):
    """Asks a gRPC server for its health, on a new connection each time.

    What it says of its health is a reading. Refused, reset, closed, too late, no HTTP/2, or a failure of the server
    (such as UNAVAILABLE, INTERNAL) is *no answer*. A service that it does not know, a server without the health
    protocol, or one that does not let us ask says nothing of the health: *no reading*, as are this machine's own
    failures.
    """

    example = "grpc-health: {host: checkout.shop, port: 9090, service: shop.Checkout, timeout: 1s}"

    _headers: list[tuple[str, str]] | None = None
    _trust: ssl.SSLContext | None = None

    async def open(self) -> None:
        params = self.params
        if params.tls:
            self._trust = self.context.http.trust(params)
            self._trust.set_alpn_protocols(["h2"])
        self._headers = [
            (":method", "POST"),
            (":scheme", "https" if params.tls else "http"),
            (":path", _METHOD),
            (":authority", f"{params.server_name or params.host}:{params.port}"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", f"{max(1, round(params.timeout * 1000))}m"),
            *self._metadata(),
        ]

    def _metadata(self) -> Iterator[tuple[str, str]]:
        for name, value in self.params.headers.items():
            text = self.context.http.secret(value).reveal() if isinstance(value, SecretRef) else value
            if not (text.isascii() and text.isprintable()):
                raise UsageError(f"the metadata {name} holds a letter that a header cannot carry")
            yield name, text

    async def read(self) -> Value:
        if self._headers is None:
            await self.open()
        began = self.context.clock.monotonic()
        where = f"{self.params.host}:{self.params.port}"
        try:
            async with asyncio.timeout(self.params.timeout):
                reply = await self._call()
        except TimeoutError as error:
            raise NoAnswer(f"{where}: no answer within {self.params.timeout:g} s") from error
        except (OSError, UnicodeError) as error:
            if is_own(error):
                raise NoReading(f"{where}: {why(error)}") from error
            raise NoAnswer(f"{where}: {why(error)}") from error
        taken = self.context.clock.monotonic() - began
        state = _state(reply, where, self.params.service)
        if self.params.read == "status":
            return state
        if state != "SERVING":
            raise NoAnswer(f"{where}: says {state}")
        return taken

    async def _call(self) -> _Reply:
        params = self.params
        name = (params.server_name or params.host) if params.tls else None
        reader, writer = await asyncio.open_connection(params.host, params.port, ssl=self._trust, server_hostname=name)
        try:
            tls = writer.get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() != "h2":
                return _Reply(trouble="does not offer HTTP/2 (ALPN)")
            assert self._headers is not None
            return await _exchange(reader, writer, self._headers, _question(params.service))
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@dataclass
class _Reply:
    """What came back on the one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    """With the trailers, which come last and win."""
    body: bytearray = field(default_factory=bytearray)
    trouble: str = ""
    """How it ended otherwise than with the end of the stream."""


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: list[tuple[str, str]], message: bytes
) -> _Reply:
    """Send the one request, and read until its stream ends."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    http.initiate_connection()
    stream = http.get_next_available_stream_id()
    http.send_headers(stream, headers)
    http.send_data(stream, bytes([0]) + len(message).to_bytes(4, "big") + message, end_stream=True)
    writer.write(http.data_to_send())
    reply = _Reply()
    while True:
        await writer.drain()
        data = await reader.read(_LONGEST)
        if not data:
            reply.trouble = "closed the connection without an answer"
            return reply
        try:
            if _take(http, data, reply):
                return reply
        except ProtocolError as error:
            reply.trouble = f"does not speak HTTP/2: {error}"
            return reply
        writer.write(http.data_to_send())


def _take(http: H2Connection, data: bytes, reply: _Reply) -> bool:
    """Add what came in; whether that is all."""
    from h2 import events

    for event in http.receive_data(data):
        if isinstance(event, events.ResponseReceived | events.TrailersReceived):
            reply.headers |= {str(name): str(value) for name, value in event.headers or ()}
        elif isinstance(event, events.DataReceived):
            reply.body += event.data or b""
            if len(reply.body) > _LONGEST:
                reply.trouble = f"answered more than {_LONGEST} bytes"
                return True
            http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        elif isinstance(event, events.StreamEnded):
            return True
        elif isinstance(event, events.StreamReset):
            reply.trouble = f"reset the stream ({getattr(event.error_code, 'name', event.error_code)})"
            return True
        elif isinstance(event, events.ConnectionTerminated):
            reply.trouble = f"ended the connection ({getattr(event.error_code, 'name', event.error_code)})"
            return True
    return False


def _state(reply: _Reply, where: str, service: str) -> str:
    """What the server says of its health. Raises `NoAnswer` or `NoReading`."""
    if reply.trouble:
        raise NoAnswer(f"{where}: {reply.trouble}")
    code = _code(reply.headers)
    if code in _OURS:
        raise NoReading(f"{where}: {_OURS[code].format(service=service)}")
    if code != "OK":
        words = unquote(reply.headers.get("grpc-message", ""))[:200]
        raise NoAnswer(f"{where}: answered {code}{f': {words}' if words else ''}")
    body = bytes(reply.body)
    if len(body) < 5 or body[0] != 0 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise NoReading(f"{where}: answered OK without one plain message")
    try:
        return _STATES[_first_field(body[5:])]
    except (KeyError, IndexError, ValueError):
        raise NoReading(f"{where}: answered OK with a message that is no health") from None


def _code(headers: Mapping[str, str]) -> str:
    """The gRPC status by name, also of an answer that is not gRPC's."""
    text = headers.get("grpc-status", "")
    if text.isdigit():
        return _CODES[int(text)] if int(text) < len(_CODES) else f"code {text}"
    status = headers.get(":status", "")
    return _OF_HTTP.get(status, f"HTTP {status} without a gRPC status")


def _question(service: str) -> bytes:
    """`HealthCheckRequest {string service = 1}` in protobuf."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _first_field(message: bytes) -> int:
    """The number `status = 1` of a `HealthCheckResponse` in protobuf, 0 if it is not there; other fields are passed
    over."""
    at, found = 0, 0
    while at < len(message):
        key, at = _read_varint(message, at)
        if key & 7 == 0:
            value, at = _read_varint(message, at)
            found = value if key >> 3 == 1 else found
        elif key & 7 == 2:
            length, at = _read_varint(message, at)
            at += length
        elif key & 7 in (1, 5):
            at += 8 if key & 7 == 1 else 4
        else:
            raise ValueError("no protobuf")
    if at > len(message):
        raise ValueError("cut short")
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
