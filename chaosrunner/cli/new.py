"""`chaosrunner new`: one new file, out of a few answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.beginning.new_experiment import Answers, Choices


@click.group("new", short_help="Write a new experiment, out of a few answers.")
def command() -> None:
    """Write a new file, out of a few answers."""


@command.command("experiment", short_help="Write an experiment that passes check.")
@click.argument("name", required=False, default="")
@terms.environment_option
@click.option("--fault", metavar="KIND", default="", help="What to break: `chaosrunner catalog faults` lists them.")
@click.option("--service", metavar="NAME", default="", help="Of which service of the environment.")
@click.option("--to", metavar="NAME", default="", help="Only its connections to this one.")
@click.option("--hypothesis", "hypotheses", metavar="NAME", multiple=True, help="What must hold meanwhile.")
@click.option("--title", metavar="TEXT", default="", help="What is expected of the system, as a sentence.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@terms.json_option
def experiment(environment: str | None, dry_run: bool, as_json: bool, **given: object) -> None:
    """Write experiments/NAME.yaml, with the parameters of the fault's own example. What is not said is asked for on a
    terminal. The file passes `check`, or it is not written; no file is written over."""
    from chaosrunner.beginning.new_experiment import Answers, choices, new_experiment, write_experiment

    answers = Answers(environment=environment or "", **given)  # type: ignore[arg-type]  # click has checked them
    answers = _complete(answers, choices(Path()), ask=sys.stdin.isatty() and not as_json)
    file = new_experiment(answers)
    if not dry_run:
        write_experiment(file, Path())
    if as_json:
        terms.say_json({"path": file.path, "text": file.text, "dryRun": dry_run})
        return
    terms.say(f"{'would write' if dry_run else 'wrote'} {file.path}")
    terms.say("\n".join(f"    {line}" for line in file.text.splitlines()))
    if not dry_run:
        terms.say(f"\nNext\n  chaosrunner plan {file.path}   what a run would do; it touches nothing")


def _complete(answers: Answers, known: Choices, *, ask: bool) -> Answers:
    """With what was asked for. Raises `UsageError` for what is missing where nobody can be asked."""
    from chaosrunner.beginning.new_experiment import faults_for, known_fault, needs_service, needs_to, services_of
    from chaosrunner.errors import UsageError

    names = sorted(known.environments)
    if not names:
        raise UsageError("there is no environment here: `chaosrunner init` writes one")
    environment = answers.environment or _choose("Environment", "-e", names, ask)
    spot = known.environments.get(environment)
    if spot is None:
        raise UsageError(f"there is no environment {environment!r}, expected one of {', '.join(names)}")
    services = services_of(spot)
    fault = known_fault(answers.fault or _choose("Fault", "--fault", faults_for(spot), ask))
    service = answers.service
    if not service and needs_service(fault):
        service = _choose("Service", "--service", services, ask)
    to = answers.to
    if not to and needs_to(fault, spot):
        to = _choose("Its connections to", "--to", [one for one in services if one != service], ask)
    hypotheses = answers.hypotheses
    if not hypotheses:
        of_it = [name for name in known.hypotheses if service and name.startswith(f"{service}-")]
        chosen = (
            of_it if of_it and not ask else [_choose("What must hold", "--hypothesis", known.hypotheses, ask, of_it)]
        )
        hypotheses = tuple(chosen)
    return answers._replace(environment=environment, fault=fault, service=service, to=to, hypotheses=hypotheses)


def _choose(what: str, option: str, among: Sequence[str], ask: bool, first: Sequence[str] = ()) -> str:
    """One of several: the only one, or what a person says."""
    from chaosrunner.errors import UsageError

    if len(among) == 1:
        return among[0]
    if not among:
        raise UsageError(f"{what}: the files here name none; say {option}")
    if not ask:
        raise UsageError(f"expected {option}, one of {', '.join(among)}")
    default = first[0] if first else None
    return str(click.prompt(what, type=click.Choice(list(among)), default=default))
