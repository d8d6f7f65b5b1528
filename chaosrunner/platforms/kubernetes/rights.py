"""Permissions: what a fault needs, whether this user has it, and the rules of a Role that grant it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from chaosrunner.errors import PluginDefect
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import Cluster

CLUSTER_SCOPED = frozenset({"nodes", "persistentvolumes", "clusterroles", "clusterrolebindings", "storageclasses"})
"""Resources without a namespace, for which a Role does not do. (A Role in a namespace may grant reading that one.)"""
AT_ONCE = 16
"""Questions to the API server side by side."""
LOOKING = (
    "get namespaces",
    "get pods",
    "list pods",
    "get services",
    "get deployments.apps",
    "get statefulsets.apps",
    "get daemonsets.apps",
    "get replicasets.apps",
    "list replicasets.apps",
    "get jobs.batch",
    "list poddisruptionbudgets.policy",
)
"""What planning reads in the environment's namespaces, whatever the fault."""
FOLLOWING = ("watch pods",)
"""Besides, for targets that appear later."""

READING = (
    "get services/proxy",
    "get pods/log",
    "list events",
    "list horizontalpodautoscalers.autoscaling",
)
"""What probes and the look at what is no target may read besides; a run goes without what is missing, and says so."""


class Permission(NamedTuple):
    """One verb on one resource."""

    verb: str
    resource: str
    sub: str
    group: str

    @property
    def namespaced(self) -> bool:
        """Whether a Role grants it."""
        return self.resource not in CLUSTER_SCOPED

    @property
    def full(self) -> str:
        """As a Role names the resource: `pods/eviction`."""
        return f"{self.resource}/{self.sub}" if self.sub else self.resource

    def __str__(self) -> str:
        return f"{self.verb} {self.full}" + (f".{self.group}" if self.group else "")


class Needed(NamedTuple):
    """A permission where it is needed; `namespace` None: in the whole cluster."""

    permission: Permission
    namespace: str | None


def parse(text: str) -> Permission:
    """`create pods/eviction`, `patch deployments/scale.apps` or `patch deployments.apps/scale`.

    Raises `PluginDefect` for anything else, as it stands in a plugin.
    """
    verb, _, rest = text.partition(" ")
    resource, slash, sub = rest.partition("/")
    resource, _, group = resource.partition(".")
    if slash and not group:
        sub, _, group = sub.partition(".")
    if not verb or not resource or (slash and not sub):
        raise PluginDefect(f"a permission is written `verb resource[/subresource][.group]`, found {text!r}")
    return Permission(verb, resource, sub, group)


def everywhere(permissions: Iterable[str], namespaces: Iterable[str]) -> set[Needed]:
    """The permissions in each of these namespaces, or in the cluster for what has none."""
    spaces = tuple(namespaces)
    found = set()
    for permission in map(parse, permissions):
        found |= {Needed(permission, space) for space in (spaces if permission.namespaced else (None,))}
    return found


def spaces_of(targets: Sequence[Target], all_of_them: Sequence[str]) -> Sequence[str]:
    """Where a fault on these targets acts: their namespaces; all of the environment's for nodes, which run anything."""
    named = sorted({str(space) for target in targets if (space := target.details.get("namespace"))})
    return named or all_of_them


async def missing(cluster: Cluster, needed: Iterable[Needed]) -> list[Needed]:
    """Those that this user does not have, sorted; asked of the API server, many at once (SelfSubjectAccessReview)."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def asked(one: Needed) -> bool:
        permission = one.permission
        # A namespace is its own namespace to the rules: a Role inside of it may grant reading it.
        async with gate:
            allowed, _ = await cluster.may(
                permission.verb,
                permission.resource,
                permission.group,
                namespace=one.namespace,
                subresource=permission.sub,
            )
        return allowed

    every = sorted(set(needed), key=lambda one: (one.namespace or "", one.permission))
    answers = await asyncio.gather(*(asked(one) for one in every))
    return [one for one, allowed in zip(every, answers, strict=True) if not allowed]


def rules(permissions: Iterable[Permission]) -> list[JsonObject]:
    """The rules of a Role or ClusterRole that grant exactly these, in a fixed order: resources of one group with the
    same verbs share one."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for permission in permissions:
        verbs.setdefault((permission.group, permission.full), set()).add(permission.verb)
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), of_it in sorted(verbs.items()):
        together.setdefault((group, tuple(sorted(of_it))), []).append(resource)
    made: list[JsonObject] = []
    for (group, of_them), resources in sorted(together.items()):
        made.append({"apiGroups": [group], "resources": [*sorted(resources)], "verbs": [*of_them]})
    return made


def words(lacking: Sequence[Needed]) -> str:
    """What is missing where, and the rules that grant it, in one line for each place."""
    places: Mapping[str | None, list[Permission]] = {one.namespace: [] for one in lacking}
    for one in lacking:
        places[one.namespace].append(one.permission)
    said = []
    for space, permissions in places.items():
        where = f"in the namespace {space}" if space is not None else "in the cluster"
        kind = "Role there" if space is not None else "ClusterRole"
        granting = ", ".join(_rule(rule) for rule in rules(permissions))
        said.append(f"{where}: {', '.join(map(str, permissions))} (a {kind} grants it: {granting})")
    return "; ".join(said)


def _rule(rule: JsonObject) -> str:
    parts = [f"{key}: [{', '.join(_quoted(each) for each in _texts(rule[key]))}]" for key in rule]
    return "{" + ", ".join(parts) + "}"


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]


def _quoted(text: str) -> str:
    return text or '""'
