"""The proxy as a program of its own: it starts, says so, survives whoever started it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chaosrunner.injector.control import NobodyThere, call_async
from chaosrunner.injector.proxy import command
from tests.injector.link import Peer, Server, echo


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def running(
    words: list[str], ready: int, ours: int, **environment: str
) -> AsyncIterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(  # noqa: ASYNC220 - it only forks
        words, pass_fds=[ready], stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, **environment}
    )
    os.close(ready)
    try:
        assert await asyncio.to_thread(os.read, ours, 10) == b"1", "it did not say that it is ready"
        yield child
    finally:
        os.close(ours)
        child.kill()
        await asyncio.to_thread(child.communicate)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server(echo)
    task = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.close()


def _connect(port: int) -> Peer:
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.setblocking(False)
    return Peer(client)


async def _nothing_in_force(control: Path) -> None:
    async with asyncio.timeout(10):
        while (await call_async(control, {"do": "stats"}))["in_force"]:
            await asyncio.sleep(0.01)


async def _port(control: Path) -> int:
    return int((await call_async(control, {"do": "stats"}))["addresses"][0][1])


async def test_it_is_ready_when_it_says_so_and_ends_cleanly_on_sigterm(folder: Path) -> None:
    control = folder / "c.sock"
    async with serving() as server:
        ours, ready = os.pipe()
        words = command("127.0.0.1:0", f"127.0.0.1:{server.port}", control, ready_fd=ready)
        async with running(words, ready, ours) as child:
            client = _connect(await _port(control))
            await client.round_trip()
            effect = {"delay": 30, "direction": "request"}
            await call_async(control, {"do": "begin", "id": "h", "run": "R", "seconds": 60, "effect": effect})
            await client.send(b"held")
            child.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(child.wait, 10) == 0
            client.close()
        assert not control.exists()
        with pytest.raises(NobodyThere):
            await call_async(control, {"do": "stats"})


async def test_a_fault_ends_by_itself_when_the_runner_is_gone_or_the_time_is_over(folder: Path) -> None:
    control = folder / "c.sock"
    async with serving() as server:
        ours, ready = os.pipe()
        words = command("127.0.0.1:0", f"127.0.0.1:{server.port}", control, ready_fd=ready)
        async with running(words, ready, ours, CHAOSRUNNER_BEAT_LIMIT="0.4"):
            begin = {"do": "begin", "run": "R", "effect": {"loss": "refuse"}}
            port = await _port(control)
            for key, seconds, why in (("a", 60, "heartbeat"), ("b", 0.1, "deadline")):
                await call_async(control, {**begin, "id": key, "seconds": seconds})
                with pytest.raises(ConnectionRefusedError):
                    _connect(port)
                await _nothing_in_force(control)
                client = _connect(port)
                await client.round_trip()
                client.close()
                assert (await call_async(control, {"do": "holds"}))["over"][key] == why


async def test_with_few_files_more_connections_wait_and_the_control_socket_answers(folder: Path) -> None:
    control = folder / "c.sock"
    async with serving() as server:
        ours, ready = os.pipe()
        words = command("127.0.0.1:0", f"127.0.0.1:{server.port}", control, ready_fd=ready)
        async with running(["sh", "-c", 'ulimit -n 60; exec "$@"', "sh", *words], ready, ours):
            port = await _port(control)
            clients = [_connect(port) for _ in range(40)]
            for client in clients:
                await client.send(b"?")
            for client in clients:  # the system holds them in its queue until others have ended
                assert await client.exactly(1) == b"?"
                client.close()
                assert (await call_async(control, {"do": "stats"}))["upstream_failed"] == 0


async def test_the_module_can_be_run_by_its_name(folder: Path) -> None:
    control = folder / "c.sock"
    ours, ready = os.pipe()
    words = [sys.executable, "-m", "chaosrunner.injector.proxy", "--listen", "127.0.0.1:0", "--connect", "127.0.0.1:9"]
    words += ["--control", str(control), "--ready-fd", str(ready)]
    async with running(words, ready, ours) as child:
        assert (await call_async(control, {"do": "stats"}))["pid"] == child.pid


def _failing(listen: str, connect: str, control: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(listen, connect, control), capture_output=True, text=True, timeout=30, check=False)


def test_a_port_that_is_taken_ends_it_with_2_and_a_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = _failing(f"127.0.0.1:{port}", "127.0.0.1:9", folder / "c.sock")
    assert failed.returncode == 2
    assert failed.stderr == (
        f"proxy 127.0.0.1:{port} -> 127.0.0.1:9: cannot listen: the port is taken by another process\n"
    )
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("listen", "connect", "words"),
    [
        ("8003", "127.0.0.1:9", "'8003' is not HOST:PORT"),
        ("127.0.0.1:0", "127.0.0.1:0", "port 0 cannot be connected to"),
        ("no-such-host.invalid:80", "127.0.0.1:9", "no-such-host.invalid"),
    ],
)
def test_an_address_that_is_none_ends_it_with_2_and_a_sentence(
    folder: Path, listen: str, connect: str, words: str
) -> None:
    failed = _failing(listen, connect, folder / "c.sock")
    assert failed.returncode == 2
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
