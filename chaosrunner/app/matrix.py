"""An experiment with a matrix is several runs, one after the other, each with a plan, a journal and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.app.orders import Order
from chaosrunner.model.exit_codes import DEFECT, UNDO_FAILED
from chaosrunner.records.light import replace
from chaosrunner.stages.load import load_experiment
from chaosrunner.stages.variants import variants

ENDS_ALL = frozenset({2, 6, UNDO_FAILED, DEFECT})
"""Exit codes after which no further run is started: a person stopped it, or more is wrong than one run."""


def each_run(order: Order) -> Sequence[Order]:
    """The order of each run, in the file's order. All files are looked at before the first one starts.

    Raises `UsageError` and `FileProblems` for whatever is wrong in any of them.
    """
    orders = [replace(order, parameters=way) for way in variants(order.experiment, order.folder, order.parameters)]
    for one in orders:
        load_experiment(one.experiment, one.environment, one.folder, one.parameters)
    return orders
