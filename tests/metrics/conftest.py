"""Probes with a real client and real time, and an environment that modules add to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.ports import ProbeContext
from tests.probes.conftest import probe, server

__all__ = ["probe", "server"]


@pytest.fixture
def environ() -> dict[str, str]:
    """What the environment holds beside a TOKEN."""
    return {}


@pytest.fixture
async def context(tmp_path: Path, environ: dict[str, str]) -> AsyncIterator[ProbeContext]:
    async with Http(SystemClock(), folder=tmp_path, environ={"TOKEN": "s3cr3t", **environ}) as http:
        yield ProbeContext(clock=SystemClock(), http=http, folder=tmp_path)
