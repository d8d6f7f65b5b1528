"""Containers of pods: one is signalled from an ephemeral container that sees its processes."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence

from chaosrunner.errors import CannotDoHonestly, FaultFailed
from chaosrunner.injector.signals import handled
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import Needs
from chaosrunner.platforms.kubernetes.channel import InjectorDied
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster
from chaosrunner.platforms.kubernetes.injected import Injectors
from chaosrunner.ports import Containers, Hold, PodContainer, Pods

SENDING = 8.0
"""Seconds that sending a signal may take; the injection has ten."""
READING = 3.0
"""Seconds that reading a process's signals may take."""
_PROGRAM = ("python3", "-m", "chaosrunner.injector.signals")
_NOBODY_HANDLES = (signal.SIGKILL, signal.SIGSTOP)
_SHARED = "with `shareProcessNamespace: true` in its pod it would be another number"


class ClusterContainers(Containers):
    """Signals through the injector."""

    def __init__(self, cluster: Cluster, pods: Pods, injectors: Injectors) -> None:
        self._cluster = cluster
        self._pods = pods
        self._injectors = injectors

    async def container(self, target: Target, name: str | None) -> PodContainer:
        """Of the pod's own, as it is now."""
        state = await self._pods.state(target)
        if state.gone:
            raise FaultFailed(state.gone)
        names = ", ".join(each.name for each in state.containers) or "none"
        if name is None and len(state.containers) != 1:
            raise CannotDoHonestly(f"{target.name} has several containers: name one with `container`, of {names}")
        found = next((each for each in state.containers if name in (None, each.name)), None)
        if found is None:
            raise CannotDoHonestly(f"{target.name} has no container {name}; there are {names}")
        return found

    async def check(self, target: Target, name: str | None, number: int) -> None:
        """Reads the pod, tries an ephemeral container (dry run), and reads what process 1 has handlers for."""
        found = await self.container(target, name)
        if not found.running:
            raise CannotDoHonestly(
                f"the container {found.name} of {target.name} does not run: nothing can be signalled"
            )
        if found.pid_one:
            await self._would_be_heard(target, found, number)
        await self._injectors.check(target, _needs(found.name))

    async def _would_be_heard(self, target: Target, found: PodContainer, number: int) -> None:
        what = f"process 1 of {found.name} in {target.name}"
        named = signal.Signals(number).name
        if number in _NOBODY_HANDLES:
            raise CannotDoHonestly(
                f"{what} cannot be sent {named} from inside its own process namespace, the kernel drops it: "
                f"{_SHARED}; or send a signal that it has a handler for, or use pod-kill"
            )
        status = await self._status(target, found.name)
        if status and not handled(status, number):
            has = (
                ", ".join(each.name for each in _KINDLY if handled(status, each)) or "none of those that end a process"
            )
            raise CannotDoHonestly(
                f"{what} has no handler for {named}, and the kernel drops what process 1 has none for: {_SHARED}; or "
                f"send one that it handles ({has}), or use pod-kill"
            )

    async def _status(self, target: Target, container: str) -> str:
        """`/proc/1/status` of the container; empty where it cannot be read: then the run itself finds out."""
        details = target.details
        command = ("cat", "/proc/1/status")
        try:
            done = await self._cluster.execute(
                str(details["namespace"]), str(details["pod"]), container, command, within=READING
            )
        except ApiError:
            return ""
        return done.out if done.code == 0 else ""

    async def ready(self, target: Target, name: str, hold: Hold) -> None:
        """Start the injector beside it."""
        await self._injectors.ready(target, hold, _needs(name))

    async def signal(self, target: Target, name: str, number: int, hold: Hold) -> str:
        """Sent by a program of its own in the injector's container, which may end with what it signalled."""
        found = await self.container(target, name)
        injector = await self._injectors.ready(target, hold, _needs(name))
        command = (*_PROGRAM, "--signal", str(number), "--container-id", found.id.rpartition("/")[2])
        where = f"{target.name}, container {name}"
        try:
            done = await self._injectors.execute(injector, command, SENDING)
        except (InjectorDied, ApiError) as error:
            raise FaultFailed(f"{where}: the signal could not be sent: {error}") from None
        return _told(where, done.out, done.err, done.code)


def _told(where: str, out: str, err: str, code: int) -> str:
    """The program's words. Where it ended with the whole namespace before it could say anything, that is no failure:
    whether the container ended is seen by another way."""
    for line in out.splitlines():
        said = json.loads(line)
        if not said["sent"]:
            raise FaultFailed(f"{where}: {said['words']}")
        return str(said["words"])
    if code in (-1, 137):
        return "the program that sent it ended with the container's processes"
    raise FaultFailed(f"{where}: the program that signals failed with {code}: {err.strip()[-300:]}")


_KINDLY: Sequence[signal.Signals] = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGABRT,
    signal.SIGSEGV,
)


def _needs(container: str) -> Needs:
    return Needs(beside=container, signals=True)
