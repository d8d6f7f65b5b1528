"""Causes planted in the demo's shop: its six processes under load, a real Prometheus that scrapes them every second,
and runs of chaosrunner that break something and tell what else changed.

`python -m benchmarks.evidence_shop PORT` is the load: pages and orders at a steady rate, until it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.experiments import HEAD
from benchmarks.measuring import OURS, NotMeasured, environment
from chaosrunner.demo.layout import SHIPPED, free_ports, here

RATE = 10.0
"""Pages, and orders, a second."""
BEFORE = 25.0
"""Seconds of load before the first run."""
BETWEEN = 8.0
"""Seconds between runs, in which all is as usual."""


@dataclass(frozen=True)
class ShopCase:
    """One fault, and by what its cause is told."""

    name: str
    fault: str
    path: str
    """What is bought or looked at, so that something breaks."""
    cause: str
    """A regular expression: clues about where it was planted, and what that should have been protected from."""
    effects: str
    """Clues about what depends on it: true changes, further from the cause."""


def _to(service: str, caller: str) -> str:
    return (
        rf'to="{service}"|job="(?:{service}|{caller})"|^(?:{service}|{caller}):|{service} (?:did not|is not|answered)'
    )


ORDER = r'checkout|POST /checkout|no free worker|job="(?:storefront|inventory|payments)"'
PAGE = r'job="(?:storefront|recommendations|prices)"|GET /'
LINK = "target: {{service: {0}, to: {1}}}, with: {{{2}}}, for: 6s"
CASES = (
    ShopCase(
        "payments is slow",
        "network-latency, " + LINK.format("checkout", "payments", "delay: 1500ms"),
        "/checkout",
        _to("payments", "checkout"),
        ORDER,
    ),
    ShopCase(
        "payments hangs",
        "dependency-loss, " + LINK.format("checkout", "payments", "mode: hang"),
        "/checkout",
        _to("payments", "checkout"),
        ORDER,
    ),
    ShopCase(
        "payments is gone",
        "dependency-loss, " + LINK.format("checkout", "payments", "mode: refuse"),
        "/checkout",
        _to("payments", "checkout"),
        ORDER,
    ),
    ShopCase(
        "inventory is slow",
        "network-latency, " + LINK.format("checkout", "inventory", "delay: 300ms"),
        "/checkout",
        _to("inventory", "checkout"),
        ORDER,
    ),
    ShopCase(
        "inventory is gone",
        "dependency-loss, " + LINK.format("checkout", "inventory", "mode: refuse"),
        "/checkout",
        _to("inventory", "checkout"),
        ORDER,
    ),
    ShopCase(
        "checkout is slow",
        "network-latency, " + LINK.format("storefront", "checkout", "delay: 1500ms"),
        "/checkout",
        _to("checkout", "storefront"),
        ORDER,
    ),
    ShopCase(
        "checkout is gone",
        "dependency-loss, " + LINK.format("storefront", "checkout", "mode: refuse"),
        "/checkout",
        _to("checkout", "storefront"),
        ORDER,
    ),
    ShopCase(
        "recommendations are gone",
        "dependency-loss, " + LINK.format("storefront", "recommendations", "mode: refuse"),
        "/",
        _to("recommendations", "storefront"),
        PAGE,
    ),
    ShopCase(
        "recommendations are slow",
        "network-latency, " + LINK.format("storefront", "recommendations", "delay: 1500ms"),
        "/",
        _to("recommendations", "storefront"),
        PAGE,
    ),
    ShopCase(
        "prices are slow",
        "network-latency, " + LINK.format("storefront", "prices", "delay: 1500ms"),
        "/",
        _to("prices", "storefront"),
        PAGE,
    ),
    ShopCase(
        "payments stands still",
        "process-pause, target: {service: payments}, for: 6s",
        "/checkout",
        _to("payments", "checkout"),
        ORDER,
    ),
    ShopCase(
        "inventory stands still",
        "process-pause, target: {service: inventory}, for: 6s",
        "/checkout",
        _to("inventory", "checkout"),
        ORDER,
    ),
    ShopCase(
        "checkout stands still",
        "process-pause, target: {service: checkout}, for: 6s",
        "/checkout",
        _to("checkout", "storefront"),
        ORDER,
    ),
    ShopCase(
        "recommendations are killed",
        "process-kill, target: {service: recommendations}, observe: 6s",
        "/",
        _to("recommendations", "storefront"),
        PAGE,
    ),
)


@dataclass(frozen=True)
class Shown:
    """What a run told."""

    case: ShopCase
    subjects: Sequence[str]
    """Of its clues: source and subject, the strongest first."""

    def right(self, *, only_cause: bool) -> list[bool]:
        """Of the first three: whether each is about the cause (or its effects)."""
        pattern = self.case.cause if only_cause else f"{self.case.cause}|{self.case.effects}"
        return [re.search(pattern, subject) is not None for subject in self.subjects[:3]]


QUIET = [ShopCase("nothing", "noop, for: 6s", path, "nothing", "nothing") for path in ("/", "/checkout", "/")]
"""Nothing happens, and the hypothesis asks for what cannot be, so that somebody looks for what changed."""


def shown(folder: Path, cases: Sequence[ShopCase] = CASES) -> list[Shown]:
    """Break the shop in all these ways, one after the other. Raises `NotMeasured`."""
    program = shutil.which("prometheus")
    if program is None:
        raise NotMeasured("prometheus is not installed (Debian's package prometheus; tools/debian installs it)")
    with ExitStack() as stack:
        moved = free_ports(0)
        prometheus = f"http://127.0.0.1:{_free_port()}"
        _write(folder, moved, prometheus)
        _ours(folder, "local", "up", "shop.yaml")
        stack.callback(_ours, folder, "local", "down", "shop.yaml")
        stack.enter_context(_running([program, *_options(folder, prometheus)], folder))
        load = [sys.executable, "-m", "benchmarks.evidence_shop", str(17001 + moved)]
        stack.enter_context(_running(load, folder, cwd=Path(__file__).parents[1]))
        time.sleep(BEFORE)
        return [_one(folder, case, moved) for case in cases]


def _one(folder: Path, case: ShopCase, moved: int) -> Shown:
    (folder / "case.yaml").write_text(_experiment(case, moved))
    done = _ours(folder, "run", "--plain", "case.yaml", codes=(0, 1, 3))
    newest = max((folder / "state" / "runs").iterdir(), key=lambda run: run.name)
    found: list[dict[str, Any]] = []
    for line in (newest / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "evidence-gathered":
            found = event["clues"]["found"]
    if not found and case not in QUIET:
        print(f"{case.name}: nothing told; {done[-300:]}", file=sys.stderr)
    time.sleep(BETWEEN)
    return Shown(case, [_subject(clue) for clue in found])


def _subject(clue: dict[str, Any]) -> str:
    return str(clue["says"]) if clue["what"] == "log" else str(clue["subject"])


def _experiment(case: ShopCase, moved: int) -> str:
    method = "GET" if case.path == "/" else "POST"
    most = "{baseline: {atMost: 250ms}, fault: {atMost: 1us}}" if case in QUIET else "{atMost: 250ms}"
    return f"""\
{HEAD}
kind: Experiment
metadata: {{name: case}}
spec:
  title: {case.name}
  environment: shop.yaml
  hypotheses:
    - name: shoppers
      title: Shoppers are served
      measures:
        - {{name: time, traffic: {{read: p95, over: 1s}}, every: 500ms, tolerance: {most}}}
        - {{name: errors, traffic: {{read: errorRatio, over: 1s}}, every: 500ms, tolerance: {{atMost: 10%}}}}
  traffic: {{url: "http://127.0.0.1:{17001 + moved}{case.path}", method: {method}, rate: 10/s, timeout: 2s}}
  baseline: {{for: 8s, within: 30s}}
  method:
    - {{fault: {case.fault}}}
  recovery: {{within: 15s, holds: 1s}}
"""


def _write(folder: Path, moved: int, prometheus: str) -> None:
    shop = yaml.safe_load(here((SHIPPED / "environments" / "shop.yaml").read_text(), moved))
    shop["spec"]["prometheus"] = {"url": prometheus}
    evidence = shop["spec"]["evidence"]
    evidence["sources"].append({"prometheus": {"discover": '{shop="demo"}'}})
    evidence["history"] = "3m"
    for service in shop["spec"]["platform"]["local"]["services"].values():
        service.pop("cwd", None)
    (folder / "shop.yaml").write_text(yaml.safe_dump(shop))
    names = ("storefront", "checkout", "payments", "inventory", "recommendations", "prices")
    jobs = [{"job_name": name, "static_configs": [_target(17001 + moved + index)]} for index, name in enumerate(names)]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "900ms"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))


def _target(port: int) -> dict[str, Any]:
    return {"targets": [f"127.0.0.1:{port}"], "labels": {"shop": "demo"}}


def _options(folder: Path, url: str) -> list[str]:
    return [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        port: int = attempt.getsockname()[1]
        return port


def _ours(folder: Path, *words: str, codes: Sequence[int] = (0,)) -> str:
    done = subprocess.run(
        [OURS, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode not in codes:
        raise NotMeasured(f"{' '.join(words)} exited {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return done.stdout


@contextlib.contextmanager
def _running(words: Sequence[str], folder: Path, cwd: Path | None = None) -> Iterator[None]:
    with (folder / "beside.log").open("ab") as log:
        child = subprocess.Popen(words, cwd=cwd or folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


# ---------------------------------------------------------------------------------------------------------- the load


async def _ask(port: int, request: bytes) -> None:
    with contextlib.suppress(OSError, TimeoutError, EOFError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()


async def _load(port: int) -> None:
    page = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n"
    order = b"POST /checkout HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    under_way: set[asyncio.Task[None]] = set()
    while True:
        for request in (page, order):
            task = asyncio.create_task(_ask(port, request))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.sleep(1 / RATE)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_load(int(sys.argv[1])))
