"""The http probe: what it reads, what is no answer, what is no reading."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer, NoReading, UsageError
from tests import loopback


async def test_it_reads_the_status(server, probe):
    url = server.on("/a", loopback.text("gone", 503))
    assert await probe("http", url=url).read() == 503


async def test_a_redirect_is_an_answer_and_is_not_followed(server, probe):
    url = server.on("/a", loopback.raw(loopback.page(b"", 302, Location="/b")))
    assert await probe("http", url=url).read() == 302
    assert [met.path for met in server.met] == ["/a"]


async def test_latency_counts_until_the_bodys_last_byte(server, probe):
    async def slow_body(met, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
        await writer.drain()
        await loopback.after(0.1, loopback.raw(b"2"))(met, writer)

    url = server.on("/a", slow_body)
    quick = await probe("http", url=server.on("/b", loopback.text("ok")), read="latency").read()
    slow = await probe("http", url=url, read="latency").read()
    assert 0 < quick < slow
    assert slow >= 0.1
    assert catalog.find("probes", "http").unit(probe("http", url=url, read="latency").params) == "s"


async def test_it_reads_a_body(server, probe):
    assert await probe("http", url=server.on("/a", loopback.text("all well")), read="body").read() == "all well"


async def test_it_reads_a_chunked_body(server, probe):
    assert (
        await probe("http", url=server.on("/a", loopback.chunked(b"all ", b"well")), read="body").read() == "all well"
    )


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        ({"rate": 0.25}, "$.rate", 0.25),
        ({"queue": {"depth": [1, 2, 7]}}, "$.queue.depth[2]", 7.0),
        ({"ok": True}, "$.ok", True),
        ({"mode": "fallback"}, "$.mode", "fallback"),
        ([{"name": "a", "n": 1}, {"name": "b", "n": 2}], "$[?@.name == 'b'].n", 2.0),
    ],
)
async def test_it_reads_one_value_of_json(server, probe, document, path, value):
    read = await probe("http", url=server.on("/a", loopback.as_json(document)), read="json", path=path).read()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        (b"<html><body>Sorry</body></html>", "$.a", "expected JSON, found text/plain: Sorry"),
        (b"", "$.a", "an empty body"),
        (b'{"a": 1', "$.a", "expected JSON"),
        (b'{"b": 1}', "$.a", r"\$\.a finds nothing, expected exactly one value"),
        (b'{"a": [1, 2]}', "$.a[*]", r"finds 2 values, expected exactly one value"),
        (b'{"a": {"b": 1}}', "$.a", "is an object, expected a number"),
        (b'{"a": [1]}', "$.a", "is a list, expected"),
        (b'{"a": null}', "$.a", "is null, expected"),
        (b'{"a": NaN}', "$.a", "is nan, expected"),
        (b'{"a": 1e999}', "$.a", "is inf, expected"),
        (b'{"a": 1' + b"0" * 400 + b"}", "$.a", "is 1000"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "$.a", "expected JSON"),
        (b"7", "$", "a bare JSON value"),
        (b"[" * 200_000, "$.a", "expected JSON"),
        (b"\xff\xfe\x00", "$.a", "expected JSON"),
    ],
)
async def test_an_answer_that_does_not_hold_what_was_asked_for_is_no_reading(server, probe, body, path, words):
    url = server.on("/a", loopback.raw(loopback.page(body)))
    with pytest.raises(NoReading, match=words) as caught:
        await probe("http", url=url, read="json", path=path).read()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("read", [{"read": "latency"}, {"read": "body"}, {"read": "json", "path": "$.a"}])
@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_error_page_is_no_answer_so_a_quick_one_is_no_good_latency(server, probe, read, status):
    url = server.on("/a", loopback.html(status, "Sorry"))
    with pytest.raises(NoAnswer, match=f"answered {status}"):
        await probe("http", url=url, **read).read()


async def test_expected_statuses_are_answers_and_no_others_are(server, probe):
    url = server.on("/a", loopback.text("ok", 503))
    assert await probe("http", url=url, read="body", expect=503).read() == "ok"
    assert await probe("http", url=url, read="status", expect=[200, 503]).read() == 503
    with pytest.raises(NoAnswer, match="answered 503"):
        await probe("http", url=url, read="status", expect=200).read()


async def test_method_headers_body_and_token_are_sent(server, probe):
    url = server.on("/a", loopback.text("ok"))
    asked = probe(
        "http",
        url=url,
        method="POST",
        body="grüß",
        headers={"Content-Type": "text/plain", "X-Key": {"env": "TOKEN"}},
        bearerToken={"env": "TOKEN"},
    )
    await asked.read()
    met = server.met[0]
    assert (met.method, met.body.decode()) == ("POST", "grüß")
    assert (met.headers["x-key"], met.headers["authorization"]) == ("s3cr3t", "Bearer s3cr3t")


async def test_one_connection_serves_all_readings(server, probe):
    asked = probe("http", url=server.on("/a", loopback.text("ok")), read="latency")
    for _ in range(10):
        await asked.read()
    assert server.connections == 1


async def test_fresh_means_a_new_connection_for_each_reading(server, probe):
    asked = probe("http", url=server.on("/a", loopback.text("ok")), fresh=True)
    for _ in range(3):
        await asked.read()
    assert server.connections == 3


@pytest.mark.parametrize(
    "behaviour", [loopback.hang, loopback.reset, loopback.close, loopback.raw(b"nonsense\r\n\r\n")]
)
async def test_silence_is_no_answer(server, probe, behaviour):
    with pytest.raises(NoAnswer):
        await probe("http", url=server.on("/a", behaviour), timeout="100ms").read()


async def test_a_refused_connection_is_no_answer_and_the_next_reading_is_its_own(probe):
    port = loopback.free_port()
    asked = probe("http", url=f"http://127.0.0.1:{port}/a")
    with pytest.raises(NoAnswer, match="connection refused"):
        await asked.read()
    async with loopback.HttpServer(port=port) as late:
        late.on("/a", loopback.text("ok"))
        assert await asked.read() == 200


async def test_a_huge_body_is_read_and_dropped_for_its_latency(server, probe):
    url = server.on("/a", loopback.text("x" * 5_000_000))
    assert await probe("http", url=url, read="latency").read() > 0


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ({"read": "body"}, "longer than 10000 bytes"),
        ({"read": "json", "path": "$.a"}, "longer than 1048576 bytes"),
        ({"read": "json", "path": "$.a", "limit": "1kB"}, "longer than 1000 bytes"),
    ],
)
async def test_a_huge_body_that_should_be_kept_is_no_reading(server, probe, read, words):
    url = server.on("/a", loopback.text(json.dumps({"a": "x" * 2_000_000})))
    with pytest.raises(NoReading, match=words):
        await probe("http", url=url, **read).read()


async def test_a_small_body_that_unpacks_to_a_huge_one_is_no_reading(server, probe):
    url = server.on("/a", loopback.gzipped(b"x" * 20_000_000))
    with pytest.raises(NoReading, match="longer than"):
        await probe("http", url=url, read="body").read()


async def test_a_secret_that_is_missing_is_named_when_the_probe_is_opened(probe):
    with pytest.raises(UsageError, match="environment variable ABSENT is not set"):
        await probe("http", url="http://127.0.0.1/", bearerToken={"env": "ABSENT"}).open()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "127.0.0.1:7001"}, "expected a URL"),
        ({"url": "http://ana:pw@a/"}, "credentials never stand in a URL"),
        ({"method": "get"}, "expected a method such as GET"),
        ({"read": "json"}, "needs a path"),
        ({"path": "$.a"}, "path goes with"),
        ({"read": "json", "path": "$.a["}, "expected a JSONPath"),
        ({"read": "json", "path": "a.b"}, "expected a JSONPath"),
        ({"limit": "1kB"}, "limit goes with"),
        ({"timeout": "0s"}, "greater than 0"),
        ({"timeout": 2}, "expected a duration"),
        ({"expect": 999}, "less than or equal to 599"),
        ({"bearerToken": "abc"}, "a secret is never written in a file"),
        ({"bearerToken": {"env": "A"}, "basic": {"user": "a", "password": {"env": "B"}}}, "one of bearerToken"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(change, words):
    params = catalog.find("probes", "http").Params
    with pytest.raises(ValidationError, match=words):
        params.model_validate({"url": "http://127.0.0.1/", **change})


async def test_a_service_needs_a_platform_that_reaches_it(probe):
    with pytest.raises(NoReading, match="does not reach services by their name"):
        await probe("http", service="checkout", url="/healthz").read()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"service": "checkout", "url": "http://checkout/"}, "expected a path such as /healthz"),
        ({"url": "/healthz"}, "http"),
        ({"url": "http://127.0.0.1/", "port": 80}, "port goes with service"),
        ({"service": "checkout", "url": "/", "bearerToken": {"env": "TOKEN"}}, "go with a whole url"),
    ],
)
def test_a_service_is_asked_by_path_and_everything_else_by_url(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "http").Params.model_validate(params)
