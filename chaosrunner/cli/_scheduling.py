"""What `suite schedule` and `gameday schedule` share: their options, what is done, and how the answer is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app.applying import Done, Place
    from chaosrunner.app.scheduling import Planned, Wishes

F = TypeVar("F", bound=Callable[..., Any])
_WISHES = ("at", "zone", "namespace", "image", "late", "claim", "secret")


_OPTIONS = (
    click.option(
        "--at", default="", metavar="CRON", help="When, as in cron: '0 10 * * 1-5'; default: as the file says."
    ),
    click.option("--time-zone", "zone", default="", metavar="ZONE", help="Of that; default: as the file says."),
    click.option("--namespace", default="chaosrunner", show_default=True, help="Where the CronJob is."),
    click.option("--image", default="", metavar="IMAGE", help="Default: chaosrunner's own of this version."),
    click.option(
        "--late",
        default="10m",
        show_default=True,
        callback=terms.duration,
        metavar="TIME",
        help="How late a missed start may be made.",
    ),
    click.option("--claim", default="", metavar="NAME", help="PersistentVolumeClaim that keeps runs and register."),
    click.option(
        "--secret",
        default="chaosrunner",
        show_default=True,
        metavar="NAME",
        help="Secret with what files take from variables.",
    ),
    click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(("yaml", "ical", "json")),
        default="yaml",
        show_default=True,
        help="A CronJob, a calendar, or what is known of both.",
    ),
    click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: standard output."),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    click.option("--apply", "apply", is_flag=True, help="Have it in the environment's cluster, as it is printed."),
    click.option("--remove", "remove", is_flag=True, help="Remove from that cluster what --apply made."),
    click.option("--i-know-this-is-production", "production", is_flag=True, help="For --apply, with --second."),
    terms.second_option,
)


def options(command: F) -> F:
    """All of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wishes(given: dict[str, Any], environment: str | None = None) -> Wishes:
    """Of the options, what is about the schedule."""
    from chaosrunner.app.scheduling import Wishes

    return Wishes(environment=environment or "", **{name: given[name] for name in _WISHES})


def carry_out(
    schedule: str, given: dict[str, Any], places: Callable[[], Sequence[Place]], plan: Callable[[], Planned]
) -> None:
    """Print what would be scheduled, or do with it as the options say. `schedule`: `suite.NAME` or `game-day.NAME`."""
    from chaosrunner.errors import UsageError

    if not given["apply"] and not given["remove"]:
        hand_out(plan(), given)
        return
    if given["apply"] and given["remove"]:
        raise UsageError("--apply and --remove contradict each other")
    if given["form"] == "ical" or given["output"] is not None:
        raise UsageError("--apply and --remove act on a cluster: they make no file and no calendar")
    from chaosrunner.app.applying import Keys, apply_schedule, remove_schedule
    from chaosrunner.clock import SystemClock

    clock = SystemClock()
    if given["remove"]:
        done = terms.wait_for(remove_schedule(schedule, given["namespace"], places(), clock))
        _say(schedule, done, given, None)
        return
    planned = plan()
    keys = Keys(given["second"], given["production"])
    _say(schedule, terms.wait_for(apply_schedule(planned, places(), keys, clock)), given, planned)


def _say(schedule: str, done: Done, given: dict[str, Any], planned: Planned | None) -> None:
    """What was done in the cluster; `planned`: None where it was removed. Raises `Refused` where nothing was."""
    from chaosrunner.clock import iso
    from chaosrunner.errors import Refused

    coming = [iso(at) for at in planned.coming] if planned is not None else []
    warnings = list(planned.warnings) if planned is not None else []
    if given["as_json"] or given["form"] == "json":
        terms.say_json({"schedule": schedule, **done.as_json(), "coming": coming, "warnings": warnings})
        if done.refusals:
            terms.leave(Refused.exit_code)
        return
    if done.refusals:
        raise Refused(f"nothing was changed, as the guards say no: {'; '.join(done.refusals)}")
    for each in done.objects:
        terms.say(f"{each.kind} {each.name} {each.done}")
    if not done.objects:
        terms.say(f"the namespace {given['namespace']} has no schedule of {schedule}")
    for warning in warnings:
        terms.warn(warning)
    if coming:
        terms.aside(f"next: {', '.join(coming[:3])}")


def hand_out(planned: Planned, given: dict[str, Any]) -> None:
    """Manifests, a calendar, or both as JSON; what should be known goes to standard error."""
    import json

    from chaosrunner.cli._learning import hand_out as write
    from chaosrunner.clock import SystemClock, iso

    form = "json" if given["as_json"] else given["form"]
    if form == "ical":
        text = planned.calendar(SystemClock().now())
    elif form == "json":
        made = {"coming": [iso(at) for at in planned.coming], "warnings": list(planned.warnings)}
        text = json.dumps({**made, "manifests": planned.manifests()}, indent=2, ensure_ascii=False) + "\n"
    else:
        text = planned.yaml()
    write(text, given["output"])
    for warning in planned.warnings if form == "yaml" else ():
        terms.warn(warning)
    if form == "yaml":
        terms.aside(
            f"next: {', '.join(iso(at) for at in planned.coming[:3])}; to apply: --apply, or … | kubectl apply -f -"
        )
