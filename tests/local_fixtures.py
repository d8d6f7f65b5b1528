"""Fixtures of tests that start real processes on this machine."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.local_stage import Stage


def _machine(patch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine folder of its own, short enough for sockets; holds end a second after the last heartbeat."""
    folder = Path(tempfile.mkdtemp(prefix="cr-"))
    patch.setenv("CHAOSRUNNER_MACHINE", str(folder))
    patch.setenv("CHAOSRUNNER_BEAT_LIMIT", "1.0")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of one test."""
    yield from _machine(monkeypatch)


@pytest.fixture
async def stage(machine: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """An environment that is not up yet; what a test leaves up is ended."""
    made = Stage(tmp_path, machine)
    yield made
    await made.platform().system.down()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One environment for all tests of a file that leave it as they found it: starting it takes half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in _machine(patch):
            made = Stage(tmp_path_factory.mktemp("shared"), folder)
            yield made
            asyncio.run(made.platform().system.down())
