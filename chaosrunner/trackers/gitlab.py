"""Remediation items as GitLab issues.

Source: GitLab's REST API v4 (issues, notes, paging by `Link`). Nothing in it recognises a repetition, so an issue
carries its near miss's fingerprint in a comment that Markdown does not show, and is looked for in the project's list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Url
from chaosrunner.marked_text import fingerprint_mark, is_told, marked, told_mark, with_text, without_marks
from chaosrunner.model.access import Reach
from chaosrunner.model.marks import Field
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Item, ItemSeen, ProbeContext, Tracker
from chaosrunner.services import Identity, Service

LABEL = "near-miss"
_UNLABELLED = 300
_LAST_NOTES = 100


class Params(Reach):
    """Which project, and who one is there."""

    project: str
    """Its path, `group/name`, or its number."""
    token: SecretRef
    """Where the token is: of a project or a person, with the scope *api* and at least the role Reporter. A job token
    cannot make issues."""
    url: Url = "https://gitlab.com"
    """Of a GitLab of one's own: its address, without `/api/v4`."""
    labels: tuple[str, ...] = ()
    """Further labels of every issue."""
    assignees: dict[str, str] = {}
    """User name by owner or assignee as chaosrunner names them, `{team-checkout: ana}`; `@ana` is ana anyway."""
    confidential: bool = False
    """Whether only members see the issues; default false."""
    unlabelled: int = Field(default=_UNLABELLED, ge=0, le=5000)
    """How many of the newest issues without the label near-miss are looked through for one that was made before;
    default 300."""


class Gitlab(Tracker[Params]):
    """One issue for each near miss, with the label near-miss and a due date. Close it when the fix is in: the near
    miss is then ready to be verified by passing runs. Text above and below chaosrunner's own is kept. An issue that was
    moved is followed; for one that was deleted another is made, if it is still needed.
    """

    example = "tracker: {gitlab: {project: acme/checkout, token: {env: GITLAB_TOKEN}}}"
    settles = 60.0

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        identity = Identity(headers={"PRIVATE-TOKEN": params.token})
        self._service = Service(context.http, "GitLab", params.url, identity, params)

    @property
    def _issues(self) -> str:
        return f"{_of(self.params.project)}/issues"

    async def find(self, fingerprint: str) -> ItemSeen | None:
        found = await self._with(fingerprint, f"labels={LABEL}&order_by=created_at&sort=asc")
        if not found and self.params.unlabelled:
            found = await self._with(fingerprint, "order_by=created_at&sort=desc", self.params.unlabelled)
        if not found:
            return None
        first = min(found, key=lambda issue: int(issue["iid"]))
        return self._seen(await self._where_it_went(first))

    async def _with(self, fingerprint: str, query: str, most: int | None = None) -> list[Mapping[str, Any]]:
        mark = fingerprint_mark(fingerprint)
        issues = self._service.pages(f"{self._issues}?scope=all&state=all&per_page=100&{query}", most)
        return [each async for each in issues if mark in (each.get("description") or "")]

    async def create(self, item: Item) -> ItemSeen:
        labels = dict.fromkeys((LABEL, *item.labels, *self.params.labels))
        asked: dict[str, Any] = {
            "title": f"{item.near_miss}: {item.title}"[:250],
            "description": f"{marked(item.body)}\n{fingerprint_mark(item.fingerprint)}\n",
            "labels": ",".join(label.replace(",", " ") for label in labels),
        }
        if item.due:
            asked["due_date"] = item.due
        if self.params.confidential:
            asked["confidential"] = True
        if (user := await self._user(item)) is not None:
            asked["assignee_ids"] = [user]
        reply = await self._service.ask("POST", self._issues, asked, good=(201,))
        return self._seen(self._service.document(reply))

    async def _user(self, item: Item) -> int | None:
        """The number of the user to assign; None: nobody is known by this name."""
        if item.assignee is None:
            return None
        name = self.params.assignees.get(item.assignee)
        if name is None and re.fullmatch(r"@[\w.-]+", item.assignee):
            name = item.assignee[1:]
        if name is None:
            return None
        known = self._service.document(await self._service.get(f"/api/v4/users?username={quote(name)}"))
        return int(known[0]["id"]) if len(known) == 1 else None

    async def look(self, key: str) -> ItemSeen:
        issue = await self._issue(key)
        return self._seen(issue) if issue is not None else ItemSeen.gone(key)

    async def _issue(self, key: str) -> Mapping[str, Any] | None:
        """As it is now, wherever it was moved to; None: it was deleted, and we may see that."""
        reply = await self._service.get(self._path(key), good=(200, 404))
        if reply.status == 404:
            # A token that lost its rights gets the same answer, and must not make us think that it was deleted.
            await self._service.get(_of(self._project(key)))
            return None
        return await self._where_it_went(self._service.document(reply))

    async def _where_it_went(self, issue: Mapping[str, Any]) -> Mapping[str, Any]:
        """A moved issue is closed, and names the one that took its place by a number that only searching leads to."""
        moved = issue.get("moved_to_id")
        for _ in range(5):
            if not moved:
                return issue
            words = quote((issue.get("title") or "").partition(":")[0])
            path = f"/api/v4/issues?scope=all&state=all&per_page=100&in=title&search={words}"
            found = [each async for each in self._service.pages(path) if each["id"] == moved]
            if not found:
                self._service.fail("the issue was moved to a project that this token may not see")
            issue = found[0]
            moved = issue.get("moved_to_id")
        raise NotPossibleNow(f"an issue of {self.params.project} was moved round in circles")

    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        issue = await self._issue(key)
        if issue is None:
            return ItemSeen.gone(key)
        path = self._path(self._seen(issue).key)
        if comment:
            await self._comment(path, comment, item.body)
        asked: dict[str, Any] = {}
        if (text := with_text(issue.get("description") or "", item.body)) != (issue.get("description") or ""):
            asked["description"] = text
        if item.due and issue.get("due_date") != item.due:
            asked["due_date"] = item.due
        if (reopen and issue["state"] == "closed") or (close and issue["state"] == "opened"):
            asked["state_event"] = "reopen" if reopen else "close"
        if asked:
            issue = self._service.document(await self._service.ask("PUT", path, asked, good=(200,)))
        return self._seen(issue)

    async def _comment(self, path: str, comment: str, body: str) -> None:
        """Unless the last word there from chaosrunner is this one: then only its answer was lost."""
        mark = told_mark(comment, body)
        query = f"sort=desc&order_by=created_at&per_page={_LAST_NOTES}"
        notes = self._service.document(await self._service.get(f"{path}/notes?{query}"))
        ours = [text for each in notes if is_told(text := each.get("body"))]
        if not ours or mark not in ours[0]:
            await self._service.ask(
                "POST", f"{path}/notes", {"body": f"{without_marks(comment)}\n\n{mark}"}, good=(201,)
            )

    def _project(self, key: str) -> str:
        return key.rpartition("#")[0] or self.params.project

    def _path(self, key: str) -> str:
        return f"{_of(self._project(key))}/issues/{key.rpartition('#')[2]}"

    def _seen(self, issue: Mapping[str, Any]) -> ItemSeen:
        full = str((issue.get("references") or {}).get("full") or "")
        project, number = full.rpartition("#")[0], str(issue["iid"])
        elsewhere = project and self.params.project not in (project, str(issue.get("project_id")))
        people = [str(each["username"]) for each in issue.get("assignees") or ()]
        return ItemSeen(
            key=f"{project}#{number}" if elsewhere else number,
            url=str(issue["web_url"]),
            state="closed" if issue["state"] == "closed" else "open",
            assignee=", ".join(people) or None,
        )


def _of(project: str) -> str:
    return f"/api/v4/projects/{quote(project, safe='')}"
