"""`chaosrunner coverage`: what was tested, and what was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chaosrunner.cli import terms

CANNOT_BE_SAID = 3


@click.command("coverage", short_help="Say what was tested against what, how long ago, and what is missing.")
@terms.environment_option
@click.option("--services", type=click.Path(path_type=Path), metavar="FILE", help="A YAML file that names services.")
@click.option("--discover", is_flag=True, help="Ask the platform of -e which services run there; reads only.")
@click.option(
    "--by", type=click.Choice(("class", "kind")), default="class", show_default=True, help="What is one failure mode."
)
@click.option(
    "--valid", metavar="TIME", default="90d", show_default=True, callback=terms.duration, help="How long it counts."
)
@click.option(
    "--soon", metavar="TIME", default="14d", show_default=True, callback=terms.duration, help="What expires next."
)
@click.option("--fail-under", type=click.FloatRange(0, 100), metavar="SCORE", help="Exit 1 where the score is lower.")
@click.option("-f", "--format", "form", type=click.Choice(("text", "markdown", "json")), help="Default: text.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: standard output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def command(settings: terms.Settings, /, *, fail_under: float | None, **options: Any) -> None:
    """Which services were tested against which failure modes, how long ago, and with what answer; what was never tried;
    what expires next; and a score in which only what held lately counts as passed.

    Services are those that runs were about, that -e names, that --services lists, and with --discover those that run.
    The JSON has the shape `chaosrunner.coverage/1`.

    \b
    Exit codes: 0 it is said · 1 the score is below --fail-under · 2 the command or a file is wrong
    3 the score cannot be said (nothing to count), or the register or the platform is out of reach
    """
    import json

    from chaosrunner.app.covering import CoverageOrder, covered
    from chaosrunner.cli._learning import hand_out
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.reports.coverage import coverage_markdown, coverage_text

    form, output, as_json = options.pop("form"), options.pop("output"), options.pop("as_json")
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} contradict each other")
    found = terms.wait_for(covered(CoverageOrder(state=settings.state, **options), SystemClock()))
    if as_json or form == "json":
        hand_out(json.dumps(found.as_json(), indent=2, ensure_ascii=False) + "\n", output)
    else:
        hand_out(coverage_markdown(found) if form == "markdown" else coverage_text(found), output)
    if fail_under is not None:
        if found.score is None:
            terms.warn("there is nothing to count, so there is no score")
            terms.leave(CANNOT_BE_SAID)
        if found.score < fail_under:
            terms.warn(f"the score is {found.score:g}, below {fail_under:g}")
            terms.leave(1)
