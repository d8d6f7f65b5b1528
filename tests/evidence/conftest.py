"""Sources as a run makes them, with a real client."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.model.material import Window
from chaosrunner.ports import Platform, ProbeContext, Source
from tests.probes.conftest import server

__all__ = ["server"]

MakeSource = Callable[..., Source[Any]]


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ProbeContext]:
    async with Http(SystemClock(), folder=tmp_path, environ={"TOKEN": "s3cr3t"}) as http:
        yield ProbeContext(clock=SystemClock(), http=http, folder=tmp_path)


@pytest.fixture
def source(context: ProbeContext) -> MakeSource:
    """A source by kind, with its parameters as a file writes them."""

    def make(kind: str, /, *, platform: Platform | None = None, **params: Any) -> Source[Any]:
        plugin = catalog.find("sources", kind)
        made: Source[Any] = plugin(plugin.Params.model_validate(params), replace(context, platform=platform))
        return made

    return make


@pytest.fixture
def window() -> Window:
    """A fault that lasted a minute and ended just now."""
    now = time.time()
    return Window(usual_from=now - 660, baseline=now - 100, began=now - 60, ended=now)
