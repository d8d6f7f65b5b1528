"""`chaosrunner heal`: take back what dead runs left in force."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command(short_help="Take back what dead runs left in force.")
@click.argument("run", required=False)
@terms.environment_option
@terms.json_option
@click.pass_obj
def command(settings: terms.Settings, run: str | None, environment: str | None, as_json: bool) -> None:
    """Take back what runs left in force whose process died; all of this machine's, RUN only, or (-e NAME) all on an
    environment, wherever they were started: where it is a cluster, its own ledger is read, and in Alertmanager silences
    are looked for that dead runs made.

    Doing it twice is harmless. A run that is still under way is not touched: halt it instead.
    Exits 7 if an undo failed, 3 if nothing could be done about a run.
    """
    from chaosrunner.app import heal_environment, heal_runs

    if run is not None and environment is not None:
        raise click.UsageError("RUN or -e NAME, not both: a run of this machine is found by its journal")
    if environment is not None:
        healed = terms.wait_for(heal_environment(environment, terms.warn))
    else:
        healed = terms.wait_for(heal_runs(settings.state, run, terms.warn))
    if as_json:
        terms.say_json(
            [
                {
                    "run": one.run,
                    "undone": list(one.undone),
                    "failed": [{"fault": failure.fault, "error": failure.error} for failure in one.failed],
                    "trouble": one.trouble,
                    "silences": list(one.silences),
                    "silenceLeft": one.silence_left,
                }
                for one in healed
            ]
        )
    else:
        for one in healed:
            if one.undone or (one.whole and (one.silences or not one.silence_left)):
                undone = f"took back {', '.join(one.undone)}" if one.undone else "nothing was in force"
                terms.say(f"{one.run}: {undone}")
            if one.trouble:
                terms.say(f"{one.run}: NOT healed: {one.trouble}")
            for failure in one.failed:
                terms.say(f"{one.run}: {failure.fault} could NOT be taken back: {failure.error}")
                for line in failure.commands:
                    terms.say(f"    by hand: {line}")
        if not healed:
            more = f", and nothing is in force on {environment}" if environment is not None else ""
            terms.say(f"nothing to heal: no dead run is known on this machine{more}")
    if any(one.failed for one in healed):
        terms.leave(7)
    if any(one.trouble for one in healed):
        terms.leave(3)
