"""How an API server applies patches: merge (RFC 7386), JSON (RFC 6902), and strategic with lists merged by name."""

from __future__ import annotations

import copy
from typing import Any

Object = dict[str, Any]

MERGE_KEYS = {
    **dict.fromkeys(
        ("containers", "initContainers", "ephemeralContainers", "env", "volumes", "imagePullSecrets"), "name"
    ),
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "ports": "port",
}
"""Lists that a strategic patch merges, by what tells their items apart; all others are replaced."""
SETS = {"finalizers"}


class BadPatch(Exception):
    """The patch cannot be applied."""


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merge(made.get(key), value)
    return made


def strategic(target: Any, patch: Any) -> Any:
    """As merge, but known lists item by item; `$patch: delete` takes an item out, `$patch: replace` replaces."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            made.pop(key, None)
        elif isinstance(value, list) and key in SETS:
            made[key] = [*made.get(key, []), *(each for each in value if each not in made.get(key, []))]
        elif isinstance(value, list) and key in MERGE_KEYS:
            made[key] = _by_key(made.get(key) or [], value, MERGE_KEYS[key])
        else:
            made[key] = strategic(made.get(key), value)
    return made


def _by_key(old: list[Any], new: list[Any], key: str) -> list[Any]:
    made = list(old)
    for item in new:
        if key not in item:
            raise BadPatch(f"map: {item} does not contain declared merge key: {key}")
        place = next((number for number, each in enumerate(made) if each.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            made = [each for each in made if each.get(key) != item[key]]
        elif place is None:
            made.append(item)
        else:
            made[place] = strategic(made[place], item)
    return made


def json_patch(target: Any, operations: list[Object]) -> Any:
    """RFC 6902."""
    made = copy.deepcopy(target)
    for operation in operations:
        made = _apply(made, operation)
    return made


def _apply(document: Any, operation: Object) -> Any:
    verb, where = operation["op"], _pointer(operation["path"])
    if verb == "test":
        if _read(document, where) != operation.get("value"):
            raise BadPatch(f"testing value {operation['path']} failed: test failed")
    elif verb in ("add", "replace"):
        document = _write(document, where, copy.deepcopy(operation["value"]), replace=verb == "replace")
    elif verb == "remove":
        _remove(document, where)
    elif verb in ("move", "copy"):
        source = _pointer(operation["from"])
        value = copy.deepcopy(_read(document, source))
        if verb == "move":
            _remove(document, source)
        document = _write(document, where, value, replace=False)
    else:
        raise BadPatch(f"Unexpected kind: {verb}")
    return document


def _pointer(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(document: Any, where: list[str]) -> Any:
    for part in where:
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise BadPatch(f"missing path /{'/'.join(where)}") from None
    return document


def _write(document: Any, where: list[str], value: Any, *, replace: bool) -> Any:
    if not where:
        return value
    parent = _read(document, where[:-1])
    last = where[-1]
    if isinstance(parent, list):
        if replace:
            parent[int(last)] = value
        else:
            parent.insert(len(parent) if last == "-" else int(last), value)
    else:
        if replace and last not in parent:
            raise BadPatch(f"replace operation does not apply: missing path /{'/'.join(where)}")
        parent[last] = value
    return document


def _remove(document: Any, where: list[str]) -> None:
    _read(document, where)
    parent = _read(document, where[:-1])
    if isinstance(parent, list):
        del parent[int(where[-1])]
    else:
        del parent[where[-1]]
