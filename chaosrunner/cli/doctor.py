"""`chaosrunner doctor`: whether this machine, and an environment, are ready."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command(short_help="Say whether this machine, and an environment, are ready for runs.")
@click.argument("environment", required=False)
@click.option("--deep", is_flag=True, help="Also what makes something and removes it again: a pod with the image.")
@terms.json_option
@click.pass_obj
def command(settings: terms.Settings, environment: str | None, deep: bool, as_json: bool) -> None:
    """Look at this machine, and at ENVIRONMENT (a name or path) if it is named: whether it can be reached, with which
    rights, what would be refused, and what to do about it. Touches nothing, unless --deep is said.

    Exits 3 where something is not in order.
    """
    from chaosrunner.app import examine

    checks = terms.wait_for(examine(environment, settings.state, deep=deep))
    if as_json:
        terms.say_json([{"what": each.what, "fine": each.fine, "found": each.found} for each in checks])
    else:
        for each in checks:
            terms.say(f"  {'ok   ' if each.fine else 'WRONG'}  {each.what}: {each.found}")
    if not all(each.fine for each in checks):
        terms.leave(3)
