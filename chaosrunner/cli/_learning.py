"""Commands that learn from near misses: figures, reviews, digests, the failure-mode-and-effects sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.model.fmea import FmeaRow

output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE; default: standard output."
)


@click.command(short_help="Figures: found, fixed, verified, overdue, how long it takes.")
@click.option("--service", metavar="NAME", help="Only of this service.")
@click.option("--owner", metavar="TEAM", help="Only of this team.")
@click.option("--environment-class", metavar="NAME", help="Only of environments of this class.")
@terms.json_option
@click.pass_obj
def stats(
    settings: terms.Settings, service: str | None, owner: str | None, environment_class: str | None, as_json: bool
) -> None:
    """Found, fixed, verified, regressed, overdue; how long until fixed and verified; by service, owner, kind of gap,
    class of fault, and over time."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.register.near_misses import Wanted
    from chaosrunner.reports.statistics import stats_text

    wanted = Wanted(service=service, owner=owner, environment_class=environment_class, closed=True)
    with words.opened(settings.state) as register:
        found = register.stats(wanted)
    if as_json:
        rates = {"perOutage": found.per_outage, "perHundredRuns": found.per_hundred_runs}
        terms.say_json({**found.as_json(), "nearMisses": found.near_misses, **rates})
        return
    for line in stats_text(found):
        terms.say(line)


@click.command(short_help="A blameless review of one, as Markdown.")
@click.argument("near_miss", metavar="NM")
@output_option
@click.pass_obj
def review(settings: terms.Settings, near_miss: str, output: Path | None) -> None:
    """A blameless review of NM as Markdown: what happened, timeline, plot, evidence, what went well, where we were
    lucky, what is done about it. What only people can say is left for them to fill in."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.reports.review import review_markdown
    from chaosrunner.stages.learning import case_of

    with words.opened(settings.state) as register:
        record = register.show(near_miss)
    hand_out(review_markdown(case_of(record, settings.state)), output)


@click.command(short_help="What happened since a day, as Markdown.")
@click.option("--since", metavar="DAY", default="7d", show_default=True, help="A date, or so long ago: 7d, 36h.")
@output_option
@terms.json_option
@click.pass_obj
def digest(settings: terms.Settings, since: str, output: Path | None, as_json: bool) -> None:
    """What is new, came back, was verified; what is overdue or due soon; waivers that end; reports that wait."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.reports.digest import digest_markdown

    with words.opened(settings.state) as register:
        found = register.digest(_since(since))
    if as_json:
        terms.say_json(found.as_json())
    else:
        hand_out(digest_markdown(found), output)


def _since(text: str) -> float:
    import re

    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.stages.reporting import moment

    if "-" in text:
        return moment(text)
    ago = re.fullmatch(r"(\d{1,4})([hdw])", text.strip())
    if ago is None:
        raise UsageError(f"--since is {text!r}, expected a date such as 2026-11-01, or 36h, 7d, 2w")
    return SystemClock().now() - int(ago[1]) * {"h": 3600, "d": 86400, "w": 604800}[ago[2]]


@click.command(short_help="The failure-mode-and-effects sheet of each service.")
@click.option("--service", metavar="NAME", help="Only of this service.")
@terms.environment_option
@click.option("--format", "form", type=click.Choice(("text", "csv", "xlsx")), help="Default: as FILE ends, or text.")
@output_option
@terms.json_option
@click.pass_obj
def fmea(
    settings: terms.Settings,
    service: str | None,
    environment: str | None,
    form: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """For each service the failure modes that were tried: effect, defences and what they did, detection, priority,
    action; and those that were never tried. With -e also the services of that environment that nothing tried."""
    from chaosrunner.clock import SystemClock
    from chaosrunner.register import open_register, register_exists
    from chaosrunner.stages.learning import fmea_rows
    from chaosrunner.stages.load import load_environment

    named = load_environment(environment, Path())[0] if environment else None
    if register_exists(settings.state):
        with open_register(settings.state, SystemClock()) as register:
            rows = fmea_rows(register, settings.state, service, named)
    else:
        rows = fmea_rows(None, settings.state, service, named)
    if as_json:
        terms.say_json([row.as_json() for row in rows])
        return
    _hand_out(rows, form or _form(output), output)


def _form(output: Path | None) -> str:
    ending = output.suffix.lower().lstrip(".") if output else ""
    return ending if ending in ("csv", "xlsx") else "text"


def _hand_out(rows: list[FmeaRow], form: str, output: Path | None) -> None:
    from chaosrunner.errors import UsageError
    from chaosrunner.reports.fmea import fmea_csv, fmea_text, fmea_xlsx

    if form == "xlsx":
        if output is None:
            raise UsageError("a workbook needs a file: -o sheet.xlsx")
        write_file(output, fmea_xlsx(rows))
    elif form == "csv":
        hand_out(fmea_csv(rows), output)
    else:
        hand_out("\n".join(fmea_text(rows)) or "nothing was tried yet\n", output)


def hand_out(text: str, output: Path | None) -> None:
    """To a file, or as the answer."""
    if output is None:
        terms.write(text)
        return
    write_file(output, text.encode())


def write_file(output: Path, data: bytes) -> None:
    """Raises `UsageError` where it cannot be written."""
    from chaosrunner.errors import UsageError

    try:
        output.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from None
    terms.say(f"written to {output}")
