"""Incident tools and channels on loopback, written from their documentation: what they know a repetition by, what they
refuse, and how they say so."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from tests.loopback import Met
from tests.near_misses.world import SetClock
from tests.trackers.api import Answer, Api, Asked

SECRETS = {
    "KEY": "pd0123456789abcdef0123456789abcd",
    "REST": "rest-key-0123456789",
    "PAGE": "statuspage-key-0123456789",
    "SIGN": "whsec_" + base64.b64encode(b"a key to sign with").decode(),
}


class Receiving(Api):
    """What a test asks of any of them."""

    path = ""
    """That is asked to tell it something."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.shown: list[str] = []
        """Headlines that people see: each once, if nothing was told twice."""
        self.valid = True

    def call(self) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def environ(self) -> dict[str, str]:
        return dict(SECRETS)

    def allowed(self, met: Met) -> bool:
        return True

    def base(self) -> str:
        return self.url("").rstrip("/")


class PagerDutyEvents(Receiving):
    """Alerts by dedup key: a trigger for one that is open adds nothing that people see; a resolve of a closed one is
    dropped."""

    path = "/v2/enqueue"

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.open: dict[str, dict[str, Any]] = {}

    def call(self) -> dict[str, Any]:
        return {"pagerduty": {"routingKey": {"env": "KEY"}, "url": self.base()}}

    def answer(self, asked: Asked) -> Answer:
        event = asked.body
        if event["routing_key"] != SECRETS["KEY"] or not self.valid:
            return Answer(400, {"status": "invalid event", "errors": [f"{event['routing_key']} is invalid"]})
        key = event["dedup_key"]
        assert len(key) <= 255
        if event["event_action"] == "resolve":
            if self.open.pop(key, None) is not None:
                self.shown.append(f"resolved {key}")
        else:
            payload = event["payload"]
            assert len(payload["summary"]) <= 1024 and payload["severity"] in ("critical", "error", "warning", "info")
            assert payload["source"]
            if key not in self.open:
                self.shown.append(payload["summary"])
            self.open[key] = payload
        return Answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})


class OnCall(Receiving):
    """Incidents by entity; refuses with a 200 that says `failure`."""

    path = f"/integrations/generic/20131114/alert/{SECRETS['REST']}/checkout"

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.open: dict[str, str] = {}

    def call(self) -> dict[str, Any]:
        return {"splunk-on-call": {"restKey": {"env": "REST"}, "routingKey": "checkout", "url": self.base()}}

    def answer(self, asked: Asked) -> Answer:
        if asked.path != self.path or not self.valid:
            return Answer(200, {"result": "failure", "message": f"Unknown key {SECRETS['REST']}"})
        body = asked.body
        kind, entity = body["message_type"], body["entity_id"]
        if kind == "RECOVERY":
            if self.open.pop(entity, None):
                self.shown.append(f"resolved {entity}")
        elif kind in ("CRITICAL", "WARNING"):
            if entity not in self.open:
                self.shown.append(body["entity_display_name"])
            self.open[entity] = kind
        return Answer(200, {"result": "success", "entity_id": entity})


class StatusPage(Receiving):
    """Knows no repetition; notifies unless told not to; one request a second."""

    path = "/v1/pages/p1/incidents"

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.incidents: list[dict[str, Any]] = []
        self.mails = 0
        self._last = 0.0

    def call(self) -> dict[str, Any]:
        page = {"page": "p1", "allowedPages": ["p1"], "token": {"env": "PAGE"}, "url": self.base()}
        return {"statuspage": page}

    def allowed(self, met: Met) -> bool:
        return met.headers.get("authorization") == f"OAuth {SECRETS['PAGE']}" and self.valid

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return Answer(200, list(reversed(self.incidents)) if asked.query["page"] == "1" else [])
        if self.clock.now() - self._last < 1:
            return Answer(420, {"error": "Enhance your calm"})
        self._last = self.clock.now()
        incident = asked.body["incident"]
        self.mails += incident.get("deliver_notifications", True)
        if asked.method == "POST":
            self.incidents.append({"id": f"i{len(self.incidents)}", **incident})
            self.shown.append(incident["name"])
            return Answer(201, self.incidents[-1])
        (known,) = [each for each in self.incidents if asked.path.endswith(each["id"])]
        if known["status"] != incident["status"] == "resolved":
            self.shown.append(f"resolved {incident['metadata']['chaosrunner']['key']}")
        known |= incident
        return Answer(200, known)


class SlackHook(Receiving):
    """Every message is shown."""

    path = "/services/T0/B0/slack-secret-path"

    def call(self) -> dict[str, Any]:
        return {"slack": {"webhook": {"env": "HOOK"}}}

    @property
    def environ(self) -> dict[str, str]:
        return {"HOOK": self.url(self.path)}

    def answer(self, asked: Asked) -> Answer:
        if not self.valid or asked.path != self.path:
            return Answer(404, f"no_team {self.path}")
        assert asked.body["text"] and all(each["type"] in ("section", "context") for each in asked.body["blocks"])
        self.shown.append(asked.body["text"])
        return Answer(200, "ok")


class TeamsHook(Receiving):
    """Every card is shown; an error may be a 200."""

    path = "/workflows/teams-secret-path"

    def call(self) -> dict[str, Any]:
        return {"teams": {"webhook": {"env": "HOOK"}}}

    @property
    def environ(self) -> dict[str, str]:
        return {"HOOK": self.url(f"{self.path}?sig=teams-signature")}

    def answer(self, asked: Asked) -> Answer:
        if not self.valid:
            return Answer(200, "Webhook message delivery failed with error: HTTP error 413 teams-signature")
        (attachment,) = asked.body["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert len(json.dumps(asked.body).encode()) <= 28 * 1024
        self.shown.append(card["body"][0]["text"])
        return Answer(202)


class Hook(Receiving):
    """Verifies the signature as Standard Webhooks says, and drops what it has had by its id."""

    path = "/hook"

    def __init__(self, clock: SetClock) -> None:
        super().__init__(clock)
        self.had: set[str] = set()
        self.bodies: list[dict[str, Any]] = []

    def call(self) -> dict[str, Any]:
        return {"webhook": {"url": self.url(self.path), "secret": {"env": "SIGN"}}}

    def allowed(self, met: Met) -> bool:
        id, sent = met.headers["webhook-id"], met.headers["webhook-timestamp"]
        key = base64.b64decode(SECRETS["SIGN"].removeprefix("whsec_"))
        signed = hmac.new(key, f"{id}.{sent}.".encode() + met.body, hashlib.sha256).digest()
        right = f"v1,{base64.b64encode(signed).decode()}" == met.headers["webhook-signature"]
        self._id = id
        return right and abs(int(sent) - self.clock.now()) < 300

    def answer(self, asked: Asked) -> Answer:
        if not self.valid:
            return Answer(400, {"message": "I do not take this"})
        if self._id not in self.had:
            self.had.add(self._id)
            self.bodies.append(asked.body)
            over = asked.body["news"] in ("verified", "closed")
            self.shown.append("resolved" if over else asked.body["headline"])
        return Answer(204)


RECEIVERS = {
    "pagerduty": PagerDutyEvents,
    "splunk-on-call": OnCall,
    "statuspage": StatusPage,
    "slack": SlackHook,
    "teams": TeamsHook,
    "webhook": Hook,
}
AT_MOST_ONCE = ("slack", "teams")
