"""Signals to a container's process: which one it is, and whether it would hear them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaosrunner.injector.signals import Process, handled, send, topmost

MINE, OTHER = "0::/../cri-containerd-4f53.scope", "0::/../cri-containerd-9a01.scope"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a handler for SIGUSR1 and none for SIGTERM."""
    program = (
        "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3)); "
        "print('ready', flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_kernel_says_what_a_process_has_handlers_for(child: subprocess.Popen[bytes]) -> None:
    status = Path(f"/proc/{child.pid}/status").read_text()
    assert handled(status, signal.SIGUSR1)
    assert not handled(status, signal.SIGTERM)
    assert not handled(status, signal.SIGKILL)


def test_a_container_s_process_is_the_topmost_of_its_control_group() -> None:
    pause = Process(1, 0, "0::/../cri-containerd-pause.scope")
    processes = [pause, Process(20, 7, MINE), Process(7, 1, MINE), Process(8, 1, OTHER), Process(21, 8, OTHER)]
    assert topmost(processes, "4f53") == 7
    assert topmost(processes, "9a01") == 8
    assert topmost(processes, "nobody") == 0
    assert topmost(processes, "") == 0


def fake_proc(folder: Path, *processes: tuple[int, int, str, str]) -> Path:
    """(pid, parent, control group, SigCgt)"""
    for pid, parent, group, mask in processes:
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "stat").write_text(f"{pid} (a (strange) name) S {parent} 1 1 0")
        (folder / str(pid) / "cgroup").write_text(group)
        (folder / str(pid) / "status").write_text(f"Name:\tx\nSigIgn:\t0000000000001000\nSigCgt:\t{mask}\n")
        (folder / str(pid) / "cmdline").write_text("python3\0service.py\0")
    return folder


def test_process_1_without_a_handler_is_not_even_tried(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, (1, 0, "0::/", "0000000000000002"))
    said = send(signal.SIGTERM, "4f53", proc)
    assert said == {
        "pid": 1,
        "sent": False,
        "words": "process 1 has no handler for SIGTERM, so that the kernel drops it",
    }


def test_where_processes_are_shared_the_container_s_own_is_signalled(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    proc = fake_proc(tmp_path, (1, 0, "0::/pause", "0" * 16), (child.pid, 1, MINE, "0" * 16))
    assert send(signal.SIGUSR1, "4f53", proc) == {
        "pid": child.pid,
        "sent": True,
        "words": f"SIGUSR1 was sent to process {child.pid}",
    }
    assert child.wait(5) == 3


def test_where_the_container_cannot_be_seen_nothing_is_signalled(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, (1, 0, "0::/", "ffffffffffffffff"))
    (proc / "1" / "cmdline").write_text("python3\0-m\0chaosrunner.injector.pod\0")
    said = send(signal.SIGTERM, "", proc)
    assert said["sent"] is False
    assert "cannot be seen from here" in str(said["words"])


def test_the_program_says_one_line(child: subprocess.Popen[bytes]) -> None:
    """This machine's own process 1 is not signalled: nothing here has the group, and it has no handler for SIGABRT."""
    if handled(Path("/proc/1/status").read_text(), signal.SIGABRT) or os.getpid() == 1:
        pytest.skip("process 1 of this machine would hear it")
    words = [sys.executable, "-m", "chaosrunner.injector.signals", "--signal", str(int(signal.SIGABRT))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    assert json.loads(done.stdout)["sent"] is False
