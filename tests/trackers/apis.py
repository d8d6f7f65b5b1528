"""GitHub, GitLab and Jira Cloud as far as remediation items need them; written from their documentation, with what
makes them hard: pages, search that lags, moved and deleted items, names that nobody has."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from tests.loopback import Met
from tests.trackers.api import Answer, Api, Asked


@dataclass
class Kept:
    """An item, whatever the tracker calls its parts."""

    number: int
    title: str
    text: Any
    labels: list[str]
    made_at: float
    closed: bool = False
    why: str = ""
    comments: list[Any] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    due: str | None = None
    where: str = ""
    deleted: bool = False
    moved: Kept | None = None


class Tracking(Api):
    """What a test asks of any of them."""

    home = ""
    elsewhere = ""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.items: list[Kept] = []
        self.size = 100
        """Of a page."""
        self.can_see = True

    @property
    def ours(self) -> list[Kept]:
        """Items of ours that are there."""
        return [each for each in self.items if "near-miss" in each.labels and not each.deleted and each.moved is None]

    @property
    def one(self) -> Kept:
        (one,) = self.ours
        return one

    def said(self, item: Kept) -> list[str]:
        """The words of its comments."""
        return [str(each) for each in item.comments]

    def make(self, title: str, text: Any, labels: list[str], **more: Any) -> Kept:
        made = Kept(len(self.items) + 1, title, text, labels, self.clock.now(), where=self.home, **more)
        self.items.append(made)
        return made

    def clutter(self, count: int) -> None:
        """Items of others, on which there is nothing of ours."""
        for number in range(count):
            self.make(f"Something else {number}", self.foreign_text(), ["near-miss"])

    def foreign_text(self) -> Any:
        return "Not one of ours."

    def move(self, item: Kept) -> Kept:
        """To another project, as a person does it."""
        raise NotImplementedError

    def listed(self) -> list[Kept]:
        return [each for each in self.items if not each.deleted and self.settled(each.made_at)]

    def paged(self, asked: Asked, found: list[Any]) -> Answer:
        page = int(asked.query.get("page", "1"))
        part = found[(page - 1) * self.size : page * self.size]
        headers = {}
        if page * self.size < len(found):
            rest = "&".join(f"{key}={value}" for key, value in asked.query.items() if key != "page")
            headers["Link"] = f'<{self.url(asked.path)}?{rest}&page={page + 1}>; rel="next", <x>; rel="last"'
        return Answer(200, part, headers)


class GithubApi(Tracking):
    home = "acme/checkout"
    elsewhere = "acme/payments"
    logins = ("ana", "bob")

    def allowed(self, met: Met) -> bool:
        return met.headers.get("authorization") == f"Bearer {self.token}"

    def answer(self, asked: Asked) -> Answer:
        if match := re.fullmatch(r"/repos/([^/]+/[^/]+)", asked.path):
            return Answer(200, {"full_name": match[1]}) if self.can_see else Answer(404, {"message": "Not Found"})
        if not self.can_see:
            return Answer(404, {"message": "Not Found"})
        if re.fullmatch(r"/repos/[^/]+/[^/]+/issues", asked.path):
            return self._all(asked)
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)/issues/(\d+)(/comments)?", asked.path)
        assert match, asked
        item = next((each for each in self.items if (each.where, str(each.number)) == (match[1], match[2])), None)
        if item is None:
            return Answer(404, {"message": "Not Found"})
        if item.deleted:
            return Answer(410, {"message": "This issue was deleted"})
        if item.moved is not None:
            to = self.url(f"/repos/{item.moved.where}/issues/{item.moved.number}")
            return Answer(301, {"message": "Moved Permanently", "url": to}, {"Location": to})
        return self._comments(asked, item) if match[3] else self._one(asked, item)

    def _all(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            label = asked.query.get("labels")
            found = [each for each in self.listed() if each.where == self.home and (not label or label in each.labels)]
            found = [each for each in found if each.moved is None]
            found.sort(key=lambda each: each.number, reverse=asked.query["direction"] == "desc")
            return self.paged(asked, [{"number": 9, "pull_request": {}, "body": None}, *map(self.shown, found)])
        body = asked.body
        if unknown := [name for name in body.get("assignees", []) if name not in self.logins]:
            error = {"resource": "Issue", "field": "assignees", "value": unknown[0], "code": "invalid"}
            return Answer(422, {"message": "Validation Failed: assignees", "errors": [error]})
        made = self.make(body["title"], body["body"], list(body["labels"]), people=body.get("assignees", []))
        return Answer(201, self.shown(made))

    def _one(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "PATCH":
            item.text = asked.body.get("body", item.text)
            if "state" in asked.body:
                item.closed = asked.body["state"] == "closed"
                item.why = asked.body["state_reason"]
        return Answer(200, self.shown(item))

    def _comments(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "GET":
            return self.paged(asked, [{"body": text} for text in item.comments])
        item.comments.append(asked.body["body"])
        return Answer(201, {"id": len(item.comments)})

    def shown(self, item: Kept) -> dict[str, Any]:
        return {
            "number": item.number,
            "title": item.title,
            "body": item.text,
            "state": "closed" if item.closed else "open",
            "state_reason": item.why or None,
            "labels": [{"name": name} for name in item.labels],
            "assignees": [{"login": name} for name in item.people],
            "html_url": f"https://github.example/{item.where}/issues/{item.number}",
            "repository_url": self.url(f"/repos/{item.where}"),
        }

    def move(self, item: Kept) -> Kept:
        moved = self.make(item.title, item.text, item.labels, comments=item.comments)
        moved.where, item.moved = self.elsewhere, moved
        return moved


class GitlabApi(Tracking):
    home = "acme/checkout"
    elsewhere = "acme/payments"

    def allowed(self, met: Met) -> bool:
        return met.headers.get("private-token") == self.token

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix("/api/v4")
        if path == "/users":
            return Answer(200, [{"id": 7}] if asked.query["username"] == "ana" else [])
        if path == "/issues":
            words = asked.query["search"]
            return self.paged(asked, [self.shown(each) for each in self.listed() if words in each.title])
        if not self.can_see:
            return Answer(404, {"message": "404 Project Not Found"})
        match = re.fullmatch(r"/projects/([^/]+/[^/]+)(?:/issues(?:/(\d+)(/notes)?)?)?", path)
        assert match, asked
        if "/issues" not in path:
            return Answer(200, {"path_with_namespace": match[1]})
        if match[2] is None:
            return self._all(asked)
        item = next((each for each in self.items if (each.where, str(each.number)) == (match[1], match[2])), None)
        if item is None or item.deleted:
            return Answer(404, {"message": "404 Not found"})
        return self._notes(asked, item) if match[3] else self._one(asked, item)

    def _all(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            label = asked.query.get("labels")
            found = [each for each in self.listed() if each.where == self.home and (not label or label in each.labels)]
            found.sort(key=lambda each: each.number, reverse=asked.query["sort"] == "desc")
            return self.paged(asked, list(map(self.shown, found)))
        body = asked.body
        people = ["ana" for number in body.get("assignee_ids", []) if number == 7]
        made = self.make(
            body["title"], body["description"], body["labels"].split(","), people=people, due=body.get("due_date")
        )
        return Answer(201, self.shown(made))

    def _one(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "PUT":
            item.text = asked.body.get("description", item.text)
            item.due = asked.body.get("due_date", item.due)
            event = asked.body.get("state_event")
            item.closed = event == "close" if event else item.closed
        return Answer(200, self.shown(item))

    def _notes(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "GET":
            return Answer(200, [{"body": text} for text in reversed(item.comments)])
        item.comments.append(asked.body["body"])
        return Answer(201, {"id": len(item.comments)})

    def shown(self, item: Kept) -> dict[str, Any]:
        return {
            "id": 1000 + item.number,
            "iid": item.number,
            "title": item.title,
            "description": item.text,
            "state": "closed" if item.closed else "opened",
            "labels": item.labels,
            "due_date": item.due,
            "assignees": [{"username": name} for name in item.people],
            "web_url": f"https://gitlab.example/{item.where}/-/issues/{item.number}",
            "references": {"full": f"{item.where}#{item.number}"},
            "moved_to_id": 1000 + item.moved.number if item.moved else None,
        }

    def move(self, item: Kept) -> Kept:
        moved = self.make(item.title, item.text, item.labels, comments=item.comments)
        moved.where, item.moved, item.closed = self.elsewhere, moved, True
        return moved


CATEGORIES = {"To Do": "new", "In Progress": "indeterminate", "Done": "done"}
TRANSITIONS = {"11": "To Do", "21": "In Progress", "31": "Done"}


class JiraApi(Tracking):
    home = "SHOP"
    elsewhere = "PAY"
    refuses: tuple[str, ...] = ()
    """Fields that the project's screen has not."""
    anonymous = False
    """Whether a wrong token is answered as nobody, as Jira has done, and not with 401."""

    def allowed(self, met: Met) -> bool:
        pair = base64.b64encode(f"bot@acme.example:{self.token}".encode()).decode()
        right: bool = met.headers.get("authorization") == f"Basic {pair}"
        self._nobody = not right
        return right or self.anonymous

    def answer(self, asked: Asked) -> Answer:
        answer = self._answer(asked)
        if self._nobody:
            answer.headers["X-Seraph-LoginReason"] = "AUTHENTICATED_FAILED"
        return answer

    def _answer(self, asked: Asked) -> Answer:
        path = asked.path.removeprefix("/rest/api/3")
        if path == "/search/jql":
            return self._search(asked)
        if path.startswith("/project/"):
            return Answer(200, {"key": path[9:]}) if self.can_see else Answer(404, {"errorMessages": ["No project"]})
        if path == "/issue":
            return self._create(asked.body["fields"])
        match = re.fullmatch(r"/issue/([A-Z]+-\d+)(/\w+)?", path)
        assert match, asked
        item = next((each for each in self.items if self.key(each) == match[1]), None)
        if item is None or item.deleted or not self.can_see:
            words = "Issue does not exist or you do not have permission to see it."
            return Answer(404, {"errorMessages": [words], "errors": {}})
        item = item.moved or item  # an old key leads to the new one
        return {"/comment": self._comments, "/transitions": self._transitions, None: self._one}[match[2]](asked, item)

    def _search(self, asked: Asked) -> Answer:
        if self._nobody:
            return Answer(200, {"issues": [], "isLast": True})
        match = re.match(r'labels = "([^"]+)"', asked.body["jql"])
        assert match
        found = [each for each in self.listed() if match[1] in each.labels and each.moved is None]
        begin = int(asked.body.get("nextPageToken", "0"))
        part, end = found[begin : begin + self.size], begin + self.size
        more: dict[str, Any] = {"isLast": True} if end >= len(found) else {"isLast": False, "nextPageToken": str(end)}
        shown = [self.shown(each) if asked.body.get("fields") else {"id": str(each.number)} for each in part]
        return Answer(200, {"issues": shown, **more})

    def _create(self, fields: dict[str, Any]) -> Answer:
        if self._nobody:
            return Answer(401, {"errorMessages": ["You do not have permission to create issues."]})
        if wrong := [name for name in fields if name in self.refuses]:
            why = "cannot be set. It is not on the appropriate screen, or unknown."
            return Answer(400, {"errorMessages": [], "errors": {name: f"Field '{name}' {why}" for name in wrong}})
        _check(fields["description"])
        people = [fields["assignee"]["accountId"]] if "assignee" in fields else []
        made = self.make(
            fields["summary"], fields["description"], fields["labels"], people=people, due=fields.get("duedate")
        )
        made.why = "To Do"
        return Answer(201, {"id": str(made.number), "key": self.key(made), "self": "-"})

    def _one(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "GET":
            return Answer(200, self.shown(item))
        fields = asked.body["fields"]
        item.text = fields.get("description", item.text)
        item.due = fields.get("duedate", item.due)
        _check(item.text)
        return Answer(204)

    def _comments(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "GET":
            return Answer(200, {"comments": [{"body": body} for body in reversed(item.comments)]})
        _check(asked.body["body"])
        item.comments.append(asked.body["body"])
        return Answer(201, {"id": "1"})

    def _transitions(self, asked: Asked, item: Kept) -> Answer:
        if asked.method == "GET":
            ways = [
                {"id": number, "name": f"To {to}", "to": {"name": to, "statusCategory": {"key": CATEGORIES[to]}}}
                for number, to in TRANSITIONS.items()
            ]
            return Answer(200, {"transitions": ways})
        item.why = TRANSITIONS[asked.body["transition"]["id"]]
        item.closed = item.why == "Done"
        return Answer(204)

    def key(self, item: Kept) -> str:
        return f"{item.where}-{item.number}"

    def shown(self, item: Kept) -> dict[str, Any]:
        status = "Done" if item.closed else item.why if item.why in CATEGORIES and item.why != "Done" else "To Do"
        fields = {
            "summary": item.title,
            "description": item.text,
            "status": {"name": status, "statusCategory": {"key": CATEGORIES[status]}},
            "resolution": None,
            "assignee": {"displayName": item.people[0]} if item.people else None,
            "labels": item.labels,
            "duedate": item.due,
        }
        return {"id": str(item.number), "key": self.key(item), "fields": fields}

    def said(self, item: Kept) -> list[str]:
        return [_words(each) for each in item.comments]

    def foreign_text(self) -> Any:
        return {"type": "doc", "version": 1, "content": []}

    def move(self, item: Kept) -> Kept:
        moved = self.make(item.title, item.text, item.labels, comments=item.comments)
        moved.where, item.moved = self.elsewhere, moved
        return moved


BLOCKS = {"paragraph", "heading", "bulletList", "codeBlock", "table"}


def _check(document: dict[str, Any]) -> None:
    """What Jira refuses: another shape, unknown blocks, empty texts."""
    assert (document["type"], document["version"]) == ("doc", 1)
    assert {each["type"] for each in document["content"]} <= BLOCKS
    _no_empty_text(document)


def _no_empty_text(node: dict[str, Any]) -> None:
    assert node["type"] != "text" or node["text"]
    for each in node.get("content", []):
        _no_empty_text(each)


def _words(node: dict[str, Any]) -> str:
    return str(node.get("text", "")) + "".join(_words(each) for each in node.get("content", []))
