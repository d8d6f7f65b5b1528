"""What else can be seen from inside a pod: datagrams, names, HTTP, lost packets, rules, disk, processors, memory.

For the program `look`, whose documentation says what each of them answers. Blocking calls, standard library only.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from chaosrunner.injector import dns
from chaosrunner.injector.looking import LookFailed, Marks, connect

__all__ = ["disk", "http", "load", "look_up", "loss", "rules", "udp"]

Answer = dict[str, Any]

ANSWERED_WITHIN = 0.9
"""Seconds in which the answer to a SYN must come to count as its own: after one second TCP asks again (RFC 6298)."""
AT_ONCE = 10
"""Connections that are being opened: no more, since a server's queue drops what does not fit, and that is no loss."""
PAUSE = 0.02
"""Seconds between two of them: a server must have the time to take them out of its queue."""
_GROUPS = Path("/sys/fs/cgroup")
NO_LIMIT = 2**62
"""Control groups of version 1 say so much where memory has no limit."""


def udp(host: str, port: int, data: bytes, silent_after: float, marks: Marks) -> Answer:
    """One datagram and whatever comes back."""
    began = time.monotonic()
    outcome, address = "answered", None
    try:
        door, address, _ = connect(host, port, marks, lambda made: made.settimeout(silent_after), socket.SOCK_DGRAM)
        with door:
            door.send(data)
            door.recv(65535)
    except TimeoutError:
        outcome = "silent"
    except ConnectionRefusedError:
        outcome = "refused"
    except socket.gaierror as problem:
        raise LookFailed(f"{host} has no address here: {problem.strerror}") from problem
    return {"outcome": outcome, "seconds": time.monotonic() - began, "address": address}


def look_up(name: str, kind: str, server: str | None, silent_after: float, marks: Marks) -> Answer:
    """A look-up as a resolver makes it: through the search domains, from the first server of resolv.conf."""
    number = dns.TYPES.get(kind.upper())
    if number is None:
        raise LookFailed(f"unknown type {kind!r}; known: {', '.join(dns.TYPES)}")
    resolver = dns.resolver()
    if server is None:
        if not resolver.servers:
            raise LookFailed("/etc/resolv.conf names no server; give --server")
        server = resolver.servers[0]
    began = time.monotonic()
    answer, asked, found = "silent", name, list[str]()
    for asked in resolver.forms(name):
        try:
            told = dns.ask(server, dns.query(asked, number), marks.put_on, silent_after)
        except TimeoutError:
            break
        except ConnectionRefusedError:
            answer = "unreachable"
            break
        code = dns.code(told)
        answer = next((word for word, known in dns.CODES.items() if known == code), str(code))
        found = dns.addresses(told)
        if found or answer not in ("noerror", "nxdomain"):
            break
    seconds = time.monotonic() - began
    return {"answer": answer, "addresses": found, "asked": asked, "server": server, "seconds": seconds}


def http(url: str, method: str, silent_after: float, marks: Marks) -> Answer:
    """One request of HTTP/1.1, and the status that it is answered with."""
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    host, colon, digits = place.rpartition(":")
    if scheme != "http" or not place or (colon and not digits.isdigit() and not place.endswith("]")):
        raise LookFailed(f"{url!r} is not http://HOST[:PORT]/PATH (there is no TLS here)")
    port = int(digits) if colon and digits.isdigit() else 80
    host = (host if colon and digits.isdigit() else place).strip("[]")
    began = time.monotonic()
    outcome, status = "answered", None
    try:
        line, _, _ = connect(host, port, marks, lambda made: made.settimeout(silent_after))
        with line:
            words = [f"{method} /{path} HTTP/1.1", f"Host: {place}", "User-Agent: chaosrunner", "Connection: close"]
            line.sendall("\r\n".join([*words, "", ""]).encode())
            status = _status(line, began + silent_after)
    except TimeoutError:
        outcome = "silent"
    except ConnectionRefusedError:
        outcome = "refused"
    except socket.gaierror as problem:
        raise LookFailed(f"{host} has no address here: {problem.strerror}") from problem
    except OSError:
        outcome = "reset"
    return {"outcome": outcome, "status": status, "seconds": time.monotonic() - began}


def _status(line: socket.socket, until: float) -> int:
    got = b""
    while b"\n" not in got:
        line.settimeout(max(0.001, until - time.monotonic()))
        more = line.recv(4096)
        if not more:
            raise ConnectionError("closed without an answer")
        got += more
    words = got.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionError("no HTTP")
    return int(words[1])


def loss(host: str, port: int, count: int, marks: Marks) -> Answer:
    """Open so many connections and see which first try stays without an answer: the share of round trips of which a
    packet was lost, on either way. A refusal is an answer."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    times, began = list[float](), time.monotonic()
    waiting: dict[int, tuple[socket.socket, float]] = {}
    poll, opened = select.poll(), 0
    while opened < count or waiting:
        while opened < count and len(waiting) < AT_ONCE:
            line = socket.socket(family, socket.SOCK_STREAM)
            marks.put_on(line)
            line.setblocking(False)
            line.connect_ex(address)
            waiting[line.fileno()] = (line, time.monotonic())
            poll.register(line, select.POLLOUT)
            opened += 1
            time.sleep(PAUSE)
        oldest = min(since for _, since in waiting.values())
        ready = {number for number, _ in poll.poll(max(0.0, oldest + ANSWERED_WITHIN - time.monotonic()) * 1000 + 1)}
        now = time.monotonic()
        for number, (line, since) in list(waiting.items()):
            if number in ready:
                times.append(now - since)
            elif now < since + ANSWERED_WITHIN:
                continue
            del waiting[number]
            poll.unregister(number)
            line.close()
    times.sort()
    median = times[len(times) // 2] if times else None
    seconds, lost = time.monotonic() - began, (count - len(times)) / count
    return {"sent": count, "answered": len(times), "lost": lost, "median": median, "seconds": seconds}


def rules() -> Answer:
    """What nftables and the queueing disciplines really have of ours, as their own programs print it."""
    tables = _printed("nft", "list", "ruleset")
    blocks = [f"table {block}" for block in tables.split("table ")[1:] if "chaosrunner_" in block.split("{")[0]]
    shapers = [line for line in _printed("tc", "qdisc", "show").splitlines() if "6368:" in line or "dev chaos" in line]
    return {"tables": [block.split("{")[0].split()[2] for block in blocks], "rules": blocks, "qdiscs": shapers}


def _printed(*words: str) -> str:
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise LookFailed(f"`{words[0]}` cannot be run: {problem}") from problem
    if done.returncode:
        raise LookFailed(f"`{' '.join(words)}`: {' '.join(done.stderr.split())[:200]}")
    return done.stdout


def disk(folder: str) -> Answer:
    """Bytes of the folder's file system, and how long one small write takes until it is on the disk."""
    seen = os.statvfs(folder)
    size = seen.f_frsize
    answer: Answer = {"total": seen.f_blocks * size, "free": seen.f_bfree * size, "available": seen.f_bavail * size}
    name = Path(folder) / f".chaosrunner-look-{os.getpid()}"
    began = time.monotonic()
    try:
        file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(file, b"\0" * 4096)
            os.fsync(file)
            answer["write_seconds"] = time.monotonic() - began
        finally:
            os.close(file)
            name.unlink(missing_ok=True)
    except OSError as problem:
        answer["write_error"] = problem.strerror or str(problem)
    return answer


def load(what: str, seconds: float) -> Answer:
    """Use and limit of processors or memory, by the files of control groups, version 2 or 1; `seconds`: how long
    processors are watched. By the processes of this one's group: `waited` is for processors that others had meanwhile,
    `written` the bytes a second that disks were made to take."""
    counts = _counts if (_GROUPS / "cgroup.controllers").exists() else _counts_of_version_1
    if what == "memory":
        return counts("memory")
    before, of_each, began = counts("cpu"), _by_process(), time.monotonic()
    time.sleep(seconds)
    after, since, lasted = counts("cpu"), _since(of_each), time.monotonic() - began
    known = before["used"] is not None and after["used"] is not None
    cores = (after["used"] - before["used"]) / lasted if known else None
    answer = {"cores": cores, "waited": since.waited / lasted, "written": since.written / lasted}
    return answer | {"limit": after["limit"], "throttled": after["throttled"]}


class _Process(NamedTuple):
    """What the kernel counts for a process."""

    waited: float = 0.0
    """Seconds that it could have run and had no processor (proc(5), schedstat)."""
    written: int = 0
    """Bytes that it made a disk take (proc(5), io)."""


def _by_process() -> dict[str, _Process]:
    """Those of this process's group: where the containers of a pod share their processes, others are seen as well."""
    own, found = _text(Path("/proc/self/cgroup")), {}
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()) or _text(folder / "cgroup") != own:
            continue
        words = _text(folder / "schedstat").split()
        written = [line.split()[1] for line in _text(folder / "io").splitlines() if line.startswith("write_bytes:")]
        found[folder.name] = _Process(
            int(words[1]) / 1e9 if len(words) == 3 else 0.0, int(written[0]) if written else 0
        )
    return found


def _since(before: dict[str, _Process]) -> _Process:
    waited, written = 0.0, 0
    for process, now in _by_process().items():
        then = before.get(process, _Process())
        waited, written = waited + now.waited - then.waited, written + now.written - then.written
    return _Process(waited, written)


def _counts(what: str) -> Answer:
    """`used` is seconds of processors."""
    group = _group()
    if what == "memory":
        return {
            "current": _number(group / "memory.current"),
            "limit": _number(group / "memory.max"),
            "kills": _of(group / "memory.events", "oom_kill"),
        }
    used, words = _of(group / "cpu.stat", "usage_usec"), _text(group / "cpu.max").split()
    limit = int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None
    used_seconds = None if used is None else used / 1e6
    return {"used": used_seconds, "limit": limit, "throttled": _of(group / "cpu.stat", "nr_throttled")}


def _counts_of_version_1(what: str) -> Answer:
    """The same of version 1, where each resource has a tree of its own; a container sees its own group at its top."""
    if what == "memory":
        group = _GROUPS / "memory"
        limit = _number(group / "memory.limit_in_bytes")
        return {
            "current": _number(group / "memory.usage_in_bytes"),
            "limit": None if limit is None or limit >= NO_LIMIT else limit,
            "kills": _of(group / "memory.oom_control", "oom_kill"),
        }
    used, group = _number(_GROUPS / "cpuacct" / "cpuacct.usage"), _GROUPS / "cpu"
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    return {
        "used": None if used is None else used / 1e9,
        "limit": quota / period if quota and period else None,
        "throttled": _of(group / "cpu.stat", "nr_throttled"),
    }


def _group() -> Path:
    own = _text(Path("/proc/self/cgroup")).partition("0::")[2].split("\n")[0].strip("/")
    folder = _GROUPS / own
    return folder if (folder / "cgroup.procs").exists() else _GROUPS


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _of(file: Path, key: str) -> int | None:
    for line in _text(file).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == key:
            return int(words[1])
    return None
