"""An experiment of ours in the making, out of another tool's file: its steps, measures and stand-ins, and remarks that
stand in the text where something was lost or means something else, and once more at its top."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

import yaml

from chaosrunner.interop.peer_fields import Fields
from chaosrunner.interop.toolkit_convert import Converted
from chaosrunner.interop.toolkit_file import distinct, slug
from chaosrunner.model.quantities import parse_duration, write_duration
from chaosrunner.records.light import dataclass

ENVIRONMENT = "environment"
WIDTH = 116
_PLACE = re.compile(r"^(\s*)(- )?'#(\d+)': null$")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Said = dict[str, Any]
DURATION = 30.0
"""Seconds that a fault is in force where a file does not say it, and one that is over at once is observed."""


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Always."""
        return True


@dataclass(slots=True)
class Draft:
    """One experiment. Remarks are numbered through all drafts of a file."""

    name: str
    title: str
    remarks: list[str]
    """Of the whole file, in order; a key `#N` in a mapping stands for the N-th."""
    method: list[Said] = field(default_factory=list)
    measures: list[Said] = field(default_factory=list)
    services: dict[str, Said] = field(default_factory=dict)
    """That the environment must have."""
    namespaces: list[str] = field(default_factory=list)
    ready: Said = field(default_factory=dict)
    """What a stand-in for a missing hypothesis looks at: parameters of the probe `kubernetes`."""
    about: Said = field(default_factory=dict)
    """Remarks about the whole."""

    def note(self, place: Said, remark: str) -> None:
        """Let a comment stand in this mapping."""
        place[f"#{len(self.remarks)}"] = None
        self.remarks.append(remark)

    def leftovers(self, place: Said, *read: Fields, why: str = "has no counterpart here and was left out") -> None:
        """A remark for every field that nobody asked for."""
        for each in read:
            for path, value in each.left():
                self.note(place, f"`{path}` ({value}) {why}.")

    def measure(self, name: str, said: Said) -> Said:
        """Add a measure."""
        made = {"name": name, **said}
        self.measures.append(made)
        return made

    def service(self, name: str, said: Said) -> str:
        """A service that the environment must have; its name, with a number where another one has it already."""
        number, made = 1, name
        while self.services.get(made, said) != said:
            number += 1
            made = f"{name}-{number}"
        self.services[made] = said
        return made

    def inside(self, namespace: str) -> str:
        """The namespace, which the environment must have; a stand-in for what is no name, such as `{{…}}`."""
        if _NAMESPACE.fullmatch(namespace) is None:
            remark = f"The namespace `{namespace}` is no name: `default` is a stand-in, say which is meant."
            if remark not in self.remarks:
                self.note(self.about, remark)
            namespace = "default"
        if namespace not in self.namespaces:
            self.namespaces.append(namespace)
        return namespace

    def document(self, environment: str | None) -> Said:
        """The experiment's document."""
        self._named_apart()
        spec: Said = {
            "title": self.title,
            "service": self.name,
            "environment": environment or ENVIRONMENT,
            **self.about,
            "hypotheses": [self._hypothesis()],
            "baseline": "10s",
            "method": self.method or [self._nothing()],
            "recovery": {"within": "60s"},
        }
        if environment and self.services:
            names = ", ".join(sorted(self.services))
            self.note(spec, f"The environment {environment} must name the services {names}, which are targets here.")
        head = {"apiVersion": "chaosrunner.dev/v1", "kind": "Experiment", "metadata": {"name": self.name}}
        return {**head, "spec": spec}

    def _nothing(self) -> Said:
        made: Said = {"fault": "noop", "for": "30s"}
        self.note(made, "Nothing is broken: choose a fault in place of `noop` (`chaosrunner catalog faults`).")
        return made

    def _named_apart(self) -> None:
        """Names of measures, and ids of steps, are there once."""
        for made, name in zip(self.measures, distinct([str(each["name"]) for each in self.measures]), strict=True):
            made["name"] = name
        steps = [step for item in self.method for step in item.get("together", [item]) if "id" in step]
        now: dict[str, str] = {}
        for step, name in zip(steps, distinct([str(step["id"]) for step in steps]), strict=True):
            now[str(step["id"])] = step["id"] = name
            if "sameAs" in step.get("target", {}):  # the last one of this name before it
                step["target"] = {"sameAs": now.get(step["target"]["sameAs"], step["target"]["sameAs"])}

    def _hypothesis(self) -> Said:
        made: Said = {"name": f"{self.name[:70]}-holds", "title": f"{self.title}: the system is as it should be"}
        if self.measures:
            return {**made, "measures": self.measures}
        looks = "only looks whether all is ready before and after" if self.ready else "looks at nothing"
        self.note(
            made,
            f"The file watches nothing: this stand-in {looks}. Say what must hold while something is broken (a measure "
            "of what users get), or little can be learnt.",
        )
        if self.ready:
            rule = {"tolerance": {"equals": True}, "during": "edge", "every": "5s"}
            return {**made, "measures": [{"name": "all-ready", "kubernetes": self.ready, **rule}]}
        return {**made, "measures": [{"name": "unknown", "noop": {"value": 1}, "tolerance": {"equals": 1}}]}


def left_out(draft: Draft, what: str, why: str, *, lasts: str = "30s") -> Said:
    """A step that breaks nothing, in the place of one that could not be translated."""
    made: Said = {"id": slug(what, "left-out"), "fault": "noop", "for": lasts}
    draft.note(made, f"{what} was left out: {why}.")
    return made


def time_of(step: Mapping[str, Any]) -> float:
    """Seconds that a step takes: of `together` until the last one's end."""
    if "together" in step:
        return max(parse_duration(each.get("after", "0s")) + time_of(each) for each in step["together"])
    return parse_duration(step.get("wait") or step.get("for") or step.get("observe") or write_duration(DURATION))


def side_by_side(branches: Iterable[list[Said]]) -> list[Said]:
    """Steps that follow each other in each branch, with all branches in force at the same time."""
    steps: list[Said] = []
    longest: list[Said] = []
    for branch in branches:
        now = 0.0
        for item in branch:
            for step in item.get("together", [item] if "fault" in item else []):
                after = now + parse_duration(step.pop("after", "0s"))
                steps.append({**step, **({"after": write_duration(after)} if after else {})})
            now += time_of(item)
        longest = max(longest, branch, key=lambda each: sum(map(time_of, each)))
    if len(steps) > 1:
        return [{"together": steps}]
    return longest if steps and any("fault" in item for item in longest) else steps or longest


def written(drafts: list[Draft], what: str, origin: str, environment: str | None) -> Converted:
    """The text of all drafts, with a stand-in of the environment unless one is named."""
    documents: list[Said] = []
    for draft, name in zip(drafts, distinct([draft.name for draft in drafts]), strict=True):
        draft.name = name
        documents.append(draft.document(environment))
    remarks = drafts[0].remarks
    if environment is None:
        remarks.append(
            f"{what} works on the cluster that it is in: the environment below is a stand-in. Say there which cluster "
            "is meant (`context`, `clusterUid`), or convert with -e NAME."
        )
        documents.insert(0, _environment(drafts))
    head = [f"# Converted from {origin}, of {what}. What could not be translated, or means something else:", "#"]
    head += [line for remark in dict.fromkeys(remarks) for line in comment(remark)]
    body = "---\n".join(
        yaml.dump(each, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
        for each in documents
    )
    return Converted("\n".join([*head, _in_place(body, remarks)]), tuple(dict.fromkeys(remarks)))


def _in_place(body: str, remarks: list[str]) -> str:
    lines: list[str] = []
    for line in body.splitlines():
        match = _PLACE.match(line)
        if match is None:
            lines.append(line)
        else:
            indent = match[1] + ("  " if match[2] else "")
            lines += comment(remarks[int(match[3])], indent)
    return "\n".join(lines) + "\n"


def comment(remark: str, indent: str = "") -> list[str]:
    """As comment lines of at most 118 characters."""
    lines, line = [], f"{indent}# *"
    for word in remark.split():
        if len(line) + len(word) > WIDTH:
            lines.append(line)
            line = f"{indent}#  "
        line += f" {word}"
    return [*lines, line]


def _environment(drafts: list[Draft]) -> Said:
    namespaces = list(dict.fromkeys(space for draft in drafts for space in draft.namespaces)) or ["default"]
    services: Said = {}
    for draft in drafts:
        services |= draft.services
    if len(namespaces) == 1:
        services = {name: {**said} for name, said in services.items()}
    platform = {"namespaces": namespaces, **({"services": services} if services else {})}
    return {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": ENVIRONMENT},
        "spec": {"platform": {"kubernetes": platform}},
    }
