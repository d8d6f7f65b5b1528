"""The injector's proxy next to haproxy: requests a second under wrk, and how exact an injected delay is.

    python benchmarks/bench_proxy.py [--json] [--rounds 5] [--seconds 2]

Needs `haproxy` and `wrk` (Debian: apt-get install haproxy wrk). Both proxies pass TCP through to one and the same
backend, haproxy answering by itself; each has one thread. Rounds take turns between the two, so that what else the
machine does hits both alike; the ratio is the median of the rounds' own ratios. A delay's error is the median round
trip with the delay, less that without it at the same pace, less the delay asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from chaosrunner.injector.control import call
from chaosrunner.injector.proxy import command

BARS = {1: 0.75, 32: 0.85}
"""Connections -> share of haproxy's requests a second."""
DELAY = 0.050
WITHIN = 0.001
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend backend
    mode http
    bind 127.0.0.1:{backend}
    http-request return status 200 content-type text/plain string "hello, world"
"""
HAPROXY_TCP = """
global
    nbthread 1
    maxconn 4000
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen proxy
    mode tcp
    bind 127.0.0.1:{haproxy}
    server backend 127.0.0.1:{backend}
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table. `met` is None for figures that are shown and have no bar."""

    name: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None
    note: str = ""


def free_port() -> int:
    """A port of loopback that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    """A child process, ended at the end."""
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


def wait_for(port: int) -> None:
    """Until somebody listens there, for at most 10 s."""
    give_up = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise SystemExit(f"nothing listens on port {port} after 10 s") from None
            time.sleep(0.02)


def requests_per_second(port: int, connections: int, seconds: int) -> float:
    """What wrk measures in one run."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or "Socket errors" in said or "Non-2xx" in said:
        raise SystemExit(f"wrk could not measure port {port}:\n{said}")
    return float(found[1])


def round_trips(port: int, connections: int, each: int, pause: float = 0.0) -> list[float]:
    """Seconds from a request to its answer; on each connection one after the other."""
    trips: list[float] = []
    with selectors.DefaultSelector() as selector:
        sent: dict[socket.socket, tuple[float, int]] = {}
        client: socket.socket
        for _ in range(connections):
            client = socket.create_connection(("127.0.0.1", port), timeout=5)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client, selectors.EVENT_READ)
            sent[client] = (time.perf_counter(), 0)
            client.sendall(REQUEST)
            time.sleep(DELAY / connections)  # spread out, as real clients are
        while sent:
            for key, _ in selector.select(10):
                assert isinstance(key.fileobj, socket.socket)
                client = key.fileobj
                now, (since, count) = time.perf_counter(), sent[client]
                client.recv(65536)
                trips.append(now - since)
                if count + 1 == each:
                    selector.unregister(client)
                    client.close()
                    del sent[client]
                    continue
                if pause:
                    time.sleep(pause)
                sent[client] = (time.perf_counter(), count + 1)
                client.sendall(REQUEST)
    return trips


def throughput(ports: dict[str, int], rounds: int, seconds: int) -> list[Figure]:
    """Requests a second next to haproxy's, for each number of connections."""
    figures = []
    for connections, bar in BARS.items():
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(rounds):
            for name in ("haproxy", "proxy") if number % 2 else ("proxy", "haproxy"):
                (ours if name == "proxy" else theirs).append(requests_per_second(ports[name], connections, seconds))
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        note = f"{statistics.median(ours):,.0f}/s, haproxy {statistics.median(theirs):,.0f}/s"
        name = f"requests/s of haproxy's, {connections} connection{'s' * (connections > 1)}"
        figures.append(Figure(name, round(ratio, 3), "", f">= {bar}", ratio >= bar, note))
    return figures


def exactness(port: int, control: Path) -> list[Figure]:
    """How exact an injected delay is."""
    figures = []
    for connections, each in ((1, 100), (64, 40)):
        plain = statistics.median(round_trips(port, connections, each, DELAY if connections == 1 else 0.0))
        effect = {"delay": DELAY, "direction": "response"}
        key = f"bench-{connections}"
        call(control, {"do": "begin", "id": key, "run": "bench", "seconds": 60, "effect": effect})
        try:
            trips: list[float] = []
            for _ in range(4):  # in parts, so that the heartbeat comes in between
                trips += round_trips(port, connections, each // 4)
                call(control, {"do": "beat", "run": "bench"})
        finally:
            call(control, {"do": "end", "id": key})
        ordered = sorted(trips)
        p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        if connections == 1:
            error = p50 - plain - DELAY
            note = f"p50 {p50 * 1000:.2f} ms, without the delay {plain * 1000:.2f} ms"
            figures.append(Figure("error of a 50 ms delay, p50, 1 connection", round(error * 1000, 3), "ms",
                                  f"<= {WITHIN * 1000:g} ms", abs(error) <= WITHIN, note))  # fmt: skip
        else:
            figures.append(Figure(f"round trip with 50 ms, p50, {connections} connections", round(p50 * 1000, 3), "ms"))
        words = f"round trip with 50 ms, p99, {connections} connection{'s' * (connections > 1)}"
        figures.append(Figure(words, round(p99 * 1000, 3), "ms"))
    return figures


def measure(rounds: int, seconds: int) -> list[Figure]:
    """All figures; starts everything and ends it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cr-bench-")))
        ports = {"backend": free_port(), "haproxy": free_port(), "proxy": free_port()}
        control = folder / "proxy.sock"
        for name, text in (("backend", HAPROXY), ("haproxy", HAPROXY_TCP)):
            (folder / f"{name}.cfg").write_text(text.format(**ports))
            stack.enter_context(running(["haproxy", "-f", str(folder / f"{name}.cfg")]))
        listen, connect = f"127.0.0.1:{ports['proxy']}", f"127.0.0.1:{ports['backend']}"
        stack.enter_context(running(command(listen, connect, control)))
        for port in ports.values():
            wait_for(port)
        return throughput(ports, rounds, seconds) + exactness(ports["proxy"], control)


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or the numbers with `--json`; 1 if a bar was not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the numbers as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each wrk run, whole ones")
    given = parser.parse_args(arguments)
    missing = [tool for tool in ("haproxy", "wrk") if shutil.which(tool) is None]
    if missing:
        words = f"not measured: {' and '.join(missing)} not installed (Debian: apt-get install {' '.join(missing)})"
        print(json.dumps({"missing": missing}) if given.json else words)
        return 0
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    figures = measure(given.rounds, given.seconds)
    if given.json:
        print(json.dumps({"load_before": load, "figures": [asdict(figure) for figure in figures]}, indent=2))
    else:
        for figure in figures:
            met = "" if figure.met is None else ("met" if figure.met else "NOT MET")
            value = f"{figure.value:g} {figure.unit}".strip()
            print(f"{figure.name:<45} {value:>12}  {figure.bar:<8} {met:<8} {figure.note}".rstrip())
        if load > cores / 2:
            print(f"The machine was busy with something else before (load {load:.1f}, {cores} cores): measure again.")
    return 1 if any(figure.met is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
