"""What reading costs: the http probe beside bare httpx, ten at once, two hundred measures, the load's accuracy.

Run it as `python benchmarks/bench_probes.py [--json] [--long] [--only NAME …]`. The servers are processes of their own,
so that what they use is not counted. The reference, bare httpx, is measured in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoAnswer
from chaosrunner.http import Http
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.ports import Probe, ProbeContext
from chaosrunner.traffic.source import Traffic

SERVER = """
import asyncio, os, sys
delay, connections = float(sys.argv[1]), 0
class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        global connections
        connections += 1
        self.transport = transport
    def data_received(self, data):
        if data.startswith(b"GET /connections"):
            self.answer(b"%d" % connections)
        elif delay:
            asyncio.get_running_loop().call_later(delay, self.answer, b"ok")
        else:
            self.answer(b"ok")
    def answer(self, body):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%b" % (len(body), body))
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    over = loop.create_future()
    loop.add_reader(0, lambda: os.read(0, 1) or over.done() or over.set_result(None))
    await over
asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def server(delay: float = 0.0) -> AsyncIterator[str]:
    """A server that answers after so many seconds; ends with this process."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, str(delay), stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.stdin.close()
        await process.wait()


@contextlib.asynccontextmanager
async def context() -> AsyncIterator[ProbeContext]:
    async with Http(SystemClock()) as http:
        yield ProbeContext(clock=SystemClock(), http=http, folder=Path())


def make(kind: str, within: ProbeContext, **params: Any) -> Probe[Any]:
    plugin = catalog.find("probes", kind)
    probe: Probe[Any] = plugin(plugin.Params.model_validate(params), within)
    return probe


async def overhead(_: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds for one reading, one after the other; the floor is a bare socket."""
    import httpx

    async with server() as url, context() as within, httpx.AsyncClient() as bare:
        probe = make("http", within, url=f"{url}/a", read="latency")
        await probe.open()
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def socket() -> None:
            writer.write(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readexactly(len(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))

        async def client() -> None:
            await bare.get(f"{url}/a")

        taken: dict[str, list[float]] = {"socket": [], "httpx": [], "probe": []}
        for _round in range(7):  # in turn, so that a busy moment hits all three
            for name, ask in (("socket", socket), ("httpx", client), ("probe", probe.read)):
                began = time.perf_counter()
                for _request in range(300):
                    await ask()
                taken[name].append((time.perf_counter() - began) / 300 * 1e3)
        writer.close()
        connections = int((await bare.get(f"{url}/connections")).text)
    medians = {name: statistics.median(rounds) for name, rounds in taken.items()}
    return {
        "bare socket ms": round(medians["socket"], 3),
        "bare httpx ms": round(medians["httpx"], 3),
        "http probe ms": round(medians["probe"], 3),
        "own time ms (probe less socket)": round(medians["probe"] - medians["socket"], 3),
        "connections for 2100 readings": connections - 2,  # the bare client's and the bare socket's
    }


async def ten_at_once(_: argparse.Namespace) -> dict[str, Any]:
    """One round of ten probes of a server that takes 200 ms."""
    async with server(0.2) as url, context() as within:
        probes = [make("http", within, url=f"{url}/{number}", read="latency") for number in range(10)]
        rounds = []
        for _round in range(5):
            began = time.perf_counter()
            await asyncio.gather(*(probe.read() for probe in probes))
            rounds.append(time.perf_counter() - began)
    return {"one round ms": round(statistics.median(rounds) * 1e3, 1), "slowest ms": round(max(rounds) * 1e3, 1)}


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _resident() -> float:
    """Megabytes."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


async def _at_1_hz(asks: Sequence[Any], seconds: float) -> tuple[float, list[float], str]:
    """Share of a core, memory over time, and how many readings of those due were taken."""
    memory: list[float] = []
    taken, due_in_all = 0, 0
    import httpx

    start = time.perf_counter() + 0.1

    async def follow(number: int, ask: Any) -> None:
        nonlocal taken, due_in_all
        due = start + number / len(asks)
        while due < start + seconds:
            await asyncio.sleep(due - time.perf_counter())
            due_in_all += 1
            with contextlib.suppress(NoAnswer, httpx.HTTPError):  # a machine that is too busy: told as a number
                await ask()
                taken += 1
            if number == 0:
                memory.append(_resident())
            due += 1.0

    began, used = time.perf_counter(), _used()
    await asyncio.gather(*(follow(number, ask) for number, ask in enumerate(asks)))
    return (_used() - used) / (time.perf_counter() - began), memory, f"{taken} of {due_in_all}"


async def two_hundred(options: argparse.Namespace) -> dict[str, Any]:
    """200 http measures once a second, and the same with bare httpx."""
    import httpx

    seconds = 600.0 if options.long else 30.0
    async with server() as url, context() as within:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits) as bare:
            share_bare, _memory, _taken = await _at_1_hz([lambda: bare.get(f"{url}/a")] * 200, min(seconds, 30.0))
        probes = [make("http", within, url=f"{url}/{number}", read="latency") for number in range(200)]
        for probe in probes:
            await probe.open()
        share, memory, taken = await _at_1_hz([probe.read for probe in probes], seconds)
    half = len(memory) // 2
    return {
        "seconds": seconds,
        "bare httpx, share of a core": f"{share_bare:.1%}",
        "probes, share of a core": f"{share:.1%}",
        "readings taken": taken,
        "memory MB": round(memory[-1], 1),
        "memory grown in the second half MB": round(memory[-1] - memory[half], 2),
    }


async def _load(rate: int, url: str, delay: float) -> dict[str, Any]:
    import psutil

    traffic = Traffic(TrafficSpec(url=f"{url}/a", rate=f"{rate}/s", timeout="2s"), SystemClock())  # type: ignore[arg-type]
    await traffic.start()
    try:
        assert traffic.pid is not None
        process = psutil.Process(traffic.pid)
        await asyncio.sleep(1.0)
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(6.0)
        used = sum(process.cpu_times()[:2]) - before
        window = traffic.window(5)
    finally:
        await traffic.stop()
    assert window.p50 is not None
    assert window.p99 is not None
    return {
        "answered a second": window.answered / window.seconds,
        "errors": window.errors,
        "p50 over the server's own ms": round((window.p50 - delay) * 1e3, 2),
        "p99 over the server's own ms": round((window.p99 - delay) * 1e3, 2),
        "started late": f"{window.late:.2%}",
        "generator, share of a core": f"{used / 6:.1%}",
    }


async def load(_: argparse.Namespace) -> dict[str, Any]:
    """The load generator on a server that takes 20 ms."""
    async with server(0.02) as url:
        return {f"{rate}/s": await _load(rate, url, 0.02) for rate in (50, 500, 2000)}


BENCHMARKS = {"overhead": overhead, "ten-at-once": ten_at_once, "two-hundred": two_hundred, "load": load}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all of them, or those named, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--long", action="store_true", help="two hundred measures for ten minutes")
    parser.add_argument("--only", nargs="+", choices=sorted(BENCHMARKS), default=list(BENCHMARKS))
    options = parser.parse_args(arguments)
    results = {}
    for name in options.only:
        results[name] = asyncio.run(BENCHMARKS[name](options))
        if not options.json:
            _show(name, results[name])
    if options.json:
        print(json.dumps({"load average": os.getloadavg()[0], **results}, indent=2))
    return 0


def _show(name: str, result: dict[str, Any], indent: str = "  ") -> None:
    print(f"{indent[2:]}{name}")
    for key, value in result.items():
        if isinstance(value, dict):
            _show(f"{indent}{key}", value, indent + "  ")
        else:
            print(f"{indent}{key:<40} {value}")


if __name__ == "__main__":
    sys.exit(main())
