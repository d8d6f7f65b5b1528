"""`chaosrunner halt`: stop runs at once, with everything undone."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command(short_help="Stop runs: every fault is taken back at once.")
@click.argument("run", required=False)
@terms.environment_option
@click.option("--reason", default="", help="Why; goes into the journal.")
@click.option(
    "--within",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default="30",
    metavar="SECONDS",
    help="Wait so long for the runs to end.",
)
@terms.json_option
def command(run: str | None, environment: str | None, reason: str, within: float, as_json: bool) -> None:
    """Stop RUN, all runs on an environment (-e NAME), or all of this machine's runs: every fault is taken back at once.

    With -e, runs on a cluster are found wherever they were started.

    Waits until they have ended. Exits 0 if all did, 3 if one did not in time.
    """
    from chaosrunner.app import halt_runs

    ended, left = terms.wait_for(halt_runs(run=run, environment=environment, reason=reason, within=within))
    if as_json:
        terms.say_json({"halted": ended, "stillRunning": left})
    else:
        for one in ended:
            terms.say(f"{one}: halted")
        for one in left:
            terms.say(f"{one}: asked to halt, still under way")
        if not ended and not left:
            terms.say(f"no run is under way{f' on {environment}' if environment else ''}")
    if environment and not ended and not left:
        _say_what_runs_elsewhere()
    if left:
        terms.leave(3)


def _say_what_runs_elsewhere() -> None:
    """A mistyped environment must not look like a system at rest."""
    from chaosrunner.store.machine import Machine, machine_folder

    for each in Machine(machine_folder()).runs():
        if each.alive:
            terms.warn(f"not halted: run {each.run} on {each.environment}")
