"""`chaosrunner serve` as a process: it says where it listens, answers, and ends when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytestmark = pytest.mark.real_time


@contextmanager
def serving_process(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address of its metrics that it says first."""
    own = {"CHAOSRUNNER_MACHINE": str(folder / "m"), "CHAOSRUNNER_SERVE_TOKEN": "s3cr3t", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "chaosrunner", "--state", str(folder / "state"), "serve", "--port", "0", *words],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline().removeprefix("serving ").strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with serving_process(tmp_path) as process:
        yield process


def test_it_answers_whom_it_knows_and_ends_in_order(served: tuple[subprocess.Popen[str], str]) -> None:
    process, address = served
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address, timeout=10)
    request = urllib.request.Request(address, headers={"Authorization": "Bearer s3cr3t"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b"chaosrunner_build_info" in answer.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
