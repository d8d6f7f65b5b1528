"""Writers of one SQLite file have their turn in the order in which they came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosrunner.register import open_register, queueing
from chaosrunner.register.queueing import PATIENCE, queue_of, turn
from tests.docs.pages import ROOT
from tests.near_misses.world import SetClock, facts, finding

pytestmark = pytest.mark.skipif(not queueing.LOCKS, reason="this system has no locks that a queue can be made of")

HOLDS = """
import sys
from pathlib import Path
from chaosrunner.register.queueing import turn
with turn(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def drawn(file: Path) -> int:
    """The last number."""
    return int.from_bytes(queue_of(file).read_bytes()[:8], "little")


class Writers:
    """Threads that come one after the other, and say when it is their turn."""

    def __init__(self, file: Path, patience: float = PATIENCE) -> None:
        self.file, self.patience, self.order = file, patience, list[int]()
        self.threads: list[threading.Thread] = []

    def come(self) -> None:
        number, before = len(self.threads), drawn(self.file)

        def write() -> None:
            with turn(self.file, self.patience):
                self.order.append(number)

        self.threads.append(threading.Thread(target=write))
        self.threads[-1].start()
        while drawn(self.file) == before and self.threads[-1].is_alive():
            pass

    def all(self) -> list[int]:
        for thread in self.threads:
            thread.join(10)
        return self.order


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, whose turn it is until it ends."""
    words = [sys.executable, "-c", HOLDS, str(tmp_path / "db")]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout
    assert process.stdout.readline() == b"mine\n"
    yield process
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream
        stream.close()


def test_who_came_first_is_first(tmp_path: Path) -> None:
    file = tmp_path / "db"
    with turn(file):
        writers = Writers(file)
        for _ in range(6):
            writers.come()
        assert writers.order == []
    assert writers.all() == [0, 1, 2, 3, 4, 5]


def test_a_process_that_dies_in_its_turn_holds_up_nobody(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    writers = Writers(tmp_path / "db")
    for _ in range(3):
        writers.come()
    assert writers.order == []
    end(holder)
    assert writers.all() == [0, 1, 2]


def test_one_that_stands_still_is_passed_by(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.send_signal(signal.SIGSTOP)
    writers = Writers(tmp_path / "db", patience=0.05)
    for _ in range(3):
        writers.come()
    assert sorted(writers.all()) == [0, 1, 2]
    end(holder)


def test_where_there_can_be_no_queue_writing_goes_on(tmp_path: Path) -> None:
    queue_of(tmp_path / "register.db").mkdir(parents=True)
    with open_register(tmp_path, SetClock()) as register:
        register.record(facts(), [finding()])
        assert register.count() == 1
    assert [each.name for each in tmp_path.iterdir() if "queue" in each.name] == ["register.db-queue"]
