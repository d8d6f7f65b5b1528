"""Resources of Chaos Mesh in our own format: its kinds of chaos, and the Schedules and Workflows that they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chaosrunner.interop.chaos_mesh_faults import steps_of
from chaosrunner.interop.peer_draft import Draft, Said, left_out, side_by_side
from chaosrunner.interop.peer_fields import Fields, lasts, seconds
from chaosrunner.interop.toolkit_file import slug

GROUP = "chaos-mesh.org/"
DEEPEST = 20
"""Levels of templates in each other; more are a circle."""


def is_one(document: Mapping[str, Any]) -> bool:
    """Whether it is a resource of Chaos Mesh."""
    return str(document.get("apiVersion", "")).startswith(GROUP)


def drafts(documents: Sequence[Mapping[str, Any]], remarks: list[str]) -> list[Draft]:
    """One experiment for each resource."""
    return [_draft(document, remarks) for document in documents]


def _draft(document: Mapping[str, Any], remarks: list[str]) -> Draft:
    top = Fields(document)
    kind, metadata = top.text("kind"), top.inside("metadata")
    top.take("apiVersion")
    top.take("status")  # what became of it, not what is asked for
    name = metadata.text("name", "converted")
    made = Draft(slug(name, "converted"), f"{kind} {name} of Chaos Mesh", remarks)
    space = made.inside(metadata.text("namespace", "default"))
    spec = top.inside("spec")
    if kind == "Schedule":
        made.method = _scheduled(made, spec, space)
    elif kind == "Workflow":
        made.method = _Workflow(made, spec, space).method()
    else:
        made.method = steps_of(made, kind, spec, space)
    made.leftovers(made.about, top)
    return made


def _inner(kind: str) -> str:
    """Where the spec of a kind stands in a Schedule or template: `podChaos`; of HTTPChaos `httpChaos`."""
    capitals = len(kind) - len(kind.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) - 1
    return kind[: max(1, capitals)].lower() + kind[max(1, capitals) :]


def _field_of(spec: Fields, kind: str) -> str:
    wanted = _inner(kind).lower()
    return next((name for name in spec.names() if name.lower() == wanted), _inner(kind))


def _scheduled(draft: Draft, spec: Fields, space: str) -> list[Said]:
    kind = spec.text("type")
    when = spec.text("schedule")
    draft.note(
        draft.about,
        f"It was carried out again and again, by the schedule `{when}`: a file of chaosrunner's is one run. "
        "k8s/scheduled/ has a CronJob, in which the same schedule can stand.",
    )
    inner = spec.inside(_field_of(spec, kind))
    if kind == "Workflow":
        return _Workflow(draft, inner, space).method()
    return steps_of(draft, kind, inner, space)


class _Workflow:
    """Templates that name each other, unrolled from the entry."""

    def __init__(self, draft: Draft, spec: Fields, space: str) -> None:
        self._draft = draft
        self._space = space
        self._entry = spec.text("entry")
        self._templates = {each.text("name"): each for each in spec.each("templates")}
        self._met: set[str] = set()

    def method(self) -> list[Said]:
        """The steps from the entry on; templates that nothing leads to are told."""
        made = self._unrolled(self._entry, 0)
        for name in self._templates:
            if name not in self._met:
                self._draft.note(self._draft.about, f"The template {name} was left out: the entry does not lead to it.")
        return made

    def _unrolled(self, name: str, depth: int) -> list[Said]:
        template = self._templates.get(name)
        if template is None or depth > DEEPEST:
            why = "there is no such template" if template is None else "templates name each other in a circle"
            return [left_out(self._draft, f"The template {name}", why)]
        self._met.add(name)
        kind, deadline = template.text("templateType"), template.take("deadline")
        template.take("name")
        if kind in ("Serial", "Parallel"):
            return self._grouped(template, kind, name, deadline, depth)
        if kind == "Suspend":
            return [{"wait": lasts(deadline)}]
        if kind == "Schedule":
            return _scheduled(self._draft, template.inside("schedule"), self._space)
        if kind == "StatusCheck":
            self._check(template.inside("statusCheck"), name)
            return []
        if kind.endswith("Chaos"):
            inner = template.inside(_field_of(template, kind))
            return steps_of(self._draft, kind, inner, self._space, name=name, otherwise=deadline)
        return [left_out(self._draft, f"The template {name} ({kind or 'of no type'})", self._why_not(kind))]

    def _why_not(self, kind: str) -> str:
        if kind == "Task":
            return "chaosrunner runs no containers of yours; a measure `command` can ask something, a runbook mend it"
        return "there is nothing like it here"

    def _grouped(self, template: Fields, kind: str, name: str, deadline: object, depth: int) -> list[Said]:
        children = [str(each) for each in template.many("children")]
        branches = [self._unrolled(child, depth + 1) for child in children]
        if deadline is not None:
            self._draft.note(
                self._draft.about,
                f"The deadline of the template {name} ({deadline}) was left out: each step has its own time.",
            )
        return side_by_side(branches) if kind == "Parallel" else [step for branch in branches for step in branch]

    def _check(self, check: Fields, name: str) -> None:
        asked = check.inside("http")
        url, method, body = asked.text("url"), asked.text("method", "GET").upper(), asked.text("body")
        criteria = asked.inside("criteria").text("statusCode", "200")
        check.take("type")
        mode, every = check.text("mode", "Synchronous"), seconds(check.take("intervalSeconds", 1)) or 1.0
        timeout = seconds(check.take("timeoutSeconds", 1)) or 1.0
        low, dash, high = criteria.partition("-")
        rule: Said = {"equals": int(low)} if low.isdigit() else {"equals": 200}
        if dash and low.isdigit() and high.isdigit():
            rule = {"between": [int(low), int(high)]}
        http: Said = {"url": url, "timeout": f"{timeout:g}s", **({"method": method} if method != "GET" else {})}
        if body:
            http["body"] = body
        headers = asked.inside("headers")
        if headers:
            http["headers"] = {key: ", ".join(map(str, _list(headers.take(key)))) for key in headers.names()}
        made = self._draft.measure(slug(name, "status"), {"http": http, "tolerance": rule, "every": f"{every:g}s"})
        self._draft.note(
            made,
            f"A StatusCheck ({mode}) asks at its place in the workflow; here the measure is read throughout, and "
            "`abortAt` would end the run as `abortWithStatusCheck` does.",
        )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
