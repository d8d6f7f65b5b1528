"""The tls-expiry probe against certificates of a private authority, checked against openssl."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer
from chaosrunner.probes.tls_expiry import not_after
from tests.certificates import Authority
from tests.loopback import free_port

DAY = 86400.0


def stamp(in_days: float) -> str:
    return datetime.fromtimestamp(time.time() + in_days * DAY, UTC).strftime("%Y%m%d%H%M%SZ")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@asynccontextmanager
async def serving(certificate: str, key: str, *, asks_for: str | None = None):
    """A TLS server; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=asks_for)
    context.load_cert_chain(certificate, key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that asking for a certificate is part of the handshake
    context.verify_mode = ssl.CERT_REQUIRED if asks_for else ssl.CERT_NONE

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def read(probe):
    async def read(port: int, **params: Any) -> Any:
        return await probe("tls-expiry", host="127.0.0.1", port=port, **params).read()

    return read


@pytest.mark.parametrize("days", [30.5, 0.25, -3.0])
async def test_the_days_until_a_certificate_expires_are_read_whoever_issued_it(read, authority, days):
    issued = authority.issue("server", begins=stamp(-10), ends=stamp(days))
    async with serving(*issued) as port:
        assert await read(port) == pytest.approx(days, abs=0.001)


@pytest.mark.parametrize(
    "ends", ["20491231235959Z", "20500101000000Z", "20991231235959Z", "20300229235959Z"[:8] + "000000Z"]
)
def test_the_end_is_the_one_that_openssl_reads(authority, tmp_path, ends):
    ends = ends.replace("20300229", "20320229")
    certificate, _ = authority.issue("long", ends=ends)
    der = ssl.PEM_cert_to_DER_cert(Path(certificate).read_text())
    shown = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-enddate"], capture_output=True, text=True, check=True
    ).stdout
    expected = ssl.cert_time_to_seconds(shown.strip().removeprefix("notAfter="))
    assert not_after(der) == expected
    with pytest.raises((ValueError, IndexError)):
        not_after(der[:60])


async def test_a_chain_that_is_in_order_is_ok(read, authority):
    async with serving(*authority.issue("server")) as port:
        assert await read(port, read="chain", caFile="ca.pem") == "ok"


async def test_what_is_wrong_with_a_chain_is_an_answer(read, authority, tmp_path):
    async with serving(*authority.issue("server")) as port:
        assert await read(port, read="chain") == "unable to get local issuer certificate"
        assert "Hostname mismatch" in await read(port, read="chain", caFile="ca.pem", serverName="shop.example.com")
    async with serving(*authority.issue("old", begins=stamp(-9), ends=stamp(-1))) as port:
        assert await read(port, read="chain", caFile="ca.pem") == "certificate has expired"
    async with serving(*authority.issue("young", begins=stamp(1), ends=stamp(2))) as port:
        assert await read(port, read="chain", caFile="ca.pem") == "certificate is not yet valid"


async def test_a_server_that_asks_for_a_certificate_is_shown_one(read, authority):
    certificate, key = authority.issue("client")
    async with serving(*authority.issue("server"), asks_for=authority.certificate) as port:
        assert await read(port, clientCert=certificate, clientKey=key) > 300
        with pytest.raises(NoAnswer, match=r"TLS failed|reset"):
            await read(port)


@asynccontextmanager
async def plain(words: bytes):
    """A server that says this to the first byte, and then waits for the other side to go; its port."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(1)
            writer.write(words)
            while await reader.read(1000):
                pass
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_that_does_not_speak_tls_is_no_answer(read):
    with pytest.raises(NoAnswer, match="connection refused"):
        await read(free_port())
    async with plain(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        with pytest.raises(NoAnswer, match="TLS failed: WRONG_VERSION_NUMBER"):
            await read(port)


async def test_a_server_that_says_nothing_is_no_answer_in_time(read):
    async with plain(b"") as port:
        with pytest.raises(NoAnswer, match=r"no TLS within 0\.2 s"):
            await read(port, timeout="200ms")


def test_days_have_a_unit_and_a_chain_has_none():
    plugin = catalog.find("probes", "tls-expiry")
    assert plugin.unit(plugin.Params.model_validate({"host": "a"})) == "d"
    assert plugin.unit(plugin.Params.model_validate({"host": "a", "read": "chain"})) is None


@pytest.mark.parametrize(
    ("params", "words"),
    [({"caFile": "a"}, "caFile goes with"), ({"clientKey": "a"}, "goes with clientCert"), ({"port": 0}, "greater")],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "tls-expiry").Params.model_validate({"host": "a", **params})
