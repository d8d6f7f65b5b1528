"""What runbooks may use, and tools that are put before the real ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.ports import ProbeContext

RECORDED = Path(__file__).parent / "recorded"
"""What the real tools wrote: Ansible (ansible-core 2.19) and Puppet 7.23."""

Put = Callable[[str, str], Path]


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ProbeContext]:
    async with Http(SystemClock(), folder=tmp_path, environ={"TOKEN": "s3cr3t-tok3n"}) as http:
        yield ProbeContext(clock=SystemClock(), http=http, folder=tmp_path)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a program in front of the PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    def put_it(name: str, text: str) -> Path:
        place = tools / name
        place.write_text(text)
        place.chmod(0o755)
        return place

    return put_it
