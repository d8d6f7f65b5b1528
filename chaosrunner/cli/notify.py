"""`chaosrunner notify`: news that waits, told now; and how it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app.desk import Desk
    from chaosrunner.app.telling import Receiver
    from chaosrunner.clock import Clock
    from chaosrunner.model.environment import Environment
    from chaosrunner.store.outbox import Posted


@click.command(short_help="Tell people what waits to be told, and show how it went.")
@click.option("--test", is_flag=True, help="Send everybody whom the environment (-e) names a notice that is a test.")
@click.option("--show", is_flag=True, help="Tell nobody anything; only show what was told.")
@terms.environment_option
@terms.json_option
@click.pass_obj
def command(settings: terms.Settings, test: bool, show: bool, environment: str | None, as_json: bool) -> None:
    """Tell people and incident tools the news that waits for them, whatever pause it is in; also what people did by
    command since, what is overdue (`-e` names an environment that was never told anything), and marks (Grafana, ...)
    that could not be made while their run went on: they get the time at which it happened.

    News is kept before the first attempt to tell it. A run tells it at its end, for ten seconds at most; what could not
    be told then is told by the next run, or by this command, for a day. `uncertain` may have been heard: no answer
    came, and the receiver would show it twice.
    """
    if test and environment is None:
        raise click.UsageError("--test needs an environment: -e NAME")
    posted = terms.wait_for(_notify(settings, environment, test=test, show=show))
    waiting = [each for each in posted if each.fate.value == "waiting"]
    if as_json:
        terms.say_json([_as_json(each) for each in posted])
    else:
        for each in posted:
            terms.say(_line(each))
        if not posted:
            terms.say("there was no news yet")
    terms.leave(3 if waiting and not show else 0)


def _line(each: Posted) -> str:
    from chaosrunner.clock import iso

    trouble = f"  ({each.trouble})" if each.trouble else ""
    return f"{iso(each.at)[:16].replace('T', ' ')}  {each.fate.value:<9}  {each.receiver:<24}  {each.headline}{trouble}"


def _as_json(each: Posted) -> dict[str, object]:
    return {
        "at": each.at,
        "receiver": each.receiver,
        "headline": each.headline,
        "fate": each.fate.value,
        "tries": each.tries,
        "nextAt": each.next_at or None,
        "trouble": each.trouble,
    }


async def _notify(settings: terms.Settings, environment: str | None, *, test: bool, show: bool) -> list[Posted]:
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.store.outbox import Outbox, outbox_exists

    clock = SystemClock()
    outbox = Outbox(settings.state, clock)
    names = [environment] if environment else []
    if not names and outbox_exists(settings.state):
        waiting = [each.receiver for each in outbox.posted(10_000) if each.fate.value == "waiting"]
        names = list(dict.fromkeys(each.partition("/")[0] for each in [*waiting, *outbox.followers()]))
    for name in [] if show else names:
        from chaosrunner.stages.load import load_environment

        try:
            found, folder, _ = load_environment(name, Path())
        except UsageError as error:
            if environment is not None:
                raise
            terms.warn(f"nobody of {name} is told anything: {error}")
            continue
        await _tell(settings, found, folder, clock, test=test)
    return outbox.posted() if outbox_exists(settings.state) else []


async def _tell(settings: terms.Settings, environment: Environment, folder: Path, clock: Clock, *, test: bool) -> None:
    """All whom one environment names."""
    from chaosrunner.app.desk import Desk
    from chaosrunner.app.telling import deliver, markers_of, receivers_of
    from chaosrunner.http import Http
    from chaosrunner.ports import ProbeContext
    from chaosrunner.store.outbox import Outbox, outbox_exists

    async with Http(clock, folder=folder) as http:
        desk = Desk(settings.state, clock, http, terms.warn)
        receivers = receivers_of(environment, folder, desk)
        _catch_up(environment, receivers, desk)
        if test:
            _post_a_test(environment.name, receivers, desk)
        if outbox_exists(settings.state):
            Outbox(settings.state, clock).retry()
        context = ProbeContext(clock, http, folder, environment=environment, state=settings.state)
        await deliver([*receivers, *markers_of(environment, context)], desk, within=60.0)


def _catch_up(environment: Environment, receivers: list[Receiver], desk: Desk) -> None:
    """What people did to near misses meanwhile is news too, and what is overdue."""
    from chaosrunner.app.catching_up import catch_up
    from chaosrunner.register import open_register, register_exists

    if receivers and register_exists(desk.state):
        with open_register(desk.state, desk.clock) as book:
            catch_up(book, environment, receivers, desk)


def _post_a_test(environment: str, receivers: list[Receiver], desk: Desk) -> None:
    """To everybody, whatever news they want; a receiver that keeps incidents open gets its end at once."""
    from chaosrunner.model.news import News, Notice
    from chaosrunner.store.outbox import Outbox

    outbox, at = Outbox(desk.state, desk.clock), desk.clock.now()
    name = f"test-{at:.0f}"
    for news, word in ((News.FOUND, "A test of"), (News.CLOSED, "The end of a test of")):
        notice = Notice(
            news=news,
            id=f"{name}:{news.value}",
            at=at,
            headline=f"{word} chaosrunner's notices from {environment}",
            text="Nothing was found, and nothing is to be done.",
            run=name,
            environment=environment,
        )
        for receiver in receivers:
            outbox.put(receiver.name, notice.id, notice.key, notice.as_json())
