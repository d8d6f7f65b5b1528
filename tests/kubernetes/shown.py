"""How an API server shows what it keeps: lists, metadata only, tables as kubectl prints them, scales, exit codes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.kubernetes.patches import strategic

Object = dict[str, Any]

POD_COLUMNS = ("Name", "Ready", "Status", "Restarts", "Age", "IP", "Node", "Nominated Node", "Readiness Gates")

NODE_COLUMNS = ("Name", "Status", "Roles", "Age", "Version")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def one(found: Object, accept: str) -> Object:
    if "as=PartialObjectMetadata" in accept:
        return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": found["metadata"]}
    return found


def many(api: str, kind: str, items: list[Object], metadata: Object, accept: str, include: str) -> Object:
    if "as=PartialObjectMetadataList" in accept:
        made = [one(each, "as=PartialObjectMetadata") for each in items]
        kind = "PartialObjectMetadataList"
        return {"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": metadata, "items": made}
    if "as=Table" in accept:
        columns = {"Pod": POD_COLUMNS, "Node": NODE_COLUMNS}.get(kind, ("Name", "Created At"))
        rows = [{"cells": _cells(each, kind)} | _included(each, include) for each in items]
        definitions = [{"name": column, "type": "string"} for column in columns]
        made_table = {"apiVersion": "meta.k8s.io/v1", "kind": "Table", "metadata": metadata}
        return made_table | {"columnDefinitions": definitions, "rows": rows}
    return {"apiVersion": api, "kind": f"{kind}List", "metadata": metadata, "items": items}


def _included(found: Object, include: str) -> Object:
    if include == "None":
        return {}
    return {"object": found if include == "Object" else one(found, "as=PartialObjectMetadata")}


def _cells(found: Object, kind: str) -> list[Any]:
    metadata = found["metadata"]
    if kind == "Node":
        conditions = found.get("status", {}).get("conditions") or ()
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        return [metadata["name"], "Ready" if ready else "NotReady", "<none>", "1m", "v1.36.0"]
    if kind != "Pod":
        return [metadata["name"], metadata.get("creationTimestamp", "")]
    status = found.get("status", {})
    containers = status.get("containerStatuses") or []
    ready = f"{sum(each['ready'] for each in containers)}/{len(found['spec'].get('containers', ()))}"
    restarts = str(sum(each.get("restartCount", 0) for each in containers))
    where = status.get("podIP") or "<none>"
    node = found["spec"].get("nodeName") or "<none>"
    return [metadata["name"], ready, pod_status(found), restarts, "1m", where, node, "<none>", "<none>"]


def pod_status(found: Object) -> str:
    """As kubectl's STATUS column."""
    status = found.get("status", {})
    if "deletionTimestamp" in found["metadata"] and found.get("status", {}).get("phase") not in ("Failed", "Succeeded"):
        return "Terminating"
    for each in status.get("containerStatuses") or ():
        for what in ("waiting", "terminated"):
            if what in (each.get("state") or {}):
                return str(each["state"][what].get("reason", what))
    return str(status.get("reason") or status.get("phase") or "Unknown")


def scale(workload: Object) -> Object:
    metadata = workload["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": kept,
        "spec": {"replicas": workload["spec"].get("replicas", 1)},
        "status": {"replicas": workload.get("status", {}).get("replicas", 0), "selector": ""},
    }


def selector(found: Object) -> str:
    """A LabelSelector as text."""
    parts = [f"{key}={value}" for key, value in (found.get("matchLabels") or {}).items()]
    for rule in found.get("matchExpressions") or ():
        verb = {"In": "in", "NotIn": "notin"}.get(rule["operator"])
        if verb:
            parts.append(f"{rule['key']} {verb} ({','.join(rule['values'])})")
        else:
            parts.append(("!" if rule["operator"] == "DoesNotExist" else "") + rule["key"])
    return ",".join(parts)


def with_ephemeral(old: Object, new: Object, state: Callable[[Object], Object | None]) -> Object:
    """The pod with the ephemeral containers that the subresource was given; new ones get a state."""
    wanted = new.get("spec", {}).get("ephemeralContainers") or []
    spec = old["spec"] | {"ephemeralContainers": wanted}
    known = {each["name"] for each in old["spec"].get("ephemeralContainers") or ()}
    status = dict(old.get("status", {}))
    for container in wanted:
        became = state(container)
        if container["name"] in known or became is None:
            continue
        entry = {"name": container["name"], "image": container.get("image", ""), "ready": False, "restartCount": 0}
        kept = {"ephemeralContainerStatuses": status.get("ephemeralContainerStatuses") or []}
        added = {
            "conditions": [],
            "ephemeralContainerStatuses": [*kept["ephemeralContainerStatuses"], entry | {"state": became}],
        }
        status |= {"ephemeralContainerStatuses": added["ephemeralContainerStatuses"]}
    return dict(strategic(old, {})) | {"spec": spec, "status": status}


def exit_status(code: int) -> Object:
    """The Status object at the end of an exec."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    words = f"command terminated with non-zero exit code: {code}"
    return {"status": "Failure", "reason": "NonZeroExitCode", "message": words, "details": {"causes": causes}}
