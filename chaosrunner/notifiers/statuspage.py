"""Atlassian Statuspage: an incident for each near miss, on a page that is named twice.

Source: Statuspage's API v1 (one request a second for each token; 420 or 429 when it was too many; subscribers are
notified unless `deliver_notifications` is false). It recognises no repetition, so an incident carries the near miss's
key in its `metadata`, and is looked for first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chaosrunner.clock import iso
from chaosrunner.http import Url
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.news import News, Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger, ProbeContext
from chaosrunner.services import Service

_PAGES = 10
_SIZE = 100
_PAUSE = 1.0
"""Seconds between two requests, as the API asks for."""


class Params(Telling):
    """Which page, and how loud."""

    page: str
    """Id of the page."""
    allowed_pages: tuple[str, ...]
    """Ids of pages that chaosrunner may write to. The page must be among them: a drill on a page that customers read is
    an accident."""
    token: SecretRef
    """Where the API key is."""
    notify_subscribers: bool = False
    """Whether subscribers get a mail; default false."""
    impact: str = Field(default="none", pattern="^(none|maintenance|minor|major|critical)$")
    """none, maintenance, minor, major or critical; default none."""
    components: tuple[str, ...] = ()
    """Ids of the components that an incident is shown at; their status is not changed."""
    url: Url = "https://api.statuspage.io"
    """Default https://api.statuspage.io."""

    @model_validator(mode="after")
    def _named_twice(self) -> Params:
        if self.page not in self.allowed_pages:
            raise ValueError(f"page {self.page} is not among allowedPages")
        return self


class Statuspage(Messenger[Params]):
    """Opens one incident for each near miss, updates it when it is seen again, and resolves it when its fix is verified
    or a person closes it. A game day is a maintenance from its go to its end. Nobody is notified, unless
    notifySubscribers says so."""

    example = "notify: [{statuspage: {page: kctbh9vrtdwd, allowedPages: [kctbh9vrtdwd], token: {env: STATUSPAGE_KEY}}}]"
    keyed = True  # since it is looked for first, and its updates name their notice
    per_minute = 20
    cannot_tell = frozenset({News.RUN_ENDED, News.NOT_STARTED, News.WAIVED, News.OVERDUE, News.MOVED})

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        self._service = Service(context.http, "Statuspage", params.url, reach=params)

    @property
    def _incidents(self) -> str:
        return f"/v1/pages/{quote(self.params.page, safe='')}/incidents"

    async def tell(self, notice: Notice) -> None:
        known = await self._find(notice.key)
        if known is None and notice.over:
            return  # nobody reads of it there
        if known is not None and _told(known) == notice.id:
            return  # only the answer was lost
        about: JsonObject = {"key": notice.key, "told": notice.id}
        incident: JsonObject = {
            "name": notice.headline[:255],
            "status": _status(notice),
            "body": notice.text,
            "deliver_notifications": self.params.notify_subscribers,
            "metadata": {"chaosrunner": about},
        }
        await self.context.clock.sleep(_PAUSE)
        if known is None:
            incident["impact_override"] = self.params.impact
            incident["component_ids"] = list(self.params.components)
            incident |= _maintenance(notice)
            await self._ask("POST", self._incidents, incident, (201,))
        else:
            await self._ask("PATCH", f"{self._incidents}/{quote(str(known['id']), safe='')}", incident, (200,))

    async def _find(self, key: str) -> Mapping[str, Any] | None:
        """The newest incident of this near miss that is not resolved."""
        for page in range(1, _PAGES + 1):
            if page > 1:
                await self.context.clock.sleep(_PAUSE)
            found = await self._ask("GET", f"{self._incidents}?limit={_SIZE}&page={page}", None, (200,))
            for each in found:
                ours = (each.get("metadata") or {}).get("chaosrunner") or {}
                if ours.get("key") == key and each.get("status") not in ("resolved", "completed"):
                    known: Mapping[str, Any] = each
                    return known
            if len(found) < _SIZE:
                return None
        return None

    async def _ask(self, method: str, path: str, incident: JsonObject | None, good: tuple[int, ...]) -> Any:
        token = self.context.http.secret(self.params.token).reveal()
        asked: Any = None if incident is None else {"incident": incident}
        # A scheme of its own, which a reference to a secret cannot say.
        headers = {"Authorization": f"OAuth {token}"}
        reply = await self._service.ask(method, path, asked, good=good, headers=headers)
        return self._service.document(reply)


def _status(notice: Notice) -> str:
    if notice.news in (News.GAME_DAY, News.GAME_DAY_OVER):
        return "completed" if notice.over else "in_progress"
    return "resolved" if notice.over else "investigating"


def _maintenance(notice: Notice) -> JsonObject:
    """What makes an incident one that was planned: both its times. Statuspage begins and ends none by itself then."""
    if notice.news is not News.GAME_DAY or notice.until is None:
        return {}
    return {
        "impact_override": "maintenance",
        "scheduled_for": iso(notice.at),
        "scheduled_until": iso(notice.until),
        "scheduled_auto_in_progress": False,
        "scheduled_auto_completed": False,
    }


def _told(incident: Mapping[str, Any]) -> str:
    """Id of the last notice that it was told."""
    return str(((incident.get("metadata") or {}).get("chaosrunner") or {}).get("told") or "")
