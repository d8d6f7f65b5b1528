"""Marks faults and near misses in Grafana, as annotations that every dashboard can show."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, Reply, Url, refusal, request_as
from chaosrunner.model.access import Access
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.ports import Notifier, ProbeContext

_PATH = "/api/annotations"
_KEEP = 256 * 1024


class Params(Access):
    """Which Grafana, and where in it."""

    url: Url
    """Base URL, without `/api`. `bearerToken` is a service account's token that may write annotations."""
    dashboard: str | None = Field(default=None, min_length=1)
    """UID of the only dashboard that shows them; default: all of the organisation, by a tag query for `chaosrunner`."""
    organisation: int | None = Field(default=None, ge=1)
    """Number of the organisation, where the token has several; default: its own."""
    tags: tuple[str, ...] = ()
    """Further tags, beside `chaosrunner`, `run:ID`, `experiment:NAME` and `environment:NAME`."""


class Grafana(Notifier[Params]):
    """Annotates the time in which faults were in force as a region, and each near miss as a moment.

    The region is made when the fault phase begins, ends with it, and then tells what the run came to. It is found again
    by its tags, so that whoever heals a run that died ends it. Made from the documented HTTP API of Grafana 9 to 13.
    """

    example = """\
notify:
  - grafana:
      url: https://grafana.example.com
      bearerToken: {env: GRAFANA_TOKEN}
"""

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        self._ids: dict[JsonValue, int] = {}
        """The region of each run."""

    async def send(self, event: JsonObject) -> None:
        kind = event["event"]
        if kind == "fault-began":
            # It may be told again, where an answer was not heard.
            if await self._find(event) is None:
                self._ids[event["run"]] = await self._create(event, [], _words(event))
        elif kind == "fault-ended":
            await self._end(event)
        elif kind == "near-miss":
            await self._create(event, ["near-miss"], _words(event))
        elif kind == "run-ended" and event.get("faultBegan"):
            found = await self._find(event)
            if found is not None:
                await self._ask("PATCH", f"{_PATH}/{found}", {"text": _words(event)})

    async def _end(self, event: JsonObject) -> None:
        found = await self._find(event)
        if found is not None:
            await self._ask("PATCH", f"{_PATH}/{found}", {"timeEnd": _ms(event["at"])})
        elif event.get("faultBegan"):
            # Nobody could mark the beginning: both are known now.
            self._ids[event["run"]] = await self._create(event, [], _words(event), began=event["faultBegan"])

    async def _create(self, event: JsonObject, tags: list[str], words: str, began: JsonValue = None) -> int:
        body: dict[str, JsonValue] = {
            "time": _ms(event["at"] if began is None else began),
            "tags": [*self._tags(event), *tags],
            "text": words,
        }
        if began is not None:
            body["timeEnd"] = _ms(event["at"])
        if self.params.dashboard is not None:
            body["dashboardUID"] = self.params.dashboard
        answer = await self._ask("POST", _PATH, body)
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise NotPossibleNow(f"Grafana did not say that it has the annotation: {str(answer)[:100]}")
        return int(answer["id"])

    async def _find(self, event: JsonObject) -> int | None:
        """The region of this run; None: there is none."""
        if event["run"] not in self._ids:
            query = urlencode(
                [("type", "annotation"), ("limit", "100"), ("tags", "chaosrunner"), ("tags", f"run:{event['run']}")]
            )
            answer = await self._ask("GET", f"{_PATH}?{query}", None)
            found = (
                [one for one in answer if "near-miss" not in one.get("tags", [])] if isinstance(answer, list) else []
            )
            if found:
                self._ids[event["run"]] = int(found[0]["id"])
        return self._ids.get(event["run"])

    def _tags(self, event: JsonObject) -> list[JsonValue]:
        own = [f"{name}:{event[name]}" for name in ("run", "experiment", "environment")]
        return ["chaosrunner", *own, *self.params.tags]

    async def _ask(self, method: str, path: str, body: JsonValue) -> Any:
        access = self.params
        headers = dict(access.headers)
        if self.params.organisation is not None:
            headers["X-Grafana-Org-Id"] = str(self.params.organisation)
        request = request_as(
            access,
            access.url.rstrip("/") + path,
            method=method,
            headers=headers,
            json=body,
            asked=Asked.SERVICE,
            keep=_KEEP,
        )
        return _checked(await self.context.http.send(request))


def _checked(reply: Reply) -> Any:
    if reply.status != 200:
        raise refusal(reply.status)(f"Grafana refused the annotation ({reply.status}): {reply.says() or reply}")
    try:
        return reply.json()
    except ValueError as error:
        raise NotPossibleNow(f"Grafana answered no annotation: {error}") from None


def _ms(at: JsonValue) -> int:
    return round(float(str(at)) * 1000)


def _words(event: JsonObject) -> str:
    return f"{event['headline']}\n{event['text']}".strip()
