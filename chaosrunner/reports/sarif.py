"""Near misses as SARIF 2.1.0, for code scanning and other tools that keep findings.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html: fingerprints (3.27.16) stay the same from run to run,
`baselineState` (3.27.24) says what is new, a waiver or a rejection is a suppression (3.35) with its justification.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chaosrunner import __version__
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import FindingClass, GapKind, Priority, State

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Priority.P1: "error", Priority.P2: "error", Priority.P3: "warning", Priority.P4: "note"}
_RULES = {
    GapKind.IMPACT: "A hypothesis broke while a fault was in force",
    GapKind.NO_RECOVERY: "The system did not come back in time",
    GapKind.ABORTED: "An abort limit was reached",
    GapKind.UNDETECTED: "No alert told of it",
    GapKind.CLOSE_CALL: "A hypothesis held with too little room",
    GapKind.SPILL_OVER: "Something was hit that was no target",
    GapKind.UNDO_FAILED: "A fault could not be taken back",
    GapKind.NO_REDUNDANCY: "Nothing could take over",
    GapKind.REPORTED: "Somebody reported it",
}


def sarif(near_misses: Sequence[NearMiss], new: Collection[str] = (), where: str = "") -> JsonObject:
    """One result for each near miss. `new`: ids that the baseline did not know; `where`: a file of the repository that
    results are shown at (code scanning wants one)."""
    kinds = list(GapKind)
    rules: list[JsonObject] = [
        {
            "id": f"chaosrunner/{kind.value}",
            "name": "".join(part.title() for part in kind.value.split("-")),
            "shortDescription": {"text": _RULES[kind]},
            "helpUri": "https://chaosrunner.dev",
        }
        for kind in kinds
    ]
    driver: JsonObject = {
        "name": "chaosrunner",
        "version": __version__,
        "informationUri": "https://chaosrunner.dev",
        "rules": [*rules],
    }
    results: list[JsonObject] = [_result(each, kinds.index(each.kind), each.id in new, where) for each in near_misses]
    run: JsonObject = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [*results]}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(near_miss: NearMiss, rule: int, new: bool, where: str) -> JsonObject:
    gone = near_miss.state in (State.VERIFIED, State.OBSOLETE)
    state = "new" if new or near_miss.draft else "absent" if gone else "updated" if near_miss.regressed else "unchanged"
    result: JsonObject = {
        "ruleId": f"chaosrunner/{near_miss.kind.value}",
        "ruleIndex": rule,
        "kind": "review" if near_miss.draft else "pass" if gone else "fail",
        "level": "none" if near_miss.draft or gone else _LEVELS[near_miss.priority],
        "message": {"text": f"{near_miss.id} ({near_miss.priority}): {near_miss.title}"},
        "fingerprints": {f"chaosrunner/{rule}": each for rule, each in near_miss.fingerprints.items()},
        "baselineState": state,
        "occurrenceCount": max(1, near_miss.occurrences),
        "suppressions": [*_suppressions(near_miss)],
        "locations": [_location(near_miss, where)],
        "properties": {
            "nearMiss": near_miss.id,
            "state": near_miss.state.value,
            "priority": near_miss.priority.value,
            "due": near_miss.due.isoformat(),
            "owner": near_miss.owner or "",
            "tags": ["resilience", near_miss.service, *near_miss.fault_classes],
        },
    }
    if near_miss.item and near_miss.item.url:
        result["workItemUris"] = [near_miss.item.url]
    return result


def _location(near_miss: NearMiss, where: str) -> JsonObject:
    kind = "resource" if near_miss.finding is not FindingClass.INCIDENT else "module"
    name: JsonObject = {"name": near_miss.service, "kind": kind, "fullyQualifiedName": _path(near_miss)}
    location: JsonObject = {"logicalLocations": [name]}
    if where:
        location["physicalLocation"] = {"artifactLocation": {"uri": where}, "region": {"startLine": 1}}
    return location


def _path(near_miss: NearMiss) -> str:
    return "/".join((near_miss.environment_class, near_miss.service, near_miss.hypothesis or near_miss.subject or ""))


def _suppressions(near_miss: NearMiss) -> list[JsonObject]:
    if near_miss.waiver is not None:
        until = f"waived until {near_miss.waiver.until} by {near_miss.waiver.accepted_by}: {near_miss.waiver.reason}"
        return [{"kind": "external", "status": "accepted", "justification": until}]
    if near_miss.state in (State.REJECTED, State.DUPLICATE):
        code = f" ({near_miss.rejected_as.value})" if near_miss.rejected_as else ""
        said = f"{near_miss.state.value}{code}: {near_miss.reason}"
        return [{"kind": "external", "status": "accepted", "justification": said}]
    return []
