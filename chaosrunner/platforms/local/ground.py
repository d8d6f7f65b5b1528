"""What the abilities of the local platform stand on together."""

from __future__ import annotations

from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly
from chaosrunner.injector.calls import Message
from chaosrunner.model.target import Target
from chaosrunner.platforms.local.finding import Instance
from chaosrunner.platforms.local.heartbeat import Heartbeat
from chaosrunner.platforms.local.spec import Link
from chaosrunner.platforms.local.system import LocalSystem


class Ground:
    """The environment's daemons, the clock, and the run's heartbeat."""

    system: LocalSystem
    clock: Clock
    heartbeat: Heartbeat | None = None

    def reach(self, socket: Path) -> None:
        """A hold of this run is about to be held at this socket."""
        if self.heartbeat is not None:
            self.heartbeat.reach(socket)

    def leave(self, socket: Path) -> None:
        """It is over there."""
        if self.heartbeat is not None:
            self.heartbeat.leave(socket)


def instance_of(target: Target) -> Instance:
    """The process that a target is. Raises `CannotDoHonestly` for a target of another kind."""
    pid, begun = target.details.get("pid"), target.details.get("started")
    if target.kind != "process" or not isinstance(pid, int) or not isinstance(begun, str):
        raise CannotDoHonestly(f"{target.name} is not a process of this machine")
    return Instance(pid, begun)


def link_of(target: Target) -> tuple[str, Link]:
    """The link that a target is, as it was when the target was found: healing must not depend on today's file."""
    name, link = target.details.get("link"), target.details.get("spec")
    if target.kind != "link" or not isinstance(name, str) or not isinstance(link, dict):
        raise CannotDoHonestly(f"{target.name} is not a link of this machine")
    return name, Link.model_validate(link)


def beginning(hold_id: str, run: str, seconds: float, **more: object) -> Message:
    """The request that begins a hold."""
    return {"id": hold_id, "run": run, "seconds": seconds, **more}
