"""Slack, by an incoming webhook.

Source: Slack's documentation of incoming webhooks: one message a second, answered by the text `ok`; what was sent
cannot be edited, and nothing recognises a repetition. The URL is a secret and is never shown.
"""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.news import News, Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger
from chaosrunner.services import Service

_LONGEST = 2900
_MARKS = {
    "found": "🔶",
    "seen-again": "🔁",
    "regressed": "🔴",
    "fix-failed": "🔴",
    "verified": "✅",
    "closed": "☑️",
    "game-day": "🧪",
}


class Params(Telling):
    """Which channel: the webhook's own."""

    webhook: SecretRef
    """Where the URL of the incoming webhook is."""


class Slack(Messenger[Params]):
    """Sends a message to the channel of an incoming webhook. A message that may have arrived, although nobody said so,
    is not sent again: at most once."""

    example = "notify: [{slack: {webhook: {env: SLACK_WEBHOOK}, events: [found, regressed]}}]"
    per_minute = 30

    async def tell(self, notice: Notice) -> None:
        service = Service.at_secret(self.context.http, "Slack", self.params.webhook, reach=self.params)
        service.not_done = frozenset({500, 503})
        reply = await service.ask("POST", "", _message(notice), good=(200,))
        if (said := reply.text().strip()) != "ok":
            service.not_accepted(said)


def _message(notice: Notice) -> JsonObject:
    mark = _MARKS.get(notice.news.value, "⚠️" if notice.news.value == "undo-failed" else "")
    head = f"{mark} *{_plain(notice.headline)}*".strip()
    blocks: list[JsonValue] = [_section(head), _section(_plain(notice.text))]
    if notice.command and not notice.over:
        blocks.append(_section(f"See it again: `{_plain(notice.command)}`"))
    which = "" if notice.news in (News.GAME_DAY, News.GAME_DAY_OVER) else f", run {notice.run}"
    where = f"{_plain(notice.experiment)} on {_plain(notice.environment)}{which}"
    link = f" · <{notice.url}|the item that fixes it>" if notice.url else ""
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": (where + link)[:_LONGEST]}]})
    return {"text": _plain(notice.headline)[:_LONGEST], "blocks": blocks}


def _section(text: str) -> JsonObject:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_LONGEST]}}


def _plain(text: str) -> str:
    """Words in which nothing is a link or a mention: those begin with `<`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
