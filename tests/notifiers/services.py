"""Services that show marks, as far as our notifiers ask them: stateful stand-ins that refuse what the real ones refuse.

Written from their documented contracts; none was held against the real service.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import HttpServer, Met, page

Answer = tuple[int, Any]


@dataclass
class Grafana:
    """`/api/annotations`: POST, PATCH by id, GET by tags."""

    token: str = "s3cr3t"
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)

    def answer(self, met: Met) -> Answer:
        if met.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"message": "Invalid API key"}
        path = urlsplit(met.path)
        if met.method == "GET":
            wanted = parse_qs(path.query).get("tags", [])
            found = [each for each in self.annotations.values() if set(wanted) <= set(each["tags"])]
            return 200, sorted(found, key=lambda each: -each["time"])
        body = json.loads(met.body)
        if met.method == "PATCH":
            id = int(path.path.rpartition("/")[2])
            if id not in self.annotations:
                return 404, {"message": "Could not find annotation to update"}
            self.annotations[id] |= body
            return 200, {"message": "Annotation patched"}
        if not body.get("text"):
            return 400, {"message": "Failed to save annotation", "error": "text field should not be empty"}
        if not isinstance(body.get("time"), int) or body["time"] < 10**12:
            return 400, {"message": "bad request data", "error": "time is in milliseconds"}
        id = 60 + len(self.annotations)
        self.annotations[id] = {"id": id, "dashboardUID": None, "timeEnd": body["time"], **body}
        return 200, {"id": id, "message": "Annotation added"}


@dataclass
class NewRelic:
    """`changeTrackingCreateEvent` of `/graphql`."""

    key: str = "NRAK-1"
    entities: tuple[str, ...] = ("cart",)
    events: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, met: Met) -> Answer:
        if met.headers.get("api-key") != self.key:
            return 401, {"errors": [{"message": "Api-Key is invalid"}]}
        query = json.loads(met.body)["query"]
        found = re.fullmatch(
            r"mutation \{ changeTrackingCreateEvent\(changeTrackingEvent: (\{.*\})\) "
            r"\{ changeTrackingEvent \{ changeTrackingId timestamp \} messages \} \}",
            query,
        )
        if found is None:
            return 200, {"errors": [{"message": "Parsing failure"}]}
        event = _graphql(found[1])
        if set(event) - _KNOWN or event["categoryAndTypeData"] != {
            "kind": {"category": "Operational", "type": "Other"}
        }:
            return 200, {"errors": [{"message": f"Unknown field {sorted(set(event) - _KNOWN)}"}]}
        name = re.search(r"name='(\w+)'", event["entitySearch"]["query"])
        if name is None or name[1] not in self.entities:
            messages = ["entitySearch must resolve to exactly one entity"]
            return 200, {"data": {"changeTrackingCreateEvent": {"changeTrackingEvent": None, "messages": messages}}}
        self.events.append(event)
        made = {"changeTrackingId": f"id-{len(self.events)}", "timestamp": event["timestamp"]}
        return 200, {"data": {"changeTrackingCreateEvent": {"changeTrackingEvent": made, "messages": []}}}


_KNOWN = {
    *("categoryAndTypeData", "user", "timestamp", "shortDescription", "description", "groupId"),
    *("customAttributes", "entitySearch"),
}


def _graphql(text: str) -> Any:
    """An input object as JSON: GraphQL writes keys without quotes, and no commas."""
    pieces = re.findall(r'"(?:[^"\\]|\\.)*"|[{}]|\w+:|\w+', text)
    out = ""
    for piece in pieces:
        if out and out[-1] not in "{:" and piece != "}":
            out += ","
        out += f'"{piece[:-1]}":' if piece.endswith(":") and not piece.startswith('"') else piece
    return json.loads(out)


@dataclass
class PagerDuty:
    """`/v2/change/enqueue`."""

    key: str = "0123456789abcdef0123456789abcdef"
    busy: int = 0
    """How often it says 429 first."""
    events: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, met: Met) -> Answer:
        body = json.loads(met.body)
        problems = []
        if body.get("routing_key") != self.key:
            problems.append("Invalid routing key")
        payload = body.get("payload") or {}
        if not payload.get("summary") or len(payload["summary"]) > 1024:
            problems.append("'payload.summary' is missing or too long")
        if set(payload) - {"summary", "timestamp", "source", "custom_details"} or len(met.body) > 512 * 1024:
            problems.append("unknown fields, or too large")
        if problems:
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
        if self.busy:
            self.busy -= 1
            return 429, {}
        self.events.append(payload)
        return 202, {"status": "success", "message": "Change event processed"}


def serve(server: HttpServer, stand_in: Grafana | NewRelic | PagerDuty, *paths: str) -> str:
    """Let a stand-in answer on paths; the base URL."""

    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        status, body = stand_in.answer(met)
        writer.write(page(json.dumps(body).encode(), status, "application/json"))
        await writer.drain()

    for path in paths:
        server.on(path, behave)
    return server.url("")
