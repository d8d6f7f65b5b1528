"""What the cluster itself says against a run, asked before anything is touched: whether it is the right cluster,
whether the objects may be acted on, what a disruption budget and a last replica forbid, and what rights are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.environment import Guards
from chaosrunner.model.plan import GuardAnswer, PlannedFault
from chaosrunner.platforms.kubernetes import census, fighting, rights
from chaosrunner.platforms.kubernetes.census import TAKES_AWAY, Census, Crowd
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import OPT, Finder, PodSeen, matches
from chaosrunner.platforms.kubernetes.guardian import RIGHTS, UNDO_RIGHTS
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import Affected, Intended

EVICTS = "create pods/eviction"
"""A fault that needs this asks the disruption budgets itself."""
JSON = "application/json"


def _go(guard: str, reason: str) -> GuardAnswer:
    return GuardAnswer(guard=guard, go=True, reason=reason)


def _refuse(guard: str, reason: str) -> GuardAnswer:
    return GuardAnswer(guard=guard, go=False, reason=reason)


class _Hit(NamedTuple):
    """What one fault takes away."""

    step: str
    evicts: bool
    pods: Mapping[Crowd, Sequence[PodSeen]]


class ClusterGuards:
    """Answers for one environment."""

    def __init__(self, spec: Spec, cluster: Cluster, finder: Finder) -> None:
        self._spec = spec
        self._cluster = cluster
        self._finder = finder

    async def affected(self, fault: PlannedFault) -> Sequence[Affected] | None:
        """Counted by owner, not by what the selector happened to match."""
        return await census.affected(self._finder, fault, self._spec.namespaces)

    async def answers(self, guards: Guards, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """All of them, in a fixed order. One that cannot be answered refuses, and the others are asked all the same."""
        asked: list[tuple[str, Callable[[], Awaitable[Sequence[GuardAnswer]]]]] = [
            ("clusterUid", self._right_cluster),
            ("namespaces", lambda: self._namespaces(intended)),
            ("allow", lambda: self._allowed(intended)),
            ("controllers", lambda: self._controllers(intended)),
            ("rights", lambda: self._rights(guards, intended)),
        ]
        losses = [each for each in intended if each.fault.fault_class in TAKES_AWAY]
        if losses and (guards.keep_disruption_budgets or guards.keep_last_replica):
            asked.append(("keepDisruptionBudgets", lambda: self._redundancy(guards, losses)))
        answers = await asyncio.gather(*(_answered(name, ask) for name, ask in asked))
        return [answer for each in answers for answer in each]

    async def about_the_environment(self) -> Sequence[GuardAnswer]:
        """Those that no plan is needed for."""
        return [
            *await _answered("clusterUid", self._right_cluster),
            *await _answered("namespaces", lambda: self._namespaces(())),
        ]

    # -- the right cluster and namespaces

    async def _right_cluster(self) -> Sequence[GuardAnswer]:
        uids = {}
        for name in ("kube-system", self._spec.namespaces[0]):
            try:
                uids[name] = str((await self._cluster.get(path("v1", "namespaces", None, name)))["metadata"]["uid"])
            except ApiError as error:
                if error.code not in (401, 403, 404):
                    raise
        wanted = self._spec.cluster_uid
        if wanted is None:
            said = f"; `clusterUid: {next(iter(uids.values()))}` would keep it to this cluster" if uids else ""
            return [_go("clusterUid", f"the environment names none{said}")]
        for name, uid in uids.items():
            if uid == wanted:
                return [_go("clusterUid", f"{uid} is the uid of the namespace {name}")]
        found = " and ".join(f"{uid} (of {name})" for name, uid in uids.items()) or "none that may be read"
        context = f"the context {self._spec.context}" if self._spec.context else "the current context"
        return [_refuse("clusterUid", f"the environment is the cluster {wanted}, and {context} leads to {found}")]

    async def _namespaces(self, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """That they are there, inside of the environment's, and do not keep chaos out."""
        wrong = []
        for space in self._spec.namespaces:
            try:
                found = await self._cluster.get(path("v1", "namespaces", None, space))
            except ApiError as error:
                if not error.not_found:
                    raise
                wrong.append(f"there is no namespace {space}")
                continue
            if "deletionTimestamp" in found["metadata"]:
                wrong.append(f"the namespace {space} is being deleted")
            elif _kept_out(found["metadata"]):
                wrong.append(f'the namespace {space} says {OPT}: "false"')
        targets = [target for each in intended for target in each.fault.targets]
        outside = {str(target.details["namespace"]) for target in targets if "namespace" in target.details}
        outside -= set(self._spec.namespaces)
        wrong += [f"{space} is not one of the environment's namespaces" for space in sorted(outside)]
        if wrong:
            return [_refuse("namespaces", "; ".join(wrong))]
        return [_go("namespaces", f"{', '.join(self._spec.namespaces)}: nothing outside is touched")]

    async def _allowed(self, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """Nodes, workloads and Services that keep chaos out; pods that do are no candidates in the first place."""
        found = {target.id: target for each in intended for target in each.fault.targets}
        objects = [target for target in found.values() if target.kind in ("node", "workload", "kube-service")]
        owned = {
            (str(target.details.get("namespace")), str(target.details["owner"]))
            for target in found.values()
            if target.kind in ("pod", "link") and target.details.get("owner")
        }
        wrong: list[str] = []
        for target in objects:
            wrong += _keeps_out(target.name, await self._finder.object_of(target))
        for space, owner in sorted(owned):
            wrong += _keeps_out(f"{space}/{owner}", await self._finder.workload_of(space, owner))
        if wrong:
            return [_refuse("allow", "; ".join(wrong))]
        names = [target.name for target in found.values() if target.kind != "nothing"]
        shown = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        return [_go("allow", f"nothing keeps chaosrunner from {shown}")] if names else []

    async def _controllers(self, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """What may fight back is said, and lets the run go: whether a fault is in force is seen in it."""
        targets = {target.id: target for each in intended for target in each.fault.targets}
        said = await fighting.words(self._cluster, self._finder, tuple(targets.values()))
        return [_go("controllers", each) for each in dict.fromkeys(said)]

    # -- rights

    async def _rights(self, guards: Guards, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        runner = RIGHTS["runner"]
        needed = rights.everywhere((*rights.LOOKING, *runner.targets), self._spec.namespaces)
        if any(each.fault.fault in UNDO_RIGHTS for each in intended):
            needed |= rights.everywhere(runner.ledger, [self._spec.ledger_namespace])
        if not guards.keep_disruption_budgets:
            needed = {one for one in needed if one.permission.resource != "poddisruptionbudgets"}
        for each in intended:
            spaces = rights.spaces_of(each.fault.targets, self._spec.namespaces)
            needed |= rights.everywhere(each.needs, spaces)
        lacking = await rights.missing(self._cluster, needed)
        if lacking:
            return [_refuse("rights", f"missing {rights.words(lacking)}")]
        spaces = sorted({one.namespace for one in needed if one.namespace is not None})
        wide = " and in the cluster" if any(one.namespace is None for one in needed) else ""
        return [_go("rights", f"all {len(needed)} permissions are there, in {', '.join(spaces)}{wide}")]

    # -- redundancy

    async def _redundancy(self, guards: Guards, losses: Sequence[Intended]) -> Sequence[GuardAnswer]:
        targets = [target for each in losses for target in each.fault.targets]
        counted = await census.taken(self._finder, census.spaces_hit(targets, self._spec.namespaces))
        hits = [_Hit(each.fault.id, EVICTS in each.needs, counted.hit(each.fault.targets)) for each in losses]
        answers = _last(hits, counted, self._named) if guards.keep_last_replica else []
        if guards.keep_disruption_budgets:
            answers += await self._budgets(hits, counted)
        return answers

    def _named(self, crowd: Crowd) -> str:
        """The name of a crowd that is the same in all environments of a class: a service's, if it is one."""
        for name, service in self._spec.services.items():
            if service.workload == crowd.owner and self._spec.namespace_of(name) == crowd.namespace:
                return name
        return crowd.name

    async def _budgets(self, hits: Sequence[_Hit], counted: Census) -> list[GuardAnswer]:
        budgets: list[Object] = []
        for space in sorted({crowd.namespace for crowd in counted.crowds}):
            async for page in self._cluster.pages(path("policy/v1", "poddisruptionbudgets", space), accept=JSON):
                budgets += page.get("items") or ()
        answers = [answer for hit in hits for budget in budgets for answer in _budget(hit, budget)]
        return answers or [_go("keepDisruptionBudgets", "no disruption budget is about these pods")]


async def _answered(name: str, ask: Callable[[], Awaitable[Sequence[GuardAnswer]]]) -> Sequence[GuardAnswer]:
    try:
        return await ask()
    except NotPossibleNow as error:
        return [_refuse(name, f"cannot be answered: {error}")]


def _keeps_out(name: str, found: Object | None) -> list[str]:
    return [f'{name} says {OPT}: "false"'] if found is not None and _kept_out(found["metadata"]) else []


def _kept_out(metadata: Object) -> bool:
    return "false" in ((metadata.get("labels") or {}).get(OPT), (metadata.get("annotations") or {}).get(OPT))


def _last(hits: Sequence[_Hit], counted: Census, named: Callable[[Crowd], str]) -> list[GuardAnswer]:
    answers = []
    for hit in hits:
        for crowd, pods in hit.pods.items():
            there = counted.crowds[crowd]
            ready = [pod for pod in there if pod.ready]
            if len(ready) != 1 or ready[0] not in pods or not crowd.owner or crowd.owner.startswith("job/"):
                continue
            alone = len(there) == 1
            why = (
                f"it is the only replica of {crowd.name}: give it a second one, and this finding is fixed"
                if alone
                else f"it is the only one of {len(there)} pods of {crowd.name} that is ready: wait for the others"
            )
            reason = f"step {hit.step} takes {ready[0].name}, and {why} (keepLastReplica: false allows it)"
            subject = named(crowd) if alone else ""
            answers.append(
                GuardAnswer(guard="keepLastReplica", go=False, reason=reason, unsafe_condition=alone, subject=subject)
            )
    if answers or not hits:
        return answers
    return [_go("keepLastReplica", "a ready replica is left of everything that is hit")]


def _budget(hit: _Hit, budget: Object) -> list[GuardAnswer]:
    """What one budget says of one fault; nothing where it is not about its pods."""
    metadata, status = budget["metadata"], budget.get("status") or {}
    selector = budget["spec"].get("selector") or {}
    pods = [
        pod
        for crowd, each in hit.pods.items()
        if crowd.namespace == metadata["namespace"]
        for pod in each
        if matches(selector, pod.labels)
    ]
    if not pods:
        return []
    allowed = int(status.get("disruptionsAllowed", 0))
    names = ", ".join(pod.name for pod in pods[:3]) + (", …" if len(pods) > 3 else "")
    words = (
        f"step {hit.step} takes {len(pods)} ({names}) of what the budget {metadata['namespace']}/{metadata['name']} "
        f"keeps, which allows {allowed} now"
    )
    if len(pods) <= allowed:
        return [_go("keepDisruptionBudgets", words)]
    if hit.evicts:
        return [_go("keepDisruptionBudgets", f"{words}: the eviction asks it, and may find a barrier that holds")]
    return [_refuse("keepDisruptionBudgets", f"{words}: take fewer, or ask the budget itself by `pod-evict`")]
