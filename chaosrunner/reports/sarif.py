"""Near misses, and what a gate answers, as SARIF 2.1.0: for code scanning and other tools that keep findings.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html: fingerprints (3.27.16) stay the same from run to run,
`baselineState` (3.27.24) says what is new, a waiver or a rejection is a suppression (3.35) with its justification.
GitHub knows a result again by `partialFingerprints.primaryLocationLineHash`, so that has the fingerprint too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence

from chaosrunner import __version__
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gap import FINGERPRINT_RULE
from chaosrunner.model.gate import GateAnswer, GateNearMiss, Passed, RuleAnswer
from chaosrunner.model.near_miss import CLOSED, NearMiss
from chaosrunner.model.words import FindingClass, GapKind, Priority, State
from chaosrunner.reports.annotations import place_of

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
_KINDS = list(GapKind)
_WEB = ("https://", "http://")
_POLICY = {
    "undo-failed": "Every fault was taken back",
    "inconclusive": "Every experiment has a conclusive run",
    "not-run": "Every experiment was run lately",
}
"""Rules of a gate that may fail without a near miss."""


def sarif(near_misses: Sequence[NearMiss], new: Collection[str] = (), where: str = "") -> JsonObject:
    """One result for each near miss. `new`: ids that the baseline did not know; `where`: a file of the repository that
    results are shown at (code scanning wants one)."""
    results: list[JsonObject] = [_result(each, each.id in new, where) for each in near_misses]
    return _log(results, _kinds())


def gate_sarif(answer: GateAnswer) -> JsonObject:
    """One result for each near miss that a gate looked at, where its experiment begins; and one for each rule that
    failed, or could not tell, without one."""
    results = [_of_gate(answer, each) for each in answer.near_misses]
    results += [_of_rule(answer, rule) for rule in answer.rules if rule.answer != "pass" and not rule.near_misses]
    log = _log(results, [*_kinds(), *(_rule(f"gate/{name}", title) for name, title in _POLICY.items())])
    (run,) = _objects(log["runs"])
    run["automationDetails"] = {"id": f"chaosrunner/{answer.suite}/"}
    ended: JsonObject = {
        "executionSuccessful": True,
        "exitCode": answer.exit_code,
        "exitCodeDescription": answer.summary,
    }
    run["invocations"] = [ended]
    return log


def _objects(value: object) -> Iterator[JsonObject]:
    assert isinstance(value, list)
    yield from value


def _log(results: Sequence[JsonObject], rules: Sequence[JsonObject]) -> JsonObject:
    driver: JsonObject = {
        "name": "chaosrunner",
        "version": __version__,
        "informationUri": "https://chaosrunner.dev",
        "rules": [*rules],
    }
    run: JsonObject = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [*results]}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _kinds() -> list[JsonObject]:
    return [_rule(kind.value, _RULES[kind]) for kind in _KINDS]


def _rule(name: str, title: str) -> JsonObject:
    return {
        "id": f"chaosrunner/{name}",
        "name": "".join(part.title() for part in name.replace("/", "-").split("-")),
        "shortDescription": {"text": title},
        "helpUri": "https://chaosrunner.dev",
    }


def _result(near_miss: NearMiss, new: bool, where: str) -> JsonObject:
    gone = near_miss.state in (State.VERIFIED, State.OBSOLETE)
    state = "new" if new or near_miss.draft else "absent" if gone else "updated" if near_miss.regressed else "unchanged"
    fingerprints: JsonObject = {f"chaosrunner/{rule}": each for rule, each in near_miss.fingerprints.items()}
    result: JsonObject = {
        "ruleId": f"chaosrunner/{near_miss.kind.value}",
        "ruleIndex": _KINDS.index(near_miss.kind),
        "kind": "review" if near_miss.draft else "pass" if gone else "fail",
        "level": "none" if near_miss.draft or gone else _LEVELS[near_miss.priority],
        "message": {"text": f"{near_miss.id} ({near_miss.priority}): {near_miss.title}"},
        "fingerprints": fingerprints,
        "partialFingerprints": _known_again(near_miss.fingerprint),
        "baselineState": state,
        "occurrenceCount": max(1, near_miss.occurrences),
        "suppressions": [*_suppressions(near_miss)],
        "locations": [_location(near_miss.finding, near_miss.service, _path(near_miss), (where, 1))],
        "properties": {
            "nearMiss": near_miss.id,
            "state": near_miss.state.value,
            "priority": near_miss.priority.value,
            "due": near_miss.due.isoformat(),
            "owner": near_miss.owner or "",
            "tags": ["resilience", near_miss.service, *near_miss.fault_classes],
        },
    }
    if near_miss.item and near_miss.item.url.startswith(_WEB):
        result["workItemUris"] = [near_miss.item.url]
    return result


def _of_gate(answer: GateAnswer, it: GateNearMiss) -> JsonObject:
    gone = it.state in CLOSED
    kind = it.kind or GapKind.IMPACT
    change = {"new": "new", "regressed": "updated", "known": "unchanged"}[it.change]
    waived = it.state is State.WAIVED and not it.says_no
    why: JsonObject = {"kind": "external", "status": "accepted", "justification": f"waived until {it.waived_until}"}
    result: JsonObject = {
        "ruleId": f"chaosrunner/{kind.value}",
        "ruleIndex": _KINDS.index(kind),
        "kind": "pass" if gone else "fail",
        "level": "none" if gone else _LEVELS[it.priority],
        "message": {"text": f"{it.id} ({it.priority}): {it.title}"},
        "fingerprints": {f"chaosrunner/{FINGERPRINT_RULE}": it.fingerprint},
        "partialFingerprints": _known_again(it.fingerprint),
        "baselineState": "absent" if gone else change,
        "suppressions": [why] if waived else [],
        "locations": [_location(it.finding, it.service, it.service, place_of(answer, it) or (answer.file, 1))],
        "properties": {
            "nearMiss": it.id,
            "state": it.state.value,
            "priority": it.priority.value,
            "saysNo": it.says_no,
            "due": it.due.isoformat(),
            "owner": it.owner or "",
            "tags": ["resilience", it.service],
        },
    }
    if it.item and it.item.url.startswith(_WEB):
        result["workItemUris"] = [it.item.url]
    return result


def _of_rule(answer: GateAnswer, rule: RuleAnswer) -> JsonObject:
    fingerprint = hashlib.sha256(f"gate {answer.suite} {answer.environment} {rule.name}".encode()).hexdigest()
    name = rule.name if rule.name in _POLICY else "inconclusive"
    unknown = rule.answer == "unknown"
    location = _location(FindingClass.NEAR_MISS, answer.suite, answer.suite, (answer.file, 1))
    return {
        "ruleId": f"chaosrunner/gate/{name}",
        "ruleIndex": len(_KINDS) + list(_POLICY).index(name),
        "kind": "open" if unknown else "fail",
        "level": "none" if unknown else "error",
        "message": {"text": f"{rule.title}: {rule.why}"},
        "fingerprints": {"chaosrunner/gate/1": f"sha256:{fingerprint}"},
        "partialFingerprints": _known_again(fingerprint),
        "locations": [location],
        "properties": {"rule": rule.name, "passed": answer.passed is Passed.YES, "tags": ["resilience"]},
    }


def _known_again(fingerprint: str) -> JsonObject:
    return {"primaryLocationLineHash": f"{fingerprint.removeprefix('sha256:')[:16]}:1"}


def _location(finding: FindingClass, service: str, path: str, place: tuple[str, int]) -> JsonObject:
    kind = "resource" if finding is not FindingClass.INCIDENT else "module"
    name: JsonObject = {"name": service, "kind": kind, "fullyQualifiedName": path}
    location: JsonObject = {"logicalLocations": [name]}
    file, line = place
    if file:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": line}}
    return location


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(file.replace("\\", "/").removeprefix("./"), safe="/")


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
