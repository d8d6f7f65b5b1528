"""The local platform's processes: signalled, looked at, knocked down and brought back."""

from __future__ import annotations

import signal as signals
from pathlib import Path
from typing import Literal

from chaosrunner.errors import FaultFailed, NotPossibleNow, UndoFailed
from chaosrunner.injector import processes
from chaosrunner.injector.calls import ControlError, NobodyThere, call_async
from chaosrunner.model.target import Target
from chaosrunner.platforms.local.daemons import Daemon, gone_within
from chaosrunner.platforms.local.finding import Instance
from chaosrunner.platforms.local.ground import Ground, beginning, instance_of
from chaosrunner.ports import Hold, Processes

KILL_TAKES = 3.0
"""Seconds that a process has to end after the signal, before `knock_down` returns all the same."""
STAYS = 0.3
"""Seconds that a service which was started again must stay up to count as brought back. Whether it serves is for the
recovery to see."""


class LocalProcesses(Ground, Processes):
    """A target is one instance of a service: its topmost process, to which its descendants belong."""

    async def signal(self, target: Target, signal: int) -> None:
        """SIGSTOP, SIGCONT and SIGKILL go to the whole instance, everything else to its topmost process."""
        instance = instance_of(target)
        whole = signal in (signals.SIGSTOP, signals.SIGCONT, signals.SIGKILL)
        members = [Instance(seen.pid, seen.started) for seen in processes.family(instance.pid)] if whole else []
        try:
            hit = processes.send(instance.pid, instance.started, signal)
            for member in members[1:] if hit else ():
                processes.send(member.pid, member.started, signal)
        except PermissionError:
            raise FaultFailed(f"process {instance.pid} ({target.name}) may not be signalled by this user") from None
        if not hit:
            raise FaultFailed(f"process {instance.pid} ({target.name}) is gone")

    async def state(self, target: Target) -> Literal["running", "stopped", "gone"]:
        instance = instance_of(target)
        return processes.state(instance.pid, instance.started)

    async def keeper(self, target: Target) -> str:
        return "chaosrunner" if _keeper_socket(target) is not None else ""

    async def knock_down(self, target: Target, signal: int, hold: Hold) -> None:
        instance, socket = instance_of(target), _keeper_socket(target)
        if socket is None:
            await self.signal(target, signal)
        else:
            self.reach(socket)
            request = beginning(hold.id, hold.run, hold.seconds, do="kill", signal=signal)
            try:
                state = await call_async(socket, {"do": "status"})
                if (state.get("pid"), state.get("started")) != (instance.pid, instance.started):
                    raise FaultFailed(f"process {instance.pid} ({target.name}) is gone")
                await call_async(socket, request)
            except ControlError as problem:
                raise FaultFailed(f"the keeper of {target.service} did not do it: {problem}") from problem
        await gone_within(Daemon(instance.pid, instance.started), self.clock, KILL_TAKES)

    async def bring_back(self, target: Target, hold: Hold) -> None:
        socket, service = _keeper_socket(target), target.service
        if socket is None or service is None:
            return
        try:
            was_up = (await call_async(socket, {"do": "status"})).get("pid")
            await call_async(socket, {"do": "end", "id": hold.id})
            if not was_up:
                await self.clock.sleep(STAYS)
            state = await call_async(socket, {"do": "status"})
        except NobodyThere:
            await self._without_keeper(service)
            return
        except ControlError as problem:
            raise UndoFailed(f"the keeper of {service} did not answer: {problem}", self._by_hand()) from problem
        finally:
            self.leave(socket)
        if not state.get("pid") and not state.get("held"):
            raise UndoFailed(
                f"{service} was started again and did not stay up: it {state.get('last')}", self._by_hand()
            )

    async def _without_keeper(self, service: str) -> None:
        """A keeper that died took its service along; one that was taken down on purpose is no fault of ours."""
        if not self.system.kept_before(service) or service not in self.system.spec.services:
            return
        try:
            await self.system.start_service(service)
        except NotPossibleNow as problem:
            raise UndoFailed(f"{service} cannot be started again: {problem}", self._by_hand()) from problem

    def _by_hand(self) -> list[str]:
        return [f"chaosrunner local up {self.system.environment}"]


def _keeper_socket(target: Target) -> Path | None:
    socket = target.details.get("keeper")
    return Path(socket) if isinstance(socket, str) else None
