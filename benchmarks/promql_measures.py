"""500 PromQL measures every 5 s of a real Prometheus through a whole run: is their schedule kept, and at what cost?

Half of them are queries with a range, half are ratios of two counters, each of another route of a service whose
metrics Prometheus scrapes. How late a reading began is counted from its measure's own schedule: the earliest of its
readings sets it, one every 5 s from there. A turn that was left out is as late as the time to the next one. Beside it,
at the same time, a program that only sleeps until 500 such schedules are due says how late this machine itself wakes
anybody up.
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

from benchmarks.experiments import experiment, journal
from benchmarks.measuring import OURS, NotMeasured, Scale, workplace
from benchmarks.table import Row, spread
from benchmarks.tools import need
from benchmarks.watched import watch

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


def rows(scale: Scale) -> list[Row]:
    """Lateness, CPU, readings for a second of CPU."""
    need("prometheus")
    seconds = 65 if scale.quick else 120
    with workplace() as folder, _shop() as shop, _prometheus(folder, shop) as url:
        measures = [f"{{name: m{number}, {_probe(url, number)}}}" for number in range(MEASURES)]
        text = experiment(
            measures, f"{seconds}s", baseline="{for: 12s, within: 120s}", recovery="{within: 60s, holds: 5s}"
        )
        (folder / "bench.yaml").write_text(text)
        with _sleeper() as slept:
            seen = watch(
                [OURS, "run", "--plain", "bench.yaml"], folder, after=15.0, before=20.0, within=seconds + 300.0
            )
        readings = [line for line in journal(folder) if line["type"] == "reading"]
    late = sorted(lateness(readings, EVERY))
    missing = sum("missing" in line and line["missing"] is not None for line in readings)
    rate = len(readings) / (readings[-1]["ended"] - readings[0]["began"])
    what = f"{MEASURES} PromQL measures every {EVERY:g} s"
    p99, bare = (each[int(0.99 * (len(each) - 1))] for each in (late, sorted(slept)))
    took = spread(sorted(line["ended"] - line["began"] for line in readings))
    note = (
        f"{len(readings)} readings, {missing} of them missing, half ranges and half ratios of a real Prometheus, which "
        f"took {took.median * 1e3:.0f} ms for each and runs on the same cores; latest {late[-1] * 1e3:.0f} ms"
    )
    return [
        Row(f"{what}, p99 of how late they begin", f"{p99 * 1e3:.0f} ms", f"sleeping {bare * 1e3:.0f} ms",
            f"< {LATE_BAR * 1e3:g} ms", p99 < LATE_BAR, note),
        Row(f"{what}, share of a core", f"{seen.share:.1%}", "", f"< {CPU_BAR:.0%}", seen.share < CPU_BAR),
        Row("PromQL readings for a second of CPU", f"{rate / seen.share:,.0f}",
            note=f"{rate:.0f} a second, {1e3 * seen.share / rate:.2f} ms each: query, checks, journal, judging"),
    ]  # fmt: skip


def lateness(readings: Sequence[dict[str, Any]], every: float) -> list[float]:
    """Seconds by which each turn of each measure began late, turns that were left out included."""
    began: dict[str, list[float]] = {}
    for line in readings:
        began.setdefault(line["measure"], []).append(line["began"])
    late = []
    for times in began.values():
        times.sort()
        # The latest start of a schedule that no reading was ahead of.
        turns = [round((at - times[0]) / every) for at in times]
        start = min(at - turn * every for at, turn in zip(times, turns, strict=True))
        for turn in range(turns[-1] + 1):
            due = start + turn * every
            late.append(next(at for at in times if at >= due - 1e-6) - due)
    return late


def _probe(url: str, number: int) -> str:
    route = f'route="/{number}"'
    if number % 2:
        params = f"""query: 'sum(rate(requests_total{{{route}}}[10s]))'"""
        limit = "{atLeast: 0}"
    else:
        bad, total = f"""'requests_total{{{route},code="500"}}'""", f"'requests_total{{{route}}}'"
        params = f"ratio: {{bad: {bad}, total: {total}, over: 10s}}"
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
def _prometheus(folder: Path, shop: int) -> Iterator[str]:
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
        yield url
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
