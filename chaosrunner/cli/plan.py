"""`chaosrunner plan`: what a run would do, without doing it."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command()
@click.argument("experiment")
@terms.environment_option
@click.option("--seed", type=int, help="Choose targets by this seed, as an earlier run did.")
@click.option("--no-read", is_flag=True, help="Do not take a reading of each measure.")
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings, experiment: str, environment: str | None, seed: int | None, no_read: bool, as_json: bool
) -> None:
    """Show what a run of EXPERIMENT (a name or path) would do. Touches nothing.

    Targets and the seed that chose them, the timeline, each measure with its value now, every guard's answer, and what
    the undo will do. Exits 4 where a guard would refuse the run.
    """
    from chaosrunner.app import Order, plan_experiment
    from chaosrunner.reports.plan import plan_json, plan_text

    order = Order(experiment=experiment, environment=environment, seed=seed, state=settings.state)
    plan, samples = terms.wait_for(plan_experiment(order, read=not no_read))
    if as_json:
        terms.say_json(plan_json(plan, samples))
    else:
        terms.say("\n".join(plan_text(plan, samples)))
    if not all(answer.go for answer in plan.guards):
        terms.leave(4)
