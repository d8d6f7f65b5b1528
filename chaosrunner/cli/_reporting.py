"""Commands about near misses that people know of: report one, link it to experiments, describe, split."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.model.report import WrittenReport
    from chaosrunner.register.near_misses import Recorded

_FINDINGS = ("near-miss", "unsafe-condition", "incident")
_EFFECTS = ("loss", "degraded", "weakness")
_STOPPED = ("system-barrier", "human", "experiment-abort", "fault-ended", "refusal", "unknown")
_NOTICED = ("alert", "dashboard", "user", "chaosrunner")
_BARRIERS = ("held", "degraded", "failed", "absent", "not-challenged", "unknown")


@click.command(short_help="Report one that no run found.")
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--title", metavar="TEXT", help="One line: what could have been an outage.")
@click.option("--service", metavar="NAME", help="Whose promise it is about.")
@click.option("--story", metavar="TEXT", help="What happened, in plain sentences; no names.")
@click.option("--happened", metavar="TIME", help="When: 2026-11-20T10:30Z; default: now.")
@terms.environment_option
@click.option("--finding", type=click.Choice(_FINDINGS), help="Default: near-miss.")
@click.option("--outage", is_flag=True, help="Users were really hit.")
@click.option("--failure-mode", metavar="MODE", help="unavailable, error-rate, slow-response, data-loss, …")
@click.option("--effect", type=click.Choice(_EFFECTS), help="What it would do to production; default: degraded.")
@click.option("--tier", type=click.IntRange(1, 4), help="Of the service, 1 the most important.")
@click.option("--stopped-by", type=click.Choice(_STOPPED), help="What kept it from becoming an outage.")
@click.option("--standing", type=click.IntRange(min=0), help="How many automatic defences worked.")
@click.option("--detected-by", type=click.Choice(_NOTICED), help="Who noticed it first.")
@click.option("--owner", metavar="TEAM", help="The team that sees to it.")
@click.option(
    "--experiment", "experiments", multiple=True, metavar="NAME", help="That would have found it; repeatable."
)
@click.option("--link", "links", multiple=True, metavar="URL", help="Where more can be read; repeatable.")
@click.option("--same-as", metavar="TEXT", help="What two reports of the same have in common.")
@click.option("--anonymous", is_flag=True, help="Without your name; nothing then says who it was.")
@terms.json_option
@click.pass_obj
def report(settings: terms.Settings, /, file: Path | None, anonymous: bool, as_json: bool, **given: Any) -> None:
    """Report a near miss that no run found; a draft, until somebody takes it on (`near-miss set NM triaged`).

    From FILE (YAML or JSON, one report or many; `-` reads standard input), from options, or, on a terminal and without
    either, by asking.
    """
    from chaosrunner.clock import SystemClock
    from chaosrunner.person import who
    from chaosrunner.register import open_register
    from chaosrunner.stages.reporting import make_report

    written = _from_file(file, given) if file else [_from_options(given)]
    name = None if anonymous else who()
    clock, folder = SystemClock(), file.parent if file and str(file) != "-" else Path()
    reports = [make_report(each, name, folder, 0.0 if file else clock.now()) for each in written]
    with open_register(settings.state, clock) as register:
        done = [register.report(each) for each in reports]
    _hint(written)
    if as_json:
        from chaosrunner.cli import _near_misses as words

        terms.say_json([{**words.as_json(each.near_miss), "sighting": each.sighting.value} for each in done])
        return
    for each in done:
        _say(each)


def _say(recorded: Recorded) -> None:
    near_miss = recorded.near_miss
    new = {"new": "is a draft", "known": "was reported before"}.get(recorded.sighting.value, "was seen again")
    terms.say(f"{near_miss.id} {new}, {near_miss.priority}, due {near_miss.due}: {near_miss.title}")
    if not near_miss.covered:
        terms.say(f"  no experiment shows it yet; chaosrunner near-miss link {near_miss.id} EXPERIMENT")


def _hint(written: list[WrittenReport]) -> None:
    from chaosrunner.stages.reporting import names_people

    if found := [name for each in written for name in names_people(each)]:
        terms.warn(f"{', '.join(found)} looks like a person; near misses have no culprits, so consider leaving it out")


def _from_file(file: Path, given: dict[str, Any]) -> list[WrittenReport]:
    from chaosrunner.errors import UsageError
    from chaosrunner.stages.reporting import read_reports

    if beside := [name for name, value in given.items() if value]:
        raise UsageError(f"--{beside[0].replace('_', '-')} does not go with a file: say it there")
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    return list(read_reports(data, str(file)))


def _from_options(given: dict[str, Any]) -> WrittenReport:
    from pydantic import ValidationError

    from chaosrunner.errors import UsageError
    from chaosrunner.model.report import WrittenReport

    told = {name: value for name, value in given.items() if value not in (None, (), False)}
    if not told and sys.stdin.isatty():
        told = _asked()
    for name in ("title", "service"):
        if not str(told.get(name, "")).strip():
            raise UsageError(f"a report needs --{name}, or a FILE that says it")
    try:
        return WrittenReport.model_validate(told)
    except ValidationError as error:
        wrong = error.errors()[0]
        option = "-".join(str(wrong["loc"][0]).split("_")) if wrong["loc"] else "report"
        raise UsageError(f"--{option} {wrong.get('input')!r}: {wrong['msg'].lower()}") from None


def _asked() -> dict[str, Any]:
    """What a person answers; an empty answer leaves it out."""
    terms.say("A near miss is something that could have been an outage. No names are needed.")
    told: dict[str, Any] = {
        "title": click.prompt("In one line, what happened"),
        "service": click.prompt("Which service's promise is it about"),
        "story": click.prompt("The story, in a few sentences", default="", show_default=False),
        "happened": click.prompt("When (2026-11-20T10:30Z; empty: now)", default="", show_default=False),
        "effect": click.prompt("In production, it would be", type=click.Choice(_EFFECTS), default="degraded"),
        "stopped_by": click.prompt("What kept it from being one", type=click.Choice(_STOPPED), default="unknown"),
        "detected_by": click.prompt("Who noticed first", type=click.Choice((*_NOTICED, "")), default=""),
        "owner": click.prompt("Which team sees to it (empty: not known)", default="", show_default=False),
    }
    found = click.prompt("Experiments that would find it (empty: none)", default="", show_default=False)
    told["experiments"] = tuple(found.replace(",", " ").split())
    return {name: value for name, value in told.items() if value not in ("", ())}


# ---------------------------------------------------------------------------------------------------------- experiments


@click.command(short_help="Say which experiments would have found one.")
@click.argument("near_miss", metavar="NM")
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the links back.")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@terms.json_option
@click.pass_obj
def link(
    settings: terms.Settings, near_miss: str, experiments: tuple[str, ...], remove: bool, reason: str, as_json: bool
) -> None:
    """Say which EXPERIMENTs, by name, would have found NM. What was reported is verified by their passing runs."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.person import who

    with words.opened(settings.state) as register:
        change = register.unlink if remove else register.link
        after = change(near_miss, experiments, who(), reason)
    if as_json:
        terms.say_json(words.as_json(after))
        return
    terms.say(f"{after.id} is linked to {', '.join(after.links) or 'no experiment'}")
    if not remove:
        _say_what_is_missing(experiments)


def _say_what_is_missing(experiments: tuple[str, ...]) -> None:
    """An experiment may be written later, or lie elsewhere; a slip of the pen is neither."""
    from chaosrunner.files.references import Library, NotFound

    library = Library(Path())
    for name in experiments:
        found = library.refer("Experiment", name, [Path()])
        if isinstance(found, NotFound):
            meant = f", did you mean {found.nearest!r}?" if found.nearest else " yet; its runs count once there is"
            terms.warn(f"there is no experiment {name!r} here{meant}")


@click.command(short_help="Those that no experiment would find.")
@click.option("--service", metavar="NAME", help="Only of this service.")
@terms.json_option
@click.pass_obj
def uncovered(settings: terms.Settings, service: str | None, as_json: bool) -> None:
    """Near misses that are not closed, and that no experiment shows or is linked to: what to write next."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.register import register_exists
    from chaosrunner.register.near_misses import Wanted

    found = []
    if register_exists(settings.state):
        with words.opened(settings.state) as register:
            found = register.list(Wanted(service=service, covered=False))
    if as_json:
        terms.say_json([words.as_json(each) for each in found])
    elif found:
        for line in words.table(found):
            terms.say(line)
    else:
        terms.say("an experiment shows, or would show, each near miss that is not closed")


@click.command(short_help="Say how one failed, what defended, what contributed.")
@click.argument("near_miss", metavar="NM")
@click.option("--failure-mode", metavar="MODE", help="unavailable, error-rate, slow-response, data-loss, …")
@click.option("--effect", type=click.Choice(_EFFECTS), help="What it would do to production.")
@click.option("--detected-by", type=click.Choice(_NOTICED), help="Who noticed it first.")
@click.option("--defence", "defences", multiple=True, metavar="NAME=STATE", help="=held|failed|absent|…; repeatable.")
@click.option("--factor", "factors", multiple=True, metavar="TEXT", help="That may have contributed; repeatable.")
@click.option("--observed", "observed", multiple=True, metavar="TEXT", help="That was seen to contribute; repeatable.")
@click.option("--reason", default="", metavar="TEXT", help="Why, or where it was seen.")
@terms.json_option
@click.pass_obj
def describe(settings: terms.Settings, /, near_miss: str, reason: str, as_json: bool, **given: Any) -> None:
    """Say more about NM: how it failed, which defences there were and what they did, what contributed (never who).

    The priority is computed anew from it.
    """
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.errors import UsageError
    from chaosrunner.model.description import Description
    from chaosrunner.person import who

    if not any(given.values()):
        raise UsageError(
            "nothing to say: name --failure-mode, --effect, --detected-by, --defence, --factor or --observed"
        )
    described = Description(
        failure_mode=_mode(given["failure_mode"]),
        effect=given["effect"],
        detected_by=given["detected_by"],
        barriers=tuple(_defence(each, reason) for each in given["defences"]),
        factors=tuple(_factors(given, reason)),
    )
    with words.opened(settings.state) as register:
        after = register.describe(near_miss, described, who(), reason)
    if as_json:
        terms.say_json(words.as_json(after))
        return
    terms.say(f"{after.id} is {after.priority}, due {after.due}")


def _mode(text: str | None) -> Any:
    from chaosrunner.errors import UsageError
    from chaosrunner.model.words import FailureMode

    try:
        return None if text is None else FailureMode(text.lower().replace("_", "-"))
    except ValueError:
        raise UsageError(f"--failure-mode is {text!r}, expected one of {', '.join(FailureMode)}") from None


def _defence(text: str, reason: str) -> Any:
    from chaosrunner.errors import UsageError
    from chaosrunner.model.near_miss import Barrier

    name, _, state = text.rpartition("=")
    if not name.strip() or state not in _BARRIERS:
        raise UsageError(f"--defence is {text!r}, expected NAME=STATE with one of {', '.join(_BARRIERS)}")
    return Barrier.model_validate({"name": name.strip(), "state": state, "evidence": reason})


def _factors(given: dict[str, Any], reason: str) -> list[Any]:
    from chaosrunner.model.near_miss import Factor

    supposed = [Factor(factor=text, basis="hypothesis", evidence=reason) for text in given["factors"]]
    return supposed + [Factor(factor=text, basis="observed", evidence=reason) for text in given["observed"]]


@click.command(short_help="Tell two problems apart that share one.")
@click.argument("near_miss", metavar="NM")
@click.option("--experiment", metavar="NAME", help="Its occurrences in this experiment become another near miss.")
@click.option("--environment", metavar="NAME", help="Its occurrences in this environment become another near miss.")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@terms.json_option
@click.pass_obj
def split(
    settings: terms.Settings,
    near_miss: str,
    experiment: str | None,
    environment: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Make another near miss of those occurrences of NM that are of one experiment, or of one environment. It is
    remembered: what is found later goes where it belongs. (To merge: `near-miss set NM duplicate --of OTHER`.)
    """
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.errors import UsageError
    from chaosrunner.person import who

    if (experiment is None) == (environment is None):
        raise UsageError("split by what? either --experiment NAME or --environment NAME")
    by, value = ("experiment", experiment) if experiment is not None else ("environment", environment)
    with words.opened(settings.state) as register:
        fresh = register.split(near_miss, by, str(value), who(), reason)
    if as_json:
        terms.say_json(words.as_json(fresh))
        return
    terms.say(f"{fresh.id} has {fresh.occurrences} occurrence{'s' if fresh.occurrences > 1 else ''}: {fresh.title}")
