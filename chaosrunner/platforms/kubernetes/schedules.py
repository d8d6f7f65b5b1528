"""Schedules: ConfigMaps and CronJobs of our own, by server-side apply, so that what others set stays theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chaosrunner.errors import NotPossibleNow, Refused
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.plan import GuardAnswer
from chaosrunner.platforms.kubernetes import rights
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.guards import ClusterGuards
from chaosrunner.ports import Kept, Schedules

MANAGER = "chaosrunner"
"""Under which our fields are known; other changes by chaosrunner have the same one, from its User-Agent."""
OURS = {"app.kubernetes.io/managed-by": "chaosrunner"}
PLACES = {"CronJob": ("batch/v1", "cronjobs"), "ConfigMap": ("v1", "configmaps")}
"""Kind -> API and resource, in the order in which they are removed."""
RESOURCES = ("configmaps", "cronjobs.batch")
KEEPING, REMOVING = ("get", "create", "patch"), ("list", "delete")
ACCOUNT = "chaosrunner"
NOT_TAKEN = (400, 403, 413, 422)
"""What the server answers to what it will never take: an admission webhook, a schedule that is none."""


class ClusterSchedules(Schedules):
    """Of one cluster."""

    def __init__(self, cluster: Cluster, guards: ClusterGuards) -> None:
        self._cluster = cluster
        self._guards = guards

    # -- what speaks against it

    async def may_keep(self, objects: Sequence[JsonObject]) -> Sequence[GuardAnswer]:
        """That it is the right cluster, that all namespaces are there, the pods' account, and this user's rights."""
        await self._reached()
        spaces = sorted({_name(each)[0] for each in objects})
        answers = list(await self._guards.about_the_environment())
        for space in spaces:
            answers += await self._place(space)
        return [*answers, await self._may(KEEPING, spaces)]

    async def may_remove(self, namespace: str) -> Sequence[GuardAnswer]:
        """That it is the right cluster, and this user's rights: where less runs, nothing else has to be asked."""
        await self._reached()
        about = await self._guards.about_the_environment()
        answers = [answer for answer in about if answer.guard == "clusterUid"]
        return [*answers, await self._may(REMOVING, [namespace])]

    async def _reached(self) -> None:
        """Raises `ApiError` where there is no answer at all: that is no refusal."""
        try:
            await self._cluster.get("/version")
        except ApiError as error:
            if not error.code:
                raise

    async def _place(self, space: str) -> Sequence[GuardAnswer]:
        try:
            found = await self._looked(path("v1", "namespaces", None, space))
            account = await self._looked(path("v1", "serviceaccounts", space, ACCOUNT))
        except NotPossibleNow as error:
            return [GuardAnswer(guard="schedule", go=False, reason=f"cannot be answered: {error}")]
        if found is None:
            reason = f"there is no namespace {space} for the CronJob: `kubectl apply -k k8s` makes it, or --namespace"
        elif "deletionTimestamp" in found.get("metadata", {}):
            reason = f"the namespace {space} is being deleted"
        elif account is None:
            reason = f"the namespace {space} has no ServiceAccount {ACCOUNT}, so no pod of the CronJob could start"
            reason += ": `kubectl apply -k k8s` makes it"
        else:
            reason = f"the namespace {space} is there, with the ServiceAccount {ACCOUNT}"
            return [GuardAnswer(guard="schedule", go=True, reason=reason)]
        return [GuardAnswer(guard="schedule", go=False, reason=reason)]

    async def _looked(self, where: str) -> Object | None:
        """None: it is not there. What may not be read is taken to be there."""
        try:
            return await self._cluster.find(where)
        except ApiError as error:
            if error.code in (401, 403):
                return {}
            raise

    async def _may(self, verbs: Sequence[str], spaces: Sequence[str]) -> GuardAnswer:
        needed = rights.everywhere([f"{verb} {resource}" for verb in verbs for resource in RESOURCES], spaces)
        try:
            lacking = await rights.missing(self._cluster, needed)
        except NotPossibleNow as error:
            return GuardAnswer(guard="rights", go=False, reason=f"cannot be answered: {error}")
        if lacking:
            return GuardAnswer(guard="rights", go=False, reason=f"missing {rights.words(lacking)}")
        return GuardAnswer(guard="rights", go=True, reason=f"all {len(needed)} permissions are there")

    # -- doing it

    async def keep(self, objects: Sequence[JsonObject]) -> Sequence[Kept]:
        """All are tried first, so that nothing is changed where one of them is refused."""
        before = [await self._cluster.find(_where(each)) for each in objects]
        for each, there in zip(objects, before, strict=True):
            _refuse_others(each, there)
        for each in objects:
            await self._applied(each, dry=True)
        done: list[Kept] = []
        for each, there in zip(objects, before, strict=True):
            try:
                made = await self._applied(each)
            except NotPossibleNow as error:
                raise NotPossibleNow(f"{error}{_so_far(done)}") from None
            done.append(Kept(str(each["kind"]), "/".join(_name(each)), _change(there, made)))
        return done

    async def _applied(self, wanted: JsonObject, *, dry: bool = False) -> Object:
        try:
            try:
                return await self._cluster.apply(_where(wanted), wanted, MANAGER, dry=dry)
            except ApiError as error:
                if not error.held or any(manager != MANAGER for manager, _ in error.held):
                    raise
            return await self._cluster.apply(_where(wanted), wanted, MANAGER, force=True, dry=dry)
        except ApiError as error:
            if error.held:
                raise Refused(_conflict(wanted, error.held)) from None
            if error.code in NOT_TAKEN:
                raise Refused(f"the cluster does not take {_words(wanted)}: {error.message}") from None
            raise

    async def remove(self, schedule: str, namespace: str) -> Sequence[Kept]:
        """The CronJob first; its Jobs and their pods go with it, and have their minute to take everything back."""
        labels = ",".join(f"{name}={value}" for name, value in {self.LABEL: schedule, **OURS}.items())
        done: list[Kept] = []
        for kind, (api, resource) in PLACES.items():
            try:
                listed = await self._cluster.get(path(api, resource, namespace), labelSelector=labels)
                for each in listed["items"]:
                    done += await self._removed(kind, path(api, resource, namespace, each["metadata"]["name"]), each)
            except NotPossibleNow as error:
                raise NotPossibleNow(f"{error}{_so_far(done)}") from None
        return done

    async def _removed(self, kind: str, where: str, found: Object) -> Sequence[Kept]:
        metadata = found["metadata"]
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
        try:
            await self._cluster.delete(where, body)
        except ApiError as error:
            if not error.not_found:
                raise
            return ()
        return [Kept(kind, f"{metadata['namespace']}/{metadata['name']}", "removed")]


def _metadata(wanted: JsonObject) -> Mapping[str, Any]:
    found = wanted["metadata"]
    assert isinstance(found, dict)
    return found


def _name(wanted: JsonObject) -> tuple[str, str]:
    return str(_metadata(wanted)["namespace"]), str(_metadata(wanted)["name"])


def _where(wanted: JsonObject) -> str:
    api, resource = PLACES[str(wanted["kind"])]
    return path(api, resource, *_name(wanted))


def _words(wanted: JsonObject) -> str:
    return f"the {wanted['kind']} {'/'.join(_name(wanted))}"


def _refuse_others(wanted: JsonObject, there: Object | None) -> None:
    """Raises `Refused` where an object of this name is not a schedule of ours, or that of another suite or game day."""
    if there is None:
        return
    labels = there["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in OURS.items()):
        raise Refused(
            f"{_words(wanted)} is there already, and not chaosrunner's: it stays as it is; rename one of them"
        )
    wants, has = (_metadata(wanted).get("labels") or {}).get(Schedules.LABEL), labels.get(Schedules.LABEL)
    if has is not None and has != wants:
        raise Refused(f"{_words(wanted)} is the schedule of {has}, and this is {wants}: rename one of them")


def _conflict(wanted: JsonObject, held: Sequence[tuple[str, str]]) -> str:
    others: dict[str, list[str]] = {}
    for manager, where in held:
        if manager != MANAGER:
            others.setdefault(manager, []).append(where)
    said = "; ".join(f"{manager} holds {', '.join(fields)}" for manager, fields in others.items())
    return (
        f"{_words(wanted)} was changed by others, whose changes are kept: {said}. Nothing was changed. Make the change "
        f"there ({', '.join(others)}), or delete the object, and apply again"
    )


def _change(there: Object | None, made: Object) -> Literal["created", "changed", "unchanged"]:
    if there is None:
        return "created"
    return "unchanged" if _substance(there) == _substance(made) else "changed"


def _substance(found: Object) -> Object:
    """What somebody wants of an object, without what the server keeps about it."""
    ours = {name: value for name, value in found.items() if name in ("spec", "data", "binaryData", "immutable")}
    metadata = found["metadata"]
    return ours | {name: metadata.get(name) or {} for name in ("labels", "annotations")}


def _so_far(done: Sequence[Kept]) -> str:
    said = ", ".join(f"{each.kind} {each.name} {each.done}" for each in done)
    return f" (before that: {said}; call it again)" if said else ""
