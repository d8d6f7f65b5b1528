"""Controls as people write them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def _note(words: str) -> None:
    with Path(os.environ["CT_STATE"], "control.txt").open("a") as notes:
        notes.write(words + "\n")


def configure_control(experiment: Any = None, **_: Any) -> None:
    _note("configured")


def before_experiment_control(context: Any, arguments: Any = None, **_: Any) -> None:
    _note("experiment begins")


def after_experiment_control(context: Any, state: Any = None, **_: Any) -> None:
    _note("experiment ends")


def before_hypothesis_control(context: Any, **_: Any) -> None:
    _note("hypothesis")


def before_method_control(context: Any, **_: Any) -> None:
    _note("method")


def before_rollback_control(context: Any, **_: Any) -> None:
    _note("rollbacks")


def before_activity_control(context: Any, **_: Any) -> None:
    _note(f"activity {context['name']}")
