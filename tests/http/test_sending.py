"""What a request becomes, whose failure a failure is, and how connections are used."""

from __future__ import annotations

import ast
import asyncio
import errno
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import ChaosrunnerError, NoAnswer, NoReading, NotPossibleNow, UsageError
from chaosrunner.http import Asked, Http, Request
from chaosrunner.http_errors import GARBAGE, OURS, THEIRS, failure
from chaosrunner.model.secret import SecretRef
from tests import loopback
from tests.loopback import HttpServer


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running


@pytest.fixture
async def http(tmp_path):
    async with Http(SystemClock(), folder=tmp_path, environ={"TOKEN": "s3cr3t"}) as client:
        yield client


async def test_an_answer_has_status_headers_body_and_time(server, http):
    url = server.on("/a", loopback.as_json({"depth": 3}, X_Kind="queue"))
    reply = await http.send(Request(url, keep=100))
    assert (reply.status, reply.headers["x-kind"], reply.json()) == (200, "queue", {"depth": 3})
    assert 0 < reply.seconds < 5


async def test_connections_are_kept_and_reused(server, http):
    exchange = http.prepare(Request(server.on("/a", loopback.text("ok"))))
    for _ in range(20):
        await exchange.send()
    assert server.connections == 1


async def test_a_fresh_request_opens_a_connection_each_time(server, http):
    url = server.on("/a", loopback.text("ok"))
    await http.send(Request(url))
    exchange = http.prepare(Request(url, fresh=True))
    for _ in range(3):
        await exchange.send()
    assert server.connections == 4
    assert server.met[-1].headers["connection"] == "close"


@pytest.mark.parametrize("ending", [loopback.close, loopback.reset])
async def test_a_kept_connection_that_was_closed_meanwhile_is_nobodys_failure(server, http, ending):
    exchange = http.prepare(
        Request(server.on("/a", loopback.in_turn(loopback.text("ok"), ending, loopback.text("ok"))))
    )
    await exchange.send()
    assert (await exchange.send()).status == 200
    assert server.connections == 2


@pytest.mark.parametrize("ending", [loopback.close, loopback.reset])
async def test_a_new_connection_that_is_closed_is_no_answer(server, http, ending):
    with pytest.raises(NoAnswer):
        await http.send(Request(server.on("/a", ending)))
    assert len(server.met) == 1


async def test_a_post_on_a_closed_connection_is_not_sent_twice(server, http):
    url = server.on("/a", loopback.in_turn(loopback.text("ok"), loopback.close, loopback.text("ok")))
    exchange = http.prepare(Request(url, method="POST", body=b"1"))
    await exchange.send()
    with pytest.raises(NoAnswer, match="closed without an answer"):
        await exchange.send()
    assert len(server.met) == 2


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (loopback.hang, "no answer within 0.1 s"),
        (loopback.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12"), "the answer did not end within 0.1 s"),
        (loopback.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12", close=True), "the answer was cut short"),
        (loopback.reset_after(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12"), "the answer was cut short"),
        (loopback.raw(b"220 mail.example ESMTP\r\n\r\n", close=True), "the answer is not HTTP"),
        (loopback.close, "the connection was closed without an answer"),
        (loopback.reset, "connection reset"),
    ],
)
async def test_a_system_that_does_not_answer_is_no_answer_with_the_reason(server, http, behaviour, words):
    with pytest.raises(NoAnswer, match=words) as caught:
        await http.send(Request(server.on("/a", behaviour), timeout=0.1))
    assert str(caught.value).startswith(f"GET {server.url('/a')}: ")


async def test_a_refused_connection_is_no_answer(http):
    with pytest.raises(NoAnswer, match="connection refused"):
        await http.send(Request(f"http://127.0.0.1:{loopback.free_port()}/"))


async def test_a_name_that_is_not_found_is_no_answer(http):
    with pytest.raises(NoAnswer, match="the name cannot be resolved"):
        await http.send(Request("http://nobody.invalid/"))


@pytest.mark.parametrize(("asked", "kind"), [(asked, asked.value) for asked in Asked])
async def test_whose_failure_it_is_depends_on_who_was_asked(http, asked, kind):
    with pytest.raises(kind):
        await http.send(Request(f"http://127.0.0.1:{loopback.free_port()}/", asked=asked))


def _tree(kind: type) -> list[type]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]


def test_every_error_of_httpx_is_mapped():
    roots = (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
    everything = {kind for root in roots for kind in _tree(root) if kind.__module__.startswith("httpx")}
    exported = {getattr(httpx, name) for name in httpx.__all__ if isinstance(getattr(httpx, name), type)}
    everything |= {kind for kind in exported if issubclass(kind, Exception)}
    assert len(everything) >= 25
    abstract = {"HTTPError", "RequestError", "TransportError", "TimeoutException", "NetworkError", "ProtocolError"}
    assert {kind.__name__ for kind in everything} - abstract == (THEIRS | OURS | GARBAGE) - {"TimeoutError"}


@pytest.mark.parametrize("name", sorted(OURS | GARBAGE))
def test_an_error_of_our_own_side_is_never_the_systems(name):
    error = type(name, (Exception,), {})("x")
    assert type(failure(error, Asked.SYSTEM, "GET u")) is NoReading


def _certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "failed")
    error.verify_code, error.verify_message = code, "why"
    return error


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (OSError(errno.EMFILE, "Too many open files"), NoReading),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), NoReading),
        (OSError(errno.EHOSTUNREACH, "No route to host"), NoAnswer),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), NoAnswer),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), NoAnswer),
        (socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"), NoReading),
        (_certificate(10), NoAnswer),  # expired
        (_certificate(62), NoAnswer),  # for another host
        (_certificate(20), NoReading),  # its authority is not known here
        (ExceptionGroup("all attempts", [OSError(errno.ENFILE, "File table overflow")]), NoReading),
    ],
)
def test_a_failure_of_this_machine_is_no_reading(cause, kind):
    error = httpx.ConnectError("all connection attempts failed")
    error.__cause__ = cause
    assert type(failure(error, Asked.SYSTEM, "GET u")) is kind


async def test_no_file_descriptors_is_no_reading(server, http):
    import resource

    url = server.on("/a", loopback.text("ok"))
    exchange = http.prepare(Request(url, fresh=True))
    await exchange.send()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        with pytest.raises(NoReading, match="too many open files"):
            await exchange.send()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_many_timeouts_leave_no_connection_behind(server, http):
    exchange = http.prepare(Request(server.on("/a", loopback.hang), timeout=0.02))
    for _ in range(10):
        with pytest.raises(NoAnswer):
            await exchange.send()
    open_then = _open_files()
    for _ in range(10):
        with pytest.raises(NoAnswer):
            await exchange.send()
    await asyncio.sleep(0)
    assert _open_files() <= open_then + 10  # the server's own ends, which hang


async def test_a_body_is_kept_only_as_far_as_was_asked_for(server, http):
    url = server.on("/a", loopback.text("x" * 100_000))
    assert (await http.send(Request(url))).body == b""
    reply = await http.send(Request(url, keep=1000))
    assert (len(reply.body), reply.cut) == (1000, True)


async def test_bodies_are_decoded_only_where_they_are_kept(server, http):
    good = server.on("/good", loopback.gzipped(b'{"a": 1}'))
    bad = server.on("/bad", loopback.raw(loopback.page(b"not gzip", Content_Encoding="gzip")))
    assert (await http.send(Request(good, keep=100))).json() == {"a": 1}
    assert (await http.send(Request(bad))).status == 200
    with pytest.raises(NoReading, match="not encoded as its header says"):
        await http.send(Request(bad, keep=100))


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ('"end time can\'t be in the past"', "application/json", "end time can't be in the past"),
        ('{"code":602,"message":"matchers is required"}', "application/json", "matchers is required"),
        ('{"errorMessages":["no"],"errors":{"summary":"is required"}}', "application/json", "summary: is required; no"),
        ('{"error":{"message":"Rate Limit Exceeded","code":2020}}', "application/json", "Rate Limit Exceeded"),
        (
            "<html><head><title>x</title></head><body><h1>502 Bad&nbsp;Gateway</h1></body>",
            "text/html",
            "502 Bad Gateway",
        ),
        ("invalid_payload", "text/plain", "invalid_payload"),
        ("a\x1b[31mb\nc", "text/plain", "a [31mb c"),
        ("x" * 1000, "text/plain", "x" * 199 + "…"),
        ("", "", ""),
        ("[" * 100_000, "application/json", "[" * 199 + "…"),
    ],
)
async def test_error_bodies_of_any_shape_become_one_short_line(server, http, body, kind, said):
    url = server.on("/a", loopback.raw(loopback.page(body.encode(), 400, kind)))
    assert (await http.send(Request(url, keep=200_000))).says() == said


async def test_json_that_is_none_says_what_came_instead(server, http):
    reply = await http.send(Request(server.on("/a", loopback.html(502, "Bad Gateway")), keep=1000))
    with pytest.raises(ValueError, match="expected JSON, found text/html: Bad Gateway"):
        reply.json()


async def test_bearer_basic_and_header_secrets_are_sent(server, http, tmp_path):
    (tmp_path / "password").write_text("pä55\n")
    url = server.on("/a", loopback.text("ok"))
    await http.send(Request(url, bearer=SecretRef(env="TOKEN")))
    await http.send(Request(url, basic=("ana", SecretRef(file="password"))))
    await http.send(Request(url, headers={"X-Key": SecretRef(env="TOKEN"), "user-agent": "me"}))
    bearer, basic, header = (met.headers for met in server.met)
    assert bearer["authorization"] == "Bearer s3cr3t"
    assert basic["authorization"] == "Basic YW5hOnDDpDU1"
    assert (header["x-key"], header["user-agent"]) == ("s3cr3t", "me")


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (SecretRef(env="NOT_SET"), "the environment variable NOT_SET is not set"),
        (SecretRef(file="absent"), "the file absent: No such file"),
        (SecretRef(file="empty"), "the file empty holds nothing"),
        (SecretRef(file="lines"), "the file lines holds a letter that an HTTP header cannot carry"),
        (SecretRef(file="binary"), "the file binary is no secret: it is not text"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_named_but_never_shown(http, tmp_path, ref, words):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "lines").write_text("hush-hush\nhush-hush\n")
    (tmp_path / "binary").write_bytes(b"hush-hush\xff\xfe")
    with pytest.raises(UsageError, match=words) as caught:
        http.prepare(Request("http://127.0.0.1/", bearer=ref))
    assert "hush" not in repr(caught.value)


async def test_messages_never_show_credentials(http):
    port = loopback.free_port()
    url = f"http://ana:s3cr3t@127.0.0.1:{port}/a?token=s3cr3t&page=2#s3cr3t"
    with pytest.raises(NoAnswer) as caught:
        await http.send(Request(url, bearer=SecretRef(env="TOKEN")))
    assert "s3cr3t" not in str(caught.value)
    assert f"GET http://127.0.0.1:{port}/a?token=…&page=2: " in str(caught.value)
    with pytest.raises(NotPossibleNow) as hidden:
        await http.send(Request(f"http://127.0.0.1:{port}/services/s3cr3t", asked=Asked.SERVICE, hide_path=True))
    assert "s3cr3t" not in str(hidden.value)


async def test_httpx_logs_no_url(server, http, caplog):
    with caplog.at_level("INFO"):
        await http.send(Request(server.on("/a", loopback.text("ok"))))
    assert not [record for record in caplog.records if "127.0.0.1" in record.getMessage()]


def test_importing_the_seam_imports_neither_httpx_nor_tenacity():
    code = "import sys, chaosrunner.http; print({'httpx', 'tenacity', 'httpcore'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_only_the_seam_imports_httpx_and_only_what_speaks_to_servers_imports_tenacity():
    import chaosrunner

    root = Path(chaosrunner.__file__).parent
    importers: dict[str, set[str]] = {"httpx": set(), "httpcore": set(), "tenacity": set()}
    for file in root.rglob("*.py"):
        text = file.read_text()
        if not any(name in text for name in importers):
            continue  # to take every file apart takes seconds
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.partition(".")[0] for name in names} & set(importers):
                importers[name].add(file.relative_to(root).as_posix())
    assert importers["httpx"] | importers["httpcore"] == {"http.py", "http_line.py"}
    assert importers["tenacity"] == {"http.py", "platforms/kubernetes/client.py"}


async def test_a_reading_that_is_cancelled_is_cancelled(server, http):
    reached = asyncio.Event()

    async def hang(met, writer):
        reached.set()
        await loopback.hang(met, writer)

    task = asyncio.create_task(http.send(Request(server.on("/a", hang))))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_every_failure_is_one_of_three():
    assert {kind.value for kind in Asked} == {NoAnswer, NoReading, NotPossibleNow}
    assert all(issubclass(kind.value, ChaosrunnerError) for kind in Asked)
