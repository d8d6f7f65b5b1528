"""Starts the load generator, listens to it, and answers what the run asks of its load."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from chaosrunner import __version__
from chaosrunner.clock import Clock
from chaosrunner.errors import NoReading, NotPossibleNow, UsageError
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.journal import TrafficSample
from chaosrunner.ports import TrafficWindow
from chaosrunner.traffic.window import Record
from chaosrunner.uncut import begun
from chaosrunner.urls import check_url

_STARTING = 10.0
_SILENT = 2.0
"""Seconds without a word from the generator after which it is taken for stuck."""
_SHORTEST = 1.0
_MOST_LATE = 0.2
"""Share of requests started late, above which nothing it says is believed. Quantiles bear less, see the probe."""
_MOST_UNFIT = 0.01
MOST_OPEN = 10_000
"""Requests under way at once, before further ones are counted as failed without being sent."""
LONGEST = 24 * 3600.0
"""Seconds after which the generator ends whatever happens."""
_LINE = 32 * 1024 * 1024


class Traffic:
    """The load of one run: `start`, ask for `window`s, `stop`.

    The generator is a process of its own, so that it and the run do not disturb each other. It ends when it is
    stopped, when this process is gone however that came about, or after `longest` seconds. `on_sample` is called with
    each second of the load, in order, as soon as all its requests have ended or timed out.
    """

    def __init__(
        self,
        spec: TrafficSpec,
        clock: Clock,
        on_sample: Callable[[TrafficSample], None] | None = None,
        *,
        most_open: int = MOST_OPEN,
        longest: float = LONGEST,
    ) -> None:
        self._task = {**_task_of(spec), "most_open": most_open, "longest": longest}
        self._clock = clock
        self._on_sample = on_sample
        self._record = Record(spec.rate, spec.timeout)
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._complaint: asyncio.Task[str] | None = None
        self._heard = 0.0
        self._gone = "the load generator has not been started"
        self._second = 0

    @property
    def pid(self) -> int | None:
        """The generator's process while there is one."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Begin; returns when the first request is about to be sent. Raises `NotPossibleNow` if it cannot."""
        try:
            self._process = await begun(
                asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # never from the current folder
                    "-m",
                    "chaosrunner.traffic.generator",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    limit=_LINE,
                ),
                _killed,
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            self._complaint = asyncio.get_running_loop().create_task(_last_line(self._process.stderr))
            self._process.stdin.write(json.dumps({**self._task, "parent": os.getpid()}).encode() + b"\n")
            async with asyncio.timeout(_STARTING):
                first = await self._process.stdout.readline()
            self._record.t0 = float(json.loads(first)["t0"])
        except (OSError, ValueError, KeyError, TimeoutError) as error:
            complaint = await self._end()
            raise NotPossibleNow(f"the load generator did not start: {complaint or repr(error)}") from error
        except asyncio.CancelledError:
            await self._end()
            raise
        self._heard = self._clock.monotonic()
        self._gone = ""
        self._listening = asyncio.get_running_loop().create_task(self._listen(self._process.stdout))

    async def stop(self) -> None:
        """End the load at once; requests under way are dropped. Idempotent."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        await self._end()
        self._gone = self._gone or "the load generator has been stopped"

    def window(self, seconds: float) -> TrafficWindow:
        """What the load met in the last so many seconds (see `chaosrunner.traffic.window` for what counts).

        Raises `NoReading` while it is not running, has run for less than a second, has had nothing to send, has gone
        silent, started more than a fifth of its requests late, or had no file descriptors or ports for some of them.
        """
        if self._gone:
            raise NoReading(self._gone)
        silent = self._clock.monotonic() - self._heard
        if silent > _SILENT:
            raise NoReading(f"the load generator has said nothing for {silent:.1f} s: this machine is too busy")
        if self._record.now - self._record.t0 < min(seconds, _SHORTEST):
            raise NoReading("the load has only just begun")
        window = self._record.window(seconds)
        if window.late > _MOST_LATE:
            raise NoReading(_fell_behind(window.late))
        if (unfit := self._record.unfit(seconds)) > _MOST_UNFIT:
            raise NoReading(f"the load generator had no file descriptors or ports for {unfit:.1%} of its requests")
        if not window.due and not window.answered and not window.errors:
            raise NoReading(f"no request was due in the last {seconds:g} s")
        return window

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            told = json.loads(line)
            self._heard = self._clock.monotonic()
            self._learn(told)
        assert self._process is not None
        complaint = await self._end()
        self._gone = "the load generator ended by itself" + (f": {complaint}" if complaint else "")

    def _learn(self, told: dict[str, Any]) -> None:
        self._record.learn(told["now"], told["next"], told["ended"], told["why"])
        self._record.spoil(told["late"], told["unfit"])
        while (counted := self._record.second(self._second)) is not None:
            self._second += 1
            if self._on_sample is not None:
                p50, p95, p99 = counted.quantiles
                self._on_sample(
                    TrafficSample(due=counted.due, ok=counted.ok, errors=counted.errors, p50=p50, p95=p95, p99=p99)
                )

    async def _end(self) -> str:
        """Let go of the process, and kill it if it does not end; the last line that it complained with."""
        process, self._process = self._process, None
        if process is None:
            return ""
        assert process.stdin is not None
        assert self._complaint is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(2.0):
                await process.wait()
                return await self._complaint
        except TimeoutError:
            return "it did not end and was killed"
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            self._complaint.cancel()


async def _killed(process: asyncio.subprocess.Process) -> None:
    process.kill()
    await process.wait()


async def _last_line(stream: asyncio.StreamReader) -> str:
    """Read to the end, so that the other side never blocks, and keep the last line."""
    last = b""
    while chunk := await stream.read(4096):
        last = (last + chunk)[-4096:]
    lines = last.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def _fell_behind(late: float) -> str:
    """In words for people."""
    return f"the load generator fell behind its own schedule for {late:.1%} of its requests: this machine is too busy"


def _task_of(spec: TrafficSpec) -> dict[str, Any]:
    """What the generator is told. Raises `UsageError` for what cannot be sent."""
    try:
        parts = urlsplit(check_url(spec.url))
    except ValueError as error:
        raise UsageError(f"traffic: url: {error}") from None
    if spec.rate <= 0:
        raise UsageError("traffic: rate: expected more than 0/s")
    expect = (spec.expect,) if isinstance(spec.expect, int) else spec.expect
    return {
        "host": parts.hostname,
        "port": parts.port or (443 if parts.scheme == "https" else 80),
        "tls": parts.scheme == "https",
        "method": spec.method.upper(),
        "message": _head(spec, parts.netloc, f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"),
        "body": spec.body or "",
        "rate": spec.rate,
        "timeout": spec.timeout,
        "expect": expect,
    }


def _head(spec: TrafficSpec, host: str, target: str) -> str:
    headers = {"Host": host, "User-Agent": f"chaosrunner/{__version__}", "Accept": "*/*"}
    if spec.body is not None or spec.method.upper() in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len((spec.body or "").encode()))
    given = {name.lower() for name in spec.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | spec.headers
    lines = [f"{spec.method.upper()} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    for line in lines:
        if not line.isascii() or not line.isprintable():
            raise UsageError(f"traffic: a header or the URL holds a letter that HTTP cannot carry: {line[:60]!r}")
    return "\r\n".join(lines) + "\r\n\r\n"
