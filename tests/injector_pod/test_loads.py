"""Loads in the injector's container: held, seen from outside, gone with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosrunner.injector import sensing
from tests.injector_pod.lab import Injector


def ticks(injector: Injector) -> int:
    """Processor time of the injector's children."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == injector.process.pid:
            total += int(words[11]) + int(words[12])
    return total


def memory(injector: Injector) -> int:
    text = Path(f"/proc/{injector.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def eventually(seen: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not seen() and time.monotonic() < until:
        time.sleep(0.05)
    return seen()


def test_processors_are_kept_busy(injector: Injector) -> None:
    injector.begin("busy", {"kind": "stress", "what": "cpu", "cores": 1})
    first = ticks(injector)
    assert eventually(lambda: ticks(injector) > first + 5)
    assert injector.end("busy")["met"] is None
    assert ticks(injector) == 0, "its children are gone"


def test_processors_that_others_had_are_told_as_waited_for() -> None:
    """Two processes that share one processor have half of it each."""
    one = min(os.sched_getaffinity(0))
    burn = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{one}}})\nwhile True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(2)]
    try:
        assert eventually(lambda: sensing.load("cpu", 0.3)["waited"] > 0.4)
    finally:
        for each in burners:
            each.kill()
            each.wait()


def test_what_a_disk_is_made_to_take_is_told(tmp_path: Path) -> None:
    write = "import os\nfile = os.open('full', os.O_CREAT | os.O_WRONLY)\n"
    write += "while os.pwrite(file, bytes(2**20), 0):\n    os.fsync(file)"
    writer = subprocess.Popen([sys.executable, "-c", write], cwd=tmp_path)
    try:
        assert eventually(lambda: sensing.load("cpu", 0.3)["written"] > 2**20)
    finally:
        writer.kill()
        writer.wait()


def test_memory_is_held_and_given_back(injector: Injector) -> None:
    before = memory(injector)
    injector.begin("full", {"kind": "stress", "what": "memory", "size": 64 * 2**20, "over": 0.5})
    assert memory(injector) < before + 60 * 2**20, "it grows"
    assert eventually(lambda: memory(injector) > before + 60 * 2**20)
    injector.end("full")
    assert memory(injector) < before + 10 * 2**20


def test_more_memory_than_there_is_is_refused(injector: Injector) -> None:
    assert "do not fit" in injector.refusal({"kind": "stress", "what": "memory", "size": 2**50})


def test_a_disk_is_written_to_until_the_end(injector: Injector, tmp_path: Path) -> None:
    injector.begin("io", {"kind": "stress", "what": "io", "folder": str(tmp_path), "size": 65536, "workers": 2})
    assert eventually(lambda: injector.ask("met", id="io").get("written", 0) > 3)
    injector.end("io")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_filled_and_free_again(injector: Injector, tmp_path: Path) -> None:
    injector.begin("disk", {"kind": "stress", "what": "disk", "folder": str(tmp_path), "size": 8 * 2**20})
    held = [
        file.stat().st_size
        for file in Path(f"/proc/{injector.process.pid}/fd").iterdir()
        if "chaos" in str(file.readlink())
    ]
    assert held == [8 * 2**20]
    injector.end("disk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["/nowhere", "/proc"])
def test_a_folder_that_cannot_be_written_to_is_refused(injector: Injector, folder: str) -> None:
    for what in ("io", "disk"):
        assert folder in injector.refusal({"kind": "stress", "what": what, "folder": folder, "size": 4096})
