"""A probe that tells whether a workload has arrived at what was asked of it."""

from __future__ import annotations

from typing import Any, Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, Probe, Selector, Value, cluster_of

_STATUS = Literal["complete", "progressing", "stuck"]


class Params(Parameters):
    """Which workload, and what to read of its rollout."""

    workload: str | None = None
    """`deployment/checkout`, `statefulset/…` or `daemonset/…`."""
    service: str | None = None
    """Or the service of the environment that it runs."""
    namespace: str | None = None
    """With `workload`: one of the environment's; may be left out where there is only one."""
    read: Literal["status", "complete", "seconds"] = "status"
    """`status`: `complete`, `progressing` or `stuck`; `complete`: whether it is; `seconds`: for how long it has not
    been complete, 0 if it is. Default status."""
    stuck_after: Duration | None = Field(default=None, gt=0)
    """Without any progress for so long it is stuck; default: as a Deployment's own `progressDeadlineSeconds` says."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        if (self.workload is None) == (self.service is None):
            raise ValueError("expected one of workload and service")
        if self.service is not None and self.namespace is not None:
            raise ValueError("a service has its namespace in the environment")
        return self


class Rollout(Probe[Params]):
    """Reads whether all pods of a Deployment, StatefulSet or DaemonSet are of its newest version, and available.

    The rules are those of `kubectl rollout status`: the controller has seen the newest version, as many pods as wanted
    are of it and available, and no older ones are left. Besides a rollout, a lost or unready pod makes it `progressing`
    too. `stuck`: it is paused, its Deployment's progress deadline is over, or nothing has moved for `stuckAfter`.
    `seconds` count from the first reading that was not complete, so they are exact to the pause between readings.

    A workload that is not there is *no answer*. One that is only updated by hand (`OnDelete`), or an API server that
    does not answer: *no reading*. Rights: `get` of the workload's kind.
    """

    example = "rollout: {workload: deployment/checkout, read: seconds}"

    _open = False

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "s" if params.read == "seconds" else None

    @classmethod
    def kind_of(cls, params: Params) -> Literal["latency", "ratio", "rate"] | None:
        return "latency" if params.read == "seconds" else None

    async def open(self) -> None:
        self._cluster = cluster_of(self.context)
        self._since: float | None = None
        self._moved: tuple[float, object] | None = None
        self._open = True

    async def read(self) -> Value:
        if not self._open:
            await self.open()
        params = self.params
        found = await self._cluster.workload(
            Selector(service=params.service, workload=params.workload, namespace=params.namespace, take="all")
        )
        if found is None:
            raise NoAnswer(f"there is no {params.workload or f'workload of {params.service}'}")
        status = self._status(found)
        if params.read == "status":
            return status
        if params.read == "complete":
            return status == "complete"
        return 0.0 if self._since is None else self.context.clock.monotonic() - self._since

    def _status(self, found: JsonObject) -> _STATUS:
        now, counts = self.context.clock.monotonic(), progress(found)
        if counts is None:
            self._since = self._moved = None
            return "complete"
        self._since = now if self._since is None else self._since
        if self._moved is None or self._moved[1] != counts:
            self._moved = now, counts
        still = now - self._moved[0]
        patience = self.params.stuck_after
        return "stuck" if _given_up(found) or (patience is not None and still >= patience) else "progressing"


def progress(found: JsonObject) -> tuple[int, ...] | None:
    """None: complete. Otherwise numbers that change while it gets on. Raises `NoReading` where there is no rollout."""
    metadata, spec, status = (_inner(found, key) for key in ("metadata", "spec", "status"))
    rules = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}
    kind = str(found.get("kind"))
    if kind not in rules:
        raise NoReading(f"a {kind} has no rollout; expected a Deployment, StatefulSet or DaemonSet")
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
        raise NoReading(f"the {kind} {metadata.get('name')} is updated by hand (OnDelete): it has no rollout")
    complete, counts = rules[kind](spec, status)
    seen = int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0)
    return None if complete and seen else (int(seen), *counts)


def _deployment(spec: dict[str, Any], status: dict[str, Any]) -> tuple[bool, tuple[int, ...]]:
    wanted = int(spec.get("replicas", 1))
    there, updated, available = (_count(status, key) for key in ("replicas", "updatedReplicas", "availableReplicas"))
    return updated >= wanted and there <= updated and available >= updated, (there, updated, available)


def _stateful_set(spec: dict[str, Any], status: dict[str, Any]) -> tuple[bool, tuple[int, ...]]:
    wanted = int(spec.get("replicas", 1))
    kept = int(((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0)
    ready, updated = (_count(status, key) for key in ("readyReplicas", "updatedReplicas"))
    if kept:
        return ready >= wanted and updated >= wanted - kept, (ready, updated)
    return ready >= wanted and status.get("updateRevision") == status.get("currentRevision"), (ready, updated)


def _daemon_set(spec: dict[str, Any], status: dict[str, Any]) -> tuple[bool, tuple[int, ...]]:
    wanted, updated, available = (
        _count(status, key) for key in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    )
    return updated >= wanted and available >= wanted, (updated, available)


def _count(status: dict[str, Any], key: str) -> int:
    return int(status.get(key) or 0)


def _given_up(found: JsonObject) -> bool:
    """It will not get on by itself: paused, or past the Deployment's own deadline."""
    conditions = _inner(found, "status").get("conditions") or ()
    late = any(each.get("reason") == "ProgressDeadlineExceeded" for each in conditions)
    return late or bool(_inner(found, "spec").get("paused"))


def _inner(found: JsonObject, key: str) -> dict[str, Any]:
    inner: Any = found.get(key) or {}
    return dict(inner)
