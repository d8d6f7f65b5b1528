"""Sends a signal to a container's process, from a container beside it that sees its processes.

    python -m chaosrunner.injector.signals --signal 2 --container-id 4f53…

prints one line of JSON: `{"pid", "sent": true, "words"}`, or `"sent": false` and in `words` why not. The container's
process is number 1 where each container has processes of its own; where all containers of the pod share them, it is the
topmost one whose control group is named after the container.

A kernel drops what is sent to number 1 of a namespace from inside it, unless the process has a handler for it; SIGKILL
and SIGSTOP, which nobody can handle, always (pid_namespaces(7)). That is looked up in `/proc/1/status` (proc(5),
`SigCgt`) before anything is sent. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """One process, as the kernel shows it."""

    pid: int
    parent: int
    group: str
    """Its control groups, as text."""


def handled(status: str, number: int) -> bool:
    """Whether a process (its `status`) has a handler for a signal."""
    masks = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Sig"))
    return bool(int(masks.get("SigCgt", "0").strip(), 16) >> (number - 1) & 1)


def topmost(processes: Iterable[Process], container: str) -> int:
    """The pid of a container's first process; 0: none of them belongs to it."""
    members = {each.pid: each for each in processes if container and container in each.group}
    tops = [pid for pid, each in members.items() if each.parent not in members]
    return min(tops, default=0)


def _everything(proc: Path) -> list[Process]:
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(errors="replace")
            group = (folder / "cgroup").read_text(errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        found.append(Process(int(folder.name), int(text[text.rindex(")") + 2 :].split()[1]), group))
    return found


def send(number: int, container: str, proc: Path = PROC) -> dict[str, object]:
    """Send it; what became of that."""
    name = signal.Signals(number).name
    shared = topmost(_everything(proc), container)
    pid = shared or 1
    if pid == os.getpid() or (not shared and "chaosrunner" in (proc / "1" / "cmdline").read_text(errors="replace")):
        return {"pid": pid, "sent": False, "words": "the processes of the container cannot be seen from here"}
    if pid == 1 and not handled((proc / "1" / "status").read_text(), number):
        return {"pid": 1, "sent": False, "words": f"process 1 has no handler for {name}, so that the kernel drops it"}
    try:
        os.kill(pid, number)
    except OSError as error:
        return {"pid": pid, "sent": False, "words": f"{name} to process {pid}: {error.strerror}"}
    return {"pid": pid, "sent": True, "words": f"{name} was sent to process {pid}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="signals", description=__doc__)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--container-id", default="")
    given = parser.parse_args(arguments)
    sys.stdout.write(json.dumps(send(given.signal, given.container_id)) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
