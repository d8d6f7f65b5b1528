"""netem: what only the kernel's queueing discipline can do to packets, for those that the rules of a fault choose.

Packets that the pod sends: each device gets the root discipline `prio` with the handle 6368:, whose first band takes
everything. A fault gets one of the other bands, with netem in it, and its rules give the packets that they choose that
band's priority. Packets that the pod gets: rules forward them to an `ifb` device of the fault's own, with netem on it,
whence they come back into the stack. Either way the rules decide: should this process be killed, the kernel takes its
rules away, and what is left of the disciplines is met by no packet. `sweep` removes it.

Ways of the command `tc`; needs NET_ADMIN. What it cannot do: with `in`, looks that go around a fault are hit as well,
since what comes in carries no mark; jitter may change the order of packets.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import subprocess
from pathlib import Path

from chaosrunner.injector import netlink
from chaosrunner.injector.calls import RequestRefused
from chaosrunner.injector.nft import tag

__all__ = ["Netem", "devices", "kernel_has"]

HANDLE = "6368:"
BANDS = 16
LINK = "chaos"
"""What the names of our ifb devices begin with; eight hexadecimal digits of the fault follow."""
_NET = Path("/sys/class/net")
_NEW_DISCIPLINE, _KIND = 36, 1
"""RTM_NEWQDISC, and its attribute TCA_KIND."""
_CREATE = 0x400 | 0x200
"""There is to be none yet, and one is to be made."""


def devices() -> list[str]:
    """The network devices of this pod, without the loopback one and those of our own."""
    if not _NET.is_dir():
        return ["eth0"]
    return [name for _, name in socket.if_nameindex() if name != "lo" and not name.startswith(LINK)]


def kernel_has(kind: str) -> bool:
    """Whether the kernel has a queueing discipline of this kind, one that cannot be without parameters (as netem).
    Asked by ordering one on the loopback device without any: a kernel that has the kind finds them missing, one that
    has not says so; nothing changes."""
    order = struct.pack("=BBHiIII", 0, 0, 0, socket.if_nametoindex("lo"), 0x63680000, 0xFFFFFFFF, 0)
    order += netlink.attribute(_KIND, kind.encode() + b"\0")
    request = netlink.message(_NEW_DISCIPLINE, netlink.REQUEST | netlink.ACK | _CREATE, order)
    code = netlink.ask(socket.NETLINK_ROUTE, request, 2.0)
    if code in (errno.EPERM, errno.EACCES):
        raise RequestRefused("queueing disciplines need the capability NET_ADMIN")
    return code == errno.EINVAL


class Netem:
    """The disciplines of all faults of one injector. Programs run in a thread, one after the other: on a busy node each
    takes its time, and heartbeats must be heard meanwhile."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._bands: dict[str, int] = {}
        self._links: dict[str, str] = {}
        self._devices: list[str] = []
        self._there: bool | None = None

    async def there(self) -> bool:
        """The kernel has it; it may have to load it first."""
        if self._there is None:
            self._there = await asyncio.to_thread(kernel_has, "netem")
        return self._there

    async def out(self, key: str, words: list[str]) -> str:
        """A band with netem for packets that the pod sends; the priority that leads to it. Raises `RequestRefused`,
        and has then changed nothing."""
        async with self._turn:
            return await asyncio.to_thread(self._out, key, words)

    async def into(self, key: str, words: list[str]) -> str:
        """A device with netem for packets that the pod gets; its name. Raises `RequestRefused`, and has then changed
        nothing."""
        async with self._turn:
            return await asyncio.to_thread(self._into, key, words)

    async def remove(self, key: str) -> None:
        """Take back what a fault has. Idempotent. Raises `RequestRefused` if something of it is still there."""
        async with self._turn:
            if key in self._bands or key in self._links:
                await asyncio.to_thread(self._remove, key)

    def _out(self, key: str, words: list[str]) -> str:
        self._make_roots()
        taken = set(self._bands.values())
        band = next((number for number in range(2, BANDS + 1) if number not in taken), None)
        if band is None:
            raise RequestRefused(f"there are {BANDS - 1} faults with netem in force already")
        self._bands[key] = band
        try:
            for device in self._devices:
                _tc("qdisc", "add", "dev", device, "parent", f"{HANDLE}{band:x}", "netem", *words)
        except RequestRefused:
            self._remove(key)
            raise
        return f"{HANDLE}{band:x}"

    def _into(self, key: str, words: list[str]) -> str:
        link = f"{LINK}{tag(key)}"
        self._links[key] = link
        try:
            _run("ip", "link", "add", link, "type", "ifb")
            _run("ip", "link", "set", link, "up")
            _tc("qdisc", "add", "dev", link, "root", "netem", *words)
        except RequestRefused as problem:
            self._remove(key)
            raise RequestRefused(f"packets that come in cannot be shaped here (ifb): {problem}") from problem
        return link

    def _remove(self, key: str) -> None:
        band, link = self._bands.pop(key, None), self._links.pop(key, None)
        if band is not None:
            for device in self._devices:
                _try("tc", "qdisc", "del", "dev", device, "parent", f"{HANDLE}{band:x}")
            if not self._bands:
                for device in self._devices:
                    _try("tc", "qdisc", "del", "dev", device, "root")
                self._devices = []
        if link is not None:
            _try("ip", "link", "del", link)
        still = [name for name in left() if name == link or (not self._bands and not name.startswith(LINK))]
        if still:
            if band is not None:
                self._bands[key] = band
            if link is not None:
                self._links[key] = link
            raise RequestRefused(f"could not be removed: {', '.join(still)}")

    @property
    def mine(self) -> set[str]:
        """What of `left` belongs to faults in force here."""
        return {*self._links.values(), *(f"{device} {HANDLE}" for device in self._devices)}

    def _make_roots(self) -> None:
        if self._devices:
            return
        made: list[str] = []
        try:
            for device in devices():
                if HANDLE in _run("tc", "qdisc", "show", "dev", device):  # a killed one left it
                    _try("tc", "qdisc", "del", "dev", device, "root")
                everything = ["0"] * 16
                _tc(
                    "qdisc",
                    "add",
                    "dev",
                    device,
                    "root",
                    "handle",
                    HANDLE,
                    "prio",
                    "bands",
                    str(BANDS),
                    "priomap",
                    *everything,
                )
                made.append(device)
        except RequestRefused as problem:
            for device in made:
                _try("tc", "qdisc", "del", "dev", device, "root")
            raise RequestRefused(f"the pod's device has a queueing discipline of its own, or: {problem}") from problem
        self._devices = made


def left() -> list[str]:
    """Disciplines and devices of ours that there are in this network namespace, whoever made them."""
    if not _has("tc"):
        return []
    roots = [device for device in devices() if f" {HANDLE} root" in _run("tc", "qdisc", "show", "dev", device)]
    links = [name for _, name in socket.if_nameindex() if name.startswith(LINK) and len(name) == len(LINK) + 8]
    return [*(f"{device} {HANDLE}" for device in roots), *links]


def remove_left(name: str) -> None:
    """Remove one of them. Raises `RequestRefused`."""
    device, _, handle = name.partition(" ")
    if handle:
        _run("tc", "qdisc", "del", "dev", device, "root")
    else:
        _run("ip", "link", "del", device)


def _has(program: str) -> bool:
    return any((Path(folder) / program).exists() for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin"))


def _tc(*words: str) -> str:
    return _run("tc", *words)


def _run(*words: str) -> str:
    """Run a program and give what it prints. Raises `RequestRefused` with its words."""
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise RequestRefused(f"`{words[0]}` cannot be run: {problem}") from problem
    if done.returncode:
        said = " ".join(done.stderr.split())[:300] or f"ended with {done.returncode}"
        raise RequestRefused(f"`{' '.join(words[:6])}`: {said}")
    return done.stdout


def _try(*words: str) -> None:
    try:
        _run(*words)
    except RequestRefused:
        return  # it is gone already; whether it is, is looked at afterwards
