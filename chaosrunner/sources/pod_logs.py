"""A source of evidence: the logs of pods."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from chaosrunner.clock import iso
from chaosrunner.model.marks import Field
from chaosrunner.model.material import Line, Material, Stream, Window
from chaosrunner.model.quantities import Size
from chaosrunner.pod_logs import AT_ONCE, Container, OfPods
from chaosrunner.ports import ClusterReader, Source, cluster_of


class Params(OfPods):
    """Whose logs."""

    limit: Size = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Of each container's log; where there is more, less of the time before the fault is looked at. Default 4MiB."""


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
        pods = await params.pods(cluster)
        gate = asyncio.Semaphore(AT_ONCE)
        unknown: list[str] = []
        found = await asyncio.gather(
            *(
                self._log(cluster, gate, window, container, unknown)
                for pod in pods
                for container in params.containers(pod)
            )
        )
        streams = _together(params.called, found)
        lines = sum(len(stream.lines) for stream in streams)
        unknown.append("what pods said that are gone by now, if there were any")
        return Material(
            f"logs of {params.called}",
            streams=streams,
            looked=f"{lines} lines of {len(found)} containers in {len(pods)} pods",
            unknown=unknown,
        )

    async def _log(
        self,
        cluster: ClusterReader,
        gate: asyncio.Semaphore,
        window: Window,
        container: Container,
        unknown: list[str],
    ) -> tuple[str, float, bool, list[Line]]:
        """(container's name, from when on it is complete, whether all of the stretch is there, its lines)."""
        limit = int(self.params.limit)
        starts = (window.usual_from, min(window.baseline, window.began - window.length), window.began)
        lines: list[Line] = []
        async with gate:
            for previous in (True, False) if container.restarts else (False,):
                for start in starts:
                    text = await cluster.log(
                        container.namespace,
                        container.pod,
                        container.name,
                        after=iso(start),
                        previous=previous,
                        limit=limit,
                    )
                    if text is None or len(text.encode()) < limit:
                        break
                lines += _lines(text or "")
        cut = text is not None and len(text.encode()) >= limit
        if start > window.usual_from:
            unknown.append(
                f"{container.pod}/{container.name} says so much that only its log since {iso(start)} was read"
            )
        return container.name, start, not cut, sorted(lines)


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
