"""`chaosrunner remediate`: the items that fix near misses, made and followed; and the runbooks that do fix them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.model.environment import Environment
    from chaosrunner.register.near_misses import Register
    from chaosrunner.stages.remediate import Remediated


@click.command(short_help="Make the items that fix near misses, and follow them; play their runbooks.")
@click.argument("near_misses", metavar="[NM]...", nargs=-1)
@click.option("--sync", is_flag=True, help="Ask the tracker about every item, also those that need no word from here.")
@terms.environment_option
@click.option("--check", is_flag=True, help="Say what the runbook of this near miss would change.")
@click.option("--apply", is_flag=True, help="Check, apply the runbook, and run the experiment again.")
@click.option("--strict", is_flag=True, help="With --check: exit 1 if anything would change, or cannot be told.")
@click.option(
    "--experiment", metavar="NAME", help="Whose runbook; default: of the experiment that shows the near miss."
)
@terms.production_option
@terms.second_option
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings,
    /,
    near_misses: tuple[str, ...],
    sync: bool,
    environment: str | None,
    as_json: bool,
    **runbook: Any,
) -> None:
    """Make the items that are missing, and follow those that are there.

    An item that was closed makes its near miss fix-ready; passing runs then verify it. The items live in the tracker of
    the environment (-e), or as Markdown files in the state folder.

    With --check or --apply, for one NM: play the runbook that its experiment names. Applying exits as the run that
    verifies it does; before that 3 where the runbook failed, 4 where a guard forbids it, 6 where it was stopped.
    """
    if runbook["check"] or runbook["apply"]:
        terms.leave(_play(settings, near_misses, sync, environment, as_json, **runbook))
    if given := [f"--{name}" for name in ("strict", "experiment", "second") if runbook[name]]:
        raise click.UsageError(f"{given[0]} goes with --check or --apply")
    from chaosrunner.cli import _near_misses as words

    results = terms.wait_for(_remediate(settings, near_misses, environment, sync or bool(near_misses)))
    failed = any(each.trouble for each in results)
    if as_json:
        terms.say_json([_as_json(each) for each in results])
    else:
        for each in results:
            place = f"  {each.url or each.key}" if each.url or each.key else ""
            trouble = f"  {each.trouble}" if each.trouble else ""
            state = words.state_in_words(each.near_miss)
            terms.say(f"{each.near_miss.id}  {each.step.value:<10}  {state:<12}{place}{trouble}")
        if not results:
            terms.say("no near miss needs an item")
    terms.leave(3 if failed else 0)


def _play(
    settings: terms.Settings,
    near_misses: tuple[str, ...],
    sync: bool,
    environment: str | None,
    as_json: bool,
    **runbook: Any,
) -> int:
    from chaosrunner.app.remedying import Remedy
    from chaosrunner.cli._remedying import play

    if runbook["check"] and runbook["apply"]:
        raise click.UsageError("--apply checks first by itself: either --check or --apply")
    if len(near_misses) != 1:
        raise click.UsageError("the runbook of which near miss? name one: chaosrunner remediate NM-2026-0042 --check")
    if sync:
        raise click.UsageError("--sync is about items in a tracker, and does not go with --check or --apply")
    if runbook["strict"] and runbook["apply"]:
        raise click.UsageError("--strict is about a check: applying exits as the run does")
    remedy = Remedy(
        near_miss=near_misses[0],
        environment=environment,
        experiment=runbook["experiment"],
        second=runbook["second"],
        production_confirmed=runbook["production"],
        state=settings.state,
    )
    return play(remedy, apply=runbook["apply"], strict=runbook["strict"], as_json=as_json)


def _as_json(each: Remediated) -> dict[str, object]:
    return {
        "nearMiss": each.near_miss.id,
        "state": each.near_miss.state.value,
        "step": each.step.value,
        "key": each.key,
        "url": each.url,
        "trouble": each.trouble,
    }


async def _remediate(
    settings: terms.Settings, ids: tuple[str, ...], environment: str | None, look: bool
) -> list[Remediated]:
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.clock import SystemClock
    from chaosrunner.http import Http
    from chaosrunner.ports import ProbeContext
    from chaosrunner.stages.remediate import follow, open_tracker

    clock = SystemClock()
    results = []
    with words.opened(settings.state) as register:
        for name, group in _by_environment(register, ids, environment).items():
            found, folder = _environment(name)
            async with Http(clock, folder=folder) as http:
                context = ProbeContext(clock=clock, http=http, folder=folder, environment=found, state=settings.state)
                results += await follow(register, open_tracker(found, context), clock, group, look=look)
    return results


def _by_environment(register: Register, ids: tuple[str, ...], named: str | None) -> dict[str, list[str]]:
    """The near misses to see to, by the environment whose tracker has their items; empty: the default tracker."""
    from chaosrunner.register.near_misses import Wanted

    known = [register.get(id) for id in ids] or register.list(Wanted(closed=True))
    groups: dict[str, list[str]] = {}
    for each in known:
        if ids or not each.closed or (each.item and each.item.state == "open"):
            groups.setdefault(named or (each.environment if each.tracker else ""), []).append(each.id)
    return groups


def _environment(name: str) -> tuple[Environment | None, Path]:
    from chaosrunner.stages.load import load_environment

    here = Path()
    if not name:
        return None, here
    environment, folder, _ = load_environment(name, here)
    return environment, folder
