"""Remediation items as GitHub issues.

Source: GitHub's REST API, version 2022-11-28 (issues, comments, `Link` paging, primary and secondary limits). Nothing
in it recognises a repetition, so an issue carries its near miss's fingerprint in a comment that Markdown does not show,
and is looked for in the list of issues, which is up to date sooner than search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.http import Url
from chaosrunner.marked_text import fingerprint_mark, is_told, marked, told_mark, with_text, without_marks
from chaosrunner.model.access import Reach
from chaosrunner.model.marks import Field, field_validator
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Item, ItemSeen, ProbeContext, Tracker
from chaosrunner.services import Identity, Service

LABEL = "near-miss"
_UNLABELLED = 300
"""How many of the newest issues are looked through for one whose labels were dropped or taken off."""
_KEY = re.compile(r"(?:(?P<repository>[^#]+)#)?(?P<number>\d+)")


class Params(Reach):
    """Which repository, and who one is there."""

    repository: str
    """`OWNER/NAME`."""
    token: SecretRef
    """Where the token is: fine-grained with *Issues: read and write*, or a GitHub App's. Labels and assignees are only
    set for tokens that may push."""
    url: Url = "https://api.github.com"
    """Of GitHub Enterprise Server: `https://HOST/api/v3`."""
    labels: tuple[str, ...] = ()
    """Further labels of every issue."""
    assignees: dict[str, str] = {}
    """Login by owner or assignee as chaosrunner names them, `{team-checkout: ana}`; `@ana` is the login ana anyway."""
    unlabelled: int = Field(default=_UNLABELLED, ge=0, le=5000)
    """How many of the newest issues without the label near-miss are looked through for one that was made before;
    default 300."""

    @field_validator("repository")
    @classmethod
    def _owner_and_name(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
            raise ValueError("expected OWNER/NAME, such as acme/checkout")
        return value


class Github(Tracker[Params]):
    """One issue for each near miss, with the label near-miss. Close it as completed when the fix is in: the near miss
    is then ready to be verified by passing runs. Text above and below chaosrunner's own is kept. An issue that was
    transferred is followed; for one that was deleted another is made, if it is still needed.
    """

    example = "tracker: {github: {repository: acme/checkout, token: {env: GITHUB_TOKEN}}}"
    settles = 60.0

    def __init__(self, params: Params, context: ProbeContext) -> None:
        super().__init__(params, context)
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        identity = Identity(bearer=params.token, headers=headers)
        self._service = Service(context.http, "GitHub", params.url, identity, params)

    @property
    def _issues(self) -> str:
        return f"/repos/{self.params.repository}/issues"

    async def find(self, fingerprint: str) -> ItemSeen | None:
        found = await self._with(fingerprint, f"labels={LABEL}&sort=created&direction=asc")
        if not found and self.params.unlabelled:
            found = await self._with(fingerprint, "sort=created&direction=desc", self.params.unlabelled)
        return self._seen(min(found, key=lambda issue: int(issue["number"]))) if found else None

    async def _with(self, fingerprint: str, query: str, most: int | None = None) -> list[Mapping[str, Any]]:
        mark = fingerprint_mark(fingerprint)
        issues = self._service.pages(f"{self._issues}?state=all&per_page=100&{query}", most)
        return [each async for each in issues if "pull_request" not in each and mark in (each.get("body") or "")]

    async def create(self, item: Item) -> ItemSeen:
        labels = list(dict.fromkeys((LABEL, *item.labels, *self.params.labels)))
        asked = {
            "title": f"{item.near_miss}: {item.title}"[:250],
            "body": f"{marked(item.body)}\n{fingerprint_mark(item.fingerprint)}\n",
            "labels": labels,
        }
        if login := self._login(item):
            try:
                return await self._made({**asked, "assignees": [login]})
            except UsageError as error:
                if "assignee" not in str(error):
                    raise  # otherwise nobody there has this name: it was not made, and is made without
        return await self._made(asked)

    async def _made(self, asked: dict[str, Any]) -> ItemSeen:
        reply = await self._service.ask("POST", self._issues, asked, good=(201,))
        return self._seen(self._service.document(reply))

    def _login(self, item: Item) -> str | None:
        if item.assignee is None:
            return None
        named = self.params.assignees.get(item.assignee)
        return named or (item.assignee[1:] if re.fullmatch(r"@[A-Za-z\d-]+", item.assignee) else None)

    async def look(self, key: str) -> ItemSeen:
        issue = await self._issue(key)
        return self._seen(issue) if issue is not None else ItemSeen.gone(key)

    async def _issue(self, key: str) -> Mapping[str, Any] | None:
        """As it is now, wherever it was transferred to; None: it was deleted, and we may see that."""
        path = self._path(key)
        for _ in range(5):
            reply = await self._service.get(path, good=(200, 301, 302, 307, 308, 404, 410))
            if reply.status == 200:
                found: Mapping[str, Any] = self._service.document(reply)
                return found
            if reply.status in (404, 410):
                # A token that lost its rights gets the same answer, and must not make us think that it was deleted.
                await self._service.get(f"/repos/{self._repository(key)}")
                return None
            path = self._service.here(reply.headers.get("location", ""))
        raise NotPossibleNow(f"issue {key} of {self.params.repository} leads round in circles")

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
        if (body := with_text(issue.get("body") or "", item.body)) != (issue.get("body") or ""):
            asked["body"] = body
        if reopen and issue["state"] == "closed":
            asked |= {"state": "open", "state_reason": "reopened"}
        if close and issue["state"] == "open":
            asked |= {"state": "closed", "state_reason": "completed"}
        if asked:
            issue = self._service.document(await self._service.ask("PATCH", path, asked, good=(200,)))
        return self._seen(issue)

    async def _comment(self, path: str, comment: str, body: str) -> None:
        """Unless the last word there from chaosrunner is this one: then only its answer was lost."""
        mark = told_mark(comment, body)
        comments = self._service.pages(f"{path}/comments?per_page=100")
        ours = [text async for each in comments if is_told(text := each.get("body"))]
        if not ours or mark not in ours[-1]:
            await self._service.ask(
                "POST", f"{path}/comments", {"body": f"{without_marks(comment)}\n\n{mark}"}, good=(201,)
            )

    def _repository(self, key: str) -> str:
        match = _KEY.fullmatch(key)
        return (match["repository"] if match else None) or self.params.repository

    def _path(self, key: str) -> str:
        return f"/repos/{self._repository(key)}/issues/{key.rpartition('#')[2]}"

    def _seen(self, issue: Mapping[str, Any]) -> ItemSeen:
        repository = str(issue.get("repository_url") or "").rpartition("/repos/")[2]
        elsewhere = repository and repository.lower() != self.params.repository.lower()
        number = str(issue["number"])
        people = [str(each["login"]) for each in issue.get("assignees") or ()]
        closed = issue["state"] == "closed"
        return ItemSeen(
            key=f"{repository}#{number}" if elsewhere else number,
            url=str(issue["html_url"]),
            state="closed" if closed else "open",
            assignee=", ".join(people) or None,
            given_up=closed and issue.get("state_reason") in ("not_planned", "duplicate"),
        )
