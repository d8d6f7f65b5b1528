"""`chaosrunner plan`: what a run would do, without doing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app import Order
    from chaosrunner.judging.reading import Reading
    from chaosrunner.model.plan import Plan


@click.command()
@click.argument("experiment")
@terms.environment_option
@terms.parameter_option
@click.option("--seed", type=int, help="Choose targets by this seed, as an earlier run did.")
@click.option("--no-read", is_flag=True, help="Do not take a reading of each measure.")
@click.option("--resolved", is_flag=True, help="Show the file as it would be run, and where each value comes from.")
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings,
    /,
    experiment: str,
    environment: str | None,
    parameters: dict[str, str],
    seed: int | None,
    **show: bool,
) -> None:
    """Show what a run of EXPERIMENT (a name or path) would do. Touches nothing.

    Targets and the seed that chose them, the timeline, each measure with its value now, every guard's answer, and what
    the undo will do. Exits 4 where a guard would refuse the run. An experiment with a matrix has a plan for each run.

    With --resolved: the experiment with everything that it extends, its parameters and its hypotheses put in, as YAML
    that can be run as it is. Nothing is asked for it but the files.
    """
    from chaosrunner.app import Order

    order = Order(
        experiment=experiment, environment=environment, seed=seed, state=settings.state, parameters=parameters
    )
    if show["resolved"]:
        _resolved(order, as_json=show["as_json"])
        return
    plans = _plans(order, read=not show["no_read"])
    _show(plans, as_json=show["as_json"])
    if not all(answer.go for plan, _ in plans for answer in plan.guards):
        terms.leave(4)


def _plans(order: Order, *, read: bool) -> list[tuple[Plan, dict[str, Reading]]]:
    from chaosrunner.app import each_run, plan_experiment
    from chaosrunner.errors import ManyRuns

    try:
        return [terms.wait_for(plan_experiment(order, read=read))]
    except ManyRuns:
        return [terms.wait_for(plan_experiment(one, read=read)) for one in each_run(order)]


def _show(plans: list[tuple[Plan, dict[str, Reading]]], *, as_json: bool) -> None:
    """One plan as it is; several by number, in JSON as `plans`."""
    from chaosrunner.reports.plan import plan_json, plan_text

    if as_json:
        shown = [plan_json(plan, samples) for plan, samples in plans]
        terms.say_json(shown[0] if len(shown) == 1 else {"go": all(one["go"] for one in shown), "plans": shown})
        return
    for number, (plan, samples) in enumerate(plans, 1):
        if len(plans) > 1:
            terms.say(f"{'' if number == 1 else chr(10)}Run {number} of {len(plans)}")
        terms.say("\n".join(plan_text(plan, samples)))


def _resolved(order: Order, *, as_json: bool) -> None:
    from chaosrunner.app import each_run
    from chaosrunner.stages.resolve import resolve

    found = [resolve(one.experiment, one.environment, one.folder, one.parameters) for one in each_run(order)]
    if as_json:
        shown = [one.as_json() for one in found]
        terms.say_json(shown[0] if len(shown) == 1 else {"resolved": shown})
    else:
        terms.say("\n---\n".join(one.as_yaml() for one in found))
