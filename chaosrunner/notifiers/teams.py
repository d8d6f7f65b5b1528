"""Microsoft Teams, by a Workflows webhook ("When a Teams webhook request is received").

Source: Microsoft's documentation of Workflows and of Adaptive Cards 1.4: messages of 28 KB, four a second; a refusal
may come as 200 with an error in its text. The URL is a secret and is never shown.
"""

from __future__ import annotations

import json

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.news import Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger
from chaosrunner.services import Service

_LONGEST_MESSAGE = 20 * 1024
"""Bytes; larger ones are refused by some tenants already."""
_COLOURS = {
    "verified": "Good",
    "closed": "Good",
    "found": "Warning",
    **dict.fromkeys(("seen-again", "run-ended", "game-day", "game-day-over"), "Default"),
}


class Params(Telling):
    """Which channel: the workflow's own."""

    webhook: SecretRef
    """Where the URL of the workflow is."""


class Teams(Messenger[Params]):
    """Sends a card to the channel of a Workflows webhook. A card that may have arrived, although nobody said so, is not
    sent again: at most once."""

    example = "notify: [{teams: {webhook: {env: TEAMS_WEBHOOK}}}]"
    per_minute = 30

    async def tell(self, notice: Notice) -> None:
        service = Service.at_secret(self.context.http, "Teams", self.params.webhook, reach=self.params)
        service.not_done = frozenset({503})
        reply = await service.ask("POST", "", _message(notice), good=(200, 202))
        said = reply.text()
        if "error" in said.lower() or "failed" in said.lower():
            service.not_accepted(said)


def _message(notice: Notice) -> JsonObject:
    text = notice.text
    while len(json.dumps(made := _card(notice, text)).encode()) > _LONGEST_MESSAGE and text:
        text = text[: len(text) // 2]
    return made


def _card(notice: Notice, text: str) -> JsonObject:
    named = {
        "Near miss": notice.near_miss,
        "Priority": notice.priority.value if notice.priority else "",
        "Due": notice.due,
        "Owner": notice.owner or "",
        "Run": notice.run,
        "See it again": notice.command if not notice.over else "",
    }
    facts: list[JsonValue] = [{"title": name, "value": _plain(value)} for name, value in named.items() if value]
    colour = _COLOURS.get(notice.news.value, "Attention")
    card: JsonObject = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _plain(notice.headline), "weight": "Bolder", "wrap": True, "color": colour},
            {"type": "TextBlock", "text": _plain(text) or " ", "wrap": True},
            {"type": "FactSet", "facts": facts},
        ],
    }
    if notice.url:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "The item that fixes it", "url": notice.url}]
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _plain(text: str) -> str:
    """Words that make no link and no mention in a card."""
    return text.replace("<at>", "&lt;at&gt;").replace("](", "] (")
