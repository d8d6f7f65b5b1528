"""What runs in some namespaces, for files that do not exist yet: workloads, their Services, and whom they seem to call.

Reads only: `list` of deployments, statefulsets, daemonsets and services, `get` of namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chaosrunner.model.surroundings import FoundPlatform, FoundService
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import OPT
from chaosrunner.platforms.kubernetes.spec import Spec

_KINDS = {"deployments": "deployment", "statefulsets": "statefulset", "daemonsets": "daemonset"}
_OWN = "chaosrunner"
"""What chaosrunner itself runs there begins so."""
JSON = "application/json"


async def survey(cluster: Cluster, spec: Spec) -> FoundPlatform:
    """Everything of the namespaces. Raises `NotPossibleNow` if the cluster cannot be asked, or does not let us."""
    services: list[FoundService] = []
    passed_over: list[str] = []
    for space in spec.namespaces:
        found = [(kind, one) for kind in _KINDS for one in await _all(cluster, "apps/v1", kind, space)]
        doors = await _all(cluster, "v1", "services", space)
        names = {str(door["metadata"]["name"]) for door in doors}
        for kind, one in found:
            name = str(one["metadata"]["name"])
            if name.startswith(_OWN):
                continue
            service = _service(_KINDS[kind], one, doors, names)
            if service.replicas == 0:
                passed_over.append(f"{space}: {service.workload} has no replicas")
            elif any(other.name == service.name for other in services):
                passed_over.append(f"{space}: {service.workload} has the name of another one")
            else:
                services.append(service)
    uid = await _uid(cluster, spec)
    return FoundPlatform(
        "kubernetes",
        tuple(services),
        spec.namespaces,
        spec.context or "",
        spec.kubeconfig or "",
        uid,
        f"the context {spec.context}" if spec.context else "the current context",
        tuple(passed_over),
    )


async def _all(cluster: Cluster, api: str, resource: str, space: str) -> list[Object]:
    return [one async for page in cluster.pages(path(api, resource, space), accept=JSON) for one in page["items"]]


async def _uid(cluster: Cluster, spec: Spec) -> str:
    for name in ("kube-system", spec.namespaces[0]):
        try:
            return str((await cluster.get(path("v1", "namespaces", None, name)))["metadata"]["uid"])
        except ApiError as error:
            if error.code not in (401, 403, 404):
                raise
    return ""


def _service(kind: str, found: Object, doors: Sequence[Object], names: set[str]) -> FoundService:
    metadata, template = found["metadata"], (found["spec"].get("template") or {})
    labels = (
        (template.get("metadata") or {}).get("labels") or found["spec"].get("selector", {}).get("matchLabels") or {}
    )
    door = next((one for one in doors if _leads_to(one, labels)), None)
    own = str(door["metadata"]["name"]) if door is not None else ""
    containers = (template.get("spec") or {}).get("containers") or []
    marks = [metadata.get("labels") or {}, metadata.get("annotations") or {}]
    replicas = found["spec"].get("replicas")
    if kind == "daemonset":
        replicas = (found.get("status") or {}).get("desiredNumberScheduled")
    return FoundService(
        name=str(metadata["name"]),
        namespace=str(metadata["namespace"]),
        workload=f"{kind}/{metadata['name']}",
        replicas=1 if replicas is None else int(replicas),
        kube_service=own,
        calls=tuple(sorted(_named(containers, names) - {own, str(metadata["name"])})),
        health=next(iter(_health(containers)), ""),
        kept_out=any(each.get(OPT) == "false" for each in marks),
    )


def _leads_to(door: Object, labels: Mapping[str, str]) -> bool:
    wanted = door["spec"].get("selector") or {}
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def _named(containers: Sequence[Mapping[str, Any]], names: set[str]) -> set[str]:
    """The Services whose names stand as hosts in the containers' settings."""
    texts = [str(each.get("value") or "") for one in containers for each in one.get("env") or []]
    texts += [str(word) for one in containers for word in [*(one.get("args") or []), *(one.get("command") or [])]]
    hosts = {
        host for text in texts for host in re.findall(r"(?:^|//|@|[\s,=])([a-z0-9-]+)(?:\.[a-z0-9.-]+)?:\d+", text)
    }
    hosts |= {host for text in texts for host in re.findall(r"//(?:[^@/]*@)?([a-z0-9-]+)", text)}
    return hosts & names


def _health(containers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in containers:
        asked = (one.get("readinessProbe") or {}).get("httpGet") or {}
        if asked.get("path"):
            yield str(asked["path"])
