"""`POST /hooks/alertmanager`: alerts that fire become draft near misses.

Source: Alertmanager's documentation, `<webhook_config>`, payload version 4. An alert is told again and again while it
fires; its fingerprint and the time at which it began say that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaosrunner.errors import UsageError
from chaosrunner.model.alerts import parse_matcher
from chaosrunner.model.incoming import AlertmanagerHook
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.report import Report
from chaosrunner.model.words import DetectedBy
from chaosrunner.serve.asking import Asked, Door, Route
from chaosrunner.serve.told import Needless, NotTaken, Way, clean, knows_the_token, line, links, mapping, moment, story
from chaosrunner.serve.told import report as report_of

OURS = "Chaosrunner"
"""How names of alerts about chaosrunner itself begin (`k8s/monitoring`): an overdue near miss is not another one."""


def _alerts(body: JsonValue) -> Sequence[JsonValue]:
    alerts = body.get("alerts") if isinstance(body, dict) else None
    if not isinstance(alerts, list):
        raise UsageError("expected Alertmanager's JSON, with a list `alerts`")
    return alerts


def _read(alert: JsonValue, door: Door, asked: Asked, now: float) -> Report:
    assert isinstance(door.hook, AlertmanagerHook)
    hook, told = door.hook, mapping(alert, "the alert")
    labels = {name: clean(value) for name, value in mapping(told.get("labels"), "`labels`").items()}
    name = line(labels.get("alertname", ""), 150)
    if not name:
        raise NotTaken("the alert has no label alertname")
    if told.get("status") != "firing":
        raise Needless(f"{name} is {line(told.get('status'), 30) or 'in no known state'}, and does not fire")
    if name.startswith(OURS):
        raise Needless(f"{name} is about chaosrunner itself")
    if missed := [text for text in hook.only if not parse_matcher(text).matches(labels)]:
        raise Needless(f"{name} does not meet {missed[0]}")
    since = moment(told.get("startsAt"), now)
    service = line(labels.get(hook.service_label, ""), 100)
    parts = [service or hook.service or "", *(f"{each}={labels.get(each, '')}" for each in hook.identity)]
    here = door.environment.name
    same = [door.environment.class_name, name, *parts]
    which = line(told.get("fingerprint"), 64) or "|".join(f"{key}={labels[key]}" for key in sorted(labels))
    return _report(door, name, service, labels, told).model_copy(
        update={"at": since, "same_as": "alert|" + "|".join(same), "delivery": f"alert|{here}|{which}|{since:.3f}"}
    )


def _report(door: Door, name: str, service: str, labels: Mapping[str, str], told: Mapping[str, JsonValue]) -> Report:
    assert isinstance(door.hook, AlertmanagerHook)
    notes = told.get("annotations")
    said = mapping(notes, "`annotations`") if notes else {}
    summary = line(said.get("summary") or said.get("title") or said.get("message"), 220)
    began = line(told.get("startsAt"), 40)
    other = ", ".join(f"{key}={line(value, 80)}" for key, value in sorted(labels.items()) if key != "alertname")
    return report_of(
        door,
        title=f"Alert {name}: {summary}" if summary else f"Alert {name} fired",
        service=service,
        story=story(
            f"The alert {name} fired{f' at {began}' if began else ''}.",
            clean(said.get("description")),
            f"Labels: {other}." if other else "",
        ),
        owner=line(labels.get(door.hook.owner_label, ""), 100) or door.hook.owner,
        detected_by=DetectedBy.ALERT,
        links=links(said.get("runbook_url"), said.get("dashboard_url"), told.get("generatorURL")),
    )


WAY = Way("alertmanager", knows_the_token, _alerts, _read)
ROUTES = (Route("POST", "/hooks/alertmanager", WAY.answer, for_all=True),)
