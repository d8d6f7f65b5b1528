"""`chaosrunner remediate`: the items that fix near misses, made and followed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.model.environment import Environment
    from chaosrunner.register.near_misses import Register
    from chaosrunner.stages.remediate import Remediated


@click.command(short_help="Make the items that fix near misses, and follow them.")
@click.argument("near_misses", metavar="[NM]...", nargs=-1)
@click.option("--sync", is_flag=True, help="Ask the tracker about every item, also those that need no word from here.")
@terms.environment_option
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings, near_misses: tuple[str, ...], sync: bool, environment: str | None, as_json: bool
) -> None:
    """Make the items that are missing, and follow those that are there.

    An item that was closed makes its near miss fix-ready; passing runs then verify it. The items live in the tracker of
    the environment (-e), or as Markdown files in the state folder.
    """
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
