"""What can be done to targets wherever they live: *abilities* that a platform may have, and what a fault hands them.

Each is a small interface, so that one fault's file serves every platform that has what it needs. A plugin asks for one
with `platform.ability(Links)`, and imports it from `chaosrunner.ports`.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from chaosrunner.model.target import Target
from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.http import Reply, Request


@dataclass(frozen=True, slots=True)
class Hold:
    """The life of one fault on one target: who it is, and when it ends by itself."""

    id: str
    """Unique on this machine and in a cluster: `RUN.STEP.N`. What holds the fault goes by this name."""
    run: str
    deadline: float
    """Wall time (epoch seconds) by which it is over, whoever dies."""
    seconds: float
    """The same as a duration from the injection, for holders that count on the monotonic clock."""

    @property
    def seed(self) -> int:
        """For choosing at random: the same for the same step of another run (`RUN.STEP.N` without the run)."""
        return zlib.crc32(self.id.partition(".")[2].encode())


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a fault: whether it was seen in force, and what was seen, in words with numbers."""

    seen: bool
    how: str

    def __bool__(self) -> bool:
        return self.seen


class Processes(ABC):
    """Processes that can be signalled. Every call checks that it is still the same process (pid and start time)."""

    @abstractmethod
    async def signal(self, target: Target, signal: int) -> None:
        """Send a signal. Raises `FaultFailed` if the process is gone or may not be signalled."""

    @abstractmethod
    async def state(self, target: Target) -> Literal["running", "stopped", "gone"]:
        """As the kernel says."""

    @abstractmethod
    async def knock_down(self, target: Target, signal: int, hold: Hold) -> None:
        """Kill it, and (where chaosrunner keeps the service) start nothing beyond the service's own restart policy
        while the hold lasts."""

    @abstractmethod
    async def bring_back(self, target: Target, hold: Hold) -> None:
        """End the hold: a service that chaosrunner keeps is started if it is down; otherwise nothing is done."""

    @abstractmethod
    async def keeper(self, target: Target) -> str:
        """Who starts it again: `chaosrunner` or `` for nobody that chaosrunner knows of."""


@dataclass(frozen=True, slots=True)
class NetworkEffect:
    """What the injector does to connections. Everything that is not given is left alone."""

    delay: float = 0.0
    """Seconds added in each direction that `direction` names."""
    jitter: float = 0.0
    """The delay varies evenly by up to so much to either side; order is kept."""
    bandwidth: float | None = None
    """Bytes a second, each direction by itself, all connections together."""
    loss: Literal["refuse", "hang", "reset"] | None = None
    """New connections are refused / accepted and never answered / accepted and reset. Open ones: refuse and reset
    reset them, hang stops passing anything on."""
    share: float = 1.0
    """Of connections that are hit, chosen by the seed."""
    seed: int = 0
    reset_after: float | None = None
    """Each connection is reset so many seconds after it was opened, or after the fault began for open ones."""
    direction: Literal["both", "request", "response"] = "both"
    include_control: bool = False
    """Also what watches over the target: kubelet's probes and metric scrapes of a pod."""


@dataclass(frozen=True, slots=True)
class LinkSample:
    """One look through a connection path, as a client of it: what became of a connection of our own."""

    outcome: Literal["answered", "refused", "reset", "silent"]
    seconds: float
    """From connecting to the outcome (round trip of an exchange that every TCP server ends), or the time waited."""
    bytes_per_second: float | None = None


class Links(ABC):
    """Connections between services that an injector can act on."""

    looks_before: ClassVar[bool] = True
    """Whether `sample` can be asked while planning. Where looks are made by the injector's container in a pod, they
    can be made only in the run: a plan touches nothing."""

    async def check(self, target: Target) -> None:  # noqa: B027  what needs no check has none
        """Asked while planning: whether an injector can act there. Reads only; raises `CannotDoHonestly`."""

    async def ready(self, target: Target, hold: Hold) -> None:  # noqa: B027  what is there needs none
        """Bring up what will act there, and look; see `Fault.ready`."""

    def looks_at(self, target: Target) -> bool:
        """Whether this very target is looked at; False: it is one of so many that only a sample is."""
        return True

    @abstractmethod
    async def shape(self, target: Target, effect: NetworkEffect, hold: Hold) -> None:
        """Put an effect in force until `release`, the hold's deadline, or 5 s after the last heartbeat."""

    @abstractmethod
    async def release(self, target: Target, hold: Hold) -> None:
        """Take the effect back; nothing happens if it is not in force or its holder is gone."""

    @abstractmethod
    async def sample(self, target: Target, payload: int = 0, *, stay: float = 0.0, around: bool = False) -> LinkSample:
        """Measure through the link, as a client would; never asks the injector. `payload`: bytes to push through,
        for bandwidth. `stay`: seconds that the connection is open and idle before anything is said on it. `around`:
        past the injector, straight to the other end, to tell a fault from an end that is itself in trouble."""

    @abstractmethod
    async def met(self, target: Target, hold: Hold) -> int | None:
        """How many connections met the effect so far, our own samples not counted."""


@dataclass(frozen=True, slots=True)
class StressEffect:
    """A load that a holder puts on what the target shares."""

    what: Literal["cpu", "memory", "disk", "io"]
    cores: float = 0.0
    """Processors kept busy."""
    size: float = 0.0
    """Bytes of memory held, of disk filled, or of one write."""
    folder: str = ""
    """For disk and io: where."""
    workers: int = 1
    """For io: how many write at the same time."""


class Holders(ABC):
    """Processes of our own beside the target that hold a fault, with deadline and heartbeat."""

    looks_before: ClassVar[bool] = True
    """Whether `why_not` can be asked while planning; where the looks are made from inside a pod, only in the run."""

    async def may_hold(self, target: Target, folder: str) -> None:  # noqa: B027  what needs no check has none
        """Asked while planning: whether a holder can be put there, with the disk of this folder if one is named. Reads
        only; raises `CannotDoHonestly`."""

    async def bring_up(self, target: Target, folder: str, hold: Hold) -> None:  # noqa: B027  what is there needs none
        """Bring up what will hold; see `Fault.ready`."""

    async def why_not(self, target: Target, effect: StressEffect) -> str:
        """Why the load cannot be put on safely, with what there is; empty if it can. Reads only."""
        return ""

    @abstractmethod
    async def stress(self, target: Target, effect: StressEffect, hold: Hold) -> None:
        """Start the load."""

    @abstractmethod
    async def pause(self, target: Target, hold: Hold) -> None:
        """Stop the target's processes; the holder continues them when it ends, however that comes about."""

    @abstractmethod
    async def let_go(self, target: Target, hold: Hold) -> None:
        """End the holder and wait until it is gone; nothing happens if there is none."""

    @abstractmethod
    async def usage(self, target: Target, hold: Hold) -> Mapping[str, float]:
        """What the operating system says of the holder, never the holder itself: `cores` used and `waited` for over the
        last moment, `memory` in bytes resident, `disk` in bytes taken, `written` in bytes a second; empty: there is no
        holder."""


class Files(ABC):
    """The file system of a target."""

    @abstractmethod
    async def free(self, target: Target, folder: str) -> tuple[float, float]:
        """(free, total) bytes of the file system that the folder is on. Raises `CannotDoHonestly`: no such folder."""


class ServiceLogs(ABC):
    """Files that what services print goes to."""

    @abstractmethod
    def log_file(self, service: str) -> Path:
        """Of a service that chaosrunner started. Raises `UsageError` for one that the environment does not name."""


class Sending(Protocol):
    """A request made ready, whatever way it takes."""

    @property
    def request(self) -> Request:
        """What is asked."""

    async def send(self) -> Reply:
        """Ask; any status of the service itself is an answer. Raises `NoAnswer` where the service did not answer, and
        `NoReading` where the way to it failed."""


class ServiceCalls(ABC):
    """HTTP to the environment's services by their name, from wherever chaosrunner runs."""

    @abstractmethod
    def prepare(self, service: str, port: str | None, request: Request) -> Sending:
        """Make a request ready whose URL is a path. `port` is a number or a name; None: the service's only one.

        Raises `UsageError` for a service that the environment does not name, or a header that cannot be sent this way.
        """
