"""Processes and TCP connections of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.injector import processes
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.local import finding
from chaosrunner.platforms.local import spec as settings
from chaosrunner.platforms.local.finding import Found, Instance
from chaosrunner.platforms.local.ground import instance_of
from chaosrunner.platforms.local.heartbeat import Heartbeat
from chaosrunner.platforms.local.holders import LocalHolders
from chaosrunner.platforms.local.links import LocalLinks
from chaosrunner.platforms.local.signalling import LocalProcesses
from chaosrunner.platforms.local.spec import meant
from chaosrunner.platforms.local.system import LocalSystem
from chaosrunner.ports import Platform, Selection, Selector, ServiceLogs


class LocalPlatform(LocalProcesses, LocalLinks, LocalHolders, ServiceLogs, Platform):
    """Processes and TCP connections of this machine: services that chaosrunner starts itself (`chaosrunner local up`)
    or that are found by port, pid file or command line, and the TCP links between them that its proxies carry. Needs
    no root; acts only on what the environment names."""

    Spec = settings.Spec

    def __init__(
        self, spec: settings.Spec, environment: str, folder: Path, clock: Clock, machine: Path | None = None
    ) -> None:
        self.spec = spec
        self.clock = clock
        self.system = LocalSystem(spec, environment, folder, clock, machine)
        self._delays = {}

    # -- finding

    async def find(self, selector: Selector) -> Selection:
        """Instances of a service, or links. The same answer in the same order while the system is the same."""
        if selector.link is not None:
            return await self._links([self._known(selector.link, list(self.spec.links), "link")])
        if selector.service is None:
            way = next(iter(selector.model_fields_set - {"take", "follow"}), "nothing")
            raise UsageError(
                f"a local environment finds targets by `service`, by `service` with `to`, or by `link`; not by {way!r}"
            )
        service = self._known(selector.service, list(self.spec.services), "service")
        if selector.to is None:
            return await self._instances(service)
        return await self._links_between(service, selector)

    def log_file(self, service: str) -> Path:
        return self.system.log("service", self._known(service, list(self.spec.services), "service"))

    def _known(self, name: str, known: list[str], sort: str) -> str:
        if name not in known:
            hint = meant(name, known)
            raise UsageError(f"the environment {self.system.environment!r} names no {sort} {name!r}, {hint}")
        return name

    async def _instances(self, service: str) -> Selection:
        found, socket = await self._found(service)
        keeper: JsonObject = {"keeper": str(socket)} if socket is not None else {}
        targets = [
            Target(
                kind="process",
                id=f"process:{service}:{instance.pid}",
                name=f"{service} (process {instance.pid})",
                service=service,
                details={"pid": instance.pid, "started": instance.started, **keeper},
            )
            for instance in found.instances
        ]
        return Selection(targets, "" if targets else f"service {service} is not running: {found.why_none}")

    async def _found(self, service: str) -> tuple[Found, Path | None]:
        """Instances of a service, and its keeper's socket if it has one."""
        spec = self.spec.services[service]
        if spec.start is not None and (state := await self.system.keeper(service)) is not None:
            if state.get("pid"):
                return Found((Instance(state["pid"], state["started"]),)), self.system.socket("service", service)
            return Found((), f"it {state.get('last') or 'is down'}"), None
        found = await asyncio.to_thread(finding.find, spec, self.system.folder)
        if spec.start is not None and not found.instances:
            found = Found((), f"`chaosrunner local up {self.system.environment}` starts it")
        return found, None

    async def _links_between(self, service: str, selector: Selector) -> Selection:
        to = self._known(selector.to or "", list(self.spec.services), "service")
        names = [name for name, link in sorted(self.spec.links.items()) if (link.from_, link.to) == (service, to)]
        if selector.port is not None:
            names = [name for name in names if self.spec.links[name].connect.endswith(f":{selector.port}")]
        if not names:
            port = f" on port {selector.port}" if selector.port is not None else ""
            return Selection(
                (), f"the environment has no link from {service} to {to}{port}, so that nothing can act on it"
            )
        return await self._links(names)

    async def _links(self, names: Sequence[str]) -> Selection:
        targets, down = [], []
        for name in sorted(names):
            link, record = self.spec.links[name], self.system.record("link", name)
            if record is None:
                down.append(name)
                continue
            targets.append(
                Target(
                    kind="link",
                    id=f"link:{name}",
                    name=name,
                    service=link.from_,
                    to=link.to,
                    details={
                        "link": name,
                        "spec": link.as_json(),
                        "proxy": record.socket,
                        "pid": record.pid,
                        "started": record.started,
                    },
                )
            )
        why = f"link {', '.join(down)} is not up: `chaosrunner local up {self.system.environment}` starts it"
        return Selection(targets, why if down and not targets else "")

    async def gone(self, target: Target) -> str:
        """A process that ended, or a link whose proxy ended."""
        pid, begun = target.details.get("pid"), target.details.get("started")
        if not isinstance(pid, int) or not isinstance(begun, str) or processes.state(pid, begun) != "gone":
            return ""
        who = "the proxy of " if target.kind == "link" else ""
        return f"{who}{target.service if target.kind != 'link' else target.name}, process {pid}, is gone"

    def lease(self, target: Target) -> str:
        """By process number or listening address: two environments may name the same ones differently."""
        if target.kind == "process":
            return f"process:{instance_of(target).pid}"
        if target.kind == "link":
            spec = target.details.get("spec")
            return f"link:{spec.get('listen')}" if isinstance(spec, dict) else target.id
        return target.id

    # -- a run

    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        await self.close()
        self.heartbeat = Heartbeat(run, alive)

    async def close(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.stop()
            self.heartbeat = None

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        hit = {target.service for target in targets}
        others = [name for name in self.spec.services if name not in hit]
        states = await asyncio.gather(*(self._observed(name) for name in others))
        return dict(zip(others, states, strict=True))

    async def _observed(self, service: str) -> str:
        found, _ = await self._found(service)
        instances: Sequence[Instance] = found.instances
        if not instances and self.spec.services[service].start is not None:
            # A keeper that does not answer (a busy machine) says nothing of the service itself.
            instances = await asyncio.to_thread(finding.topmost_marked, f"{self.system.mark}/{service}")
        pids = ", ".join(str(instance.pid) for instance in instances)
        return f"running as process {pids}" if pids else "not running"

    async def doctor(
        self, needs: Mapping[str, Sequence[str]], *, deep: bool = False
    ) -> Sequence[tuple[str, bool, str]]:
        status = await self.system.status()
        start = f"`chaosrunner local up {self.system.environment}` starts it"
        looked = [("machine folder", True, str(self.system.machine))]
        for service in status.services:
            found = f"process {', '.join(map(str, service.pids))}" if service.up else service.note or start
            if service.up and service.ready is False:
                found += ", but it is not ready"
            looked.append((f"service {service.name}", service.up and service.ready is not False, found))
        for link in status.links:
            found = f"{link.listen} -> {link.connect}" if link.pid else f"not up: {start}"
            looked.append((f"link {link.name}", link.pid is not None, found))
        return looked
