"""A cluster as probes read it, with behaviour: pods come, restart and go, and containers write logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.experiment import Selector
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.ports import ClusterReader, Platform, Selection, Target

Object = dict[str, Any]
BEGUN = "2026-11-22T14:00:"


@dataclass
class Container:
    """One container of a pod, with the logs of the instance that runs and of the one before it."""

    name: str
    restarts: int = 0
    ready: bool = True
    log: list[tuple[str, str]] = field(default_factory=list)
    previous: list[tuple[str, str]] | None = None


@dataclass
class Pod:
    """A pod with one container."""

    name: str
    container: Container = field(default_factory=lambda: Container("main"))
    leaving: bool = False
    phase: str = "Running"

    def as_json(self) -> Object:
        """As the API shows it."""
        metadata: Object = {"name": self.name, "namespace": "shop", "uid": f"uid-{self.name}"}
        metadata |= {"deletionTimestamp": "2026-11-22T15:00:00Z"} if self.leaving else {}
        one = {"name": self.container.name, "restartCount": self.container.restarts}
        condition = {"type": "Ready", "status": str(self.container.ready)}
        status = {"phase": self.phase, "containerStatuses": [one], "conditions": [condition]}
        return {"metadata": metadata, "status": status}


class FakeCluster(ClusterReader, Platform):
    """Whatever is asked for, these pods, objects and events are there."""

    kind = "kubernetes"
    Spec = Parameters

    def __init__(self) -> None:
        self.pods_there: list[Pod] = []
        self.objects: dict[str, Object] = {}
        self.the_workload: Object | None = None
        self.the_events: list[Object] = []
        self.down = False
        self.second = 0

    # -- what happens in it

    def say(self, pod: Pod, *lines: str) -> None:
        """Each line in the next second."""
        for line in lines:
            self.second += 1
            pod.container.log.append((f"{BEGUN}{self.second:02}.000000000Z", line))

    def restart(self, pod: Pod) -> None:
        pod.container.previous, pod.container.log = pod.container.log, []
        pod.container.restarts += 1

    # -- ClusterReader

    def _up(self) -> None:
        if self.down:
            raise NotPossibleNow("the API server answers 503: it is asleep")

    async def pods(self, selector: Selector, most: int) -> Sequence[JsonObject]:
        self._up()
        return [pod.as_json() for pod in self.pods_there]

    async def workload(self, selector: Selector) -> JsonObject | None:
        self._up()
        return self.the_workload

    async def object(
        self, kind: str, name: str, *, api: str | None = None, namespace: str | None = None
    ) -> JsonObject | None:
        self._up()
        return self.objects.get(f"{kind}/{name}")

    async def events(self, namespace: str, reason: str) -> Sequence[JsonObject]:
        self._up()
        return [event for event in self.the_events if reason in ("", event["reason"])]

    async def log(
        self, namespace: str, pod: str, container: str, *, after: str, previous: bool, limit: int
    ) -> str | None:
        self._up()
        found = self._container(pod)
        log = found.previous if previous else found.log
        if log is None:
            return None
        text = "".join(f"{time} {line}\n" for time, line in log if time[:19] >= after[:19])
        return text[:limit]

    async def last_time(self, namespace: str, pod: str, container: str) -> str:
        self._up()
        log = self._container(pod).log
        return log[-1][0] if log else ""

    def _container(self, pod: str) -> Container:
        return next(each.container for each in self.pods_there if each.name == pod)

    # -- Platform

    async def find(self, selector: Selector) -> Selection:
        return Selection((), "none")

    async def gone(self, target: Target) -> str:
        return ""

    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        return None

    async def close(self) -> None:
        return None

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        return {}
