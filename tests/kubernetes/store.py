"""What an API server keeps: objects by path, versions, changes in their order, and what follows from a change."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Object = dict[str, Any]

WORDS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
"""Reasons of Status objects."""


class Refusal(Exception):
    """What the server answers instead."""

    def __init__(
        self, code: int, message: str, reason: str = "", *, details: Object | None = None, after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or WORDS.get(code, "Unknown")
        self.message = message
        self.details = details
        self.after = after

    @property
    def status(self) -> Object:
        made: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        made |= {"message": self.message, "reason": self.reason, "code": self.code}
        return made | ({"details": self.details} if self.details else {})


class Place(NamedTuple):
    """What a path names."""

    api: str
    resource: str
    namespace: str | None
    name: str | None
    sub: str | None

    @property
    def group(self) -> str:
        return self.api.rpartition("/")[0]

    @property
    def kindly(self) -> str:
        """`deployments.apps`, as error messages name it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def key(self, name: str, namespace: str | None) -> tuple[str, str, str, str]:
        return self.api, self.resource, namespace or "", name


@dataclass
class Change:
    """One entry of the log that watches read."""

    version: int
    type: str
    place: tuple[str, str]
    """(api, resource)."""
    object: Object
    before: Object | None


@dataclass
class Store:
    """Objects and their history. Every change bumps one counter, as etcd's revision does."""

    objects: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    version: int = 100
    changes: list[Change] = field(default_factory=list)
    oldest: int = 100
    """Changes up to this version are forgotten."""
    reactions: list[Callable[[str, Object], None]] = field(default_factory=list)
    """Called with (`ADDED`, object) after each change: controllers of a test."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def find(self, place: Place, name: str | None = None) -> Object:
        name = name or place.name or ""
        found = self.objects.get(place.key(name, place.namespace))
        if found is None:
            details = {"name": name, "group": place.group, "kind": place.resource}
            raise Refusal(404, f'{place.kindly} "{name}" not found', details=details)
        return found

    def all(self, place: Place) -> list[Object]:
        kept = [
            each
            for key, each in self.objects.items()
            if key[:2] == (place.api, place.resource) and place.namespace in (None, key[2])
        ]
        return sorted(kept, key=lambda each: (each["metadata"].get("namespace", ""), each["metadata"]["name"]))

    def add(self, place: Place, body: Object, now: str) -> Object:
        made = copy.deepcopy(body)
        metadata = made.setdefault("metadata", {})
        if "name" not in metadata and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        if "name" not in metadata:
            raise Refusal(422, "metadata.name: Required value: name or generateName is required")
        if place.namespace is not None:
            metadata["namespace"] = place.namespace
        key = place.key(metadata["name"], place.namespace)
        if key in self.objects:
            message = f'{place.kindly} "{metadata["name"]}" already exists'
            raise Refusal(409, message, "AlreadyExists")
        metadata["uid"] = metadata.get("uid") or str(uuid.uuid4())
        metadata.setdefault("creationTimestamp", now)
        metadata.setdefault("generation", 1)
        self._keep("ADDED", key, made, None)
        return made

    def put(self, place: Place, old: Object, new: Object) -> Object:
        """In the place of `old`; nothing happens where both are the same."""
        made = copy.deepcopy(new)
        self._check_version(place, old, made)
        for fixed in ("uid", "creationTimestamp", "resourceVersion", "generation", "namespace", "name"):
            if fixed in old["metadata"]:
                made["metadata"][fixed] = old["metadata"][fixed]
        if made == old:
            return old
        if made.get("spec") != old.get("spec"):
            made["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        key = place.key(old["metadata"]["name"], old["metadata"].get("namespace"))
        if "deletionTimestamp" in made["metadata"] and not made["metadata"].get("finalizers"):
            self._drop(key)
        else:
            self._keep("MODIFIED", key, made, old)
        return made

    def _check_version(self, place: Place, old: Object, new: Object) -> None:
        told = new.get("metadata", {})
        for what in ("resourceVersion", "uid"):
            if told.get(what) and told[what] != old["metadata"][what]:
                message = (
                    f'Operation cannot be fulfilled on {place.kindly} "{old["metadata"]["name"]}": '
                    "the object has been modified; please apply your changes to the latest version and try again"
                )
                raise Refusal(409, message)

    def delete(self, place: Place, found: Object, body: Object, now: str) -> Object:
        for what, expected in (body.get("preconditions") or {}).items():
            if found["metadata"][what] != expected:
                message = f"Precondition failed: {what} in precondition: {expected}, "
                raise Refusal(409, f"{message}{what} in object meta: {found['metadata'][what]}")
        key = place.key(found["metadata"]["name"], found["metadata"].get("namespace"))
        if found["metadata"].get("finalizers"):
            leaving = copy.deepcopy(found)
            leaving["metadata"].setdefault("deletionTimestamp", now)
            self._keep("MODIFIED", key, leaving, found)
            return leaving
        self._drop(key)
        return found

    def _drop(self, key: tuple[str, str, str, str]) -> None:
        """With all that it owns, and all that is in it if it is a namespace."""
        found = self.objects.pop(key, None)
        if found is None:
            return
        self._log("DELETED", key, found, found)
        uid = found["metadata"]["uid"]
        for other, each in list(self.objects.items()):
            owners = each["metadata"].get("ownerReferences") or ()
            inside = key[1] == "namespaces" and other[2] == key[3]
            if inside or any(owner.get("uid") == uid for owner in owners):
                self._drop(other)

    def _keep(self, type: str, key: tuple[str, str, str, str], new: Object, old: Object | None) -> None:
        self.objects[key] = new
        self._log(type, key, new, old)

    def _log(self, type: str, key: tuple[str, str, str, str], found: Object, before: Object | None) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append(Change(self.version, type, key[:2], copy.deepcopy(found), copy.deepcopy(before)))
        for reaction in list(self.reactions):
            reaction(type, found)

    async def tell(self) -> None:
        """Wake the watches."""
        async with self.changed:
            self.changed.notify_all()
