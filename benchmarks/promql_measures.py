"""500 PromQL measures every 5 s of a real Prometheus through a whole run: is their schedule kept, and at what cost?

Half of them are queries with a range, half are ratios of two counters, each of another route of a service whose
metrics Prometheus scrapes. How late a reading began is counted from its measure's own schedule: the earliest of its
readings sets it, one every 5 s from there. A turn that was left out is as late as the time to the next one.

Two comparisons say what is the machine's and what is Prometheus's: at the same time a program that only sleeps until
500 such schedules are due; and in turns, before and after, a bare loop over httpx that sends the same queries. What is
late because the answer before it had not come is told apart, and so is Prometheus's own share of the processors.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from benchmarks.experiments import experiment, journal
from benchmarks.measuring import OURS, NotMeasured, Scale, workplace
from benchmarks.table import Row, spread
from benchmarks.tools import need
from benchmarks.watched import watch
from chaosrunner.probes.prometheus import Ratio, _counting

MEASURES, EVERY = 500, 5.0
LATE_BAR, CPU_BAR = 0.250, 0.5
_CONFIG = """\
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: shop
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

SLEEPER = """
import asyncio, json, sys, time
many, every = int(sys.argv[1]), float(sys.argv[2])
late = []
async def follow(start, offset):
    due = start + offset
    while True:
        await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)
        due += every
async def main():
    start = time.monotonic()
    tasks = [asyncio.ensure_future(follow(start, number * 0.005)) for number in range(many)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(json.dumps(late))
asyncio.run(main())
"""
BARE = """
import asyncio, json, sys, time, httpx
asked = json.load(sys.stdin)
late = []
async def follow(client, form, due, end):
    while due < end:
        await asyncio.sleep(due - time.monotonic())
        late.append(time.monotonic() - due)
        try:
            (await client.post(asked["url"], data=form)).json()
        except httpx.HTTPError:
            pass
        due += asked["every"]
        while due < time.monotonic():  # turns that were left out
            late.append(time.monotonic() - due)
            due += asked["every"]
async def main():
    start = time.monotonic()
    limits = httpx.Limits(max_keepalive_connections=32, max_connections=None)
    async with httpx.AsyncClient(timeout=10, limits=limits) as client:
        step = asked["every"] / len(asked["forms"])
        await asyncio.gather(*[
            follow(client, form, start + number * step, start + asked["seconds"])
            for number, form in enumerate(asked["forms"])
        ])
    print(json.dumps([late, time.process_time()]))
asyncio.run(main())
"""


def rows(scale: Scale) -> list[Row]:
    """Lateness, CPU, readings for a second of CPU."""
    need("prometheus")
    seconds, beside = (65, 20) if scale.quick else (120, 40)
    with workplace() as folder, _shop() as shop, _prometheus(folder, shop) as (url, server):
        measures = [f"{{name: m{number}, {_probe(url, number)}}}" for number in range(MEASURES)]
        text = experiment(
            measures, f"{seconds}s", baseline="{for: 12s, within: 120s}", recovery="{within: 60s, holds: 5s}"
        )
        (folder / "bench.yaml").write_text(text)
        bare = [_bare(url, beside)]
        with _sleeper() as slept, _busy(server) as theirs:
            seen = watch(
                [OURS, "run", "--plain", "bench.yaml"], folder, after=15.0, before=20.0, within=seconds + 300.0
            )
        bare.append(_bare(url, beside))
        readings = [line for line in journal(folder) if line["type"] == "reading"]
    late = sorted(lateness(readings, EVERY))
    own = sorted(lateness(readings, EVERY, own=True))
    missing = sum("missing" in line and line["missing"] is not None for line in readings)
    rate = len(readings) / (readings[-1]["ended"] - readings[0]["began"])
    what = f"{MEASURES} PromQL measures every {EVERY:g} s"
    p99, sleeping, free = (_p99(each) for each in (late, slept, own))
    others = " and ".join(f"{_p99(each) * 1e3:.0f}" for each, _ in bare)
    took = spread(sorted(line["ended"] - line["began"] for line in readings))
    note = (
        f"{len(readings)} readings, {missing} of them missing, half ranges and half ratios of a real Prometheus, which "
        f"took {took.median * 1e3:.0f} ms for each, and {theirs[0]:.0%} of a core of the same machine; latest "
        f"{late[-1] * 1e3:.0f} ms; where the answer before had come, p99 is {free * 1e3:.0f} ms; a program that only "
        f"sleeps: {sleeping * 1e3:.0f} ms; bare httpx before and after"
    )
    cpu = " and ".join(f"{used / beside:.1%}" for _, used in bare)
    return [
        Row(f"{what}, p99 of how late they begin", f"{p99 * 1e3:.0f} ms", f"httpx {others} ms",
            f"< {LATE_BAR * 1e3:g} ms", p99 < LATE_BAR, note),
        Row(f"{what}, share of a core", f"{seen.share:.1%}", f"httpx {cpu}", f"< {CPU_BAR:.0%}", seen.share < CPU_BAR),
        Row("PromQL readings for a second of CPU", f"{rate / seen.share:,.0f}",
            note=f"{rate:.0f} a second, {1e3 * seen.share / rate:.2f} ms each: query, checks, journal, judging"),
    ]  # fmt: skip


def _p99(late: Sequence[float]) -> float:
    return sorted(late)[int(0.99 * (len(late) - 1))]


def lateness(readings: Sequence[dict[str, Any]], every: float, *, own: bool = False) -> list[float]:
    """Seconds by which each turn of each measure began late, turns that were left out included. `own`: without those
    that fell into the time of the measure's reading before."""
    began: dict[str, list[tuple[float, float]]] = {}
    for line in readings:
        began.setdefault(line["measure"], []).append((line["began"], line.get("ended", line["began"])))
    late = []
    for taken in began.values():
        taken.sort()
        times = [at for at, _ in taken]
        # The latest start of a schedule that no reading was ahead of.
        turns = [round((at - times[0]) / every) for at in times]
        start = min(at - turn * every for at, turn in zip(times, turns, strict=True))
        for turn in range(turns[-1] + 1):
            due = start + turn * every
            if own and any(at < due < ended for at, ended in taken):
                continue
            late.append(next(at for at in times if at >= due - 1e-6) - due)
    return late


def _parts(number: int) -> tuple[str, str]:
    route = f'route="/{number}"'
    return f"""requests_total{{{route},code="500"}}""", f"requests_total{{{route}}}"


def _query(number: int) -> str:
    """What the measure of this number asks Prometheus."""
    bad, total = _parts(number)
    if number % 2:
        return f"sum(rate({total}[10s]))"
    return _counting(Ratio(bad=bad, total=total, over="10s"))


def _probe(url: str, number: int) -> str:
    bad, total = _parts(number)
    if number % 2:
        params = f"""query: 'sum(rate({total}[10s]))'"""
        limit = "{atLeast: 0}"
    else:
        params = f"ratio: {{bad: '{bad}', total: '{total}', over: 10s}}"
        limit = "{atMost: 50%}"
    return f'prometheus: {{url: "{url}", {params}}}, every: {EVERY:g}s, tolerance: {limit}'


class _Metrics(BaseHTTPRequestHandler):
    """A service with a counter for each route and status, all of them growing."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        done = int(time.monotonic() * 10)
        lines = ["# TYPE requests_total counter"]
        for number in range(MEASURES):
            for code, share in (("200", 9), ("500", 1)):
                lines.append(f'requests_total{{route="/{number}",code="{code}"}} {done * share}')
        body = "\n".join([*lines, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _bare(url: str, seconds: float) -> tuple[list[float], float]:
    """The same queries from a bare loop: how late each turn began, and the CPU time that it took."""
    forms = [{"query": _query(number), "timeout": "10s", "lookback_delta": "30s"} for number in range(MEASURES)]
    asked = {"url": f"{url}/api/v1/query", "every": EVERY, "seconds": seconds, "forms": forms}
    words = [sys.executable, "-c", BARE]
    done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise NotMeasured(f"the bare loop failed: {done.stderr[-300:]}")
    late, cpu = json.loads(done.stdout)
    return late, cpu


@contextmanager
def _busy(process: subprocess.Popen[bytes]) -> Iterator[list[float]]:
    """The share of a core that a process takes meanwhile; filled when it is over."""
    share: list[float] = []
    watched = psutil.Process(process.pid)
    since, before = time.monotonic(), sum(watched.cpu_times()[:2])
    yield share
    share.append((sum(watched.cpu_times()[:2]) - before) / (time.monotonic() - since))


@contextmanager
def _sleeper() -> Iterator[list[float]]:
    """How late a program wakes up that does nothing else; filled when it is over."""
    late: list[float] = []
    words = [sys.executable, "-c", SLEEPER, str(MEASURES), str(EVERY)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield late
        said, _ = process.communicate("", timeout=30)
        late += json.loads(said)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _shop() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metrics)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _prometheus(folder: Path, shop: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real one that has scraped the service for long enough."""
    (folder / "prometheus.yml").write_text(_CONFIG.format(port=shop))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as free:
        port = free.server_address[1]
    words = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}/api/v1/query?query=requests_total%20offset%2012s", process)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if b'"route"' in answer.read():
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise NotMeasured("Prometheus did not come up")
