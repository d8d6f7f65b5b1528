"""A source of evidence: the logs of pods."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from chaosrunner.clock import iso
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue, model_validator
from chaosrunner.model.material import Line, Material, Stream, Window
from chaosrunner.model.quantities import Size
from chaosrunner.ports import ClusterReader, Parameters, Selector, Source, cluster_of

MOST_PODS = 50
"""Pods whose logs are read."""
_AT_ONCE = 8
"""Logs that are asked for at the same time."""


class Params(Parameters):
    """Whose logs."""

    service: str | None = None
    """A service of the environment: all its pods."""
    workload: str | None = None
    """Or a workload: `deployment/checkout`."""
    selector: dict[str, str] | str | None = None
    """Or labels: `{app: checkout}`, or a label selector as text."""
    namespace: str | None = None
    """With `workload` and `selector`: one of the environment's; may be left out where there is only one."""
    container: str | None = None
    """Only the containers of this name; default: all."""
    limit: Size = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Of each container's log; where there is more, less of the time before the fault is looked at. Default 4MiB."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if sum(way is not None for way in (self.service, self.workload, self.selector)) != 1:
            raise ValueError("expected one of service, workload or selector")
        if self.service is not None and self.namespace is not None:
            raise ValueError("a service has its namespace in the environment")
        return self

    @property
    def called(self) -> str:
        """What is meant, in words."""
        return self.service or self.workload or str(self.selector)


class PodLogsSource(Source[Params]):
    """Reads the logs of pods as they were before the fault and while it was in force; those of all replicas together,
    also what a container said before its last restart.

    What pods said that are gone by now is not known, nor what a node has rotated away. Rights: `list pods`, `get
    pods/log`; for `workload` and `service` also `list replicasets.apps`.
    """

    example = """\
sources:
  - pod-logs: {service: checkout}
"""

    async def gather(self, window: Window) -> Material:
        cluster = cluster_of(self.context)
        params = self.params
        labels: JsonValue = dict(params.selector) if isinstance(params.selector, dict) else params.selector
        selector = Selector(
            service=params.service, workload=params.workload, selector=labels, namespace=params.namespace, take="all"
        )
        pods = await cluster.pods(selector, MOST_PODS)
        gate = asyncio.Semaphore(_AT_ONCE)
        unknown: list[str] = []
        each = [
            self._log(cluster, gate, window, container, unknown) for pod in pods for container in self._containers(pod)
        ]
        found = await asyncio.gather(*each)
        streams = _together(params.called, found)
        lines = sum(len(stream.lines) for stream in streams)
        unknown.append("what pods said that are gone by now, if there were any")
        return Material(
            f"logs of {params.called}",
            streams=streams,
            looked=f"{lines} lines of {len(found)} containers in {len(pods)} pods",
            unknown=unknown,
        )

    def _containers(self, pod: JsonObject) -> list[tuple[str, str, str, int]]:
        metadata: Any = pod["metadata"]
        status: Any = pod.get("status") or {}
        return [
            (str(metadata["namespace"]), str(metadata["name"]), str(one["name"]), int(one.get("restartCount") or 0))
            for one in status.get("containerStatuses") or ()
            if self.params.container in (None, one["name"])
        ]

    async def _log(
        self,
        cluster: ClusterReader,
        gate: asyncio.Semaphore,
        window: Window,
        container: tuple[str, str, str, int],
        unknown: list[str],
    ) -> tuple[str, float, bool, list[Line]]:
        """(container's name, from when on it is complete, whether all of the stretch is there, its lines)."""
        namespace, pod, name, restarts = container
        limit = int(self.params.limit)
        starts = (window.usual_from, min(window.baseline, window.began - window.length), window.began)
        lines: list[Line] = []
        async with gate:
            for previous in (True, False) if restarts else (False,):
                for start in starts:
                    text = await cluster.log(namespace, pod, name, after=iso(start), previous=previous, limit=limit)
                    if text is None or len(text.encode()) < limit:
                        break
                lines += _lines(text or "")
        cut = text is not None and len(text.encode()) >= limit
        if start > window.usual_from:
            unknown.append(f"{pod}/{name} says so much that only its log since {iso(start)} was read")
        return name, start, not cut, sorted(lines)


def _together(called: str, found: Sequence[tuple[str, float, bool, list[Line]]]) -> list[Stream]:
    """The logs of all replicas as one for each container."""
    names = dict.fromkeys(name for name, *_ in found)
    made = []
    for name in names:
        mine = [each for each in found if each[0] == name]
        since = max(start for _, start, _, _ in mine)
        lines = sorted(line for *_, lines in mine for line in lines if line[0] >= since)
        first = min((line[0] for line in lines), default=since)
        title = called if name == called else f"{called}/{name}"
        made.append(Stream(title, lines, max(since, first), all(whole for _, _, whole, _ in mine)))
    return made


def _lines(text: str) -> list[Line]:
    """Each with the time that the kubelet put before it."""
    found = []
    for line in text.split("\n")[:-1]:
        time, _, said = line.partition(" ")
        try:
            found.append((datetime.fromisoformat(time).timestamp(), said))
        except ValueError:
            continue  # what is no line of a log
    return found
