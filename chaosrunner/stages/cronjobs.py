"""cronjobs: what is to be done, when, with which files -> the objects of a cluster that does it. The CronJob is that of
`k8s/scheduled`, with the same security; the files come as a ConfigMap, in the folders where they lie here. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chaosrunner import __version__
from chaosrunner.errors import UsageError
from chaosrunner.files.written import scalar
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.ports import Schedules
from chaosrunner.records.light import dataclass

LONGEST_NAME = 52
"""Of a CronJob: Kubernetes adds to it for the Jobs."""
MOST_BYTES = 1_000_000
"""Of a ConfigMap."""
FILES, SPARE = "/chaos", 300
USER = 65532
REGISTER = "CHAOSRUNNER_REGISTER"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What is to be done again and again."""

    name: str
    """Of the objects."""
    command: Sequence[str]
    """Words after `chaosrunner --state DIR`; files as the ConfigMap has them."""
    schedule: str
    zone: str
    files: Mapping[str, str]
    """Texts by their paths below the current folder."""
    secrets: Sequence[str] = ()
    """Environment variables that the files name."""
    longest: float | None = None
    """Seconds that it may take; None: nothing is known."""
    namespace: str = "chaosrunner"
    image: str = f"chaosrunner/chaosrunner:{__version__}"
    late: float = 600.0
    """Seconds by which a start that was missed may be made up for."""
    claim: str = ""
    """A PersistentVolumeClaim for what is kept; empty: nothing is, from one to the next."""
    secret: str = "chaosrunner"
    """The Kubernetes Secret that has `secrets`."""
    made_for: str = ""
    """`suite.NAME` or `game-day.NAME`, by which the objects are found again."""


def objects(what: Scheduled) -> list[JsonObject]:
    """The ConfigMap and the CronJob. Raises `UsageError` for what a cluster would not take."""
    if len(what.name) > LONGEST_NAME:
        raise UsageError(f"the name {what.name} is longer than the {LONGEST_NAME} letters that a CronJob may have")
    if sum(len(text.encode()) for text in what.files.values()) > MOST_BYTES:
        raise UsageError(f"the files of {what.name} are larger than the 1 MB that a ConfigMap may have")
    outside = [path for path in what.files if path.startswith(("/", "../"))]
    if outside:
        raise UsageError(f"{outside[0]} lies outside of the current folder: start where all files are below it")
    labels = _labels() | ({Schedules.LABEL: what.made_for} if what.made_for else {})
    metadata: JsonObject = {"name": what.name, "namespace": what.namespace, "labels": labels}
    files: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {_key(path): text for path, text in sorted(what.files.items())},
    }
    return [files, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": _spec(what)}]


def _labels() -> JsonObject:
    return {"app.kubernetes.io/name": "chaosrunner", "app.kubernetes.io/managed-by": "chaosrunner"}


def _key(path: str) -> str:
    """A ConfigMap's key for a path; different paths have different keys."""
    letters = (one if one.isascii() and (one.isalnum() or one in "-.") else f"_{ord(one):x}_" for one in path)
    return "".join(letters)


def _spec(what: Scheduled) -> JsonObject:
    job: JsonObject = {"backoffLimit": 0}
    if what.longest is not None:
        job["activeDeadlineSeconds"] = int(what.longest) + SPARE
    template: JsonObject = {"metadata": {"labels": _labels()}, "spec": _pod(what)}
    return {
        "schedule": what.schedule,
        "timeZone": "Etc/UTC" if what.zone == "UTC" else what.zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": int(what.late),
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": {**job, "ttlSecondsAfterFinished": 86400, "template": template}},
    }


def _pod(what: Scheduled) -> JsonObject:
    items: list[JsonValue] = [{"key": _key(path), "path": path} for path in sorted(what.files)]
    state: JsonObject = {"persistentVolumeClaim": {"claimName": what.claim}} if what.claim else {"emptyDir": {}}
    return {
        "serviceAccountName": "chaosrunner",
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(what)],
        "volumes": [
            {"name": "experiments", "configMap": {"name": what.name, "items": items}},
            {"name": "state", **state},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(what: Scheduled) -> JsonObject:
    variables: list[JsonValue] = [{"name": "CHAOSRUNNER_MACHINE", "value": "/tmp/machine"}]
    for name in dict.fromkeys((*what.secrets, REGISTER)):
        key: JsonObject = {"name": what.secret, "key": name}
        variables.append(
            {"name": name, "valueFrom": {"secretKeyRef": key | ({"optional": True} if name == REGISTER else {})}}
        )
    return {
        "name": "chaosrunner",
        "image": what.image,
        "command": ["chaosrunner"],
        "args": ["--state", "/state", *what.command],
        "workingDir": FILES,
        "env": variables,
        "volumeMounts": [
            {"name": "experiments", "mountPath": FILES, "readOnly": True},
            {"name": "state", "mountPath": "/state"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def as_yaml(documents: Sequence[JsonObject]) -> str:
    """Documents as kubectl reads them; longer texts as blocks."""
    return "".join("\n".join(["---", *_mapping(each, 0)]) + "\n" for each in documents)


def _mapping(value: Mapping[str, JsonValue], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, child in value.items():
        head = f"{indent}{scalar(name)}:"
        if isinstance(child, dict) and child:
            yield head
            yield from _mapping(child, depth + 1)
        elif isinstance(child, list) and child:
            yield head
            yield from _list(child, depth + 1)
        elif isinstance(child, str) and _is_block(child):
            yield f"{head} |"
            yield from (f"{indent}  {line}".rstrip() for line in child.split("\n")[:-1])
        else:
            yield f"{head} {_leaf(child)}"


def _list(values: Sequence[JsonValue], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for child in values:
        if isinstance(child, dict) and child:
            first, *rest = _mapping(child, depth + 1)
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_leaf(child)}"


def _is_block(text: str) -> bool:
    """Whether a literal block reads as the same text."""
    lines = text.split("\n")
    even = len(lines) > 2 and not lines[-1] and bool(lines[0].strip()) and bool(lines[-2].strip())
    plain = all(line.isprintable() and line == line.rstrip() for line in lines)
    return even and plain and not lines[0].startswith(" ")


def _leaf(value: JsonValue) -> str:
    return "{}" if value == {} else "[]" if value == [] else scalar(value)
