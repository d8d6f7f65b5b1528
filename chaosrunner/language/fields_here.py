"""The model that a place of a document is held against, plugins' parameters included."""

from __future__ import annotations

from typing import Any, NamedTuple

from chaosrunner import catalog
from chaosrunner.errors import PluginDefect
from chaosrunner.files import plugins
from chaosrunner.files.documents import KINDS
from chaosrunner.files.node import Path
from chaosrunner.files.openslo import Settings
from chaosrunner.language.place import Cursor
from chaosrunner.model.frozen import Frozen

ROLES = {
    "platform": "platforms",
    "tracker": "trackers",
    "notify": "notifiers",
    "runbook": "runbooks",
    "sources": "sources",
    "measures": "probes",
    "read": "probes",
}
"""The key under which a plugin's kind stands as a key -> its role."""


class Here(NamedTuple):
    """What may stand at a place."""

    model: type[Frozen] | None
    """None: nothing is known of it."""
    path: Path
    """From the model's own root."""
    role: str = ""
    """Where a plugin's kind may stand as the key: the role."""


def here(cursor: Cursor) -> Here:
    """Of the mapping that a cursor stands in."""
    model: Any = KINDS.get(cursor.kind)
    if model is None:
        return Here(None, ())
    path = cursor.path
    if "openslo" in path and "hypotheses" in path:
        return Here(Settings, path[path.index("openslo") + 1 :])
    if path and path[-1] == "with" and "method" in path and "fault" in cursor.above:
        return _of_plugin("faults", cursor.above["fault"], ())
    for index, part in enumerate(path):
        role = ROLES.get(str(part), "")
        below = path[index + 1 :]
        below = below[1:] if below[:1] == (0,) else below
        if role and below and str(below[0]) in catalog.kinds(role):
            return _of_plugin(role, str(below[0]), below[1:])
        if role and not below and path[-1] in (0, part):
            return Here(model, path, role)
    return Here(model, path)


def _of_plugin(role: str, kind: str, path: Path) -> Here:
    """Only chaosrunner's own plugins: a stranger's code is not imported to help with a file."""
    if kind not in catalog.kinds(role) or not catalog.is_own(role, kind):
        return Here(None, ())
    try:
        plugin = plugins.own(role, kind)
    except PluginDefect:
        return Here(None, ())
    model = getattr(plugin, "Params", None) or getattr(plugin, "Spec", None)
    return Here(model, path)
