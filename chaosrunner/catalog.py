"""Finds plugins by folder, and checks the shape of each when it is first used; all of its contract: `contract.py`.

A plugin of chaosrunner's own is a file of its role's folder; its kind is the file's name with dashes, so the list of
kinds is a directory listing and imports nothing. Installed packages add plugins through entry points
(`chaosrunner.faults`, `chaosrunner.probes`, …: the entry's name is the kind, its value `module:Class`) and ship the
JSON Schema of their parameters as data, in `chaosrunner-plugins.json` beside the entry point's top package:

    {"faults": {"queue-drop": {"schema": {…}}}}

so that checking a file imports none of them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosrunner.errors import PluginDefect, UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Notifier, Platform, Plugin, Probe, Runbook, Source, Tracker
from chaosrunner.records.patterns import pattern

if TYPE_CHECKING:
    import importlib.metadata

ROLES: Mapping[str, type] = {
    "faults": Fault,
    "probes": Probe,
    "platforms": Platform,
    "trackers": Tracker,
    "notifiers": Notifier,
    "runbooks": Runbook,
    "sources": Source,
}
"""Folder (and entry point group) of each role, and its contract."""

_HERE = Path(__file__).parent
_KIND = pattern(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def kind_of(file: Path) -> str:
    """`network_latency.py` is `network-latency`."""
    return file.stem.replace("_", "-")


@cache
def _own(role: str) -> Mapping[str, str]:
    """Kind -> module, of chaosrunner's own plugins, without importing any."""
    found = {}
    for entry in sorted((_HERE / role).iterdir()):
        is_package = entry.is_dir() and (entry / "__init__.py").exists()
        if entry.name.startswith("_") or not (is_package or entry.suffix == ".py"):
            continue
        found[kind_of(entry)] = f"chaosrunner.{role}.{entry.stem}"
    return found


@cache
def _entry_points() -> Any:
    """Of all installed packages: looked through once, since that reads a file of each. None where no package has one of
    ours. Its type differs between versions of Python; all have `select`."""
    if not _any_for_us():
        return None
    import importlib.metadata

    return importlib.metadata.entry_points()


def _any_for_us() -> bool:
    """Whether a package may bring plugins: a look for our groups in what packages lay down, which takes a tenth of the
    time of `importlib.metadata`, and leaves to that whatever is not a folder of packages."""
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if not inspect.isclass(finder)):
        return True
    for folder in dict.fromkeys(sys.path):
        try:
            for name in os.listdir(folder or "."):  # noqa: PTH208  a hundred names, not a hundred paths
                if name.endswith(".egg") or (name.endswith((".dist-info", ".egg-info")) and _is_for_us(folder, name)):
                    return True
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def _is_for_us(folder: str, name: str) -> bool:
    try:
        return b"[chaosrunner." in (Path(folder) / name / "entry_points.txt").read_bytes()
    except FileNotFoundError:
        return False


@cache
def _installed(role: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    found: dict[str, importlib.metadata.EntryPoint] = {}
    entries = _entry_points()
    for entry in entries.select(group=f"chaosrunner.{role}") if entries is not None else ():
        if entry.name in found and found[entry.name].value != entry.value:
            raise PluginDefect(
                f"two installed packages bring the {role[:-1]} {entry.name!r}: "
                f"{found[entry.name].value} and {entry.value}; remove one of them"
            )
        found[entry.name] = entry
    return found


def kinds(role: str) -> list[str]:
    """All kinds of a role, sorted. Imports no plugin."""
    return list(_kinds(role))


@cache
def _kinds(role: str) -> tuple[str, ...]:
    return tuple(sorted({*_own(role), *_installed(role)}))


def nearest(word: str, known: list[str]) -> str:
    """The known word that was probably meant, or nothing."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, known, n=1, cutoff=0.6)), "")


def knows(role: str, kind: str) -> bool:
    """Whether there is a plugin of this kind. Imports none."""
    return kind in _own(role) or kind in _installed(role)


def is_own(role: str, kind: str) -> bool:
    """Whether it is chaosrunner's own, so that `check` may import it."""
    return kind in _own(role)


@cache
def find(role: str, kind: str) -> type[Any]:
    """The plugin's class, its contract checked.

    Raises `UsageError` for an unknown kind, `PluginDefect` for a plugin that breaks its contract.
    """
    own = _own(role)
    if kind in own and kind in _installed(role):
        raise PluginDefect(
            f"the installed {_installed(role)[kind].value} has the name of chaosrunner's own {role[:-1]} {kind!r}"
        )
    if kind in own:
        return _only_plugin(role, kind, own[kind])
    if kind in _installed(role):
        return _load_installed(role, kind)
    known = kinds(role)
    meant = nearest(kind, known)
    hint = f"did you mean {meant!r}?" if meant else f"known are {', '.join(known) or 'none'}"
    raise UsageError(f"unknown {role[:-1]} {kind!r}, {hint}")


def _only_plugin(role: str, kind: str, module_name: str) -> type[Any]:
    module = _imported(f"{role[:-1]} {kind!r}", lambda: importlib.import_module(module_name))
    contract = ROLES[role]
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, contract)
        and value.__module__.startswith(module_name)
        and not value.__name__.startswith("_")
    ]
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise PluginDefect(f"{module_name}: expected exactly one {contract.__name__} in the file, found {names}")
    return _checked(role, kind, found[0])


def _load_installed(role: str, kind: str) -> type[Any]:
    entry = _installed(role)[kind]
    loaded = _imported(f"{role[:-1]} {kind!r} ({entry.value})", entry.load)
    if not (inspect.isclass(loaded) and issubclass(loaded, ROLES[role])):
        raise PluginDefect(f"{role[:-1]} {kind!r} ({entry.value}) is not a {ROLES[role].__name__}")
    return _checked(role, kind, loaded)


def _imported(what: str, load: Callable[[], Any]) -> Any:
    """What a plugin's file holds. Raises `PluginDefect` with the file and line at which it cannot be imported."""
    try:
        return load()
    except Exception as error:
        raise PluginDefect(f"{what} cannot be imported: {_where(error)}") from error


def _where(error: Exception) -> str:
    """`FILE:LINE: what`: the line that cannot be read, or the last one that was carried out before Python's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"
    import traceback

    importing = (__file__, str(Path(importlib.__file__).parent), "<frozen importlib")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(importing)]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{type(error).__name__}: {error}"


def _checked(role: str, kind: str, plugin: type[Any]) -> type[Any]:
    problems = list(defects(role, kind, plugin))
    if problems:
        raise broken(role, kind, plugin, problems)
    plugin.kind = kind
    return plugin


def broken(role: str, kind: str, plugin: type[Any], problems: Sequence[str]) -> PluginDefect:
    """The error that says so."""
    where = f"{role[:-1]} {kind!r} ({plugin.__module__}.{plugin.__name__})"
    return PluginDefect(f"{where} breaks its contract: " + "; ".join(problems))


def defects(role: str, kind: str, plugin: type[Any]) -> list[str]:
    """In what the shape of a plugin's class breaks its contract, as clauses; empty: nothing. Looked at when it is first
    used, so it reads no source and no example."""
    found = []
    if not _KIND.fullmatch(kind):
        found.append(f"its kind {kind!r} is not lower case words with dashes")
    if not inspect.getdoc(plugin) or plugin.__doc__ is None:
        found.append("it has no docstring that says what it does")
    if missing := sorted(getattr(plugin, "__abstractmethods__", ())):
        found.append(f"it does not define {', '.join(missing)}")
    if issubclass(plugin, Plugin):
        if not isinstance(getattr(plugin, "Params", None), type):
            found.append("it names no Params: derive it from e.g. Fault[Params]")
        if not plugin.example.strip():
            found.append("it has no example")
    elif not isinstance(getattr(plugin, "Spec", None), type):
        found.append("it has no Spec")
    if role == "faults":
        for name in ("platforms", "acts_on", "fault_class"):
            if not getattr(plugin, name, None):
                found.append(f"it does not say {name}")
    found += _unlike_the_contract(ROLES[role], plugin)
    return found


def _unlike_the_contract(contract: type, plugin: type) -> list[str]:
    """Methods that are not `async` where the contract's are, or that take other parameters."""
    found = []
    for name, expected in vars(contract).items():
        actual = inspect.getattr_static(plugin, name, None)
        if name.startswith("_") or isinstance(expected, property) or actual is expected:
            continue
        if isinstance(expected, classmethod):
            if not isinstance(actual, classmethod):
                found.append(f"{name} is not a classmethod")
                continue
            expected, actual = expected.__func__, actual.__func__
        if not inspect.isfunction(expected):
            continue
        if not inspect.isfunction(actual):
            found.append(f"{name} is not a method")
        elif inspect.iscoroutinefunction(expected) != inspect.iscoroutinefunction(actual):
            found.append(f"{name} must {'' if inspect.iscoroutinefunction(expected) else 'not '}be async")
        elif list(inspect.signature(expected).parameters) != list(inspect.signature(actual).parameters):
            wanted = ", ".join(inspect.signature(expected).parameters)
            found.append(f"{name}{inspect.signature(actual)} does not take ({wanted})")
    return found


@cache
def schema(role: str, kind: str) -> JsonObject:
    """JSON Schema of a plugin's parameters. Of an installed plugin from its data file, without importing it."""
    if not is_own(role, kind) and kind in _installed(role):
        return _shipped_schema(role, kind)
    plugin = find(role, kind)
    params = plugin.Params if issubclass(plugin, Plugin) else plugin.Spec
    result: JsonObject = params.model_json_schema(by_alias=True)
    return result


def _shipped_schema(role: str, kind: str) -> JsonObject:
    entry = _installed(role)[kind]
    top = entry.value.partition(":")[0].partition(".")[0]
    for file in (entry.dist.files or []) if entry.dist else []:
        if file.name == "chaosrunner-plugins.json" and file.parts[0] == top:
            try:
                shipped = json.loads(file.read_text())[role][kind]["schema"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise PluginDefect(f"{file} holds no schema of the {role[:-1]} {kind!r}: {error!r}") from error
            result: JsonObject = shipped
            return result
    raise PluginDefect(f"the package of the {role[:-1]} {kind!r} ships no {top}/chaosrunner-plugins.json")
