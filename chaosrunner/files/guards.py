"""The guards of an environment, as far as a file alone can tell that they could never be answered."""

from __future__ import annotations

from collections.abc import Iterator

from chaosrunner.errors import Problem
from chaosrunner.files.node import Spot
from chaosrunner.files.validation import nearest
from chaosrunner.model.environment import Guards


def unanswerable(spec: Spot) -> Iterator[Problem]:
    """Names under `always` that are no guards."""
    known = sorted(set(Guards.model_names()) - {"always"})
    for name in _texts(spec.get("guards", "always")):
        if name.value not in known:
            near = nearest(str(name.value), known)
            expected = "" if near else f"one of {', '.join(known)}"
            yield name.problem(f"unknown guard {name.value!r}", expected, near, rule="unknown-word")


def windows(spec: Spot) -> Iterator[Spot]:
    """Where the guards' windows stand."""
    return _texts(spec.get("guards", "windows"))


def _texts(spot: Spot | None) -> Iterator[Spot]:
    for item in spot.items() if spot is not None and isinstance(spot.value, list) else ():
        if isinstance(item.value, str):
            yield item
