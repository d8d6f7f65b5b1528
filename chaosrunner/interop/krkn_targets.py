"""What Krkn's scenarios hit, as targets of ours, and steps on them."""

from __future__ import annotations

from typing import Any

from chaosrunner.interop.peer_draft import Draft, Said
from chaosrunner.interop.peer_fields import Fields, plain
from chaosrunner.interop.toolkit_file import slug

LABEL = "say=which-pods"
"""Stands where a file chooses by what our targets do not know."""


def space_of(draft: Draft, pattern: str, place: Said) -> str:
    """The namespace that a pattern stands for."""
    name = plain(pattern)
    if name:
        return draft.inside(name)
    if pattern:
        draft.note(place, f"The namespaces were `{pattern}`, a pattern: `default` is a stand-in, say which are meant.")
    return draft.inside("default")


def pods_of(draft: Draft, given: Fields, place: Said, namespace: str = "namespace", *, known: bool = False) -> Said:
    """The pods that labels and names stand for. `known`: something else says which, where no labels do."""
    made: Said = {"namespace": space_of(draft, given.text(namespace), place)}
    labels, name = given.text("label_selector"), given.text("name_pattern") or given.text("pod_name")
    if name and plain(name) and not labels:
        return {**made, "names": [plain(name)]}
    if name:
        draft.note(place, f"Pods were chosen by the name `{name}` too; a target takes labels, or whole names.")
    if "=" in labels or labels:
        draft.ready = {"namespace": made["namespace"], "selector": labels}
        made["selector"] = labels
    elif not known:
        made["selector"] = LABEL
        draft.note(place, f"No labels say which pods are meant: `{LABEL}` is a stand-in.")
    if excluded := given.text("exclude_label"):
        key, equals, value = excluded.partition("=")
        more = f"{key}!={value}" if equals else f"!{key}"
        made["selector"] = f"{made['selector']},{more}" if "selector" in made else more
    return made


def nodes_of(draft: Draft, given: Fields, place: Said) -> Said:
    """The node that a name stands for."""
    name, labels = given.text("node_name"), given.text("label_selector")
    names = [each.strip() for each in name.split(",") if each.strip()]
    if len(names) > 1:
        draft.note(place, f"A target is one node; left out: {', '.join(names[1:])}.")
    if names:
        return {"node": names[0]}
    told = f"by the labels {labels}" if labels else "by no name"
    draft.note(place, f"Nodes were chosen {told}; a target names a node or a zone, and `say-which` is a stand-in.")
    return {"node": "say-which"}


def step_of(fault: str, target: Said, params: Said | None = None, *, name: str = "", **time: Any) -> Said:
    """A step; `for` or `observe` as a further argument."""
    made: Said = {"id": slug(name or fault, "step"), "fault": fault, "target": target}
    return {**made, **({"with": params} if params else {}), **time}
