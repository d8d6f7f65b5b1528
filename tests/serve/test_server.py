"""The server keeps its bounds: who may ask, how much, how many at once, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.secret import Secret
from chaosrunner.serve.asking import Answer, Asked, Door, Route, RouteContext
from chaosrunner.serve.gathering import Gathered
from chaosrunner.serve.routes import all_routes
from chaosrunner.serve.server import Bounds, Server
from chaosrunner.stages.figures import StateFigures
from chaosrunner.store.machine import Machine


def context(folder: Path, doors: Mapping[str, Sequence[Door]] | None = None) -> RouteContext:
    clock, state = SystemClock(), folder / "state"
    return RouteContext(state, clock, Gathered(StateFigures(state, Machine(folder), clock), clock), doors or {})


@asynccontextmanager
async def serving(
    folder: Path,
    routes: Sequence[Route] = (),
    token: str = "",
    doors: Mapping[str, Sequence[Door]] | None = None,
    **bounds: Any,
) -> AsyncIterator[int]:
    server = Server(
        [*all_routes(), *routes],
        context(folder, doors),
        Secret(token) if token else None,
        Bounds(**bounds) if bounds else None,
    )
    async with server.serving("127.0.0.1", 0) as port:
        yield port


async def ask(port: int, text: str) -> str:
    """Send this, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text.replace("\n", "\r\n").encode())
        async with asyncio.timeout(10):
            return (await reader.read()).decode()
    except ConnectionResetError:
        return ""
    finally:
        writer.close()


def get(path: str, *headers: str) -> str:
    return "\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""])


def post(path: str, body: str, *headers: str) -> str:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\n".join(lines)


async def echo(asked: Asked, context: RouteContext) -> Answer:
    return Answer(f"{asked.method} {asked.path} {asked.query.get('a', '')} {asked.body.decode()}")


async def test_a_route_gets_what_was_asked_and_its_answer_is_sent(tmp_path: Path) -> None:
    async with serving(tmp_path, [Route("POST", "/echo", echo)]) as port:
        assert (await ask(port, post("/echo?a=1", "hello"))).endswith("POST /echo 1 hello")


async def test_it_is_alive(tmp_path: Path) -> None:
    async with serving(tmp_path, token="s3cr3t") as port:
        answer = await ask(port, get("/healthz"))
        assert answer.startswith("HTTP/1.1 200") and answer.endswith("ok\n")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        (["Authorization: Bearer wrong"], 401),
        (["Authorization: Basic czNjcjN0"], 401),
        (["Authorization: Bearer s3cr3t"], 200),
    ],
)
async def test_who_does_not_know_the_token_learns_nothing(tmp_path: Path, headers: list[str], status: int) -> None:
    async with serving(tmp_path, token="s3cr3t") as port:
        answer = await ask(port, get("/metrics", *headers))
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert ("chaosrunner_" in answer) is (status == 200)


async def test_beyond_this_machine_it_listens_only_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"listening on 0\.0\.0\.0 lets others ask: expected a token"):
        async with Server([], context(tmp_path)).serving("0.0.0.0", 0):
            pass


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        with pytest.raises(NotPossibleNow, match=f"cannot listen on 127.0.0.1:{port}"):
            async with Server([], context(tmp_path)).serving("127.0.0.1", port):
                pass


async def test_a_body_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    async with serving(tmp_path, [Route("POST", "/echo", echo, most_body=5)]) as port:
        assert (await ask(port, post("/echo", "hello"))).startswith("HTTP/1.1 200")
        assert (await ask(port, post("/echo", "hello!"))).startswith("HTTP/1.1 413")
        announced = "POST /echo HTTP/1.1\nHost: x\nConnection: close\nContent-Length: 999999999\n\n"
        assert (await ask(port, announced)).startswith("HTTP/1.1 413")


async def test_what_nobody_answers_and_other_methods_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as port:
        assert (await ask(port, get("/nothing"))).startswith("HTTP/1.1 404")
        assert (await ask(port, post("/metrics", ""))).startswith("HTTP/1.1 405")
        assert (await ask(port, "nonsense\n\n")).startswith("HTTP/1.")


async def test_more_questions_at_once_than_it_bears_are_sent_away(tmp_path: Path) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Asked, __: RouteContext) -> Answer:
        asked.set()
        await go.wait()
        return Answer("done")

    async with serving(tmp_path, [Route("GET", "/slow", slow)], answers=1) as port:
        first = asyncio.ensure_future(ask(port, get("/slow")))
        await asked.wait()
        away = await ask(port, get("/slow"))
        assert away.startswith("HTTP/1.1 503") and "Retry-After: 1" in away
        go.set()
        assert (await first).endswith("done")
        assert (await ask(port, get("/slow"))).endswith("done")


async def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async def never(_: Asked, __: RouteContext) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(tmp_path, [Route("GET", "/never", never)], seconds=0.05) as port:
        answer = await ask(port, get("/never"))
        assert answer.startswith("HTTP/1.1 503") and "no answer within 0.05 s" in answer


async def test_connections_that_ask_nothing_are_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, idle=0.2) as port:
        assert await ask(port, "") == ""
        assert await ask(port, "GET /metrics HTTP/1.1\nHost: x\n") == ""


async def test_more_connections_than_it_bears_are_closed_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, connections=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"ok\n")
        assert await ask(port, get("/healthz")) == ""
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            while not (await ask(port, get("/healthz"))).endswith("ok\n"):
                await asyncio.sleep(0.01)


async def test_what_is_wrong_is_said_without_a_traceback(tmp_path: Path) -> None:
    async def wrong(_: Asked, __: RouteContext) -> Answer:
        raise UsageError("expected a run")

    async def out_of_reach(_: Asked, __: RouteContext) -> Answer:
        raise NotPossibleNow("the register is out of reach")

    routes = [Route("GET", "/wrong", wrong), Route("GET", "/away", out_of_reach)]
    async with serving(tmp_path, routes) as port:
        assert (await ask(port, get("/wrong"))).startswith("HTTP/1.1 400")
        assert (await ask(port, get("/away"))).endswith("the register is out of reach\n")
