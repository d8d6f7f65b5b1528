"""What a probe is given, with a real client and real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.ports import Probe, ProbeContext
from tests.loopback import HttpServer

MakeProbe = Callable[..., Probe[Any]]


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer() as running:
        yield running


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ProbeContext]:
    environ = {"TOKEN": "s3cr3t"}
    async with Http(SystemClock(), folder=tmp_path, environ=environ) as http:
        yield ProbeContext(clock=SystemClock(), http=http, folder=tmp_path)


@pytest.fixture
def probe(context: ProbeContext) -> MakeProbe:
    """A probe by kind, with its parameters as a file writes them."""

    def make(kind: str, /, *, within: ProbeContext = context, **params: Any) -> Probe[Any]:
        plugin = catalog.find("probes", kind)
        return plugin(plugin.Params.model_validate(params), within)

    return make
