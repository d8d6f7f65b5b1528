"""One file for each thing that can be asked; found by folder, so that adding one is adding a file."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from chaosrunner.errors import PluginDefect
from chaosrunner.serve.asking import Route


def all_routes() -> Sequence[Route]:
    """Of all files of this folder. Raises `PluginDefect` where two answer the same."""
    files = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
    found: list[Route] = []
    for file in files:
        found += importlib.import_module(f"chaosrunner.serve.routes.{file}").ROUTES
    names = [(route.method, route.path) for route in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PluginDefect(f"two routes answer {' '.join(twice[0])}")
    return found
