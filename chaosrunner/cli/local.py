"""`chaosrunner local`: the services and links of a local environment, as daemons that outlive the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaosrunner.platforms.local.system import LocalSystem, ServiceState, Status


@click.group("local", short_help="Start, look at and end a local environment.")
def command() -> None:
    """Start, look at and end the services and links that a local environment names.

    What has a `start`, and every link, runs as a daemon of this machine until `local down`.
    """


@command.command()
@click.argument("environment", metavar="ENVIRONMENT")
@terms.json_option
def up(environment: str, as_json: bool) -> None:
    """Start what is not running, and wait until everything is ready.

    ENVIRONMENT is a name or a path. What runs already is left alone, unless its settings changed. Exit code 3 if
    something does not become ready.
    """
    status = terms.wait_for(_system(environment).up(terms.warn if as_json else terms.say))
    _show(status, as_json)


@command.command()
@click.argument("environment", metavar="ENVIRONMENT")
@terms.json_option
def status(environment: str, as_json: bool) -> None:
    """What runs, since when, and what is in force on the links.

    Exit code 3 if something that the environment names is down or not ready.
    """
    found = terms.wait_for(_system(environment).status())
    _show(found, as_json)
    whole = all(service.up and service.ready is not False for service in found.services)
    terms.leave(0 if whole and all(link.pid for link in found.links) else 3)


@command.command(short_help="End everything that `local up` started for it.")
@click.argument("environment", metavar="ENVIRONMENT")
@click.option("--force", is_flag=True, help="Also while a run is under way on it, which will then find gaps.")
@terms.json_option
def down(environment: str, force: bool, as_json: bool) -> None:
    """End everything that `local up` started for this environment, and nothing else.

    Not while a run is under way on it: to that run it would look like an outage. Exit code 3 then.
    """
    system = _system(environment)
    if not force:
        _refuse_while_running(system.environment)
    ended = terms.wait_for(system.down(terms.warn if as_json else terms.say))
    if as_json:
        terms.say_json({"ended": list(ended)})
    elif not ended:
        terms.say("nothing was up")


def _refuse_while_running(environment: str) -> None:
    from chaosrunner.app import under_way
    from chaosrunner.errors import Busy

    if runs := under_way(environment):
        raise Busy(f"run {runs[0]} is under way on {environment}: `chaosrunner halt {runs[0]}` first, or --force")


def _system(reference: str) -> LocalSystem:
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.platforms.local.spec import Spec
    from chaosrunner.platforms.local.system import LocalSystem
    from chaosrunner.stages.load import load_environment

    environment, folder, _ = load_environment(reference, Path())
    call = environment.spec.platform
    if call.kind != "local":
        raise UsageError(
            f"environment {environment.name} is on the {call.kind} platform; `chaosrunner local` is for the local one"
        )
    return LocalSystem(Spec.model_validate(call.with_), environment.name, folder, SystemClock())


def _show(status: Status, as_json: bool) -> None:
    if as_json:
        terms.say_json(status.as_json())
        return
    rows: list[tuple[str, ...]] = [("SERVICE", "PROCESS", "UP SINCE", "READY", "RESTARTS", "")]
    rows += [_service_row(service) for service in status.services]
    _table(rows)
    if status.links:
        terms.say()
        links: list[tuple[str, ...]] = [("LINK", "LISTEN", "CONNECT", "PROXY", "IN FORCE")]
        links += [
            (link.name, link.listen, link.connect, str(link.pid or "down"), _effects(link.effects))
            for link in status.links
        ]
        _table(links)


def _service_row(service: ServiceState) -> tuple[str, ...]:
    from datetime import datetime

    since = ""
    if service.since is not None:
        since = datetime.fromtimestamp(service.since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    ready = {None: "-", True: "yes", False: "no"}[service.ready]
    process = ", ".join(map(str, service.pids)) or "down"
    restarts = str(service.restarts) if service.kept else "-"
    return service.name, process, since, ready, restarts, service.note


def _effects(effects: tuple[dict[str, Any], ...]) -> str:
    words = [
        ", ".join(f"{key} {value}" for key, value in effect.items() if key not in ("run", "seed"))
        + f" (run {effect['run']})"
        for effect in effects
    ]
    return "; ".join(words) or "-"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        terms.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
