"""Looks around where it was told to: a cluster, a Prometheus, files. Reads only."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from chaosrunner import catalog
from chaosrunner.beginning.compose import NAMES, compose, settings
from chaosrunner.beginning.credentials import Credentials, access, from_there, source
from chaosrunner.beginning.metrics import metrics, openslo
from chaosrunner.beginning.writing import why_not
from chaosrunner.clock import Clock
from chaosrunner.errors import UsageError
from chaosrunner.files.openslo import is_openslo
from chaosrunner.files.reader import read
from chaosrunner.files.references import Library, files_in
from chaosrunner.files.validation import nearest
from chaosrunner.files.written import scalar
from chaosrunner.http import Http
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.surroundings import FoundObjective, FoundPlatform, Surroundings
from chaosrunner.records.light import replace

FILES = "environments"
"""The folder of the environment that is written: relative paths in it start there."""


class Wanted(NamedTuple):
    """Where somebody said to look."""

    cluster: bool = False
    """Whether to ask a cluster."""
    kubeconfig: str = ""
    context: str = ""
    namespaces: tuple[str, ...] = ()
    prometheus: str = ""
    credentials: Credentials = Credentials()
    compose: str = ""
    openslo: tuple[str, ...] = ()


class Context(NamedTuple):
    """One of a kubeconfig."""

    name: str
    namespace: str
    server: str


async def look(wanted: Wanted, folder: Path, clock: Clock) -> Surroundings:
    """Everything that is there. Raises `UsageError` for what is wrong with what was said, `NotPossibleNow` where it
    cannot be asked, `FileProblems` for a file that cannot be read."""
    if wanted.cluster and wanted.compose:
        raise UsageError("an environment is a cluster or a Compose file: expected --namespace or --compose, not both")
    platform: FoundPlatform | None = None
    if wanted.cluster:
        platform = await _cluster(wanted, folder, clock)
    elif wanted.compose:
        path = folder / wanted.compose
        platform = compose(_data(path, wanted.compose), wanted.compose, {**settings(path.parent), **os.environ})
    platform = _readable(platform) if platform is not None else None
    objectives, passed_over = _objectives(wanted, folder)
    if not wanted.prometheus:
        return Surroundings(platform, None, objectives, passed_over)
    given = access(wanted.credentials, os.environ)
    names = [one.name for one in platform.services] if platform is not None else []
    async with Http(clock, folder=folder) as http:
        known = await metrics(source(wanted.prometheus, given), http, names)
    known = replace(known, access=from_there(given, folder, folder / FILES))
    return Surroundings(platform, known, objectives, passed_over)


def _readable(found: FoundPlatform) -> FoundPlatform:
    """With names that YAML reads as text: not `123`, `null` or `1e3`."""
    names = {one.name: one.name if scalar(one.name) == one.name else f"service-{one.name}" for one in found.services}
    renamed = (
        replace(one, name=names[one.name], calls=tuple(names.get(name, name) for name in one.calls))
        for one in found.services
    )
    return replace(found, services=tuple(renamed))


def _objectives(wanted: Wanted, folder: Path) -> tuple[tuple[FoundObjective, ...], tuple[str, ...]]:
    """Those that can be taken over, and why others cannot."""
    found = [one for name in wanted.openslo for one in openslo(folder, folder / name)]
    why = {one: why_not(one, folder) for one in found}
    passed_over = tuple(f"the objective {one.name}: {said}" for one, said in why.items() if said)
    return tuple(one for one in found if not why[one]), passed_over


async def _cluster(wanted: Wanted, folder: Path, clock: Clock) -> FoundPlatform | None:
    if not wanted.namespaces:
        raise UsageError("expected --namespace NAME: chaosrunner touches and asks nothing outside of those")
    plugin = catalog.find("platforms", "kubernetes")
    told = {"context": wanted.context, "kubeconfig": wanted.kubeconfig}
    given = {name: value for name, value in told.items() if value}
    try:
        spec = plugin.Spec.model_validate({**given, "namespaces": list(wanted.namespaces)})
    except ValueError:
        raise UsageError(f"--namespace: expected names of namespaces, found {', '.join(wanted.namespaces)}") from None
    platform = plugin(spec, "init", folder, clock)
    try:
        found: FoundPlatform | None = await platform.survey()
    finally:
        await platform.close()
    if found is None or not wanted.kubeconfig:
        return found
    return replace(found, kubeconfig=_from(folder / FILES, folder / wanted.kubeconfig))


def _from(folder: Path, path: Path) -> str:
    """As a file of the folder names it."""
    return os.path.relpath(path, folder)


def _data(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from None


# ------------------------------------------------------------------------------- what lies here, without asking anybody


def is_free(port: int) -> bool:
    """Whether nothing listens on a port of this machine's loopback."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def compose_here(folder: Path) -> str:
    """The Compose file of a folder, by one of its usual names; empty: there is none."""
    return next((name for name in NAMES if (folder / name).is_file()), "")


def openslo_here(folder: Path) -> list[str]:
    """OpenSLO files of a folder, and of `slo/`, `slos/` and `openslo/` in it."""
    library = Library(folder)
    found = []
    for place in (folder, *(folder / name for name in ("slo", "slos", "openslo"))):
        for path in files_in(place):
            try:
                file = library.file(path)
            except UsageError:
                continue
            if any(is_openslo(spot, "SLO") for spot in file.spots):
                found.append(file.source.path)
    return found


def contexts(kubeconfig: str) -> tuple[str, Sequence[Context]]:
    """(the current one, all) of a kubeconfig file, or of the usual ones, put together as kubectl does: what comes first
    counts. They are read, and nobody is asked.

    Empty where there is none. Raises `UsageError` where one that was named cannot be read.
    """
    if kubeconfig and not Path(kubeconfig).is_file():
        raise UsageError(f"there is no file {kubeconfig}")
    named = [kubeconfig] if kubeconfig else [one for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    usual = Path.home() / ".kube" / "config"
    current, clusters, found = "", dict[str, str](), dict[str, dict[str, JsonValue]]()
    for path in [Path(one) for one in named] or [usual]:
        documents = read(_data(path, str(path)), str(path)).documents if path.is_file() else ()
        top = documents[0].value if documents else None
        if isinstance(top, dict):
            current = current or str(top.get("current-context") or "")
            clusters = {name: str(one.get("server", "")) for name, one in _named(top, "cluster").items()} | clusters
            found |= {name: one for name, one in _named(top, "context").items() if name not in found}
    known = [
        Context(name, str(one.get("namespace") or ""), clusters.get(str(one.get("cluster")), ""))
        for name, one in found.items()
    ]
    return current, tuple(known)


def chosen_context(wanted: Wanted) -> str:
    """The context that was named, or the current one: the environment that is written says which, as the current one
    is another tomorrow. Empty where there is no kubeconfig. Raises `UsageError` for one that is not there."""
    current, known = contexts(wanted.kubeconfig)
    names = [one.name for one in known]
    if wanted.context and known and wanted.context not in names:
        near = nearest(wanted.context, names)
        told = f"did you mean {near}?" if near else f"expected one of {', '.join(names[:10])}"
        raise UsageError(f"--context {wanted.context}: the kubeconfig has no such context; {told}")
    return wanted.context or (current if current in names else "")


def _named(top: Mapping[str, JsonValue], what: str) -> dict[str, dict[str, JsonValue]]:
    """The bodies of a kubeconfig's clusters or contexts, by name."""
    listed = top.get(f"{what}s")
    items = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("name")): body for one in items if isinstance(body := one.get(what), dict)}
