"""A probe that asks a Kubernetes cluster about its objects: conditions, ready pods, restarts, events, any field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.growth import Growth
from chaosrunner.model.json_path import JsonPath, OneValue
from chaosrunner.model.marks import AfterValidator, Field, JsonValue, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, Probe, Selector, Value, cluster_of

MOST_PODS = 500
"""Pods whose whole state one reading looks at."""
_PODS = ("service", "workload", "selector")
_OBJECTS = ("workload", "pod", "node", "kind")
_WAYS: Mapping[str, Sequence[str]] = {
    "condition": (*_PODS, *_OBJECTS),
    "readyPods": _PODS,
    "readyReplicas": ("service", "workload"),
    "restarts": (*_PODS, "pod"),
    "events": (*_PODS, *_OBJECTS),
    "field": _OBJECTS,
}
"""What can be read of what."""
_USUAL = {"service": "Ready", "selector": "Ready", "pod": "Ready", "node": "Ready", "workload": "Available"}


def _check_word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", text):
        raise ValueError(f"expected a word as the cluster writes it, such as Unhealthy, found {text!r}")
    return text


Word = Annotated[str, AfterValidator(_check_word)]


class Params(Parameters):
    """Of what, and what to read of it. Exactly one of `service`, `workload`, `selector`, `pod`, `node` or `kind`."""

    service: str | None = None
    """A service of the environment: its pods, and for `readyReplicas` its workload."""
    workload: str | None = None
    """`deployment/checkout`; for `readyPods`, `restarts` and `events` its pods."""
    selector: dict[str, str] | str | None = None
    """All pods with these labels: `{app: checkout}`, or a label selector as text."""
    pod: str | None = None
    """One pod by name."""
    node: str | None = None
    """One node by name; it takes the right to read nodes."""
    kind: Word | None = None
    """With `name`: any object, such as HorizontalPodAutoscaler."""
    name: str | None = None
    """With `kind`: its name."""
    api: str | None = None
    """With `kind`: group and version, such as `argoproj.io/v1alpha1`; Kubernetes' own kinds need none."""
    namespace: str | None = None
    """One of the environment's; may be left out where there is only one."""
    read: Literal["condition", "readyPods", "readyReplicas", "restarts", "events", "field"] = "condition"
    """`condition`: whether it is True; of several pods, whether it is for each of them. `readyPods`: how many are
    ready; `readyReplicas`: how many the workload says are. `restarts`: of the pods' containers; `events`: how often
    there was one with `reason`; both since the run began, or within `over`. `field`: what `path` finds. Default
    condition."""
    condition: Word | None = None
    """With `read: condition`; default: Ready of pods and nodes, Available of a workload."""
    reason: Word | None = None
    """With `read: events`: Unhealthy, Evicted, FailedScheduling, …"""
    over: Duration | None = Field(default=None, gt=0)
    """With `restarts` and `events`: only those of so long; also the readings' lag."""
    path: JsonPath | None = None
    """With `read: field`: a JSONPath (RFC 9535) that finds a number, text, or true/false: $.status.currentReplicas."""

    @model_validator(mode="after")
    def _one_way(self) -> Params:
        given = [way for way in (*_PODS, "pod", "node", "kind") if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError("expected one of service, workload, selector, pod, node or kind")
        if given[0] not in _WAYS[self.read]:
            raise ValueError(f"`read: {self.read}` is of {', '.join(_WAYS[self.read])}; found {given[0]}")
        if (self.kind is None) != (self.name is None):
            raise ValueError("kind and name go together")
        if self.api is not None and self.kind is None:
            raise ValueError("api goes with kind")
        if self.namespace is not None and self.service is not None:
            raise ValueError("a service has its namespace in the environment")
        return self

    @model_validator(mode="after")
    def _fits(self) -> Params:
        for name, reads in (
            ("condition", ("condition",)),
            ("reason", ("events",)),
            ("over", ("restarts", "events")),
            ("path", ("field",)),
        ):
            if getattr(self, name) is not None and self.read not in reads:
                raise ValueError(f"{name} goes with `read: {reads[0]}`")
        if self.read == "field" and self.path is None:
            raise ValueError("`read: field` needs a path such as $.status.currentReplicas")
        if self.read == "events" and self.reason is None:
            raise ValueError("`read: events` needs their reason, such as Unhealthy")
        if self.read == "condition" and self.condition is None and self.kind is not None:
            raise ValueError(f"say which condition of the {self.kind} is meant")
        return self

    @property
    def way(self) -> str:
        """Which of the ways to name it is used."""
        return next(way for way in (*_PODS, "pod", "node", "kind") if getattr(self, way) is not None)


class Kubernetes(Probe[Params]):
    """Reads of a cluster's API what it says of pods, workloads, nodes or any other object of the environment.

    The API server is the instrument: where it does not answer, refuses, or is overloaded, there is *no reading*, with
    its words. What should be there and is not (a workload, a pod, an object by name; for a condition: any pod at all)
    is *no answer*; `readyPods`, `restarts` and `events` of no pods are 0. A condition that is False or Unknown is
    false; one that the object does not have is *no reading*, as its name may be wrong. Pods that are being deleted or
    are done are neither ready nor expected to be. A container that the kubelet starts again is a restart, a pod made
    anew is none. The cluster drops events of an object that has many of them (25 at once, then one in five minutes), so
    that `events` may be too low, never too high.

    Rights: `get` and `list` of what is read; for `workload` and `service` also `list replicasets.apps`.
    """

    example = "kubernetes: {service: checkout, read: restarts}"

    _growth: Growth | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.over or 0.0

    async def open(self) -> None:
        self._cluster = cluster_of(self.context)
        self._path = OneValue(self.params.path) if self.params.path is not None else None
        self._uids: set[str] = set()
        self._spaces = {self.params.namespace} if self.params.namespace is not None else set()
        growth = Growth(self.params.over)
        if self.params.read in ("restarts", "events"):
            await self._count(growth)
        self._growth = growth

    async def read(self) -> Value:
        if self._growth is None:
            await self.open()
        assert self._growth is not None
        wanted = self.params.read
        if wanted in ("restarts", "events"):
            await self._count(self._growth)
            return self._growth.recent
        if wanted == "readyPods":
            return float(sum(_has(pod, "Ready") is True for pod in _expected(await self._pods())))
        if wanted == "readyReplicas":
            return float(_status(await self._object()).get("readyReplicas") or 0)
        if wanted == "condition":
            return await self._condition()
        return self._field(await self._object())

    # -- what is read

    async def _condition(self) -> bool:
        params = self.params
        name = params.condition or _USUAL[params.way]
        if params.way not in ("service", "selector"):
            return self._condition_of(await self._object(), name)
        pods = _expected(await self._pods())
        if not pods:
            raise NoAnswer(f"there is no pod of {self._who()}")
        return all([self._condition_of(pod, name) for pod in pods])

    def _condition_of(self, found: JsonObject, name: str) -> bool:
        state = _has(found, name)
        if state is None and _kind(found) == "Pod" and name == "Ready":
            return False  # one that is not on a node yet
        if state is None:
            there = ", ".join(sorted(str(each["type"]) for each in _conditions(found))) or "none"
            raise NoReading(f"{_called(found)} has no condition {name}; it has {there}")
        return state

    def _field(self, found: JsonObject) -> Value:
        assert self._path is not None
        try:
            return self._path.of(found)
        except ValueError as error:
            raise NoReading(f"{_called(found)}: {error}") from None

    async def _count(self, growth: Growth) -> None:
        counted = await (self._restarts() if self.params.read == "restarts" else self._events())
        growth.look(self.context.clock.monotonic(), counted)

    async def _restarts(self) -> Mapping[str, float]:
        pods = [await self._object()] if self.params.pod is not None else await self._pods()
        return {_uid(pod): float(sum(restarts(pod))) for pod in pods}

    async def _events(self) -> Mapping[str, float]:
        for each in await self._about():
            metadata = _metadata(each)
            # The kubelet writes a node's name where its uid belongs.
            self._uids |= {_uid(each), *([str(metadata["name"])] if _kind(each) == "Node" else [])}
            self._uids |= {str(owner["uid"]) for owner in metadata.get("ownerReferences") or ()}
            self._spaces.add(str(metadata.get("namespace") or "default"))
        assert self.params.reason is not None
        found: dict[str, float] = {}
        for space in self._spaces:
            for event in await self._cluster.events(space, self.params.reason):
                if str(_inner(event, "involvedObject").get("uid")) in self._uids:
                    found[_uid(event)] = _times(event)
        return found

    async def _about(self) -> Sequence[JsonObject]:
        """The objects whose events count: a workload's own, too."""
        if self.params.way in ("service", "selector"):
            return await self._pods()
        if self.params.way == "workload":
            return [await self._object(), *await self._pods()]
        return [await self._object()]

    # -- asking

    def _selector(self) -> Selector:
        params = self.params
        return Selector(
            service=params.service,
            workload=params.workload,
            selector=params.selector if params.selector is None else _labels(params.selector),
            namespace=params.namespace,
            take="all",
        )

    async def _pods(self) -> Sequence[JsonObject]:
        return await self._cluster.pods(self._selector(), MOST_PODS)

    async def _object(self) -> JsonObject:
        params = self.params
        if params.way in ("service", "workload"):
            found = await self._cluster.workload(self._selector())
        elif params.pod is not None:
            found = await self._cluster.object("Pod", params.pod, namespace=params.namespace)
        elif params.node is not None:
            found = await self._cluster.object("Node", params.node)
        else:
            assert params.kind is not None and params.name is not None
            found = await self._cluster.object(params.kind, params.name, api=params.api, namespace=params.namespace)
        if found is None:
            raise NoAnswer(f"there is no {self._who()}")
        return found

    def _who(self) -> str:
        params = self.params
        if params.kind is not None:
            return f"{params.kind} {params.name}"
        value = getattr(params, params.way)
        return str(value) if params.way == "workload" else f"{params.way} {value}"


def _labels(selector: dict[str, str] | str) -> JsonValue:
    return selector if isinstance(selector, str) else dict(selector)


def restarts(pod: JsonObject) -> Iterable[int]:
    """How often each container of a pod was restarted."""
    status: Any = _status(pod)
    for statuses in ("containerStatuses", "initContainerStatuses"):
        for each in status.get(statuses) or ():
            yield int(each.get("restartCount") or 0)


def _expected(pods: Sequence[JsonObject]) -> list[JsonObject]:
    """Pods that should be at work: neither being deleted nor done."""
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in _metadata(pod) and _status(pod).get("phase") not in ("Succeeded", "Failed")
    ]


def _has(found: JsonObject, name: str) -> bool | None:
    return next((each.get("status") == "True" for each in _conditions(found) if each.get("type") == name), None)


def _conditions(found: JsonObject) -> list[Any]:
    conditions: Any = _status(found).get("conditions") or []
    return list(conditions)


def _times(event: JsonObject) -> float:
    count: Any = event.get("count") or _inner(event, "series").get("count") or 1
    return float(count)


def _inner(found: JsonObject, key: str) -> dict[str, Any]:
    inner: Any = found.get(key) or {}
    return dict(inner)


def _metadata(found: JsonObject) -> dict[str, Any]:
    return _inner(found, "metadata")


def _status(found: JsonObject) -> dict[str, Any]:
    return _inner(found, "status")


def _uid(found: JsonObject) -> str:
    return str(_metadata(found)["uid"])


def _kind(found: JsonObject) -> str:
    return str(found.get("kind") or "Pod")  # items of a list do not say it, and only pods are listed


def _called(found: JsonObject) -> str:
    return f"{_kind(found)} {_metadata(found).get('name')}"
