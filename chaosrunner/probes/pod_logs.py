"""A probe that counts lines of pods' logs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chaosrunner.errors import NoReading
from chaosrunner.model.expression import Expression
from chaosrunner.model.growth import Growth
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, Size
from chaosrunner.pod_logs import AT_ONCE, OfPods
from chaosrunner.ports import Probe, Value, cluster_of

_PATIENCE = 5
"""Readings that a log may have begun anew before the cluster says that the container was restarted."""


class Params(OfPods):
    """Whose logs, and which lines count."""

    matches: Expression
    """A regular expression (Python's) that is looked for in each line: `ERROR|panic:`."""
    over: Duration | None = Field(default=None, gt=0)
    """Count only the lines of so long, which is also the readings' lag; default: all since the run began."""
    limit: Size = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Of each container's log between two readings; more is no reading. Default 1MiB."""


@dataclass
class _Log:
    """What is known of one container's log."""

    namespace: str
    pod: str
    container: str
    restarts: int = 0
    after: str = ""
    """The time of the last line that was counted."""
    lines: float = 0.0
    """That matched."""
    strange: int = 0
    """How often in a row that last line was not there any more."""


class PodLogs(Probe[Params]):
    """Counts the lines of pods' logs that match a regular expression: since the run began, or within `over`.

    Pods that come later count with all that they say; after a restart what the container said before it is read too.
    There is *no reading*, with the reason, where lines may be missing: a log longer than `limit` (the next reading goes
    on from there), one that was rotated away or belongs to an instance that is gone after several restarts between two
    readings, more than 50 pods, or an API server or kubelet that does not answer. With `over` such a hole passes;
    without it, it stays. What a pod says after the last reading before it is gone is not counted. No pods: 0.

    Rights: `list pods`, `get pods/log`; for `workload` and `service` also `list replicasets.apps`.
    """

    example = "pod-logs: {service: checkout, matches: 'ERROR|panic:', over: 30s}"

    _growth: Growth | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.over or 0.0

    async def open(self) -> None:
        self._cluster = cluster_of(self.context)
        self._pattern = re.compile(self.params.matches)
        self._logs: dict[tuple[str, str], _Log] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._growth = None
        known = await self._known()
        await asyncio.gather(*(self._to_its_end(log, now) for log, now in known))
        growth = Growth(self.params.over)
        growth.look(self.context.clock.monotonic(), {})
        self._growth = growth

    async def read(self) -> Value:
        if self._growth is None:
            await self.open()
        growth = self._growth
        assert growth is not None
        holes = await asyncio.gather(*(self._follow(log, now) for log, now in await self._known()))
        t = self.context.clock.monotonic()
        growth.look(t, {f"{uid}/{name}": log.lines for (uid, name), log in self._logs.items()})
        late = ""
        for hole, passing in filter(None, holes):
            if passing:
                late = hole
            else:
                growth.lost(t, hole)
        if why := late or growth.gap:
            raise NoReading(why)
        return growth.recent

    async def _known(self) -> list[tuple[_Log, int]]:
        """Every container whose log counts, with how often it has been restarted by now."""
        found = []
        for pod in await self.params.pods(self._cluster):
            for container in self.params.containers(pod):
                key = container.uid, container.name
                log = self._logs.get(key)
                if log is None:
                    log = self._logs[key] = _Log(container.namespace, container.pod, container.name)
                found.append((log, container.restarts))
        return found

    async def _to_its_end(self, log: _Log, restarts: int) -> None:
        """What was said before the run does not count."""
        async with self._gate:
            log.restarts = restarts
            log.after = await self._cluster.last_time(log.namespace, log.pod, log.container)

    async def _follow(self, log: _Log, restarts: int) -> tuple[str, bool] | None:
        """Count what is new; why lines are missing, and whether the next reading will have them."""
        async with self._gate:
            hole = None
            missed = restarts - log.restarts
            if missed > 0:
                hole = await self._count(log, previous=True)
                if log.strange and missed == 1:  # its node has not laid the log before the restart aside yet
                    return hole
                if hole is not None and hole[1]:
                    hole = f"{_called(log)}: more than the limit was said before its restart", False
                if missed > 1:
                    hole = f"{_called(log)} was restarted {missed} times between two readings", False
                log.restarts, log.after, log.strange = restarts, "", 0
            return await self._count(log, previous=False) or hole

    async def _count(self, log: _Log, *, previous: bool) -> tuple[str, bool] | None:
        limit = int(self.params.limit)
        text = await self._cluster.log(
            log.namespace, log.pod, log.container, after=log.after, previous=previous, limit=limit
        )
        if text is None:
            return (f"the log of {_called(log)} before its restart is gone", False) if previous else None
        cut = len(text.encode()) >= limit
        lines = text.split("\n")[:-1]  # what follows the last line end is nothing, or a line that is not whole yet
        strange = bool(log.after) and not cut and not any(line.startswith(log.after) for line in lines)
        log.strange = log.strange + 1 if strange else 0
        if 0 < log.strange < _PATIENCE:
            return f"the log of {_called(log)} has begun anew", True
        self._take(log, lines)
        if strange:
            log.strange = 0
            return f"the log of {_called(log)} was rotated between two readings", False
        if cut:
            return f"the log of {_called(log)} grew by more than {limit} bytes between two readings", True
        return None

    def _take(self, log: _Log, lines: Sequence[str]) -> None:
        for line in lines:
            time, _, said = line.partition(" ")
            if time > log.after:
                log.lines += self._pattern.search(said) is not None
        if lines:
            log.after = max(log.after, lines[-1].partition(" ")[0])


def _called(log: _Log) -> str:
    return f"{log.pod}/{log.container}"
