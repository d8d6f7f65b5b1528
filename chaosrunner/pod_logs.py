"""The seam of what reads pods' logs: whose they are, and within which bounds they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue, model_validator
from chaosrunner.ports import ClusterReader, Parameters, Selector

__all__ = ["AT_ONCE", "MOST_PODS", "Container", "OfPods"]

MOST_PODS = 50
"""Pods whose logs are asked for together."""
AT_ONCE = 8
"""Logs that are asked for at the same time."""


class Container(NamedTuple):
    """One that says something."""

    uid: str
    """Of its pod: another one of the same name has another."""
    namespace: str
    pod: str
    name: str
    restarts: int
    """How often it has been started again by now."""


class OfPods(Parameters):
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
    """Only the containers of this name; default: all, those that start a pod (init containers) left out."""

    @model_validator(mode="after")
    def _one_way(self) -> OfPods:
        if sum(way is not None for way in (self.service, self.workload, self.selector)) != 1:
            raise ValueError("expected one of service, workload or selector")
        if self.service is not None and self.namespace is not None:
            raise ValueError("a service has its namespace in the environment")
        return self

    @property
    def called(self) -> str:
        """What is meant, in words."""
        return self.service or self.workload or str(self.selector)

    async def pods(self, cluster: ClusterReader) -> Sequence[JsonObject]:
        """The pods that are meant, `MOST_PODS` at most. Raises as `ClusterReader.pods` does."""
        labels: JsonValue = dict(self.selector) if isinstance(self.selector, dict) else self.selector
        selector = Selector(
            service=self.service, workload=self.workload, selector=labels, namespace=self.namespace, take="all"
        )
        return await cluster.pods(selector, MOST_PODS)

    def containers(self, pod: JsonObject) -> list[Container]:
        """Those of a pod that are meant, as its status has them."""
        metadata: Any = pod["metadata"]
        status: Any = pod.get("status") or {}
        return [
            Container(
                str(metadata["uid"]),
                str(metadata["namespace"]),
                str(metadata["name"]),
                str(each["name"]),
                int(each.get("restartCount") or 0),
            )
            for each in status.get("containerStatuses") or ()
            if self.container in (None, each["name"])
        ]
