"""The grpc-health probe against gRPC's own server and health service, and servers that misbehave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from chaosrunner.probes import grpc_health
from tests import loopback
from tests.certificates import Authority

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """A real one, with the health service if one is given."""

    def __init__(self, servicer: Any, credentials: Any = None) -> None:
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        if servicer is not None:
            health_pb2_grpc.add_HealthServicer_to_server(servicer, self.server)
        if credentials is None:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def stop(self) -> None:
        self.server.stop(0).wait()


@pytest.fixture
def serve() -> Iterator[Any]:
    running: list[Server] = []

    def start(servicer: Any, credentials: Any = None) -> Server:
        running.append(Server(servicer, credentials))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def read(probe):
    async def read(port: int, **params: Any) -> Any:
        return await probe("grpc-health", **{"host": "127.0.0.1", "port": port, "timeout": "10s", **params}).read()

    return read


@pytest.fixture
def shop(serve):
    servicer = health.HealthServicer()
    servicer.set("", SERVING)
    servicer.set("shop.Checkout", NOT_SERVING)
    return serve(servicer), servicer


async def test_what_a_server_says_of_its_health_is_read(shop, read):
    server, servicer = shop
    assert await read(server.port) == "SERVING"
    assert await read(server.port, service="shop.Checkout") == "NOT_SERVING"
    servicer.set("shop.Checkout", SERVING)
    assert await read(server.port, service="shop.Checkout") == "SERVING"
    servicer.set("shop.Checkout", health_pb2.HealthCheckResponse.UNKNOWN)
    assert await read(server.port, service="shop.Checkout") == "UNKNOWN"


async def test_latency_is_that_of_a_server_that_serves(shop, read):
    server, _ = shop
    assert 0 < await read(server.port, read="latency") < 10
    with pytest.raises(NoAnswer, match="says NOT_SERVING"):
        await read(server.port, service="shop.Checkout", read="latency")


async def test_what_says_nothing_of_the_health_is_no_reading(shop, serve, read):
    server, _ = shop
    with pytest.raises(NoReading, match=r"knows no service 'shop\.Chekout': is the name right"):
        await read(server.port, service="shop.Chekout")
    with pytest.raises(NoReading, match="does not implement the health protocol"):
        await read(serve(None).port)


class Failing(health_pb2_grpc.HealthServicer):
    """Answers every question with a status of the caller's choice."""

    def __init__(self, code: Any) -> None:
        self.code = code

    def Check(self, request: Any, context: Any) -> Any:
        context.abort(self.code, "the database is gone – really")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_a_failure_of_the_server_is_no_answer(serve, read, code):
    with pytest.raises(NoAnswer, match=f"answered {code.name}: the database is gone – really"):
        await read(serve(Failing(code)).port)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_not_being_let_in_is_no_reading(serve, read, code):
    with pytest.raises(NoReading, match=code.name):
        await read(serve(Failing(code)).port)


async def test_metadata_is_sent_and_secrets_are_resolved(serve, read):
    met: dict[str, str] = {}

    class Curious(health_pb2_grpc.HealthServicer):
        def Check(self, request: Any, context: Any) -> Any:
            met.update(context.invocation_metadata())
            met["left"] = str(context.time_remaining() < 11)
            return health_pb2.HealthCheckResponse(status=SERVING)

    await read(serve(Curious()).port, headers={"authorization": {"env": "TOKEN"}, "x-tenant": "shop"})
    assert (met["authorization"], met["x-tenant"], met["left"]) == ("s3cr3t", "shop", "True")
    with pytest.raises(UsageError, match="the metadata x-tenant holds a letter"):
        await read(1, headers={"x-tenant": "a\nb"})


async def test_a_server_that_is_late_is_no_answer_in_time(serve, read):
    free = threading.Event()

    class Slow(health_pb2_grpc.HealthServicer):
        def Check(self, request: Any, context: Any) -> Any:
            free.wait(10)
            return health_pb2.HealthCheckResponse(status=SERVING)

    try:
        with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s|answered DEADLINE_EXCEEDED"):
            await read(serve(Slow()).port, timeout="300ms")
    finally:
        free.set()


async def test_a_server_that_is_gone_is_no_answer(shop, read):
    server, _ = shop
    server.stop()
    with pytest.raises(NoAnswer, match="connection refused"):
        await read(server.port)


@pytest.fixture
def papers(tmp_path):
    """An authority, and the bytes of its certificate, a server's certificate and its key."""
    authority = Authority(tmp_path)
    authority.issue("client")
    return [Path(path).read_bytes() for path in (authority.certificate, *authority.issue("server"))]


async def test_tls_and_certificates_of_ours(serve, read, papers):
    root, certificate, key = papers
    servicer = health.HealthServicer()
    servicer.set("", SERVING)
    server = serve(servicer, grpc.ssl_server_credentials([(key, certificate)]))
    assert await read(server.port, tls=True, caFile="ca.pem") == "SERVING"
    with pytest.raises(NoReading, match="the certificate is not accepted"):
        await read(server.port, tls=True)
    with pytest.raises(NoAnswer, match="Hostname mismatch"):
        await read(server.port, tls=True, caFile="ca.pem", serverName="shop.example.com")
    with pytest.raises(NoAnswer):
        await read(server.port)
    strict = serve(servicer, grpc.ssl_server_credentials([(key, certificate)], root, require_client_auth=True))
    ours = {"tls": True, "caFile": "ca.pem", "clientCert": "client.pem", "clientKey": "client.key"}
    assert await read(strict.port, **ours) == "SERVING"
    with pytest.raises(NoAnswer):
        await read(strict.port, tls=True, caFile="ca.pem")


async def test_servers_that_speak_something_else_are_no_answer(read, server):
    server.on("*", loopback.html(404, "no"))
    with pytest.raises(NoAnswer, match=r"does not speak HTTP/2|closed the connection without|connection reset"):
        await read(server.port)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as rude:
        with pytest.raises(NoAnswer, match=r"closed the connection without an answer|connection reset"):
            await read(rude.sockets[0].getsockname()[1])


# -- answers that gRPC's own server never gives


def reply(body: bytes = b"", trouble: str = "", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return grpc_health._Reply(given, bytearray(body), trouble)


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (reply(message(b""), grpc_status="0"), "UNKNOWN"),
        (reply(message(b"\x08\x01"), grpc_status="0"), "SERVING"),
        (reply(message(b"\x12\x02hi\x08\x02\x1d\x00\x00\x00\x00"), grpc_status="0"), "NOT_SERVING"),
        (reply(message(b"\x08\x03"), grpc_status="0"), "SERVICE_UNKNOWN"),
    ],
)
def test_messages_are_read_as_protobuf_has_them(answer, state):
    assert grpc_health._state(answer, "here", "") == state


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", grpc_status="0"),
        reply(b"\1\0\0\0\0", grpc_status="0"),
        reply(message(b"\x08\x01") + b"more", grpc_status="0"),
        reply(message(b"\x08\x63"), grpc_status="0"),
        reply(message(b"\x08"), grpc_status="0"),
        reply(message(b"\x0b"), grpc_status="0"),
        reply(message(b"\x12\x7f"), grpc_status="0"),
    ],
)
def test_an_ok_without_a_health_is_no_reading(answer):
    with pytest.raises(NoReading, match="answered OK with"):
        grpc_health._state(answer, "here", "")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("502", NoAnswer, "HTTP 502 without a gRPC status"),
        ("200", NoAnswer, "HTTP 200 without a gRPC status"),
        ("404", NoReading, "does not implement"),
        ("401", NoReading, "who we are"),
    ],
)
def test_answers_of_a_proxy_are_told_apart(status, error, words):
    with pytest.raises(error, match=words):
        grpc_health._state(grpc_health._Reply({":status": status}), "here", "")


@pytest.mark.parametrize("length", [1, 127, 128, 300])
def test_the_question_is_what_grpcs_own_package_writes(length):
    name = "a" * length
    assert grpc_health._question(name) == health_pb2.HealthCheckRequest(service=name).SerializeToString()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"caFile": "a"}, "go with `tls: true`"),
        ({"tls": True, "clientKey": "a"}, "clientKey goes with clientCert"),
        ({"headers": {"Authorization": "a"}}, "in lower case"),
        ({"headers": {"grpc-timeout": "a"}}, "expected a name of metadata"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "grpc-health").Params.model_validate({"host": "a", "port": 1, **params})
