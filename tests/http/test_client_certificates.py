"""Servers that ask for a certificate of ours (mTLS)."""

from __future__ import annotations

import ssl

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoAnswer, UsageError
from chaosrunner.http import Http, Request
from tests import loopback
from tests.certificates import Authority
from tests.loopback import HttpServer


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
async def strict(authority):
    """A server that speaks only with those who show a certificate of its authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("server"))
    async with HttpServer(tls=context) as running:
        running.on("/a", loopback.text("ok"))
        yield running


@pytest.fixture
async def http(tmp_path):
    async with Http(SystemClock(), folder=tmp_path, environ={}) as client:
        yield client


async def test_a_certificate_is_shown_where_one_is_named(strict, http, authority):
    certificate, key = authority.issue("client")
    request = Request(strict.url("/a"), ca_file="ca.pem", client_cert=certificate, client_key=key)
    exchange = http.prepare(request)
    assert (await exchange.send()).status == 200
    assert (await exchange.send()).status == 200
    assert strict.connections == 1


async def test_without_one_nobody_answers_also_where_another_request_showed_one(strict, http, authority):
    certificate, key = authority.issue("client")
    shown = Request(strict.url("/a"), ca_file="ca.pem", client_cert=certificate, client_key=key)
    assert (await http.send(shown)).status == 200
    with pytest.raises(NoAnswer, match=r"TLS failed|connection reset|closed without an answer|answer was cut"):
        await http.send(Request(strict.url("/a"), ca_file="ca.pem"))


async def test_certificate_and_key_may_stand_in_one_file(strict, http, authority):
    certificate, key = authority.issue("client")
    both = authority.together("both.pem", certificate, key)
    assert (await http.send(Request(strict.url("/a"), ca_file="ca.pem", client_cert=both))).status == 200


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("nowhere.pem", None, "there is no file .*nowhere.pem"),
        ("client.pem", "nowhere.key", "there is no file .*nowhere.key"),
        ("client.pem", "other.key", "KEY_VALUES_MISMATCH"),
        ("client.pem", "locked.key", "its key has a pass phrase, expected one without"),
        ("ca.pem", "text.pem", "client certificate .* cannot be used"),
    ],
)
async def test_files_that_cannot_be_used_are_said_before_anything_is_sent(
    http, authority, tmp_path, certificate, key, words
):
    authority.issue("client")
    authority.issue("other")
    authority.lock("client.key", "locked.key")
    (tmp_path / "text.pem").write_text("hello\n")
    with pytest.raises(UsageError, match=words):
        http.prepare(Request("https://127.0.0.1:1/", client_cert=certificate, client_key=key))
