"""What `suite schedule` and `gameday schedule` share: their options, and how the answer is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app.scheduling import Planned, Wishes

F = TypeVar("F", bound=Callable[..., Any])
_WISHES = ("at", "zone", "namespace", "image", "late", "claim", "secret")


def _duration(ctx: click.Context, option: click.Parameter, given: str) -> float:
    from chaosrunner.model.quantities import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


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
        callback=_duration,
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
        terms.aside(f"next: {', '.join(iso(at) for at in planned.coming[:3])}; to apply: … | kubectl apply -f -")
