"""A real local environment for tests: services and links of this machine, in a folder of their own."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import Selector
from chaosrunner.model.target import Target
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Fault, Hold

ROOT = Path(__file__).parents[1]
SERVER = str(Path(__file__).parent / "local_server.py")
RUN = "20261122-105103-4f2a9c"


def program(text: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python program that knows chaosrunner; its output is a pipe. Whoever starts it ends it."""
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT
    )


STRETCH = 250


@cache
def _own_ports() -> Iterator[int]:
    """A stretch of ports for this process, round and round. Whoever has one keeps its first port bound for as long as
    it lives, so that all tests beside this one, and other sessions of them, have others.
    """
    for first in range(10_000, 20_000, STRETCH):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)
        return itertools.cycle(range(first + 1, first + STRETCH))
    raise AssertionError("no stretch of ports is free")


def free_port() -> int:
    """A port that nothing listens on, and that nobody else gets meanwhile: tests beside this one have others, and the
    kernel does not give it to a connection by itself.
    """
    for port in itertools.islice(_own_ports(), STRETCH - 1):
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"none of {STRETCH} ports is free")


def server(port: int, *options: str, **more: Any) -> dict[str, Any]:
    """A service of an environment file that chaosrunner starts."""
    start = [sys.executable, "-S", "-P", SERVER, str(port), *options]
    return {"start": start, "ready": {"http": f"http://127.0.0.1:{port}/healthz"}, **more}


@dataclass
class Stage:
    """`back` is a service that chaosrunner keeps; `front` calls it through the link `way`."""

    folder: Path
    machine: Path
    port: int = field(default_factory=free_port)
    link_port: int = field(default_factory=free_port)
    back: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    number: int = 0

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "services": {
                "back": server(self.port, *self.options, **self.back),
                "front": {"pidFile": "front.pid"},
            },
            "links": {
                "way": {
                    "from": "front",
                    "to": "back",
                    "listen": f"127.0.0.1:{self.link_port}",
                    "connect": f"127.0.0.1:{self.port}",
                }
            },
        }

    def platform(self, spec: dict[str, Any] | None = None) -> LocalPlatform:
        """A new one, as another process would make it."""
        read = LocalPlatform.Spec.model_validate(spec or self.spec)
        return LocalPlatform(read, "stage", self.folder, SystemClock(), self.machine)

    async def target(self, platform: LocalPlatform, **selector: Any) -> Target:
        """The only one that matches."""
        selection = await platform.find(Selector.model_validate(selector))
        (target,) = selection.candidates
        return target

    async def fault(self, platform: LocalPlatform, kind: str, seconds: float = 30, **params: Any) -> Fault[Any]:
        """A fault on what it acts on here, with a hold of its own."""
        plugin = catalog.find("faults", kind)
        if "link" in plugin.acts_on:
            target = await self.target(platform, link="way")
        elif "process" in plugin.acts_on:
            target = await self.target(platform, service="back")
        else:
            target = Target(kind="nothing", id="nothing", name="nothing")
        self.number += 1
        hold = Hold(f"{RUN}.step.{self.number}", RUN, time.time() + seconds, seconds)
        made: Fault[Any] = plugin(plugin.Params.model_validate(params), target, platform, hold)
        return made

    def from_ledger(self, fault: Fault[Any]) -> Fault[Any]:
        """The same fault, as `heal` makes it in another process: from JSON, on a platform that nobody opened."""
        target = Target.model_validate(json.loads(json.dumps(fault.target.as_json())))
        params = type(fault).Params.model_validate(json.loads(json.dumps(fault.params.as_json())))
        return type(fault)(params, target, self.platform(), fault.hold)


async def until(happens: Callable[[], bool | Awaitable[bool]], within: float = 8.0) -> float:
    """Wait for it; how long it took. Fails if it does not happen."""
    began = time.monotonic()
    while True:
        seen = happens()
        if seen if isinstance(seen, bool) else await seen:
            return time.monotonic() - began
        assert time.monotonic() - began < within, "it did not happen"
        await asyncio.sleep(0.02)


async def ask(port: int, path: str = "/", patience: float = 3.0) -> tuple[str, float]:
    """A plain HTTP exchange by the test itself: (answered, refused, reset or silent; or the body), seconds."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
    except TimeoutError:
        return "silent", time.monotonic() - began
    except ConnectionRefusedError:
        return "refused", time.monotonic() - began
    except OSError:
        return "reset", time.monotonic() - began
    body = answer.partition(b"\r\n\r\n")[2].decode()
    return (body if len(body) < 20 else "answered") if body else "reset", time.monotonic() - began
