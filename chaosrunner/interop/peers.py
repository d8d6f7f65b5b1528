"""Which other tool a file is of, and what becomes of it in our own format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from chaosrunner.errors import UsageError
from chaosrunner.interop import chaos_mesh_convert, krkn_convert, litmus_convert, toolkit_convert
from chaosrunner.interop.peer_draft import Draft, written
from chaosrunner.interop.toolkit_convert import Converted

Peer = Literal["chaos-toolkit", "litmus", "chaos-mesh", "krkn"]
PEERS: tuple[str, ...] = get_args(Peer)
NAMES = {"chaos-toolkit": "Chaos Toolkit", "litmus": "LitmusChaos", "chaos-mesh": "Chaos Mesh", "krkn": "Krkn"}
LARGEST = 4 * 2**20
"""Bytes of a file."""


def convert(path: Path, environment: str | None, peer: Peer | None = None) -> Converted:
    """A file of another tool in our own format. `peer` None: found out. Raises `UsageError` for what is none."""
    documents = _read(path)
    peer = peer or _peer_of(documents, path)
    remarks: list[str] = []
    try:
        if peer == "chaos-toolkit":
            return toolkit_convert.convert(_mappings(documents)[0], path.name, environment)
        return written(_drafts(peer, documents, path, remarks), NAMES[peer], path.name, environment)
    except UsageError as error:
        raise UsageError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None


def _drafts(peer: Peer, documents: list[Any], path: Path, remarks: list[str]) -> list[Draft]:
    if peer == "krkn":
        return krkn_convert.drafts(documents, path.name, remarks)
    litmus = peer == "litmus"
    is_one = litmus_convert.is_one if litmus else chaos_mesh_convert.is_one
    theirs = [each for each in _mappings(documents) if is_one(each)]
    if not theirs:
        group = litmus_convert.GROUP if litmus else chaos_mesh_convert.GROUP
        raise UsageError(f"expected a resource of {NAMES[peer]} (`apiVersion: {group}…`)")
    made = litmus_convert.drafts(theirs, remarks) if litmus else chaos_mesh_convert.drafts(theirs, remarks)
    for each in documents:
        if each not in theirs:
            kind = each.get("kind") if isinstance(each, dict) else None
            made[0].note(made[0].about, f"A document ({kind or 'of no kind'}) was left out: it is not {NAMES[peer]}'s.")
    return made


def _mappings(documents: list[Any]) -> list[dict[str, Any]]:
    found = [each for each in documents if isinstance(each, dict)]
    if not found:
        raise UsageError("expected a mapping")
    return found


def _peer_of(documents: list[Any], path: Path) -> Peer:
    for each in documents:
        if isinstance(each, dict) and litmus_convert.is_one(each):
            return "litmus"
        if isinstance(each, dict) and chaos_mesh_convert.is_one(each):
            return "chaos-mesh"
        if isinstance(each, dict) and "apiVersion" not in each and {"method", "steady-state-hypothesis"} & set(each):
            return "chaos-toolkit"
        if krkn_convert.is_one(each):
            return "krkn"
    raise UsageError(
        f"{path}: expected an experiment of Chaos Toolkit (with a `method`), a ChaosEngine of LitmusChaos, a resource "
        "of Chaos Mesh, or a scenario of Krkn; `--from` says which it is meant to be"
    )


def _read(path: Path) -> list[Any]:
    """All documents of a file of YAML, or JSON."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: is larger than {LARGEST // 2**20} MiB")
        text = path.read_text(encoding="utf-8")
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        found = [each for each in yaml.load_all(text, Loader=loader) if each is not None]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from None
    if not found:
        raise UsageError(f"{path}: is empty")
    return found
