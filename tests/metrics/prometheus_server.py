"""A real Prometheus on loopback, with a past of its own making."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from tests.debian import program
from tests.loopback import free_port

History = Mapping[str, Iterable[tuple[float, float]]]
"""Series -> (time, value) in the order of their times."""
_CONFIG = "global: {scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}\n"


def every(step: float, start: float, end: float, now: float) -> list[float]:
    """Times from so many seconds ago until so many seconds ago."""
    count = round((start - end) / step)
    return [now - start + step * index for index in range(count + 1)]


class PrometheusServer:
    """Use it as `async with`. It is killed in the end, whatever state it is in."""

    def __init__(self, folder: Path, config: str = _CONFIG, history: History | None = None) -> None:
        self._program = program("prometheus", "prometheus")
        self._promtool = program("promtool", "prometheus")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "prometheus.yml").write_text(config)
        if history:
            self._remember(history)

    def _remember(self, history: History) -> None:
        """Blocks of the past, as Prometheus's own tool makes them."""
        lines = [f"{series} {value} {at:.3f}" for series, samples in history.items() for at, value in samples]
        past = self.folder / "past.txt"
        past.write_text("\n".join([*lines, "# EOF", ""]))
        command = [self._promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(past), str(self._data)]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it (again), and wait until it answers."""
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._data}",
                "--storage.tsdb.retention.time=90d",
                f"--web.listen-address=127.0.0.1:{self.port}",
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(self._is_ready):
                assert self._process.returncode is None, (self.folder / "prometheus.log").read_text()
                await asyncio.sleep(0.03)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def hang(self) -> None:
        """It keeps its port and says nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
