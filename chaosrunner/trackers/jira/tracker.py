"""Jira Cloud's REST API, version 3.

Source: Atlassian's specification of it: work items, `search/jql` (the older search is gone), transitions by the
category of the status that they lead to. Search lags behind what was written, and nothing recognises a repetition, so
an item carries its near miss's fingerprint as a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.http import Reply, Url
from chaosrunner.model.access import Reach
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import field_validator
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Item, ItemSeen, ProbeContext, Tracker
from chaosrunner.services import Identity, Service
from chaosrunner.trackers.jira.document import document, marked, plain, with_text

LABEL = "near-miss"
_FIELDS = ["summary", "description", "status", "resolution", "assignee", "labels", "duedate"]
_OPTIONAL = frozenset({"assignee", "duedate", "priority"})
"""Fields that an item does without where the project's screen has none."""
_SAYS = "chaosrunner: "
"""How our comments begin."""


class Params(Reach):
    """Which project, and who one is there."""

    url: Url
    """Of the site, `https://NAME.atlassian.net`."""
    project: str
    """Its key, `SHOP`."""
    user: str
    """E-mail address of the account that the token is of."""
    token: SecretRef
    """Where its API token is."""
    issue_type: str = "Task"
    """Name of the type of work items; default Task."""
    labels: tuple[str, ...] = ()
    """Further labels of every item."""
    assignees: dict[str, str] = {}
    """Account id by owner or assignee as chaosrunner names them, `{team-checkout: "5b10…"}`."""
    priorities: dict[str, str] = {}
    """Name of Jira's priority by chaosrunner's, `{P1: Highest}`; others keep the project's default."""
    fields: JsonObject = {}
    """Further fields of every new item, as the API takes them, for projects that demand them."""

    @field_validator("project")
    @classmethod
    def _key(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]+", value):
            raise ValueError("expected a project's key, such as SHOP")
        return value


class Jira(Tracker[Params]):
    """One work item of Jira Cloud for each near miss, with the label near-miss and a due date. Move it to a status of
    the category *Done* when the fix is in: the near miss is then ready to be verified by passing runs. Text below
    chaosrunner's own is kept. An item that was moved is followed; for one that was deleted another is made, if it is
    still needed.
    """

    example = """\
tracker:
  jira: {url: https://acme.atlassian.net, project: SHOP, user: bot@acme.example, token: {env: JIRA_TOKEN}}
"""
    settles = 600.0

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        identity = Identity(basic=(params.user, params.token), headers={"Accept": "application/json"})
        self._service = Service(context.http, "Jira", params.url, identity, params)

    async def _ask(
        self, method: str, path: str, asked: Any = None, *, good: tuple[int, ...], keyed: bool = False
    ) -> Reply:
        reply = await self._service.ask(method, path, asked, good=(*good, 401), keyed=keyed)
        # With a token that expired, what anybody may see is answered as if there were no more.
        login = reply.headers.get("x-seraph-loginreason", "")
        if reply.status == 401 or any(word in login for word in ("AUTHENTICATED_FAILED", "AUTHENTICATION_DENIED")):
            self._service.fail("does not accept the user and its token: is it expired?")
        return reply

    async def find(self, fingerprint: str) -> ItemSeen | None:
        asked: dict[str, Any] = {
            "jql": f'labels = "{mark_of(fingerprint)}" ORDER BY created ASC',
            "fields": _FIELDS,
            "maxResults": 50,
        }
        found: list[Mapping[str, Any]] = []
        while True:
            reply = await self._ask("POST", "/rest/api/3/search/jql", asked, good=(200,), keyed=True)
            page = self._service.document(reply)
            found += page.get("issues") or []
            if page.get("isLast", True) or not page.get("nextPageToken"):
                break
            asked = {**asked, "nextPageToken": page["nextPageToken"]}
        return self._seen(min(found, key=lambda issue: int(issue["id"]))) if found else None

    async def create(self, item: Item) -> ItemSeen:
        labels = (LABEL, mark_of(item.fingerprint), *item.labels, *self.params.labels)
        fields: dict[str, Any] = {
            **self.params.fields,
            "project": {"key": self.params.project},
            "issuetype": {"name": self.params.issue_type},
            "summary": " ".join(f"{item.near_miss}: {item.title}".split())[:250],
            "description": marked(item.body),
            "labels": list(dict.fromkeys(re.sub(r"\s+", "-", label) for label in labels)),
            **self._wanted(item),
        }
        if item.assignee in self.params.assignees:
            fields["assignee"] = {"accountId": self.params.assignees[item.assignee]}
        made = self._service.document(await self._set("POST", "/rest/api/3/issue", fields, good=(201,)))
        key = str(made["key"])
        account = fields.get("assignee") and item.assignee
        return ItemSeen(key=key, url=self._page(key), state="open", assignee=account or None)

    def _wanted(self, item: Item) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if item.due:
            fields["duedate"] = item.due
        if item.priority in self.params.priorities:
            fields["priority"] = {"name": self.params.priorities[item.priority]}
        return fields

    async def _set(self, method: str, path: str, fields: dict[str, Any], *, good: tuple[int, ...]) -> Reply:
        """Ask with these fields; without those of the optional ones that the project does not take."""
        reply = await self._ask(method, path, {"fields": fields}, good=(*good, 400))
        if reply.status != 400:
            return reply
        refused = set((self._service.document(reply).get("errors") or {}) if reply.body else {})
        kept = {name: value for name, value in fields.items() if name not in refused & _OPTIONAL}
        if not refused or refused - _OPTIONAL or kept == fields or not kept:
            raise UsageError(f"{self._service.name}: project {self.params.project} does not accept it: {reply.says()}")
        return await self._ask(method, path, {"fields": kept}, good=good)

    async def look(self, key: str) -> ItemSeen:
        issue = await self._issue(key)
        return self._seen(issue) if issue is not None else ItemSeen.gone(key)

    async def _issue(self, key: str) -> Mapping[str, Any] | None:
        """As it is now, under whatever key it has since; None: it was deleted, and we may see that."""
        reply = await self._ask("GET", f"{_issue(key)}?fields={','.join(_FIELDS)}", good=(200, 404))
        if reply.status == 200:
            found: Mapping[str, Any] = self._service.document(reply)
            return found
        # An account that lost its rights gets the same answer, and must not make us think that it was deleted.
        await self._ask("GET", f"/rest/api/3/project/{quote(key.rpartition('-')[0])}", good=(200,))
        return None

    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        issue = await self._issue(key)
        if issue is None:
            return ItemSeen.gone(key)
        key = str(issue["key"])
        if comment:
            await self._comment(key, comment)
        fields = {} if issue["fields"].get("duedate") == item.due else self._wanted(item)
        if (text := with_text(issue["fields"].get("description"), item.body)) is not None:
            fields["description"] = text
        if fields:
            await self._set("PUT", _issue(key), fields, good=(204, 200))
        seen = self._seen(issue)
        if (reopen and seen.state == "closed") or (close and seen.state == "open"):
            await self._move(key, done=close)
        moved = await self._issue(key)
        return self._seen(moved) if moved is not None else seen

    async def _move(self, key: str, *, done: bool) -> None:
        """Into a status of the category Done, or out of it: a workflow's names are its own."""
        known = self._service.document(await self._ask("GET", f"{_issue(key)}/transitions", good=(200,)))
        order = ("done",) if done else ("new", "indeterminate")
        ways = [
            way
            for category in order
            for way in known.get("transitions") or []
            if way["to"]["statusCategory"]["key"] == category
        ]
        if not ways:
            where = "a status of the category Done" if done else "one that is not Done"
            raise NotPossibleNow(f"{self._service.name}: the workflow of {key} has no way to {where} from here")
        await self._ask("POST", f"{_issue(key)}/transitions", {"transition": {"id": ways[0]["id"]}}, good=(204,))

    async def _comment(self, key: str, comment: str) -> None:
        """Unless the last word there from chaosrunner is this one: then only its answer was lost."""
        path = f"{_issue(key)}/comment"
        known = self._service.document(await self._ask("GET", f"{path}?orderBy=-created&maxResults=50", good=(200,)))
        said = [words for each in known.get("comments") or [] if (words := plain(each["body"])).startswith(_SAYS)]
        asked = document(_SAYS + comment)
        if not said or said[0].split() != plain(asked).split():
            await self._ask("POST", path, {"body": asked}, good=(201,))

    def _page(self, key: str) -> str:
        return f"{self._service.url}/browse/{key}"

    def _seen(self, issue: Mapping[str, Any]) -> ItemSeen:
        fields, key = issue["fields"], str(issue["key"])
        done = fields["status"]["statusCategory"]["key"] == "done"
        resolution = str((fields.get("resolution") or {}).get("name") or "").lower()
        person = fields.get("assignee") or {}
        return ItemSeen(
            key=key,
            url=self._page(key),
            state="closed" if done else "open",
            assignee=person.get("displayName") or None,
            given_up=done and resolution in ("won't do", "won't fix", "duplicate", "declined", "cannot reproduce"),
        )


def mark_of(fingerprint: str) -> str:
    """The label that an item is found by."""
    return f"chaosrunner-{fingerprint.rpartition(':')[2][:16]}"


def _issue(key: str) -> str:
    return f"/rest/api/3/issue/{quote(key)}"
