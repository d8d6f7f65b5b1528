"""Puts the parts together for a command: files, platform, plan, guards, run, verdict, near misses, reports.

A name is imported when a command asks for it: what one of them needs, the others do not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaosrunner.app.concluding import RunReport
    from chaosrunner.app.desk import Tell
    from chaosrunner.app.doctoring import examine
    from chaosrunner.app.halting import halt_runs
    from chaosrunner.app.healing import heal_environment, heal_runs, under_way
    from chaosrunner.app.matrix import each_run
    from chaosrunner.app.orders import Order, make_platform, plan_experiment, prepared
    from chaosrunner.app.running import run_experiment
    from chaosrunner.app.serving import Listening, serve
    from chaosrunner.person import who

__all__ = [
    "Listening",
    "Order",
    "RunReport",
    "Tell",
    "each_run",
    "examine",
    "halt_runs",
    "heal_environment",
    "heal_runs",
    "make_platform",
    "plan_experiment",
    "prepared",
    "run_experiment",
    "serve",
    "under_way",
    "who",
]

_PLACES = {
    "Listening": "app.serving",
    "Order": "app.orders",
    "RunReport": "app.concluding",
    "Tell": "app.desk",
    "each_run": "app.matrix",
    "examine": "app.doctoring",
    "halt_runs": "app.halting",
    "heal_environment": "app.healing",
    "heal_runs": "app.healing",
    "make_platform": "app.orders",
    "plan_experiment": "app.orders",
    "prepared": "app.orders",
    "run_experiment": "app.running",
    "serve": "app.serving",
    "under_way": "app.healing",
    "who": "person",
}
"""The module of each name."""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"chaosrunner.{_PLACES[name]}"), name)
    return found
