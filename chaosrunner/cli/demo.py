"""`chaosrunner demo`: a shop on this machine is broken, near misses are found, and a fix is proved."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command(short_help="Break a small shop on this machine, see what comes out.")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--fixed", is_flag=True, help="Run the repaired shop, and see the near misses being verified.")
@click.option("--keep", is_flag=True, help="Leave the shop running afterwards, to try things by hand.")
@click.option("--plain", is_flag=True, help="Plain lines, also on a terminal.")
@click.pass_obj
def command(settings: terms.Settings, experiments: tuple[str, ...], fixed: bool, keep: bool, plain: bool) -> None:
    """Break a small shop on this machine, and see what comes out: near misses, remediation items, reports.

    Starts six services as processes of this machine, runs the experiments of STATE/demo/experiments against them
    under load, and ends them again. With --fixed the same experiments meet the repaired shop, and the near misses
    that the first demo found are verified. Takes less than a minute, and needs no root. Names of experiments: only
    these.

    \b
    Exit codes: 0 the demo showed what it should · 1 the repaired shop showed a gap
    3 something was inconclusive, or not shown · 6 interrupted · 7 an undo failed
    """
    from chaosrunner.cli._demo import Demo

    demo = Demo(settings.state, experiments, fixed=fixed, keep=keep, plain=plain)
    terms.leave(terms.wait_for(demo.run()))
