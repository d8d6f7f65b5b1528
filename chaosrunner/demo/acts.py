"""What the demo plays: each experiment with what it should show, and what repairs it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from chaosrunner.demo.layout import SHIPPED
from chaosrunner.errors import UsageError
from chaosrunner.records.light import dataclass
from chaosrunner.stages.load import load_experiment

EXPECTED = "demo.chaosrunner.dev/expected"
REPAIR = "demo.chaosrunner.dev/repair"


@dataclass(frozen=True, slots=True)
class Act:
    """One experiment of the demo."""

    file: Path
    """In the demo's folder."""
    name: str
    title: str
    expected: Literal["broken", "held"]
    """Of the shop as it is; the repaired one holds everywhere."""
    repair: str
    """What `--fixed` changes about it; empty: nothing."""


def acts_of(only: Sequence[str] = ()) -> Sequence[Act]:
    """The shipped experiments in the order of their names; `only` those named, if any are.

    Raises `UsageError` for a name that is none of them.
    """
    acts = [_act(path) for path in sorted((SHIPPED / "experiments").glob("*.yaml"))]
    known = [act.name for act in acts]
    for name in only:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known)}"
            raise UsageError(f"the demo has no experiment {name!r}, {hint}")
    return [act for act in acts if not only or act.name in only]


def _act(path: Path) -> Act:
    experiment = load_experiment(str(path), None, path.parent).experiment
    annotations = experiment.metadata.annotations
    return Act(
        file=path.relative_to(SHIPPED),
        name=experiment.metadata.name,
        title=experiment.spec.title,
        expected="broken" if annotations.get(EXPECTED) == "broken" else "held",
        repair=annotations.get(REPAIR, ""),
    )
