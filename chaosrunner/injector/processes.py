"""What the operating system says about processes, and signals that cannot hit the wrong one.

A process is known by its pid and the moment it was started (`started`), because pids are used again. Linux is read
from `/proc`; everywhere else `ps` is asked. Standard library only: the keeper and the holder use this too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

LINUX = sys.platform.startswith("linux")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Seen(NamedTuple):
    """One process, as it was a moment ago."""

    pid: int
    parent: int
    state: str
    """The first letter that `ps` shows: R, S, D, T (stopped), t (traced), Z (dead, not yet collected), …"""
    started: str
    """Opaque; together with the pid it names one process, also over a change of the wall clock."""


def look(pid: int) -> Seen | None:
    """This process; None if there is none, or only its remains (a zombie)."""
    seen = _proc(pid) if LINUX else _ps_one(pid)
    return None if seen is None or seen.state in "ZXx" else seen


def everything() -> list[Seen]:
    """All processes of this machine that can be seen, the remains of dead ones apart."""
    found: Iterable[Seen | None]
    found = map(_proc, [int(name) for name in os.listdir("/proc") if name.isdigit()]) if LINUX else _ps_all()  # noqa: PTH208
    return [seen for seen in found if seen is not None and seen.state not in "ZXx"]


def started(pid: int) -> str:
    """When it was started, as an opaque text; empty if it is gone."""
    seen = look(pid)
    return seen.started if seen else ""


def state(pid: int, begun: str) -> Literal["running", "stopped", "gone"]:
    """Of this very process (pid and start)."""
    seen = look(pid)
    if seen is None or seen.started != begun:
        return "gone"
    return "stopped" if seen.state == "T" else "running"


def family(pid: int) -> list[Seen]:
    """The process and all its descendants, parents before children; empty if it is gone."""
    everyone = everything()
    children: dict[int, list[Seen]] = {}
    for seen in everyone:
        children.setdefault(seen.parent, []).append(seen)
    found = [seen for seen in everyone if seen.pid == pid]
    for seen in found:  # grows while it is read
        found += children.get(seen.pid, ())
    return found


def ancestors(pid: int) -> set[int]:
    """The process's own pid and those of its parents, up to the first process."""
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        seen = look(pid)
        pid = seen.parent if seen else 0
    return found


def send(pid: int, begun: str, number: int) -> bool:
    """Signal this very process; False if it is gone. Raises PermissionError if it may not be signalled."""
    if pid <= 1:
        raise PermissionError(f"process {pid} is not one to signal")
    try:
        if hasattr(os, "pidfd_open"):  # the kernel's own handle: between the look and the signal nobody can slip in
            handle = os.pidfd_open(pid)
            try:
                if started(pid) != begun:
                    return False
                signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        else:
            if started(pid) != begun:
                return False
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def die_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: the kernel kills the child when the thread that started it ends. None where it cannot."""
    if not LINUX:
        return None
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def set_it() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return set_it


def adopt_orphans() -> bool:
    """Make this process the parent of orphans among its descendants; False where the system has no such thing."""
    if not LINUX:
        return False
    import ctypes

    return int(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


def _boot() -> str:
    global _boot_id
    if not _boot_id:
        _boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    return _boot_id


_boot_id = ""


def _proc(pid: int) -> Seen | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = text[text.rindex(")") + 2 :].split()  # the name before may hold blanks and brackets
    return Seen(pid, int(words[1]), words[0], f"{_boot()}-{words[19]}")


def _ps(*arguments: str) -> list[Seen]:
    answer = subprocess.run(
        ["ps", *arguments, "-o", "pid=,ppid=,stat=,lstart="],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"},
        check=False,
    )
    rows = (line.split(None, 3) for line in answer.stdout.splitlines())
    return [Seen(int(row[0]), int(row[1]), row[2][0], " ".join(row[3].split())) for row in rows if len(row) == 4]


def _ps_one(pid: int) -> Seen | None:
    return next(iter(_ps("-p", str(pid))), None)


def _ps_all() -> list[Seen]:
    return _ps("-ax")
