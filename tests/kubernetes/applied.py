"""Server-side apply as an API server does it: who manages which field, conflicts, force, and fields that go.

Fields are paths of names; a list is one field, as the tests apply none that others share.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from tests.kubernetes.store import Refusal

Object = dict[str, Any]
Field = tuple[str, ...]

NOT_FIELDS = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
KEPT_BY_SERVER = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}


def managed(body: Object, manager: str, operation: str = "Update") -> Object:
    """An object as `manager` made it; for `FakeApi.add`."""
    made = copy.deepcopy(body)
    made["metadata"]["managedFields"] = [_entry(made, manager, operation, set(_fields(body)))]
    return made


def apply(old: Object | None, body: Object, manager: str, *, force: bool) -> Object:
    """What comes of it. Raises `Refusal` (409) where others hold a field that would change."""
    wanted = dict(_leaves(body))
    made = copy.deepcopy(old) if old is not None else {"apiVersion": body["apiVersion"], "kind": body["kind"]}
    made.setdefault("metadata", {}).update({name: body["metadata"][name] for name in ("name", "namespace")})
    entries: list[Object] = made["metadata"].pop("managedFields", [])
    held = {(entry["manager"], entry["operation"]): _read(entry["fieldsV1"]) for entry in entries}
    mine = held.pop((manager, "Apply"), set())
    there = dict(_leaves(made))
    changes = {field for field, value in wanted.items() if there.get(field, wanted) != value}
    conflicts = sorted((who[0], field) for who, fields in held.items() for field in fields & changes)
    if conflicts and not force:
        raise _conflict(conflicts, body["apiVersion"])
    for field in mine - wanted.keys() - {each for fields in held.values() for each in fields}:
        _remove(made, field)
    for field, value in wanted.items():
        _set(made, field, copy.deepcopy(value))
    held = {who: fields - changes for who, fields in held.items()}
    entries = [_entry(made, who, operation, fields) for (who, operation), fields in held.items() if fields]
    made["metadata"]["managedFields"] = [*entries, _entry(made, manager, "Apply", set(wanted))]
    return made


def _conflict(conflicts: list[tuple[str, Field]], api: str) -> Refusal:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{who}" using {api}',
            "field": f".{'.'.join(field)}",
        }
        for who, field in conflicts
    ]
    many = "1 conflict" if len(causes) == 1 else f"{len(causes)} conflicts"
    words = "\n".join(f"{each['message']}: {each['field']}" for each in causes)
    return Refusal(409, f"Apply failed with {many}: {words}", details={"causes": causes})


def _leaves(value: Mapping[str, Any], before: Field = ()) -> Iterator[tuple[Field, Any]]:
    for name, child in value.items():
        field = (*before, name)
        if field in NOT_FIELDS or (before == ("metadata",) and name in KEPT_BY_SERVER):
            continue
        if isinstance(child, dict) and child:
            yield from _leaves(child, field)
        else:
            yield field, child


def _fields(body: Object) -> Iterator[Field]:
    return (field for field, _ in _leaves(body))


def _entry(body: Object, manager: str, operation: str, fields: set[Field]) -> Object:
    tree: Object = {}
    for field in sorted(fields):
        place = tree
        for name in field:
            place = place.setdefault(f"f:{name}", {})
    made = {"manager": manager, "operation": operation, "apiVersion": body["apiVersion"]}
    return made | {"fieldsType": "FieldsV1", "fieldsV1": tree}


def _read(tree: Object, before: Field = ()) -> set[Field]:
    found: set[Field] = set()
    for name, child in tree.items():
        field = (*before, name.removeprefix("f:"))
        found |= _read(child, field) if child else {field}
    return found


def _set(body: Object, field: Field, value: Any) -> None:
    for name in field[:-1]:
        body = body.setdefault(name, {})
    body[field[-1]] = value


def _remove(body: Object, field: Field) -> None:
    for name in field[:-1]:
        body = body.get(name, {})
    body.pop(field[-1], None)
