"""Changes of objects as data, made for faults and carried out by the runner. What they mean, and how they are carried
out: `chaosrunner.injector.operations`, which the guardian uses, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chaosrunner.injector import operations
from chaosrunner.injector.operations import Answer, Call, Outcome
from chaosrunner.model.frozen import JsonObject
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, PatchType
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY

US = "chaosrunner"
"""Who changes fields, in the API's own account of it (`managedFields`)."""


def patch(where: str, body: Mapping[str, Any], hold: str, **more: Any) -> JsonObject:
    """Merge a change into an object, and mark it."""
    marked = operations.merged(body, {"metadata": {"annotations": operations.mark(hold)}})
    return {"method": "PATCH", "path": where, "body": marked, **more}


def back(where: str, body: Mapping[str, Any], hold: str, **more: Any) -> JsonObject:
    """Merge old values back into an object that carries the mark, and take the mark off."""
    unmarked = operations.merged(body, {"metadata": {"annotations": operations.unmark(hold)}})
    return {"method": "PATCH", "path": where, "body": unmarked, "if": dict(operations.still(hold)), **more}


def make(where: str, body: Mapping[str, Any], hold: str) -> JsonObject:
    """Make an object, marked as the hold's and as chaosrunner's own."""
    ours: JsonObject = {"labels": {MANAGED_BY: US}, "annotations": dict(operations.mark(hold))}
    return {"method": "POST", "path": where, "body": operations.merged(body, {"metadata": ours})}


def unmake(where: str, hold: str) -> JsonObject:
    """Delete an object that carries the mark."""
    return {"method": "DELETE", "path": where, "if": dict(operations.still(hold))}


async def perform(cluster: Cluster, operation: Mapping[str, Any]) -> Outcome:
    """Carry one out. Raises nothing: what went wrong is the outcome."""
    steps = operations.carry_out(operation)
    try:
        call = next(steps)
        while True:
            call = steps.send(await _ask(cluster, call))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


async def _ask(cluster: Cluster, call: Call) -> Answer:
    try:
        if call.method == "GET":
            return Answer(200, await cluster.get(call.path))
        if call.method == "POST":
            return Answer(201, await cluster.create(call.path, call.body, fieldManager=US))
        if call.method == "DELETE":
            return Answer(200, await cluster.delete(call.path, call.body))
        kind: PatchType = call.type  # type: ignore[assignment]
        return Answer(200, await cluster.patch(call.path, call.body, kind, fieldManager=US))
    except ApiError as error:
        return Answer(error.code, {"message": error.message})
