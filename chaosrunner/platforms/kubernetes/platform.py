"""Pods, workloads, Services and nodes of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.model.environment import Guards
from chaosrunner.model.outside import is_outside
from chaosrunner.model.plan import GuardAnswer, PlannedFault
from chaosrunner.model.surroundings import FoundPlatform
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import finding, watching
from chaosrunner.platforms.kubernetes import spec as settings
from chaosrunner.platforms.kubernetes.calling import Calling
from chaosrunner.platforms.kubernetes.client import Cluster
from chaosrunner.platforms.kubernetes.containers import ClusterContainers
from chaosrunner.platforms.kubernetes.crowd import Crowd
from chaosrunner.platforms.kubernetes.doctor import ClusterDoctor
from chaosrunner.platforms.kubernetes.finding import Finder, PodQuery, PodSeen, nothing_collected
from chaosrunner.platforms.kubernetes.guards import ClusterGuards
from chaosrunner.platforms.kubernetes.injected import Injectors
from chaosrunner.platforms.kubernetes.killed import KilledInjectors
from chaosrunner.platforms.kubernetes.links import ClusterLinks
from chaosrunner.platforms.kubernetes.loads import ClusterLoads
from chaosrunner.platforms.kubernetes.objects import ClusterObjects
from chaosrunner.platforms.kubernetes.pods import ClusterPods
from chaosrunner.platforms.kubernetes.policies import ClusterPolicies
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.platforms.kubernetes.reading import Reading
from chaosrunner.platforms.kubernetes.schedules import ClusterSchedules
from chaosrunner.platforms.kubernetes.spec import Service, split_workload
from chaosrunner.platforms.kubernetes.spill import Spill
from chaosrunner.platforms.kubernetes.watching import Watches
from chaosrunner.platforms.kubernetes.workloads import ClusterWorkloads
from chaosrunner.ports import (
    A,
    Affected,
    ClusterReader,
    Containers,
    Files,
    Hold,
    Holders,
    Intended,
    LeftOver,
    Links,
    Objects,
    Platform,
    PodLinks,
    Pods,
    Policies,
    RunSeen,
    Schedules,
    Selection,
    Selector,
    ServiceCalls,
    Sighting,
    StopAsked,
    Workloads,
)

PODS = frozenset({"pod", "link"})


class KubernetesPlatform(Platform):
    """Pods, workloads, Services and nodes of a Kubernetes cluster, in the namespaces that the environment names and
    nowhere else."""

    Spec = settings.Spec
    has_pods = True
    any_end = True
    follows = True
    follows_kinds = PODS

    def __init__(
        self, spec: settings.Spec, environment: str, folder: Path, clock: Clock, cluster: Cluster | None = None
    ) -> None:
        self.spec = spec
        self.environment = environment
        self.clock = clock
        self._kubeconfig = str(folder / spec.kubeconfig) if spec.kubeconfig is not None else None
        self.cluster = cluster or self._connect()
        self.finder = Finder(self.cluster)
        self._watches = Watches(self.cluster, clock)
        self.spill = Spill(spec, self.cluster, clock)
        self.presence = Presence(self.cluster, self._connect, spec, environment, clock)
        self.policies = ClusterPolicies(self.cluster, spec, self.presence, clock)
        self.injectors = Injectors(self.cluster, spec.injector, clock)
        self.killed = KilledInjectors(self.cluster, spec.namespaces, self.injectors, self.presence)
        self.crowd = Crowd(self.cluster, spec, clock, self.presence)
        self.links = ClusterLinks(self.cluster, spec, clock, self.injectors, self.crowd)
        self._guards = ClusterGuards(spec, self.cluster, self.finder)
        pods = ClusterPods(self.cluster, self.finder, spec.namespaces, clock)
        self._abilities: dict[type, object] = {
            Links: self.links,
            Policies: self.policies,
            Objects: ClusterObjects(self.cluster, self.presence, spec.namespaces, clock),
            PodLinks: self.links,
            Pods: pods,
            Containers: ClusterContainers(self.cluster, pods, self.injectors),
            Workloads: ClusterWorkloads(self.cluster, self.finder),
            ClusterReader: Reading(spec, self.cluster, self._queries, self._workloads),
            Holders: (loads := ClusterLoads(self.cluster, clock, self.injectors)),
            Files: loads,
            ServiceCalls: Calling(spec, self.cluster, clock),
            Schedules: ClusterSchedules(self.cluster, self._guards),
        }

    def _connect(self) -> Cluster:
        """Connections of one event loop."""
        return Cluster(context=self.spec.context, kubeconfig=self._kubeconfig, sleep=self.clock.sleep)

    # -- finding

    async def find(self, selector: Selector) -> Selection:
        """Pods; or nodes where only a node, zone or nodeOf is named."""
        return await self.find_for(selector, frozenset({"pod", "link", "node"}))

    async def find_for(self, selector: Selector, acts_on: Set[str]) -> Selection:
        """What the selector means to a fault that acts on these kinds."""
        if selector.link is not None:
            raise UsageError("a Kubernetes environment has no links: name `service` with `to`")
        with nothing_collected():
            return await self._found(selector, acts_on)

    async def _found(self, selector: Selector, acts_on: Set[str]) -> Selection:
        if "zone" in acts_on:
            return await self._zone(selector)
        if "node" in acts_on and (selector.node or selector.zone or selector.node_of) and not _names_pods(selector):
            return await self._nodes(selector)
        if acts_on & PODS or not acts_on & {"workload", "kube-service", "node"}:
            return await self._pods_or_links(selector)
        if "workload" in acts_on:
            return await self._workloads(selector)
        if "kube-service" in acts_on:
            return await self._kube_services(selector)
        return await self._nodes_of_pods(selector)

    async def _pods_or_links(self, selector: Selector) -> Selection:
        found, seen = await self._pods(selector)
        fit = [pod for pod in seen if not pod.why_not]
        owners = await self.finder.top_owners(fit)
        service = selector.service
        targets = [finding.pod_target(pod, service, owners.get(pod.owner_uid, "")) for pod in fit]
        if selector.to is not None:
            if selector.to in self.spec.services or not is_outside(selector.to):
                self._service(selector.to)
            targets = [finding.link_target(target, selector.to, selector.port) for target in targets]
        return Selection(targets, "" if targets else found or _why_none(seen))

    async def _pods(self, selector: Selector) -> tuple[str, list[PodSeen]]:
        """What pods a selector means, and why there are none where that is known beforehand."""
        why, queries = await self._queries(selector)
        nodes = await self._node_names(selector)
        seen: list[PodSeen] = []
        for query in queries:
            wanted = query._replace(fields=_with_node(query.fields, nodes))
            seen += [pod for pod in await self.finder.pods(wanted) if nodes is None or pod.node in nodes]
        fit = [pod for pod in seen if _opted_in(pod, self.spec.opt_in)]
        if seen and not fit:
            why = f"of {len(seen)} pods that match none has the labels that `optIn` asks for: {self.spec.opt_in}"
        return why, fit

    async def _queries(self, selector: Selector) -> tuple[str, list[PodQuery]]:
        names = frozenset(selector.names)
        fields = selector.fields or ""
        if selector.service is not None:
            service = self._service(selector.service)
            if service.host is not None:
                raise UsageError(
                    f"the service {selector.service} is the outside host {service.host}: nothing acts on it"
                )
            space = self.spec.namespace_of(selector.service)
            why, query = await self._of_service(selector.service, service, space)
        elif selector.workload is not None:
            space = self._namespace(selector.namespace)
            why, query = await self._of_workload(space, selector.workload)
        elif selector.selector is not None:
            space = self._namespace(selector.namespace)
            why, query = "", PodQuery(space, finding.selector_words(selector.selector))
        else:
            spaces = [self._namespace(selector.namespace)] if selector.namespace else list(self.spec.namespaces)
            return "", [PodQuery(space, fields=fields, names=names) for space in spaces]
        return why, [] if query is None else [query._replace(fields=fields, names=names)]

    async def _of_service(self, name: str, service: Service, space: str) -> tuple[str, PodQuery | None]:
        if service.workload is not None:
            return await self._of_workload(space, service.workload)
        if service.selector is not None:
            return "", PodQuery(space, finding.label_selector(service.selector))
        found = await self.finder.service(space, service.service or name)
        if found is None:
            return f"there is no Service {service.service or name} in the namespace {space}", None
        labels = finding.selector_of(found)
        if not labels:
            return f"the Service {service.service or name} has no selector, so that no pods are known to be its", None
        return "", PodQuery(space, labels)

    async def _of_workload(self, space: str, workload: str) -> tuple[str, PodQuery | None]:
        kind, name = _workload(workload)
        found = await self.finder.workload(space, kind, name)
        if found is None:
            return f"there is no {kind} {name} in the namespace {space}", None
        return "", PodQuery(space, finding.selector_of(found), owner_uid=str(found["metadata"]["uid"]))

    async def _workloads(self, selector: Selector) -> Selection:
        service = self._service(selector.service) if selector.service is not None else None
        workload = selector.workload if service is None else service.workload
        if workload is None:
            raise UsageError("a workload is needed here: name `workload: deployment/NAME`, or a service that has one")
        space = self.spec.namespace_of(selector.service) if selector.service else self._namespace(selector.namespace)
        kind, name = _workload(workload)
        found = await self.finder.workload(space, kind, name)
        if found is None:
            return Selection((), f"there is no {kind} {name} in the namespace {space}")
        return Selection([finding.workload_target(kind, found, selector.service)])

    async def _kube_services(self, selector: Selector) -> Selection:
        if selector.service is None:
            raise UsageError("this fault acts on a Kubernetes Service: name a `service` of the environment")
        service = self._service(selector.service)
        space, name = self.spec.namespace_of(selector.service), service.service or selector.service
        found = await self.finder.service(space, name)
        if found is None:
            return Selection((), f"there is no Service {name} in the namespace {space}")
        return Selection([finding.service_target(found, selector.service)])

    # -- nodes

    async def _nodes(self, selector: Selector) -> Selection:
        if selector.node_of is not None:
            return await self._nodes_of_pods(Selector.model_validate(selector.node_of))
        found = await self.finder.nodes(names=[selector.node] if selector.node else (), zone=selector.zone)
        what = f"node {selector.node}" if selector.node else f"node in the zone {selector.zone}"
        return Selection([finding.node_target(node) for node in found], "" if found else f"there is no {what}")

    async def _zone(self, selector: Selector) -> Selection:
        if selector.zone is None or _names_pods(selector):
            raise UsageError("this fault acts on a whole zone: name `zone`, and nothing else")
        found = await self.finder.nodes(zone=selector.zone)
        if not found:
            return Selection((), f"there is no node in the zone {selector.zone}")
        return Selection([finding.zone_target(selector.zone, found)])

    async def _nodes_of_pods(self, selector: Selector) -> Selection:
        why, seen = await self._pods(selector)
        names = sorted({pod.node for pod in seen if pod.node and not pod.why_not})
        found = await self.finder.nodes(names=names) if names else []
        # What hurts a service by its node is the same weakness as what hurts its pods: the target says whose it is.
        meant = [finding.node_target(node).model_copy(update={"service": selector.service}) for node in found]
        return Selection(meant, "" if found else why or _why_none(seen))

    async def _node_names(self, selector: Selector) -> frozenset[str] | None:
        """The nodes that pods must be on; None: any."""
        if selector.node is not None:
            return frozenset({selector.node})
        if selector.zone is not None:
            return frozenset(str(node["name"]) for node in await self.finder.nodes(zone=selector.zone))
        if selector.node_of is not None:
            targets = (await self._nodes_of_pods(Selector.model_validate(selector.node_of))).candidates
            return frozenset(target.name for target in targets)
        return None

    # -- names of the environment

    def _service(self, name: str) -> Service:
        if name not in self.spec.services:
            known = ", ".join(self.spec.services) or "none"
            raise UsageError(f"the environment {self.environment!r} names no service {name!r}; known are {known}")
        return self.spec.services[name]

    def _namespace(self, name: str | None) -> str:
        """A namespace that may be touched."""
        known = ", ".join(self.spec.namespaces)
        if name is None and len(self.spec.namespaces) > 1:
            raise UsageError(f"target: expected a namespace, one of {known}")
        if name is not None and name not in self.spec.namespaces:
            raise UsageError(f"target.namespace: {name} is not one of the environment's namespaces: {known}")
        return name or self.spec.namespaces[0]

    # -- guards

    async def affected(self, fault: PlannedFault) -> Sequence[Affected] | None:
        """By owner: `maxAffected` is about the pods that a target's owner has."""
        return await self._guards.affected(fault)

    async def guards(self, guards: Guards, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """The right cluster and namespaces, what keeps chaos out, rights, disruption budgets, the last replica."""
        return await self._guards.answers(guards, intended)

    async def doctor(
        self, needs: Mapping[str, Sequence[str]], *, deep: bool = False
    ) -> Sequence[tuple[str, bool, str]]:
        return await ClusterDoctor(self.spec, self.cluster, self.finder, self.clock).looked(needs, deep)

    async def survey(self) -> FoundPlatform:
        """Workloads and Services of the namespaces."""
        from chaosrunner.platforms.kubernetes.survey import survey

        return await survey(self.cluster, self.spec)

    # -- a run

    def ability(self, kind: type[A]) -> A:
        """What this module puts together from its neighbours."""
        found = self._abilities.get(kind)
        return found if isinstance(found, kind) else super().ability(kind)

    async def gone(self, target: Target) -> str:
        """A pod, node, workload or Service that was deleted, or made anew under the same name. Of many pods a watch
        tells."""
        if target.kind in PODS and (fate := await self._watches.fate(target)) is not None:
            words = {"there": "", "leaving": f"{target.name} is being deleted", "gone": f"{target.name} was deleted"}
            return words[fate]
        where = finding.where(target)
        if where is None:
            return ""
        found = await self.cluster.find(where)
        if found is None:
            return f"{target.name} was deleted"
        metadata = found["metadata"]
        if metadata["uid"] != target.details.get("uid"):
            return f"{target.name} is another one of the same name now"
        return f"{target.name} is being deleted" if "deletionTimestamp" in metadata else ""

    async def appearing(
        self, selector: Selector, acts_on: Set[str], besides: Sequence[Target] | None = None
    ) -> AsyncIterator[Target]:
        """Pods, and their connections: found anew whenever a pod of the namespace is new."""
        spaces = [self._space_of(selector)] if selector.service or selector.workload else self.spec.namespaces
        if selector.namespace is not None:
            spaces = [self._namespace(selector.namespace)]

        async def find() -> Sequence[Target]:
            return (await self.find_for(selector, acts_on)).candidates

        watches = [self._watches.of(space) for space in spaces]
        known = await find() if besides is None else besides
        async for target in watching.appearing(watches, find, known, self.clock):
            yield target

    def _space_of(self, selector: Selector) -> str:
        service = selector.service
        return self.spec.namespace_of(service) if service is not None else self._namespace(selector.namespace)

    def lease(self, target: Target) -> str:
        """By uid, which is unique among all clusters: a pod's connections are leased with the pod."""
        return f"kubernetes:{target.details.get('uid', target.id)}"

    async def claim(self, run: str, by: str, targets: Sequence[Target]) -> None:
        """In the cluster, with the run's Lease, which is there from now on."""
        await self.presence.claim(run, by, targets, self.lease)
        self.crowd.gather(run, targets)

    def seen(self, target: Target, hold: Hold) -> Sighting | None:
        """Of very many pods by their containers' states, which one watch tells."""
        return self.crowd.seen(hold)

    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        """The heartbeat first: what follows may take longer than a Lease lasts."""
        await self.presence.open(run, alive)
        await self.injectors.open(alive)
        self._watches.open()
        self.spill.begin()

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        """By service and node: what broke since the first look of the run; empty: nothing."""
        return await self.spill.observe(targets)

    def stop_asked(self) -> StopAsked | None:
        """A halt on the run's Lease; that the Lease, or the guardian, is gone."""
        return self.presence.stop_asked()

    knows_all_runs = True

    async def runs(self) -> Sequence[RunSeen]:
        """By their Leases."""
        return await self.presence.runs()

    async def halt(self, run: str, by: str, reason: str) -> Sequence[RunSeen]:
        """On their Leases."""
        return await self.presence.halt(run, by, reason)

    async def left(self, *, thorough: bool = False) -> Sequence[LeftOver]:
        """What stands in the cluster's ledger; what killed injectors left, for which all pods are read."""
        return [*await self.presence.left(), *(await self.killed.left() if thorough else ())]

    async def heal(self, left: LeftOver) -> None:
        """As its ledger entry says, or by another injector."""
        if not await self.killed.heal(left):
            await self.presence.heal(left.hold)

    async def close(self) -> None:
        await self._watches.close()
        await self.policies.close()
        await self.crowd.close()
        await self.presence.close()
        await self.links.close()
        await self.injectors.close()
        await self.cluster.close()


def _names_pods(selector: Selector) -> bool:
    return bool(selector.service or selector.workload or selector.selector or selector.names or selector.fields)


def _workload(text: str) -> tuple[str, str]:
    try:
        return split_workload(text)
    except ValueError as error:
        raise UsageError(f"target.workload: {error}") from None


def _with_node(fields: str, nodes: frozenset[str] | None) -> str:
    """One node can be asked for by the server itself."""
    if nodes is None or len(nodes) != 1:
        return fields
    return ",".join(filter(None, [fields, f"spec.nodeName={next(iter(nodes))}"]))


def _opted_in(pod: PodSeen, labels: dict[str, str] | None) -> bool:
    return labels is None or all(pod.labels.get(key) == value for key, value in labels.items())


def _why_none(seen: Sequence[PodSeen]) -> str:
    if not seen:
        return "no pod matches"
    shown = ", ".join(f"{pod.name} {pod.why_not}" for pod in seen[:3])
    return f"of {len(seen)} pods that match none can be a target: {shown}{', …' if len(seen) > 3 else ''}"
