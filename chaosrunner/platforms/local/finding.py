"""Finds processes of this machine: by listening port, pid file, command line, or the mark that `local up` left.

psutil is imported where it is needed, because it takes a tenth of a command's start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from chaosrunner.injector import processes
from chaosrunner.platforms.local.spec import Service, split_address
from chaosrunner.records.light import dataclass

MARK = "CHAOSRUNNER_KEPT"
"""Environment variable of every process that a keeper started, and of their descendants."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance of a service: its topmost process. Its descendants belong to it."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, sorted by pid, and why there is nothing."""

    instances: tuple[Instance, ...]
    why_none: str = ""


def find(service: Service, folder: Path) -> Found:
    """A service that chaosrunner does not keep. Blocking: some hundredths of a second on a busy machine."""
    if service.pid_file is not None:
        return _by_pid_file(folder / service.pid_file)
    if service.listens is not None:
        return _by_port(service.listens)
    if service.command is not None:
        return _by_command(service.command)
    return Found((), "chaosrunner starts it, and it is not up")


def _instances(pids: Iterable[int]) -> tuple[Instance, ...]:
    """Without those whose parents are found too: a worker is part of its master's instance."""
    found = set(pids)
    tops = [pid for pid in found if not (processes.ancestors(pid) - {pid}) & found]
    seen = [Instance(pid, processes.started(pid)) for pid in sorted(tops)]
    return tuple(instance for instance in seen if instance.started)


def _by_pid_file(path: Path) -> Found:
    try:
        text = path.read_text()
    except OSError as problem:
        return Found((), f"its pid file {path} cannot be read: {problem.strerror}")
    words = text.split()
    if not words or not words[0].isdigit():
        return Found((), f"its pid file {path} does not start with a process number")
    found = _instances([int(words[0])])
    return Found(found, "" if found else f"process {words[0]} of its pid file {path} is not running")


def _by_port(listens: str) -> Found:
    host, port = split_address(listens)
    hosts = {host, {"localhost": "127.0.0.1"}.get(host, host)}
    hidden = False
    pids = set()
    for address, pid in _listening():
        if address[1] != port or not (host == "*" or address[0] in hosts | {"0.0.0.0", "::"}):
            continue
        hidden = hidden or pid is None
        pids.add(pid or 0)
    found = _instances(pids - {0})
    if found:
        return Found(found)
    where = f"port {port}" if host == "*" else listens
    if hidden:
        return Found((), f"something listens on {where}, but its process belongs to another user")
    return Found((), f"nothing listens on {where}")


def _listening() -> Iterator[tuple[tuple[str, int], int | None]]:
    import psutil

    try:
        for seen in psutil.net_connections("tcp"):
            if seen.status == psutil.CONN_LISTEN and seen.laddr:
                yield (str(seen.laddr[0]), int(seen.laddr[1])), seen.pid
    except psutil.AccessDenied:  # macOS tells it only process by process, and only of one's own
        for process in psutil.process_iter():
            try:
                own = process.net_connections("tcp")
            except psutil.Error:
                continue
            for one in own:
                if one.status == psutil.CONN_LISTEN and one.laddr:
                    yield (str(one.laddr[0]), int(one.laddr[1])), process.pid


def _by_command(command: str | tuple[str, ...]) -> Found:
    import psutil

    spared = processes.ancestors(os.getpid())
    pids = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if process.pid not in spared and _fits(command, process.info["cmdline"] or [])
    ]
    found = _instances(pids)
    wanted = command if isinstance(command, str) else " ".join(command)
    return Found(found, "" if found else f"no process has {wanted!r} in its command line")


def _fits(command: str | tuple[str, ...], line: list[str]) -> bool:
    if isinstance(command, str):
        return bool(line) and re.search(command, " ".join(line)) is not None
    return set(command) <= set(line)


def topmost_marked(mark: str) -> tuple[Instance, ...]:
    """The instances among the processes that carry a mark."""
    return _instances(instance.pid for instance in marked(mark))


def marked(mark: str) -> list[Instance]:
    """Processes of this user that carry this mark, or one that starts with it and a slash."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            value = process.environ().get(MARK, "")
        except (psutil.Error, OSError):
            continue
        if value == mark or value.startswith(mark + "/"):
            found.append(Instance(process.pid, processes.started(process.pid)))
    return [instance for instance in found if instance.started]
