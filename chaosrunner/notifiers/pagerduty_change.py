"""Marks faults and near misses in PagerDuty, as change events: nobody is paged by them."""

from __future__ import annotations

from datetime import UTC, datetime

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, Request, Url, refusal
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Notifier

_URL = "https://events.pagerduty.com"
_LONGEST = 1024
_EVENTS = ("fault-began", "fault-ended", "near-miss")


class Params(Parameters):
    """Which service of PagerDuty shows the marks."""

    routing_key: SecretRef
    """Where the integration key of an Events API v2 integration of that service is; not one of a ruleset (`R…`)."""
    url: Url = _URL
    """Base URL, without `/v2`; default https://events.pagerduty.com."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Of one request; default 10s."""


class PagerdutyChange(Notifier[Params]):
    """Makes a change event when faults come into force, when all are taken back, and for each near miss.

    Whoever is paged meanwhile sees beside the incident what was being broken; change events themselves notify nobody.
    Made from the documented Events API v2, which answers first and works an event up later, so a mark may be dropped.
    """

    example = """\
notify:
  - pagerduty-change: {routingKey: {env: PAGERDUTY_ROUTING_KEY}}
"""

    async def send(self, event: JsonObject) -> None:
        if event["event"] not in _EVENTS:
            return
        key = self.context.http.secret(self.params.routing_key).reveal()
        if key.startswith("R"):
            raise NotPossibleNow(
                f"the {self.params.routing_key} is the key of a ruleset, which takes no change events: expected the "
                "integration key of a service"
            )
        details: dict[str, JsonValue] = {
            name: event[name] for name in ("run", "experiment", "environment", "service", "who", "text")
        }
        if isinstance(event.get("nearMiss"), dict):
            details["nearMiss"] = event["nearMiss"]
        payload: dict[str, JsonValue] = {
            "summary": str(event["headline"])[:_LONGEST],
            "timestamp": datetime.fromtimestamp(float(str(event["at"])), UTC).isoformat(timespec="milliseconds"),
            "source": f"chaosrunner on {event['host']}",
            "custom_details": details,
        }
        request = Request(
            f"{self.params.url.rstrip('/')}/v2/change/enqueue",
            method="POST",
            json={"routing_key": key, "payload": payload},
            timeout=self.params.timeout,
            asked=Asked.SERVICE,
            keep=64 * 1024,
            # A mark that is shown twice is no harm; one that was not taken is sent again after 429 and 5xx.
            keyed=True,
            retries=2,
        )
        reply = await self.context.http.send(request)
        if reply.status != 202:
            raise refusal(reply.status)(
                f"PagerDuty did not take the change event ({reply.status}): {reply.says() or reply}"
            )
