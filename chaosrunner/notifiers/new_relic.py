"""Marks faults and near misses in New Relic, as change events that its charts show."""

from __future__ import annotations

import json
from typing import Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, request_as
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.new_relic import NERDGRAPH, OfNewRelic
from chaosrunner.ports import Notifier

_LONGEST = 1000
_EVENTS = ("fault-began", "fault-ended", "near-miss")


class Params(OfNewRelic):
    """Which entity's charts show the marks."""

    entity: str = Field(min_length=1)
    """A search that finds exactly one entity: `name='checkout' AND domain='APM' AND type='APPLICATION'`."""


class NewRelic(Notifier[Params]):
    """Makes a change event when faults come into force, when all are taken back, and for each near miss.

    They belong together by the run's id (`groupId`). Made from the documented `changeTrackingCreateEvent` of NerdGraph;
    an error that stands inside a 200 is one.
    """

    example = """\
notify:
  - new-relic:
      entity: name='checkout' AND domain='APM' AND type='APPLICATION'
      apiKey: {env: NEW_RELIC_API_KEY}
      region: eu
"""

    async def send(self, event: JsonObject) -> None:
        if event["event"] in _EVENTS:
            answer = await self._ask(_mutation(event, self.params.entity))
            made = _at(answer, "data", "changeTrackingCreateEvent", "changeTrackingEvent", "changeTrackingId")
            if made is None:
                messages = _at(answer, "data", "changeTrackingCreateEvent", "messages")
                raise NotPossibleNow(f"New Relic did not take the change event: {_said(messages)}")

    async def _ask(self, query: str) -> Any:
        access = self.params
        request = request_as(
            access,
            access.host + NERDGRAPH,
            method="POST",
            headers={**access.headers, **access.key},
            json={"query": query},
            asked=Asked.SERVICE,
            keep=256 * 1024,
        )
        reply = await self.context.http.send(request)
        try:
            answer = reply.json()
        except ValueError as error:
            raise NotPossibleNow(f"New Relic answered {reply}: {error}") from None
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if errors or reply.status != 200:
            raise NotPossibleNow(
                f"New Relic refused the change event ({reply.status}): {_said(errors) or reply.says()}"
            )
        return answer


def _mutation(event: JsonObject, entity: str) -> str:
    """As the documentation writes it; a GraphQL string is written as JSON writes one."""
    attributes = {name: str(event[name]) for name in ("experiment", "environment", "service")} | {
        "event": str(event["event"])
    }
    near_miss = event.get("nearMiss")
    if isinstance(near_miss, dict):
        attributes["nearMiss"] = str(near_miss.get("id", ""))
    custom = " ".join(f"{name}: {json.dumps(value)}" for name, value in attributes.items())
    return (
        "mutation { changeTrackingCreateEvent(changeTrackingEvent: {"
        ' categoryAndTypeData: {kind: {category: "Operational", type: "Other"}}'
        f" user: {json.dumps(str(event['who']))}"
        f" timestamp: {round(float(str(event['at'])) * 1000)}"
        f" shortDescription: {json.dumps(str(event['headline'])[:_LONGEST])}"
        f" description: {json.dumps(str(event['text'])[:_LONGEST])}"
        f" groupId: {json.dumps(str(event['run']))}"
        f" customAttributes: {{{custom}}}"
        f" entitySearch: {{query: {json.dumps(entity)}}}"
        " }) { changeTrackingEvent { changeTrackingId timestamp } messages } }"
    )


def _at(answer: Any, *path: str) -> Any:
    for part in path:
        answer = answer.get(part) if isinstance(answer, dict) else None
    return answer


def _said(errors: JsonValue) -> str:
    if isinstance(errors, list):
        return "; ".join(str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in errors)[:300]
    return str(errors or "it does not say why")[:300]
