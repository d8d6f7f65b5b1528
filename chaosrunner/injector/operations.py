"""Changes of objects in a cluster as data, and what carries them out: the runner, the guardian and `heal` use this one
implementation, each with a transport of its own.

An operation is one of

    {"method": "POST", "path": COLLECTION, "body": OBJECT}
    {"method": "PATCH", "path": OBJECT'S, "type": "application/merge-patch+json", "body": {...}}
    {"method": "DELETE", "path": OBJECT'S}

PATCH and DELETE may say which very object is meant, and whose it must still be:

    "uid": UID,   "if": {"pointer": "/metadata/annotations/hold.chaosrunner.dev~10123456789", "equals": HOLD}

An object that is not there, is another one of the same name, or is not ours any more is left alone: its part is *gone*.
A merge may also add to and take from lists that others change too, whole items at a time:

    "with": {"pointer": "/spec/taints", "items": [{"key": "k", "effect": "NoSchedule"}]},   "without": {...}

and have parts that are merged only where somebody else has not changed the value since:

    "when": [{"pointer": "/spec/replicas", "equals": 1, "body": {"spec": {"replicas": 3}}}]

(in a strategic merge, where lists are merged by their items' names, a part's lists come after those of the others).

Every change names the resourceVersion that was looked at, so that nobody's change in between is lost: then it is looked
at anew.

Standard library only: it also runs in the guardian's pod.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

Operation = Mapping[str, Any]

MARK = "hold.chaosrunner.dev/"
"""Prefix of the annotation that every changed object carries while a hold lasts: hash of the hold -> the hold's id."""
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
BY_NAME: Final = "application/strategic-merge-patch+json"
"""Items of many lists (the containers of a pod, among them) are merged by their names."""
ATTEMPTS = 8
"""Times that a change is tried when others change the object at the same moment."""
PASSING = frozenset({0, 408, 429, 500, 502, 503, 504})
"""Answers (0: none) after which the same request may well succeed in a moment."""


class Call(NamedTuple):
    """A request to the API server."""

    method: str
    path: str
    body: Any = None
    type: str = "application/json"


class Answer(NamedTuple):
    """What came of it: an HTTP status (0: no answer) and the object, or the server's Status with its message."""

    code: int
    object: dict[str, Any]

    @property
    def words(self) -> str:
        """Why not, in the server's words."""
        said = str(self.object.get("message") or "no reason given")
        return (
            f"the API server answers {self.code}: {said}" if self.code else f"the API server cannot be reached: {said}"
        )


class Outcome(NamedTuple):
    """`done`; `gone`: there is nothing (of ours) to change; `failed`, and whether trying again may help."""

    state: Literal["done", "gone", "failed", "conflict"]
    words: str = ""
    passing: bool = False
    object: dict[str, Any] | None = None


Steps = Generator[Call, Answer, Outcome]
"""Yields requests, is sent their answers, returns what came of the operation."""


def short(text: str) -> str:
    """A name for what has too long a name: ten hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def mark(hold: str) -> dict[str, str]:
    """The annotation of everything that a hold changes or makes."""
    return {MARK + short(hold): hold}


def unmark(hold: str) -> dict[str, None]:
    """The same for a merge that takes it away."""
    return {MARK + short(hold): None}


def still(hold: str) -> dict[str, str]:
    """The `if` of an undo: only what carries the hold's mark."""
    return {"pointer": "/metadata/annotations/" + (MARK + short(hold)).replace("/", "~1"), "equals": hold}


def unsafe(operation: Operation, hold: str) -> str:
    """Why a guardian must not carry out an undo: whoever can write into the ledger must not gain the guardian's rights
    over anything that they could not mark themselves. Empty: it may."""
    if operation.get("method") not in ("PATCH", "DELETE"):
        return f"an undo patches or deletes, and this is a {operation.get('method')}"
    if operation.get("if") != still(hold):
        return f"it is not bound to objects that carry the mark of {hold}"
    if not str(operation.get("path", "")).startswith(("/api/", "/apis/")):
        return "it names no object of the API"
    return ""


# --------------------------------------------------------------------------------------------------------- carrying out


def carry_out(operation: Operation) -> Steps:
    """One operation. Doing it twice is harmless."""
    outcome = Outcome("conflict")
    for _ in range(ATTEMPTS):
        outcome = yield from (_make(operation) if operation["method"] == "POST" else _change(operation))
        if outcome.state != "conflict":
            return outcome
    return Outcome("failed", f"{operation['path']}: others change it all the time: {outcome.words}", passing=True)


def _make(operation: Operation) -> Steps:
    answer = yield Call("POST", operation["path"], operation["body"])
    if answer.code < 300 and answer.code:
        return Outcome("done", object=answer.object)
    name = operation["body"]["metadata"]["name"]
    where = f"{operation['path']}/{name}"
    if answer.code != 409:
        return _failed("POST", where, answer)
    found = yield Call("GET", where)
    if found.code == 404:
        return Outcome("conflict", answer.words)
    if found.code != 200:
        return _failed("GET", where, found)
    wanted = operation["body"]["metadata"].get("annotations") or {}
    there = found.object["metadata"].get("annotations") or {}
    if wanted and all(there.get(key) == value for key, value in wanted.items()):
        return Outcome("done", object=found.object)  # an earlier try of ours, whose answer was lost
    return Outcome("failed", f"{where}: there is another one of this name already")


def _change(operation: Operation) -> Steps:
    where = str(operation["path"])
    found = yield Call("GET", where)
    if found.code in (404, 410):
        return Outcome("gone", f"{where}: it is not there any more")
    if found.code != 200:
        return _failed("GET", where, found)
    if why := _not_meant(operation, found.object):
        return Outcome("gone", f"{where}: {why}", object=found.object)
    answer = yield _request(operation, found.object)
    if answer.code == 404:
        return Outcome("gone", f"{where}: it is not there any more")
    if answer.code == 409:
        return Outcome("conflict", answer.words)
    if 200 <= answer.code < 300:
        return Outcome("done", object=answer.object)
    return _failed(str(operation["method"]), where, answer)


def _not_meant(operation: Operation, found: Mapping[str, Any]) -> str:
    uid = operation.get("uid")
    if uid and found["metadata"].get("uid") != uid:
        return "it is another one of the same name now"
    condition = operation.get("if")
    if condition is not None and at(found, condition["pointer"]) != condition["equals"]:
        return "it is not (or no longer) held by this fault"
    return ""


def _request(operation: Operation, found: Mapping[str, Any]) -> Call:
    where, version = str(operation["path"]), found["metadata"].get("resourceVersion")
    if operation["method"] == "DELETE":
        seen = {"uid": found["metadata"].get("uid"), "resourceVersion": version}
        return Call("DELETE", where, {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": seen})
    kind = str(operation.get("type") or MERGE)
    if kind == JSON_PATCH:
        # Not a `test`, whose failure looks like a wrong request: the server answers 409 to an old version.
        first = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
        return Call("PATCH", where, [first, *operation["body"]], kind)
    body = merged(operation.get("body") or {}, {"metadata": {"resourceVersion": version}})
    for part in operation.get("when") or ():
        if at(found, part["pointer"]) == part["equals"]:
            body = merged(body, part["body"], lists=kind == BY_NAME)
    for what in ("with", "without"):
        if what in operation:
            pointer, items = operation[what]["pointer"], operation[what]["items"]
            there = list(at(body, pointer) or at(found, pointer) or ())
            left = [each for each in there if not any(_is(each, item) for item in items)]
            left += list(items) if what == "with" else []
            body = merged(body, _nested(pointer, left or None))
    return Call("PATCH", where, body, kind)


def _failed(method: str, where: str, answer: Answer) -> Outcome:
    return Outcome("failed", f"{method} {where}: {answer.words}", passing=answer.code in PASSING)


def _is(there: Any, item: Mapping[str, Any]) -> bool:
    return isinstance(there, dict) and all(there.get(key) == value for key, value in item.items())


def at(found: Any, pointer: str) -> Any:
    """What is at a JSON pointer (RFC 6901); None: nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(key)] if key.isdigit() and int(key) < len(found) else None
        else:
            found = found.get(key) if isinstance(found, dict) else None
        if found is None:
            return None
    return found


def _nested(pointer: str, value: Any) -> dict[str, Any]:
    for part in reversed(pointer.split("/")[1:]):
        value = {part.replace("~1", "/").replace("~0", "~"): value}
    made: dict[str, Any] = value
    return made


def merged(one: Mapping[str, Any], other: Mapping[str, Any], lists: bool = False) -> dict[str, Any]:
    """Both, the other's where both have a value; mappings are merged in their turn, and so are `lists`, if wanted."""
    made = dict(one)
    for key, value in other.items():
        mine = made.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            made[key] = merged(mine, value, lists)
        else:
            made[key] = [*mine, *value] if lists and isinstance(mine, list) and isinstance(value, list) else value
    return made


# -------------------------------------------------------------------------------------------------------------- words


class Place(NamedTuple):
    """What a path of the API names."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str


def place(path: str) -> Place:
    """`/apis/apps/v1/namespaces/shop/deployments/cart` -> its parts. Raises ValueError for what is no such path."""
    parts = path.strip("/").split("/")
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise ValueError(f"{path!r} is no path of the API")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    return Place(group, version, namespace, rest[0], rest[1] if len(rest) > 1 else "")


def right(operation: Operation) -> dict[str, str]:
    """What the one who carries it out must be allowed to do, as SelfSubjectAccessReview asks it (and `get`)."""
    found = place(str(operation["path"]))
    verb = {"POST": "create"}.get(str(operation["method"]), str(operation["method"]).lower())
    asked = {"verb": verb, "group": found.group, "resource": found.resource, "name": found.name}
    return asked | ({"namespace": found.namespace} if found.namespace else {})


def by_hand(operations: Sequence[Operation]) -> tuple[str, ...]:
    """The kubectl commands that do the same, for a person; they do not look whose the object is."""
    return tuple(line for each in operations for line in _kubectl(each))


def _kubectl(operation: Operation) -> list[str]:
    found = place(str(operation["path"]))
    kind = f"{found.resource}.{found.group}" if found.group else found.resource
    space = ["-n", found.namespace] if found.namespace else []
    if operation["method"] == "DELETE":
        return [shlex.join(["kubectl", "delete", kind, found.name, *space])]
    lines = []
    if taken := operation.get("without"):
        if taken["pointer"] == "/spec/taints":
            taints = [f"{each['key']}:{each['effect']}-" for each in taken["items"]]
            lines.append(shlex.join(["kubectl", "taint", kind, found.name, *taints]))
        else:
            what = shlex.quote(json.dumps(taken["items"]))
            lines.append(
                f"kubectl edit {kind} {found.name} {shlex.join(space)}  # take {what} out of {taken['pointer']}"
            )
    body, type = dict(operation.get("body") or {}), str(operation.get("type") or MERGE)
    for part in operation.get("when") or ():
        body = merged(body, part["body"], lists=type == BY_NAME)
    if body:
        how = type.partition("/")[2].partition("-")[0]
        patch = ["--type", how, "-p", json.dumps(body)]
        lines.append(shlex.join(["kubectl", "patch", kind, found.name, *space, *patch]))
    return lines
