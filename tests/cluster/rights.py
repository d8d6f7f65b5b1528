"""Service accounts with exactly the rights that a list says, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chaosrunner.platforms.kubernetes.client import ApiError, path
from chaosrunner.platforms.kubernetes.guardian import RIGHTS, UNDO_RIGHTS
from tests.cluster.lab import Space

RBAC = "rbac.authorization.k8s.io"


def rules(rights: Iterable[str]) -> list[dict[str, Any]]:
    """`patch deployments.apps` as rules of a role."""
    made = []
    for each in sorted(set(rights)):
        verb, _, what = each.partition(" ")
        resource, _, group = what.partition(".")
        made.append({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
    return made


async def guardian_account(space: Space, *faults: str, name: str = "chaosrunner-guardian") -> None:
    """The guardian's account in a test's namespace, able to take back these faults and nothing else."""
    undo = [UNDO_RIGHTS[fault] for fault in faults]
    there = [*RIGHTS["guardian"].ledger, *(right for each in undo for right in each.targets)]
    await space.make("v1", "serviceaccounts", {"metadata": {"name": name}})
    await space.make(f"{RBAC}/v1", "roles", {"metadata": {"name": name}, "rules": rules(there)})
    await space.make(f"{RBAC}/v1", "rolebindings", binding(space, name, "Role", name))
    if cluster := [right for each in undo for right in each.cluster]:
        wide = f"{space.name}-{name}"
        await cluster_role(space, wide, cluster)
        body = binding(space, name, "ClusterRole", wide) | {"metadata": {"name": wide}}
        await space.cluster.create(path(f"{RBAC}/v1", "clusterrolebindings"), body)


async def cluster_role(space: Space, name: str, rights: Sequence[str]) -> None:
    """Removed by `remove_cluster_roles`."""
    body = {"metadata": {"name": name}, "rules": rules(rights)}
    await space.cluster.create(path(f"{RBAC}/v1", "clusterroles"), body)


async def remove_cluster_roles(space: Space, name: str = "chaosrunner-guardian") -> None:
    """What does not go with the namespace."""
    for resource in ("clusterroles", "clusterrolebindings"):
        try:
            await space.cluster.delete(path(f"{RBAC}/v1", resource, None, f"{space.name}-{name}"))
        except ApiError as error:
            if not error.not_found:
                raise


def binding(space: Space, account: str, kind: str, role: str) -> dict[str, Any]:
    """Of a service account to a role."""
    return {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": space.name}],
    }
