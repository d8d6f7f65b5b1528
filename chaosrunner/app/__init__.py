"""Puts the parts together for a command: files, platform, plan, guards, run, verdict, near misses, reports."""

from chaosrunner.app.concluding import RunReport, Tell
from chaosrunner.app.halting import halt_runs
from chaosrunner.app.healing import heal_environment, heal_runs, under_way
from chaosrunner.app.orders import Order, make_platform, plan_experiment, prepared
from chaosrunner.app.running import run_experiment
from chaosrunner.person import who

__all__ = [
    "Order",
    "RunReport",
    "Tell",
    "halt_runs",
    "heal_environment",
    "heal_runs",
    "make_platform",
    "plan_experiment",
    "prepared",
    "run_experiment",
    "under_way",
    "who",
]
