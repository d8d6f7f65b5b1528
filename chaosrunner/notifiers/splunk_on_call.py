"""Splunk On-Call (VictorOps): one incident for each near miss, opened and recovered.

Source: Splunk's documentation of the REST endpoint. The key stands in the URL, which is therefore never shown; an
answer of 200 may still say `failure`.
"""

from __future__ import annotations

from urllib.parse import quote

from chaosrunner.http import Url
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.news import News, Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger
from chaosrunner.services import Service

_LONGEST_NOTE = 1124
_PATH = "/integrations/generic/20131114/alert"

_INFORMS = frozenset({News.RUN_ENDED, News.NOT_STARTED, News.GAME_DAY, News.GAME_DAY_OVER, News.WAIVED, News.MOVED})


class Params(Telling):
    """Which team is told."""

    rest_key: SecretRef
    """Where the key of the REST integration is."""
    routing_key: str
    """Which team's."""
    url: Url = "https://alert.victorops.com"
    """Default https://alert.victorops.com."""
    critical: tuple[str, ...] = ("P1", "P2")
    """Priorities that are CRITICAL; others are a WARNING. Default P1 and P2."""


class SplunkOnCall(Messenger[Params]):
    """Opens one incident for each near miss, however often it is seen, and recovers it when its fix is verified or a
    person closes it. The end of a run, and game days, are information only, which pages nobody."""

    example = "notify: [{splunk-on-call: {restKey: {env: ON_CALL_KEY}, routingKey: checkout}}]"
    keyed = True
    per_minute = 60

    async def tell(self, notice: Notice) -> None:
        http = self.context.http
        key = quote(http.secret(self.params.rest_key).reveal(), safe="")
        url = f"{self.params.url.rstrip('/')}{_PATH}/{key}/{quote(self.params.routing_key, safe='')}"
        service = Service(http, "Splunk On-Call", url, reach=self.params, hide=True)
        body: JsonObject = {
            "message_type": self._type(notice),
            "entity_id": notice.id if notice.news in _INFORMS else notice.key,
            "entity_display_name": notice.headline,
            "state_message": notice.text,
            "monitoring_tool": "chaosrunner",
        }
        if notice.command:
            body["vo_annotate.s.See it again"] = notice.command[:_LONGEST_NOTE]
        if notice.url:
            body["vo_annotate.u.Item"] = notice.url[:_LONGEST_NOTE]
        reply = await service.ask("POST", "", body, keyed=True, good=(200,))
        answer = service.document(reply)
        if answer.get("result") != "success":
            service.not_accepted(str(answer.get("message") or reply.says()))

    def _type(self, notice: Notice) -> str:
        if notice.news in _INFORMS:
            return "INFO"
        if notice.over:
            return "RECOVERY"
        urgent = notice.priority is None or notice.priority.value in self.params.critical
        return "CRITICAL" if urgent else "WARNING"
