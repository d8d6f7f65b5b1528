"""`chaosrunner run SUITE`: all experiments of a suite, without the question of a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app import Order
    from chaosrunner.errors import UsageError


def run_if_it_is_one(order: Order, error: UsageError, *, as_json: bool) -> int:
    """Run the suite that was named where an experiment was looked for; its exit code. Raises `error` if there is none,
    or if it was about something else."""
    from chaosrunner.errors import FileProblems
    from chaosrunner.stages.suite import is_suite

    if isinstance(error, FileProblems) or not is_suite(order.experiment, order.folder):
        raise error
    from chaosrunner.app.suites import SuiteOrder, run_suite
    from chaosrunner.errors import UsageError as Wrong
    from chaosrunner.reports.gate import suite_text

    if order.seed is not None or order.parameters:
        raise Wrong("a suite takes no --seed and no --parameter: its file says what each experiment is given")
    asked = SuiteOrder(
        suite=order.experiment,
        environment=order.environment,
        second=order.second,
        production_confirmed=order.production_confirmed,
        halt_file=order.halt_file,
        folder=order.folder,
        state=order.state,
    )
    report = terms.wait_for_run(run_suite(asked, terms.warn, terms.aside))
    if as_json:
        terms.say_json(report.result.as_json())
    else:
        terms.say(suite_text(report.result))
    return report.result.exit_code
