"""What the demo plays: each experiment with what it should show, and what repairs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chaosrunner.demo.layout import Layout
from chaosrunner.stages.load import load_experiment

EXPECTED = "demo.chaosrunner.dev/expected"
REPAIR = "demo.chaosrunner.dev/repair"


@dataclass(frozen=True, slots=True)
class Act:
    """One experiment of the demo."""

    path: Path
    name: str
    title: str
    expected: Literal["broken", "held"]
    """Of the shop as it is; the repaired one holds everywhere."""
    repair: str
    """What `--fixed` changes about it; empty: nothing."""


def acts_of(layout: Layout) -> Sequence[Act]:
    """The experiments of the demo's folder, in the order of their names."""
    return [_act(path) for path in layout.experiments]


def _act(path: Path) -> Act:
    loaded = load_experiment(str(path.resolve()), None, path.parent)
    experiment = loaded.experiment
    annotations = experiment.metadata.annotations
    return Act(
        path=path,
        name=experiment.metadata.name,
        title=experiment.spec.title,
        expected="broken" if annotations.get(EXPECTED) == "broken" else "held",
        repair=annotations.get(REPAIR, ""),
    )
