"""The OpenSLO example of docs/metrics.md, run against a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS, files
from tests.local_fixtures import machine
from tests.loopback import HttpServer, Met, page
from tests.metrics.prometheus_server import PrometheusServer

__all__ = ["machine"]
pytestmark = pytest.mark.real_time

QUICKER = {
    "over: 30s, every: 5s": "over: 1s, every: 250ms, maxAge: 500ms",
    "{for: 30s, within: 3m}": "{for: 1s, within: 20s}",
    "for: 2m": "for: 3500ms",
    "{within: 2m, holds: 15s}": "{within: 10s, holds: 1s}",
}
"""The same run in seconds: this Prometheus scrapes ten times a second."""
URL = "http://127.0.0.1:9090"


async def has_scraped(url: str) -> None:
    """Wait until Prometheus has the service's counters of two seconds ago: what it counted before is then known."""
    query = f"{url}/api/v1/query?query=http_requests_total%20offset%202s"
    async with asyncio.timeout(30):
        while b"503" not in await asyncio.to_thread(lambda: urllib.request.urlopen(query, timeout=5).read()):
            await asyncio.sleep(0.1)


def readings(folder: Path, experiment: str) -> list[dict[str, Any]]:
    for journal in folder.glob(".chaosrunner/runs/*/journal.jsonl"):
        lines = [json.loads(line) for line in journal.read_text().splitlines()]
        if lines[0]["plan"]["experiment"] == experiment:
            return [line for line in lines if line["type"] == "reading"]
    raise AssertionError(f"{experiment} has no journal")


class Checkout:
    """A service with counters of a thousand orders a second, of which a share fails."""

    def __init__(self, failing: float) -> None:
        self.began, self.failing = time.time(), failing

    async def __call__(self, met: Met, writer: asyncio.StreamWriter) -> None:
        done = int((time.time() - self.began) * 1000)
        lines = ["# TYPE http_requests_total counter"]
        for code, count in (("200", done * (1 - self.failing)), ("503", done * self.failing)):
            lines.append(f'http_requests_total{{app="checkout",code="{code}"}} {count:.0f}')
        writer.write(page("\n".join([*lines, ""]).encode(), 200, "text/plain; version=0.0.4"))
        await writer.drain()


@pytest.fixture
async def follow(tmp_path: Path, server: HttpServer, machine: Path) -> AsyncIterator[Any]:
    """Calls `chaosrunner WORDS` where the page's files are; (exit code, output). Of this checkout 0.2 % of orders
    fail."""
    written = files(DOCS / "metrics.md")
    assert all(any(said in text for text in written.values()) for said in [*QUICKER, URL]), "the page changed"
    for path, text in written.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        for said, instead in QUICKER.items():
            text = text.replace(said, instead)
        (tmp_path / path).write_text(text)

    async def chaosrunner(*words: str) -> tuple[int, str]:
        variables = {key: value for key, value in os.environ.items() if key != "CHAOSRUNNER_STATE"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaosrunner", *words, cwd=tmp_path, env=variables,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    server.on("/metrics", Checkout(0.002))
    config = (
        "global: {scrape_interval: 100ms, scrape_timeout: 100ms}\nscrape_configs:\n  - job_name: checkout\n"
        f'    static_configs: [{{targets: ["127.0.0.1:{server.port}"]}}]\n'
    )
    async with PrometheusServer(tmp_path, config) as prometheus:
        environment = tmp_path / "environments" / "laptop.yaml"
        environment.write_text(environment.read_text().replace(URL, prometheus.url))
        await has_scraped(prometheus.url)
        yield chaosrunner


def harder(folder: Path) -> str:
    """The same experiment with an objective that this checkout misses; its path."""
    slo = (folder / "slo" / "checkout.yaml").read_text()
    (folder / "slo" / "harder.yaml").write_text(slo.replace("target: 0.99", "target: 0.999"))
    text = (folder / "experiments" / "objective-is-kept.yaml").read_text()
    text = text.replace("slo/checkout.yaml", "slo/harder.yaml").replace("within: 20s", "within: 4s")
    (folder / "experiments" / "harder.yaml").write_text(text.replace("name: objective-is-kept", "name: harder"))
    return "experiments/harder.yaml"


async def test_the_objective_of_the_page_is_checked_planned_and_held_and_a_harder_one_is_not(
    follow: Any, tmp_path: Path
) -> None:
    page, other = "experiments/objective-is-kept.yaml", harder(tmp_path)
    check, plan, run, missed = await asyncio.gather(
        follow("check"), follow("plan", page), follow("run", "--plain", page), follow("run", "--plain", other)
    )
    assert check[0] == 0, check[1]
    assert plan[0] == 0 and "checkout-availability: Shoppers can check out" in plan[1]
    assert run[0] == 0, run[1]
    values = [line["value"] for line in readings(tmp_path, "objective-is-kept") if line.get("value") is not None]
    assert values and all(0 <= value < 0.01 for value in values)
    assert missed[0] == 5, missed[1]
    said = r"checkout-availability/availability was 0\.\d+ %, should be at most 0\.1 %"
    assert re.search(said, " ".join(missed[1].split())), missed[1]
