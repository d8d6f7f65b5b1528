"""`chaosrunner suite`: what came of suites, and when they run by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import _scheduling, terms

if TYPE_CHECKING:
    from chaosrunner.model.suite_result import SuiteResult


@click.group("suite", short_help="What came of suites; run them by schedule.")
def command() -> None:
    """What came of suites that were run, and when they run by themselves.

    `chaosrunner run SUITE` runs one, `chaosrunner gate SUITE` asks whether a release may go out.
    """


@command.command("list", short_help="Suites that were run, newest first.")
@click.option("--suite", metavar="NAME", help="Only of this suite.")
@terms.json_option
@click.pass_obj
def list_(settings: terms.Settings, suite: str | None, as_json: bool) -> None:
    """Suites that were run with this state folder, newest first. The JSON is a list of the results."""
    from chaosrunner.app.suites import kept_results
    from chaosrunner.reports.tables import table
    from chaosrunner.reports.words import count, lasting, wall

    found = [each for each in kept_results(settings.state) if suite in (None, each.suite)]
    if as_json:
        terms.say_json([each.as_json() for each in found])
        return
    if not found:
        terms.say("no suite has run here")
        return
    rows = []
    for each in found:
        well = sum(item.exit_code == 0 for item in each.items)
        held = f"{well} of {count(len(each.items), 'experiment')} held"
        rows.append(
            (each.id, wall(each.began), each.suite, held, str(each.exit_code), lasting(each.ended - each.began))
        )
    terms.say(table(("ID", "STARTED", "SUITE", "CAME TO", "EXIT", "TOOK"), rows))


@command.command("show", short_help="What came of one.")
@click.argument("suite", metavar="[SUITE]", required=False)
@terms.json_option
@click.pass_obj
def show(settings: terms.Settings, suite: str | None, as_json: bool) -> None:
    """What came of each experiment. SUITE is an id, its beginning, or a suite's name; default: the last one."""
    from chaosrunner.reports.gate import suite_text

    found = _found(settings.state, suite)
    if as_json:
        terms.say_json(found.as_json())
    else:
        terms.say(suite_text(found))


def _found(state: Path, wanted: str | None) -> SuiteResult:
    from chaosrunner.app.suites import kept_results
    from chaosrunner.errors import UsageError

    kept = kept_results(state)
    if not kept:
        raise UsageError("no suite has run here")
    for each in kept:
        if wanted is None or each.suite == wanted or each.id.startswith(wanted):
            return each
    known = ", ".join(dict.fromkeys(each.suite for each in kept))
    raise UsageError(f"no suite {wanted!r} has run here; those that have: {known}")


@command.command("run", short_help="Run one, as a schedule does.")
@click.argument("suite")
@terms.environment_option
@click.option("--scheduled", is_flag=True, help="Tell the environment's notifiers what could not begin.")
@click.option("--halt-file", type=click.Path(path_type=Path), help="Stop and undo as soon as this file exists.")
@terms.json_option
@click.pass_obj
def run(
    settings: terms.Settings,
    suite: str,
    environment: str | None,
    scheduled: bool,
    halt_file: Path | None,
    as_json: bool,
) -> None:
    """Run SUITE (a name or path); the same as `chaosrunner run SUITE`, with the same exit codes.

    With --scheduled, what could not begin (a guard, a window, an alert that fires, a system that is not well) is told
    to those whom the environment names under `notify`: nobody looks at the output of a pod.
    """
    from chaosrunner.app.not_starting import tell_not_started
    from chaosrunner.app.suites import SuiteOrder, run_suite
    from chaosrunner.reports.gate import suite_text

    order = SuiteOrder(suite=suite, environment=environment, halt_file=halt_file, state=settings.state)
    report = terms.wait_for_run(run_suite(order, terms.warn, terms.aside))
    if scheduled:
        terms.wait_for(tell_not_started(report, order.folder, order.state, terms.warn))
    if as_json:
        terms.say_json(report.result.as_json())
    else:
        terms.say(suite_text(report.result))
    terms.leave(report.result.exit_code)


@command.command("schedule", short_help="Print a CronJob or calendar, or apply it.")
@click.argument("suite")
@terms.environment_option
@_scheduling.options
def schedule(*, suite: str, environment: str | None, **given: Any) -> None:
    """Print what has SUITE (a name or path) run by itself: a ConfigMap with its files and a CronJob, as in
    `k8s/scheduled`; or its times as iCalendar. Changes nothing, but with --apply: then they are made in the cluster of
    the environment, or changed there. --remove takes away what --apply made, and halts a run of it that is under way.

    The JSON of both is `{schedule, go, guards: [{environment, guard, go, reason}], objects: [{kind, name, done}],
    coming, warnings}`; `done` is created, changed, unchanged or removed.

    \b
    Exit codes: 0 done · 2 a file or the command is wrong · 3 the cluster is out of reach
                4 a guard says no, or an object is somebody else's; nothing was changed
    """
    from chaosrunner.app.applying import suite_places
    from chaosrunner.app.scheduling import Planned, suite_schedule
    from chaosrunner.clock import SystemClock
    from chaosrunner.stages.suite import load_suite

    loaded = load_suite(suite, environment, Path())

    def plan() -> Planned:
        return suite_schedule(loaded, _scheduling.wishes(given, environment), Path(), SystemClock().now())

    _scheduling.carry_out(f"suite.{loaded.name}", given, lambda: suite_places(loaded, Path()), plan)
