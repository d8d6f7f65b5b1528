"""`POST /hooks/pagerduty`: incidents that are triggered become draft near misses.

Source: PagerDuty's developer documentation, webhooks version 3. `X-PagerDuty-Signature` is a list of `v1=` and the
hexadecimal HMAC-SHA256 of the body, one for each of the subscription's secrets. People (assignees, who did it) are not
read: a near miss has no culprits.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from chaosrunner.errors import UsageError
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.report import Report
from chaosrunner.model.words import DetectedBy
from chaosrunner.serve.asking import Asked, Door, Route
from chaosrunner.serve.told import Needless, NotTaken, Way, line, links, mapping, moment, one_of, story
from chaosrunner.serve.told import report as report_of

OPENED = {"incident.triggered": "was triggered", "incident.reopened": "was opened again"}
"""Events that open something, in words."""
OURS = "chaosrunner:"
"""How the keys of incidents begin that chaosrunner opened itself: they are known."""


def _signed(door: Door, asked: Asked, now: float) -> bool:
    given = [each.strip() for each in asked.headers.get("X-PagerDuty-Signature", "").split(",")]
    right = [hmac.new(key.reveal().encode(), asked.body, hashlib.sha256).hexdigest() for key in door.keys]
    return one_of(given, [f"v1={each}" for each in right])


def _events(body: JsonValue) -> Sequence[JsonValue]:
    event = body.get("event") if isinstance(body, dict) else None
    if not isinstance(event, dict):
        raise UsageError("expected PagerDuty's JSON (version 3), with an object `event`")
    return [event]


def _read(event: JsonValue, door: Door, asked: Asked, now: float) -> Report:
    told = mapping(event, "the event")
    kind = line(told.get("event_type"), 60)
    if kind not in OPENED:
        raise Needless(f"{kind or 'an event without a type'} opens nothing")
    incident = mapping(told.get("data"), "`data`")
    id, key = line(incident.get("id"), 100), line(incident.get("incident_key"), 255)
    if not id:
        raise NotTaken("the incident has no id")
    if key.startswith(OURS):
        raise Needless("chaosrunner opened this incident itself")
    service = _name(incident.get("service"))
    again = f"|{line(told.get('id'), 100)}" if kind == "incident.reopened" else ""
    number = incident.get("number")
    which = f"#{number}" if isinstance(number, int) else id
    return report_of(
        door,
        title=f"Incident {which}: {line(incident.get('title'), 250) or 'without a title'}",
        service=service,
        story=story(
            f"PagerDuty's incident {which} {OPENED[kind]}{_urgency(incident)}.",
            f"Service: {service}." if service else "",
        ),
        at=moment(told.get("occurred_at") or incident.get("created_at"), now),
        owner=_name(next(iter(_list(incident.get("teams"))), None)) or door.hook.owner,
        detected_by=DetectedBy.ALERT if key else None,
        links=links(incident.get("html_url")),
        same_as=f"pagerduty|{door.environment.class_name}|{service}|{key or id}",
        delivery=f"pagerduty|{id}{again}",
    )


def _urgency(incident: Mapping[str, JsonValue]) -> str:
    urgency, priority = line(incident.get("urgency"), 20), _name(incident.get("priority"))
    said = [f"urgency {urgency}" if urgency else "", f"priority {priority}" if priority else ""]
    return f" with {' and '.join(filter(None, said))}" if any(said) else ""


def _name(reference: JsonValue) -> str:
    return line(reference.get("summary"), 100) if isinstance(reference, dict) else ""


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


WAY = Way("pagerduty", _signed, _events, _read)
ROUTES = (Route("POST", "/hooks/pagerduty", WAY.answer, for_all=True),)
