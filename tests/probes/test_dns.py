"""The dns probe against a name server on loopback that answers, errs, cuts short, and keeps silent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoAnswer
from tests.loopback import free_port

NAME = "checkout.shop.test."


@dataclass
class NameServer:
    """One port, UDP and TCP."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    rcode: int = 0
    silent: int = 0
    """How many questions over UDP get nothing."""
    cut: bool = False
    """Answers over UDP are cut short."""
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def answer(self, question: bytes, way: str) -> bytes | None:
        asked = dns.message.from_wire(question)
        one = asked.question[0]
        self.asked.append(way)
        reply = dns.message.make_response(asked)
        name, kind = one.name.to_text(), dns.rdatatype.to_text(one.rdtype)
        found = self.records.get((name, kind), [])
        if self.rcode:
            reply.set_rcode(dns.rcode.Rcode(self.rcode))
        elif found:
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
        elif name not in {known for known, _ in self.records}:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        if way == "udp" and self.silent:
            self.silent -= 1
            return None
        if way == "udp" and self.cut:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        return reply.to_wire()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        reply = self.answer(await reader.readexactly(length), "tcp")
        assert reply is not None
        writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self.server.answer(data, "udp")
        if reply is not None:
            self.transport.sendto(reply, addr)


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    server = NameServer({(NAME, "A"): ["10.0.0.2", "10.0.0.1"], (NAME, "TXT"): ['"hello"']})
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(server), ("127.0.0.1", server.port)
    )
    async with listening:
        yield server
    transport.close()


@pytest.fixture
def read(probe, names):
    async def read(what: str = "latency", name: str = "checkout.shop.test", **params: Any) -> Any:
        given = {"server": f"127.0.0.1:{names.port}", "timeout": "10s", **params}
        return await probe("dns", name=name, read=what, **given).read()

    return read


async def test_latency_answer_and_count_are_read(read, names):
    assert 0 < await read() < 10
    assert await read("answer") == "10.0.0.1, 10.0.0.2"
    assert await read("answer", type="TXT") == '"hello"'
    assert await read("count") == 2
    assert names.asked == ["udp"] * 4


async def test_no_such_name_and_no_such_records_are_answers(read):
    assert await read("answer", "other.test") == "NXDOMAIN"
    assert await read("count", "other.test") == 0
    assert await read("answer", type="AAAA") == "NODATA"
    assert await read("count", type="AAAA") == 0
    with pytest.raises(NoAnswer, match=r"other\.test A of 127.* there is no such name \(NXDOMAIN\)"):
        await read("latency", "other.test")
    with pytest.raises(NoAnswer, match=r"has no AAAA records \(NODATA\)"):
        await read("latency", type="AAAA")


async def test_an_answer_that_is_cut_short_is_asked_for_over_tcp(read, names):
    names.cut = True
    assert await read("count") == 2
    assert names.asked == ["udp", "tcp"]


async def test_tcp_at_once(read, names):
    assert await read("count", tcp=True) == 2
    assert names.asked == ["tcp"]


@pytest.mark.parametrize(("rcode", "word"), [(2, "SERVFAIL"), (5, "REFUSED")])
@pytest.mark.parametrize("what", ["latency", "answer", "count"])
async def test_a_server_that_fails_or_refuses_is_no_answer(read, names, rcode, word, what):
    names.rcode = rcode
    with pytest.raises(NoAnswer, match=f"no server gave an answer.*{word}"):
        await read(what, timeout="1s")


async def test_a_silent_server_is_no_answer_in_time(read, names):
    names.silent = 1000
    with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
        await read("count", timeout="300ms")


async def test_a_server_that_is_not_there_is_no_answer(read):
    with pytest.raises(NoAnswer, match=r"no answer within|no server gave an answer"):
        await read(server=f"127.0.0.1:{free_port()}", timeout="300ms")


def test_only_latency_has_a_unit():
    plugin = catalog.find("probes", "dns")
    latency, count = (plugin.Params.model_validate({"name": "a", "read": what}) for what in ("latency", "count"))
    assert (plugin.unit(latency), plugin.kind_of(latency)) == ("s", "latency")
    assert (plugin.unit(count), plugin.kind_of(count)) == (None, None)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"name": ""}, "at least 1 character"),
        ({"name": "a..b"}, "expected a name such as"),
        ({"server": "dns.example.com"}, "expected a server's address"),
        ({"server": "127.0.0.1:99999"}, "expected a server's address"),
        ({"server": "127.0.0.1:"}, "expected a server's address"),
        ({"type": "ANY"}, "Input should be"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "dns").Params.model_validate({"name": "a", **params})


@pytest.mark.parametrize("server", ["10.0.0.1", "10.0.0.1:53", "::1", "[::1]:5353", "[::1]"])
def test_addresses_are_understood_with_and_without_a_port(server):
    catalog.find("probes", "dns").Params.model_validate({"name": "a", "server": server})
