"""Which URLs files may name, how they are shown, and which proxy they go through."""

from __future__ import annotations

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import UsageError
from chaosrunner.http import Http, Request
from chaosrunner.urls import check_url, is_loopback, proxy_for, redact
from tests import loopback
from tests.loopback import HttpServer


@pytest.mark.parametrize("url", ["http://a", "https://a.b:8443/c?d=e", "http://[::1]:80/", "http://127.0.0.1/%20"])
def test_a_url_is_taken_as_it_is(url):
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "expected a URL"),
        ("127.0.0.1:80/x", "expected a URL"),
        ("ftp://a/", "expected a URL"),
        ("http:///x", "expected a URL"),
        ("http://a:99999/", "expected a URL"),
        ("http://[::1/", "expected a URL"),
        ("http://a/b c", "no blanks"),
        ("http://a/\r\nX: y", "no blanks"),
        ("http://ana:s3cr3t@a/", "credentials never stand in a URL"),
    ],
)
def test_a_wrong_url_is_refused_in_words(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_url(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a:1/b", "http://a:1/b"),
        ("http://u:p@a/b", "http://a/b"),
        ("http://a/b?page=2&api_key=x", "http://a/b?page=2&api_key=…"),
        ("http://a/b?opaque", "http://a/b?opaque="),
        ("http://a/b#f", "http://a/b"),
        ("http://[a", "(not a URL)"),
    ],
)
def test_urls_are_shown_without_their_secrets(url, shown):
    assert redact(url) == shown


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_loopback_is_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "a", ""])
def test_others_are_not(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("http://a/", {}, None),
        ("http://a/", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("http://a/", {"HTTP_PROXY": "p:1"}, "http://p:1"),
        ("https://a/", {"http_proxy": "http://p:1"}, None),
        ("https://a/", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a/", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("http://127.0.0.1/", {"http_proxy": "http://p:1"}, None),
        ("http://localhost:1/", {"ALL_PROXY": "http://p:1"}, None),
        ("http://x.a/", {"http_proxy": "http://p:1", "no_proxy": ".a"}, None),
        ("http://x.a/", {"http_proxy": "http://p:1", "no_proxy": "a"}, None),
        ("http://xa/", {"http_proxy": "http://p:1", "no_proxy": "a"}, "http://p:1"),
        ("http://a:2/", {"http_proxy": "http://p:1", "no_proxy": "a:3, b"}, "http://p:1"),
        ("http://a:3/", {"http_proxy": "http://p:1", "no_proxy": "a:3"}, None),
        ("http://10.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "http://p:1"),
        ("http://a/", {"http_proxy": "http://p:1", "NO_PROXY": "*"}, None),
    ],
)
def test_the_proxy_of_the_environment(url, environ, proxy):
    assert proxy_for(url, environ) == proxy


async def test_requests_go_through_the_environments_proxy_but_never_to_this_machine():
    async with HttpServer() as proxy, HttpServer() as direct:
        proxy.on("http://far.invalid/a", loopback.text("through the proxy"))
        near = direct.on("/a", loopback.text("direct"))
        async with Http(SystemClock(), environ={"http_proxy": f"http://127.0.0.1:{proxy.port}"}) as http:
            assert (await http.send(Request("http://far.invalid/a", keep=100))).text() == "through the proxy"
            assert (await http.send(Request(near, keep=100))).text() == "direct"
        assert (len(proxy.met), len(direct.met)) == (1, 1)


async def test_a_proxy_that_cannot_be_used_is_named():
    async with Http(SystemClock(), environ={"ALL_PROXY": "ftp://ana:s3cr3t@proxy:1"}) as http:
        with pytest.raises(UsageError, match="proxy ftp://proxy:1 cannot be used") as caught:
            http.prepare(Request("http://far.invalid/"))
        assert "s3cr3t" not in str(caught.value)


async def test_a_ca_file_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    async with Http(SystemClock(), folder=tmp_path, environ={}) as http:
        with pytest.raises(UsageError, match=r"ca\.pem cannot be used: it holds no certificate"):
            http.prepare(Request("https://127.0.0.1/", ca_file="ca.pem"))
        with pytest.raises(UsageError, match=r"absent\.pem cannot be used: No such file"):
            http.prepare(Request("https://127.0.0.1/", ca_file="absent.pem"))
