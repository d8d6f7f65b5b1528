"""TLS: a private authority is trusted where it is named, and only there; whose failure a bad certificate is."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.http import Asked, Http, Request
from tests import loopback
from tests.loopback import HttpServer

PEM = Path(__file__).parent.parent / "loopback.pem"


@pytest.fixture
async def secure():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    async with HttpServer(tls=context) as running:
        running.on("/a", loopback.text("ok"))
        yield running


@pytest.fixture
async def http(tmp_path):
    shutil.copy(PEM, tmp_path / "ca.pem")
    async with Http(SystemClock(), folder=tmp_path, environ={}) as client:
        yield client


async def test_a_private_authority_is_trusted_where_it_is_named(secure, http):
    exchange = http.prepare(Request(secure.url("/a"), ca_file="ca.pem"))
    assert (await exchange.send()).status == 200
    assert (await exchange.send()).status == 200
    assert secure.connections == 1
    with pytest.raises(NoReading, match="the certificate is not accepted"):
        await http.send(Request(secure.url("/a")))


async def test_the_environments_own_authorities_are_honoured(secure, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))  # read by OpenSSL itself
    async with Http(SystemClock(), folder=tmp_path) as http:
        assert (await http.send(Request(secure.url("/a")))).status == 200


async def test_an_authority_that_is_not_known_here_is_our_failure_and_never_the_systems_silence(secure, http):
    with pytest.raises(NoReading, match="self-signed certificate"):
        await http.send(Request(secure.url("/a"), asked=Asked.SYSTEM))


async def test_a_certificate_for_another_host_is_the_systems_failure(http):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    async with HttpServer(tls=context, host="127.0.0.2") as elsewhere:
        with pytest.raises(NoAnswer, match="IP address mismatch"):
            await http.send(Request(f"https://127.0.0.2:{elsewhere.port}/a", ca_file="ca.pem"))


async def test_plain_http_where_tls_is_expected_is_no_answer(http):
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        with pytest.raises(NoAnswer, match="TLS failed: WRONG_VERSION_NUMBER"):
            await http.send(Request(f"https://127.0.0.1:{port}/a", ca_file="ca.pem"))
