"""What broke outside of the targets: restarts, OOM kills, evictions, failed probes, pods and nodes that are not ready.

The first look of a run is what the others are compared with. Between two looks little is lost: a restart stays in a
container's count, with why it ended in its last state, and a failed probe or an eviction in its event. What only comes
and goes in between without any of these (a node that is not ready for seconds) is not seen.

Not spill-over is what the faults are there to do: everything about target pods, nodes and workloads, and about pods on
target nodes; and of a target's service that pods of it are away, not ready, or new. Restarts and evictions of its pods
that were there before and are no targets do count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chaosrunner.clock import Clock
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY, Finder, PodQuery, PodSeen
from chaosrunner.platforms.kubernetes.spec import Spec

REASONS = ("Unhealthy", "Evicted")
"""Reasons of events that tell what a look at pods does not."""
FAILED_PROBES = 3
"""Of one pod, from which on they are told: Kubernetes' own default of failures in a row until it acts. Fewer are common
on a busy machine, and change nothing."""
NODES_REPORT = 12.0
"""Seconds that a node has, after the API server was away, to say that it is there: it reports every 10 s by default."""
SHOWN = 3
"""Pods of a service that are named; of more only their number is told."""
_OUT = ("Evicted", "OOMKilled", "Error", "ContainerStatusUnknown", "NodeShutdown", "NodeAffinity")
"""States of pods that have failed, as lists show them."""


class _Exempt(NamedTuple):
    """What the faults act on."""

    pods: frozenset[str]
    """Uids."""
    nodes: frozenset[str]
    """Names."""
    groups: frozenset[str]
    """Services whose pods may be away, not ready or new."""
    whole: frozenset[str]
    """Workloads (`NAMESPACE/deployment/NAME`) that are targets themselves."""


class _Known(NamedTuple):
    """A service of the environment, and which pods are its."""

    name: str
    namespace: str
    what: str | Mapping[str, str]
    """Their workload, or their labels."""


@dataclass
class _Look:
    """What was there at one time."""

    pods: Mapping[str, tuple[PodSeen, str, str]]
    """By uid: the pod, its group, its owner."""
    events: Mapping[str, tuple[str, str, int, str]]
    """By uid: reason, uid of the object, how often, message."""
    nodes: Mapping[str, str]
    """By name: what is wrong with it; empty: nothing."""
    groups: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.groups = frozenset(group for _, group, _ in self.pods.values())


class Spill:
    """Compares what is there now with what was there at the first look of a run."""

    def __init__(self, spec: Spec, cluster: Cluster, clock: Clock) -> None:
        self._spec = spec
        self._cluster = cluster
        self.clock = clock
        self._finder = Finder(cluster)
        self._before: _Look | None = None
        self._unanswered = 0
        self._known: Sequence[_Known] | None = None

    def begin(self) -> None:
        """A new run: its first look is still to come."""
        self._before = self._known = None
        self._unanswered = self._cluster.unanswered

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        """By service (by workload, where the environment names none; `node NAME`): what broke; empty: nothing."""
        now = await self._look()
        if self._before is None:
            self._before = now
            return {name: "" for name in (*sorted(now.groups), *(f"node {name}" for name in now.nodes))}
        before = self._before
        exempt = _exempt(targets, before)
        if self._cluster.unanswered > self._unanswered:
            await self._nodes_report(before, now)
        found = {name: _node_words(before, now, name) for name in before.nodes if name not in exempt.nodes}
        told = {f"node {name}": words for name, words in found.items()}
        for group in sorted(before.groups):
            told[group] = "; ".join([words async for words in self._broke(group, before, now, exempt)])
        return told

    # -- looking

    async def _nodes_report(self, before: _Look, now: _Look) -> None:
        """After an outage of the API server: until nodes have reported that could not do so, or have had the time."""
        ends = self.clock.monotonic() + NODES_REPORT
        while any(_node_words(before, now, name) for name in before.nodes) and self.clock.monotonic() < ends:
            await self.clock.sleep(1.0)
            now.nodes = await self._nodes()
        self._unanswered = self._cluster.unanswered

    async def _look(self) -> _Look:
        spaces = self._spec.namespaces
        found = await asyncio.gather(*(self._finder.pods(PodQuery(space)) for space in spaces))
        pods = [pod for each in found for pod in each if pod.labels.get(MANAGED_BY) != "chaosrunner"]
        owners, events, nodes = await asyncio.gather(self._finder.top_owners(pods), self._events(), self._nodes())
        known = await self._services()
        told = {}
        for pod in pods:
            owner = owners.get(pod.owner_uid, "")
            told[pod.uid] = pod, _group(pod, owner, known), owner
        return _Look(told, events, nodes)

    async def _services(self) -> Sequence[_Known]:
        """The environment's services, read once in a run."""
        if self._known is None:
            known = []
            for name, service in self._spec.services.items():
                if service.host is not None:
                    continue
                space, what = self._spec.namespace_of(name), service.workload or service.selector
                if what is None:
                    seen = await self._finder.service(space, service.service or name) or {}
                    what = (seen.get("spec") or {}).get("selector") or {}
                known.append(_Known(name, space, what))
            self._known = known
        return self._known

    async def _events(self) -> Mapping[str, tuple[str, str, int, str]]:
        """Nothing where events may not be listed: that takes a right of its own."""
        told: dict[str, tuple[str, str, int, str]] = {}
        for space in self._spec.namespaces:
            for reason in REASONS:
                where = path("v1", "events", space)
                try:
                    pages = self._cluster.pages(where, accept="application/json", fieldSelector=f"reason={reason}")
                    told |= {
                        each["metadata"]["uid"]: _event(each)
                        async for page in pages
                        for each in page.get("items") or ()
                    }
                except ApiError as error:
                    if error.code != 403:
                        raise
        return told

    async def _nodes(self) -> Mapping[str, str]:
        """Nothing where nodes may not be listed: they are outside of every namespace."""
        told = {}
        try:
            async for page in self._cluster.tables(path("v1", "nodes")):
                name, status = page.places["Name"], page.places["Status"]
                for row in page.rows or ():
                    said = str(row.cells[status])
                    told[str(row.cells[name])] = "" if "NotReady" not in said else said
        except ApiError as error:
            if error.code != 403:
                raise
        return told

    # -- comparing

    async def _broke(self, group: str, before: _Look, now: _Look, exempt: _Exempt) -> AsyncIterator[str]:
        ours = {uid: seen for uid, seen in now.pods.items() if seen[1] == group}
        meant = {
            uid: pod
            for uid, (pod, _, owner) in ours.items()
            if uid not in exempt.pods
            and pod.node not in exempt.nodes
            and f"{pod.namespace}/{owner}" not in exempt.whole
            and (group not in exempt.groups or uid in before.pods)
        }
        restarted = {uid: more for uid, pod in meant.items() if (more := _restarts(uid, pod, before)) > 0}
        for uid, more in sorted(restarted.items())[:SHOWN]:
            yield await self._restart_words(meant[uid], more)
        if len(restarted) > SHOWN:
            yield f"and restarts of {len(restarted) - SHOWN} more pods"
        if out := [pod for uid, pod in meant.items() if _has_failed(pod) and not _was(uid, before, pod.status)]:
            yield f"{_named(out)} {'is' if len(out) == 1 else 'are'} {', '.join(sorted({pod.status for pod in out}))}"
        if words := _event_words(group, before, now, exempt):
            yield words
        if group not in exempt.groups and (words := _readiness_words(group, before, now)):
            yield words

    async def _restart_words(self, pod: PodSeen, more: int) -> str:
        """Which container, how often, and why, as far as its last state tells."""
        times = "once" if more == 1 else f"{more} times"
        try:
            found = await self._cluster.get(path("v1", "pods", pod.namespace, pod.name))
        except ApiError:
            return f"{pod.name} was restarted {times}"
        ends = [_end_words(each) for each in (found.get("status") or {}).get("containerStatuses") or ()]
        why = ", ".join(filter(None, ends))
        return f"{pod.name} was restarted {times}{f' ({why})' if why else ''}"


def _exempt(targets: Sequence[Target], before: _Look) -> _Exempt:
    nodes = frozenset(str(target.details["node"]) for target in targets if target.kind == "node")
    uids = frozenset(str(target.details.get("uid")) for target in targets if target.kind in ("pod", "link"))
    whole = frozenset(target.id.removeprefix("workload:") for target in targets if target.kind == "workload")
    groups = {target.service for target in targets if target.service is not None}
    for uid, (pod, group, owner) in before.pods.items():
        if uid in uids or pod.node in nodes or f"{pod.namespace}/{owner}" in whole:
            groups.add(group)
    return _Exempt(uids, nodes, frozenset(groups), whole)


def _group(pod: PodSeen, owner: str, services: Sequence[_Known]) -> str:
    """The environment's service that a pod is of, or what owns it; never a name that is made anew with every pod."""
    for name, space, what in services:
        if space != pod.namespace:
            continue
        if what == owner or (isinstance(what, Mapping) and what and what.items() <= pod.labels.items()):
            return name
    return f"{pod.namespace}/{owner or 'pods of no workload'}"


def _restarts(uid: str, pod: PodSeen, before: _Look) -> int:
    return pod.restarts - (before.pods[uid][0].restarts if uid in before.pods else 0)


def _has_failed(pod: PodSeen) -> bool:
    """One that is deleted and ends with an exit code of its own on SIGTERM has not: it is shown so for a moment."""
    return pod.status in _OUT and not (pod.leaving and pod.status == "Error")


def _was(uid: str, before: _Look, status: str) -> bool:
    return uid in before.pods and before.pods[uid][0].status == status


def _expected(look: _Look, group: str) -> list[PodSeen]:
    """Pods of a service that should be at work."""
    states = {"Completed", "Succeeded", *_OUT}
    return [pod for pod, of, _ in look.pods.values() if of == group and not pod.leaving and pod.status not in states]


def _readiness_words(group: str, before: _Look, now: _Look) -> str:
    """More pods not ready than before; an autoscaler that takes some away leaves none that is not."""
    was, there = _expected(before, group), _expected(now, group)
    if was and not there:
        return f"none of its {len(was)} pods is there"
    away, away_before = [pod for pod in there if not pod.ready], [pod for pod in was if not pod.ready]
    if len(away) <= len(away_before):
        return ""
    return (
        f"{len(there) - len(away)} of {len(there)} pods are ready, before {len(was) - len(away_before)} of {len(was)}"
    )


def _event_words(group: str, before: _Look, now: _Look, exempt: _Exempt) -> str:
    """Failed probes of pods that were ready, and evictions. A pod that starts fails its first ones as a rule."""
    told: dict[tuple[str, str], int] = {}
    for uid, (reason, about, count, message) in now.events.items():
        seen = before.pods.get(about)
        if seen is None or seen[1] != group or about in exempt.pods or seen[0].node in exempt.nodes:
            continue
        more = count - (before.events[uid][2] if uid in before.events else 0)
        if more <= 0 or (reason == "Unhealthy" and (group in exempt.groups or not seen[0].ready)):
            continue
        words = f"{message.split(' probe ')[0].lower()} probe failed" if reason == "Unhealthy" else "eviction"
        told[seen[0].name, words] = told.get((seen[0].name, words), 0) + more
    shown = [
        f"{words} of {pod} {'once' if count == 1 else f'{count} times'}"
        for (pod, words), count in sorted(told.items())
        if count >= FAILED_PROBES or not words.endswith("probe failed")
    ]
    return ", ".join([*shown[:SHOWN], *([f"and {len(shown) - SHOWN} more pods"] if len(shown) > SHOWN else [])])


def _node_words(before: _Look, now: _Look, name: str) -> str:
    is_now = now.nodes.get(name, "it is gone")
    return is_now if is_now and not before.nodes[name] else ""


def _event(event: Object) -> tuple[str, str, int, str]:
    count = event.get("count") or (event.get("series") or {}).get("count") or 1
    about: JsonObject = event.get("involvedObject") or {}
    return str(event.get("reason")), str(about.get("uid")), int(count), str(event.get("message") or "")


def _end_words(status: Object) -> str:
    end = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated")
    if not end or not status.get("restartCount"):
        return ""
    return f"{status['name']}: {end.get('reason') or 'ended'}, exit code {end.get('exitCode')}"


def _named(pods: Sequence[PodSeen]) -> str:
    names = [pod.name for pod in pods[:SHOWN]]
    return ", ".join(names) + (f" and {len(pods) - SHOWN} more" if len(pods) > SHOWN else "")
