"""The tcp probe."""

from __future__ import annotations

import asyncio
import resource
import socket

import pytest

from chaosrunner.errors import NoAnswer, NoReading
from tests import loopback


async def test_it_reads_how_long_connecting_takes(server, probe):
    asked = probe("tcp", host="127.0.0.1", port=server.port)
    assert 0 < await asked.read() < 5
    assert type(asked).unit(asked.params) == "s"


async def test_it_reads_whether_a_connection_stands(server, probe):
    assert await probe("tcp", host="127.0.0.1", port=server.port, read="connected").read() is True
    assert await probe("tcp", host="127.0.0.1", port=loopback.free_port(), read="connected").read() is False


async def test_a_refused_connection_has_no_latency(probe):
    port = loopback.free_port()
    with pytest.raises(NoAnswer, match=f"127.0.0.1:{port}: connection refused"):
        await probe("tcp", host="127.0.0.1", port=port).read()


async def test_a_name_that_is_not_found_is_no_answer(probe):
    with pytest.raises(NoAnswer, match="cannot be resolved"):
        await probe("tcp", host="nobody.invalid", port=80).read()


async def test_a_full_backlog_is_no_answer_in_time(probe):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            with pytest.raises(NoAnswer, match=r"no connection within 0\.2 s"):
                await probe("tcp", host="127.0.0.1", port=full.getsockname()[1], timeout="200ms").read()
        finally:
            for one in waiting:
                one.close()


async def test_no_file_descriptors_is_no_reading(server, probe):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        for read in ("latency", "connected"):
            with pytest.raises(NoReading, match="too many open files"):
                await probe("tcp", host="127.0.0.1", port=server.port, read=read).read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_readings_leave_no_connection_behind(probe):
    lost = asyncio.Event()

    class Seen(asyncio.Protocol):
        def eof_received(self) -> None:
            lost.set()

    server = await asyncio.get_running_loop().create_server(Seen, "127.0.0.1", 0)
    async with server:
        await probe("tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1]).read()
        await asyncio.wait_for(lost.wait(), 5)
