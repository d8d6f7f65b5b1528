"""What probes read of a cluster: pods, workloads, any other object, events and logs, as the API's own JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from chaosrunner.errors import NoAnswer, UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY, Finder, PodQuery
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import ClusterReader, Selection, Selector

APIS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "configmap",
            "endpoints",
            "event",
            "namespace",
            "node",
            "persistentvolume",
            "persistentvolumeclaim",
            "pod",
            "replicationcontroller",
            "resourcequota",
            "service",
            "serviceaccount",
        ),
        "v1",
    ),
    **dict.fromkeys(("controllerrevision", "daemonset", "deployment", "replicaset", "statefulset"), "apps/v1"),
    **dict.fromkeys(("cronjob", "job"), "batch/v1"),
    **dict.fromkeys(("ingress", "ingressclass", "networkpolicy"), "networking.k8s.io/v1"),
    "endpointslice": "discovery.k8s.io/v1",
    "horizontalpodautoscaler": "autoscaling/v2",
    "lease": "coordination.k8s.io/v1",
    "poddisruptionbudget": "policy/v1",
    "storageclass": "storage.k8s.io/v1",
}
"""Group and version of Kubernetes' own kinds, where nobody says which; whether the cluster has it is asked there."""

Queries = Callable[[Selector], Awaitable[tuple[str, list[PodQuery]]]]
"""What pods a selector means, and why there are none where that is known beforehand."""
Workloads = Callable[[Selector], Awaitable[Selection]]


class Reading(ClusterReader):
    """Reads of one cluster, in the namespaces that the environment names."""

    def __init__(self, spec: Spec, cluster: Cluster, queries: Queries, workloads: Workloads) -> None:
        self._spec = spec
        self._cluster = cluster
        self._finder = Finder(cluster)
        self._queries = queries
        self._workloads = workloads
        self._kinds: dict[str, Mapping[str, tuple[str, bool]]] = {}

    async def pods(self, selector: Selector, most: int) -> Sequence[JsonObject]:
        why, queries = await self._queries(selector)
        if why:
            raise NoAnswer(why)
        found: dict[str, Object] = {}
        for query in queries:
            for pod in await self._whole_pods(query, most):
                found[pod["metadata"]["uid"]] = pod
        if len(found) > most:
            raise UsageError(f"more than {most} pods match; read the workload's `readyReplicas`, or choose fewer")
        return sorted(found.values(), key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"]))

    async def _whole_pods(self, query: PodQuery, most: int) -> list[Object]:
        owners = await self._finder.owned_by(query)
        asked = {"labelSelector": query.labels} if query.labels else {}
        asked |= {"fieldSelector": query.fields} if query.fields else {}
        found = []
        async for page in self._cluster.pages(path("v1", "pods", query.namespace), accept="application/json", **asked):
            found += [pod for pod in page.get("items") or () if _is_meant(pod, query, owners)]
            if len(found) > most:
                break
        return found

    async def workload(self, selector: Selector) -> JsonObject | None:
        selection = await self._workloads(selector)
        for target in selection.candidates:
            details = {key: str(value) for key, value in target.details.items()}
            where = path(details["api"], details["resource"], details["namespace"], details["name"])
            return await self._cluster.find(where)
        return None

    async def object(
        self, kind: str, name: str, *, api: str | None = None, namespace: str | None = None
    ) -> JsonObject | None:
        if kind.lower() == "secret" and api in (None, "v1"):
            raise UsageError("Secrets are not read: what is read is written into the journal")
        api = api or APIS.get(kind.lower())
        if api is None:
            raise UsageError(f"the kind {kind} is not one of Kubernetes' own: say its `api`, such as example.com/v1")
        resource, namespaced = await self._resource(kind, api)
        if not namespaced:
            if kind.lower() == "namespace":
                self._space(name)
            return await self._cluster.find(path(api, resource, None, name))
        return await self._cluster.find(path(api, resource, self._space(namespace), name))

    async def _resource(self, kind: str, api: str) -> tuple[str, bool]:
        """The resource of a kind (`deployments`), and whether it lives in namespaces."""
        if api not in self._kinds:
            try:
                listed = await self._cluster.get(f"/apis/{api}" if "/" in api else f"/api/{api}")
            except ApiError as error:
                if error.not_found:
                    raise UsageError(f"the cluster has no API {api}") from None
                raise
            self._kinds[api] = {
                each["kind"].lower(): (each["name"], bool(each["namespaced"]))
                for each in listed.get("resources") or ()
                if "/" not in each["name"]
            }
        if kind.lower() not in self._kinds[api]:
            raise UsageError(f"the cluster's API {api} has no kind {kind}")
        return self._kinds[api][kind.lower()]

    async def events(self, namespace: str, reason: str) -> Sequence[JsonObject]:
        where = path("v1", "events", self._space(namespace))
        found: dict[str, Object] = {}
        asked = {"fieldSelector": f"reason={reason}"} if reason else {}
        async for page in self._cluster.pages(where, accept="application/json", **asked):
            found |= {each["metadata"]["uid"]: each for each in page.get("items") or ()}
        return list(found.values())

    async def log(
        self, namespace: str, pod: str, container: str, *, after: str, previous: bool, limit: int
    ) -> str | None:
        query: dict[str, str | int] = {"container": container, "timestamps": "true", "limitBytes": limit}
        # Whole seconds are all that the API takes; after the nine digits of the fraction comes the node's time zone.
        query |= {"sinceTime": f"{after[:19]}{after[29:] or 'Z'}"} if after else {}
        query |= {"previous": "true"} if previous else {}
        return await self._log(namespace, pod, query)

    async def last_time(self, namespace: str, pod: str, container: str) -> str:
        query: dict[str, str | int] = {"container": container, "timestamps": "true", "tailLines": 1, "limitBytes": 64}
        return (await self._log(namespace, pod, query) or "").partition(" ")[0]

    async def _log(self, namespace: str, pod: str, query: Mapping[str, str | int]) -> str | None:
        try:
            return await self._cluster.text(path("v1", "pods", self._space(namespace), pod, "log"), **query)
        except ApiError as error:
            if (
                error.code == 400 or error.not_found
            ):  # waiting to start, no previous instance kept, no such pod any more
                return None
            raise

    def _space(self, namespace: str | None) -> str:
        known = ", ".join(self._spec.namespaces)
        if namespace is None and len(self._spec.namespaces) > 1:
            raise UsageError(f"expected a namespace, one of {known}")
        if namespace is not None and namespace not in self._spec.namespaces:
            raise UsageError(f"the namespace {namespace} is not one of the environment's: {known}")
        return namespace or self._spec.namespaces[0]


def _is_meant(pod: Object, query: PodQuery, owners: frozenset[str] | None) -> bool:
    metadata = pod["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) == "chaosrunner":
        return False
    controllers = {each["uid"] for each in metadata.get("ownerReferences") or () if each.get("controller")}
    return (not query.names or metadata["name"] in query.names) and (owners is None or bool(controllers & owners))
