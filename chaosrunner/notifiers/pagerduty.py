"""PagerDuty's Events API v2: one alert for each near miss, opened and resolved.

Source: PagerDuty's documentation of Events v2 (`enqueue`: dedup keys of 255 letters, summaries of 1024, about 120
calls a minute; 202 says that an event was taken, not that it was worked up).
"""

from __future__ import annotations

from chaosrunner.clock import iso
from chaosrunner.http import Url
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.news import News, Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger, ProbeContext
from chaosrunner.services import Service

_LONGEST = 1024
_SEVERITY = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info"}


class Params(Telling):
    """Which service is told."""

    routing_key: SecretRef
    """Where the integration key (Events API v2) of the service is."""
    url: Url = "https://events.pagerduty.com"
    """Default https://events.pagerduty.com; for the EU, https://events.eu.pagerduty.com."""
    severity: dict[str, str] = Field(default_factory=lambda: dict(_SEVERITY))
    """critical, error, warning or info by priority; default: by rank."""


class Pagerduty(Messenger[Params]):
    """Opens one alert for each near miss, however often it is seen, and resolves it when its fix is verified or a
    person closes it. A fault that could not be taken back is critical. Runs are marked by pagerduty-change.
    """

    example = "notify: [{pagerduty: {routingKey: {env: PD_KEY}, atLeast: P2}}]"
    keyed = True
    per_minute = 100
    cannot_tell = frozenset(
        {News.RUN_ENDED, News.NOT_STARTED, News.GAME_DAY, News.GAME_DAY_OVER, News.WAIVED, News.MOVED}
    )

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        self._service = Service(context.http, "PagerDuty", params.url, reach=params)

    async def tell(self, notice: Notice) -> None:
        event: JsonObject = {
            "routing_key": self.context.http.secret(self.params.routing_key).reveal(),
            "event_action": "resolve" if notice.over else "trigger",
            "dedup_key": notice.key[:255],
        }
        if not notice.over:
            event["payload"] = {
                "summary": notice.headline[:_LONGEST],
                "severity": self._severity(notice),
                "source": f"chaosrunner on {notice.environment}",
                "timestamp": iso(notice.at),
                "component": notice.service,
                "class": notice.news.value,
                "custom_details": _details(notice),
            }
            if notice.url:
                event["links"] = [{"href": notice.url, "text": f"{notice.near_miss}: the item that fixes it"}]
        await self._service.ask("POST", "/v2/enqueue", event, keyed=True, good=(202,))

    def _severity(self, notice: Notice) -> str:
        if notice.priority is None:
            return "critical"
        return self.params.severity.get(notice.priority.value, _SEVERITY[notice.priority.value])


def _details(notice: Notice) -> JsonObject:
    named = {
        "what": notice.text,
        "near miss": notice.near_miss,
        "priority": notice.priority.value if notice.priority else "",
        "due": notice.due,
        "owner": notice.owner or "",
        "run": notice.run,
        "experiment": notice.experiment,
        "see it again": notice.command,
    }
    return {name: value for name, value in named.items() if value}
