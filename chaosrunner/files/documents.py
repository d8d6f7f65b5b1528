"""Documents by kind: from what was read to the model, with everything that is wrong in one document."""

from __future__ import annotations

from collections.abc import Mapping

from chaosrunner.errors import Problem
from chaosrunner.files import measures, plugins, steps
from chaosrunner.files.node import Spot
from chaosrunner.files.validation import called, nearest, show, validated
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import Experiment, HypothesisDocument
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.gameday import GameDay
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.suite import Suite

Document = Experiment | HypothesisDocument | Environment | Suite | GameDay
KINDS: Mapping[str, type[Experiment] | type[HypothesisDocument] | type[Environment] | type[Suite] | type[GameDay]] = {
    "Experiment": Experiment,
    "Hypothesis": HypothesisDocument,
    "Environment": Environment,
    "Suite": Suite,
    "GameDay": GameDay,
}
API_VERSION = "chaosrunner.dev/v1"
_NOTHING: JsonObject = {"kind": "none", "with": {}}
"""Stands where a plugin is wrong and has been reported, so that the rest is still held against the model."""


def kind_of(spot: Spot) -> str:
    """What kind a document says it is; empty: none that is known."""
    kind = spot.node.children.get("kind")
    return kind.value if kind is not None and isinstance(kind.value, str) and kind.value in KINDS else ""


def name_of(spot: Spot) -> str:
    """A document's name; empty if it has none."""
    name = spot.get("metadata", "name")
    return name.value if name is not None and isinstance(name.value, str) else ""


def is_ours(spot: Spot) -> bool:
    """Whether a document means to be one of chaosrunner's."""
    version = spot.get("apiVersion")
    return version is not None and isinstance(version.value, str) and version.value.startswith("chaosrunner")


def document(spot: Spot, problems: list[Problem]) -> Document | None:
    """The document as its model; None with everything that is wrong with it added to `problems`."""
    if not isinstance(spot.value, dict):
        problems.append(
            spot.problem(
                f"the document is {show(spot.value)}",
                "a mapping with apiVersion, kind, metadata, spec",
                rule="not-a-document",
            )
        )
        return None
    model = KINDS.get(kind_of(spot))
    if model is None:
        problems.append(_unknown_kind(spot))
        return None
    found: list[Problem] = []
    value: JsonObject = {**spot.value, "apiVersion": API_VERSION} if _version(spot, found) else spot.value
    spec = spot.child("spec")
    if spec is not None and isinstance(spec.value, dict):
        value = {**value, "spec": _SPECS[kind_of(spot)](spec, found)}
    result = validated(model, spot, value, found)
    problems += found
    return None if found else result


def _unknown_kind(spot: Spot) -> Problem:
    kind = spot.child("kind")
    if kind is None:
        return spot.problem("the document has no `kind`", f"one of {', '.join(KINDS)}", rule="unknown-kind")
    near = nearest(str(kind.value), list(KINDS))
    expected = "" if near else f"one of {', '.join(KINDS)}"
    return kind.problem(f"unknown kind {show(kind.value)}", expected, near, rule="unknown-kind")


def _version(spot: Spot, problems: list[Problem]) -> bool:
    """Whether the version is given wrongly, which has then been reported."""
    version = spot.child("apiVersion")
    if version is None or version.value == API_VERSION:
        return False
    problems.append(version.problem(f"`apiVersion` is {show(version.value)}", API_VERSION, rule="api-version"))
    return True


def _experiment(spec: Spot, problems: list[Problem]) -> JsonValue:
    assert isinstance(spec.value, dict)
    value = dict(spec.value)
    method, hypotheses, runbook = spec.child("method"), spec.child("hypotheses"), spec.get("remediation", "runbook")
    if method is not None:
        value["method"] = steps.method_value(method, problems)
    if hypotheses is not None and isinstance(hypotheses.value, list):
        value["hypotheses"] = [_hypothesis(one, problems) for one in hypotheses.items()]
    if runbook is not None and runbook.value is not None:
        remediation = value["remediation"]
        assert isinstance(remediation, dict)
        value["remediation"] = {**remediation, "runbook": plugins.call("runbooks", runbook, problems) or _NOTHING}
    return value


def _hypothesis(spot: Spot, problems: list[Problem]) -> JsonValue:
    """A name, or a hypothesis in place; other formats by kind come with their readers."""
    if isinstance(spot.value, dict) and "use" in spot.value:
        return spot.value
    in_place = isinstance(spot.value, dict) and spot.value.keys() & {"name", "title", "measures"}
    if isinstance(spot.value, str) or in_place:
        return measures.hypothesis_value(spot, problems)
    if isinstance(spot.value, dict) and len(spot.value) == 1 and (openslo := spot.child("openslo")) is not None:
        from chaosrunner.files.openslo import settings_of

        settings = settings_of(openslo, problems)
        return {"kind": "openslo", "with": settings.as_json()} if settings is not None else "none"
    expected = "a name, a path, {use: NAME, with: {…}}, {name, title, measures}, or {openslo: PATH}"
    problems.append(spot.problem(f"{called(spot)} is {show(spot.value)}", expected, rule="wrong-type"))
    return "none"


def _environment(spec: Spot, problems: list[Problem]) -> JsonValue:
    assert isinstance(spec.value, dict)
    value = dict(spec.value)
    for field, role in (("platform", "platforms"), ("tracker", "trackers")):
        place = spec.child(field)
        if place is not None and (field == "platform" or place.value is not None):
            value[field] = plugins.call(role, place, problems) or _NOTHING
    notify = spec.child("notify")
    if notify is not None and isinstance(notify.value, list):
        value["notify"] = [plugins.call("notifiers", one, problems) or _NOTHING for one in notify.items()]
    sources, evidence = spec.get("evidence", "sources"), value.get("evidence")
    if sources is not None and isinstance(sources.value, list) and isinstance(evidence, dict):
        named: list[JsonValue] = [plugins.call("sources", one, problems) or _NOTHING for one in sources.items()]
        value["evidence"] = {**evidence, "sources": named}
    return value


def _suite(spec: Spot, problems: list[Problem]) -> JsonValue:
    return spec.value


def _game_day(spec: Spot, problems: list[Problem]) -> JsonValue:
    assert isinstance(spec.value, dict)
    notify, said = spec.get("communications", "notify"), spec.value.get("communications")
    if notify is None or not isinstance(notify.value, list) or not isinstance(said, dict):
        return spec.value
    named: list[JsonValue] = [plugins.call("notifiers", one, problems) or _NOTHING for one in notify.items()]
    return {**spec.value, "communications": {**said, "notify": named}}


_SPECS = {
    "Experiment": _experiment,
    "Hypothesis": measures.hypothesis_value,
    "Environment": _environment,
    "Suite": _suite,
    "GameDay": _game_day,
}
