"""`chaosrunner run`: run an experiment."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command()
@click.argument("experiment")
@terms.environment_option
@click.option("--seed", type=int, help="Choose targets by this seed, as an earlier run did.")
@click.option("--plain", is_flag=True, help="Plain lines, also on a terminal.")
@click.option("--strict", is_flag=True, help="A close call exits 1.")
@click.option("--halt-file", type=click.Path(path_type=Path), help="Stop and undo as soon as this file exists.")
@click.option("--i-know-this-is-production", "production", is_flag=True, help="Needed for production, with --second.")
@click.option("--second", default="", metavar="NAME", help="Who else agrees, for production.")
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings,
    /,
    experiment: str,
    environment: str | None,
    seed: int | None,
    halt_file: Path | None,
    second: str,
    production: bool,
    **show: bool,
) -> None:
    """Run EXPERIMENT (a name or path): baseline, fault, recovery. Whatever happens, the fault is taken back.

    \b
    Exit codes: 0 held · 1 a gap was found · 2 the command or a file is wrong · 3 inconclusive
    4 refused by a guard · 5 the baseline was not steady · 6 halted · 7 an undo failed
    """
    from chaosrunner.app import Order, run_experiment
    from chaosrunner.cli._showing import run_json, show_run, view

    order = Order(
        experiment=experiment,
        environment=environment,
        seed=seed,
        second=second,
        production_confirmed=production,
        halt_file=halt_file,
        state=settings.state,
    )
    with view(plain=show["plain"], quiet=show["as_json"]) as observe:
        report = terms.wait_for_run(run_experiment(order, [observe], terms.warn))
    if show["as_json"]:
        terms.say_json(run_json(report))
    else:
        show_run(report)
    code = report.verdict.exit_code
    terms.leave(1 if show["strict"] and code == 0 and report.close_call else code)
