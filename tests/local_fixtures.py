"""Fixtures of tests that start real processes on this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.local_stage import Stage


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine folder of its own, short enough for sockets; holds end a second after the last heartbeat."""
    folder = Path(tempfile.mkdtemp(prefix="cr-"))
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(folder))
    monkeypatch.setenv("CHAOSRUNNER_BEAT_LIMIT", "1.0")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
async def stage(machine: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """An environment that is not up yet; what a test leaves up is ended."""
    made = Stage(tmp_path, machine)
    yield made
    await made.platform().system.down()
