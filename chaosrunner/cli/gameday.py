"""`chaosrunner gameday`: people break something together on purpose, and write down what they learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import _scheduling, terms

if TYPE_CHECKING:
    from chaosrunner.app.gamedays import DayBook, Shelf

_ROLES = ("facilitator", "scribe", "on-call", "observers")
_which = click.argument("game_day", metavar="[GAME-DAY]", required=False)


def _shelf(settings: terms.Settings) -> Shelf:
    from chaosrunner.app.gamedays import Shelf
    from chaosrunner.clock import SystemClock

    return Shelf(settings.state, SystemClock(), terms.warn)


@click.group("gameday", short_help="Break something together, and write down what was learnt.")
def command() -> None:
    """Break something together on purpose, led by a facilitator, and write down what was learnt.

    The facilitator types `gameday run NAME`; everybody else `gameday watch`, and `gameday note TEXT` whenever they see
    or do something. Where --register names a database that all share, they may be on other machines.
    """


@command.command("check", short_help="Say whether game days' files are right.")
@click.argument("paths", metavar="GAME-DAY...", nargs=-1, required=True)
@terms.json_option
@click.pass_context
def check(ctx: click.Context, paths: tuple[str, ...], as_json: bool) -> None:
    """Say whether the files of GAME-DAYs (names or paths) are right, with all experiments that they name.

    The same as `chaosrunner check PATH`. Exits 2 if anything is wrong.
    """
    from chaosrunner.cli.check import command as check_files
    from chaosrunner.files.references import is_path
    from chaosrunner.stages.gameday_file import file_of

    files = [path if is_path(path) else file_of(path, Path()) for path in paths]
    ctx.invoke(check_files, paths=tuple(files), as_json=as_json)


@command.command("plan", short_help="Show who, what and when, and whether it would go now.")
@click.argument("game_day", metavar="GAME-DAY")
@click.option("--reveal", is_flag=True, help="Show surprises, too.")
@click.option("--no-ask", is_flag=True, help="Do not ask guards, alerts and measures.")
@click.option("--tell", is_flag=True, help="Tell those who are told of the game day whether it may go.")
@terms.json_option
@click.pass_obj
def plan(settings: terms.Settings, game_day: str, reveal: bool, no_ask: bool, tell: bool, as_json: bool) -> None:
    """Show the agenda of GAME-DAY (a name or path), who does what, how long it takes, and whether it would go now.

    Touches nothing. Surprises are not shown, so that it can be shown to everybody. Exits 4 where something says no-go.
    With --tell those whom the file and the environment name are told, too: that it is time, or why it cannot start.
    The JSON is `{name, title, when, environment, roles, agenda: [{item, title, …}], checks: [{check, go, reason}]}`.
    """
    from chaosrunner.app.gameday_plan import plan_day
    from chaosrunner.cli._gameday_words import plan_lines
    from chaosrunner.stages.gameday_file import load_game_day

    loaded = load_game_day(game_day, Path())
    planned = terms.wait_for(plan_day(loaded, settings.state, terms.warn, ask=not no_ask))
    if tell:
        from chaosrunner.app.gameday_telling import tell_the_time
        from chaosrunner.errors import UsageError

        if no_ask:
            raise UsageError("--tell and --no-ask contradict each other: whether it may go must be asked")
        terms.wait_for(tell_the_time(planned.loaded, planned.checks, settings.state, terms.warn))
    if as_json:
        terms.say_json(planned.as_json(reveal=reveal))
    else:
        for line in plan_lines(planned, reveal=reveal):
            terms.say(line)
    if not all(checked.go for checked in planned.checks):
        terms.leave(4)


@command.command("schedule", short_help="Print a CronJob or calendar, or apply it.")
@click.argument("game_day", metavar="GAME-DAY")
@_scheduling.options
def schedule(*, game_day: str, **given: Any) -> None:
    """Print when GAME-DAY (a name or path) is held, as iCalendar, or a CronJob that asks `gameday plan --tell` at its
    time: everybody is told that it is time, or why it cannot start. People lead through it; no CronJob does.

    Changes nothing, but with --apply: then it is made in the environment's cluster, or changed there. --remove takes
    away what --apply made. JSON and exit codes of both are those of `chaosrunner suite schedule`.
    """
    from chaosrunner.app.applying import day_places
    from chaosrunner.app.scheduling import Planned, day_schedule
    from chaosrunner.clock import SystemClock
    from chaosrunner.stages.gameday_file import load_game_day

    loaded = load_game_day(game_day, Path())

    def plan() -> Planned:
        return day_schedule(loaded, _scheduling.wishes(given), Path(), SystemClock().now())

    _scheduling.carry_out(f"game-day.{loaded.day.name}", given, lambda: day_places(loaded), plan)


@command.command("run", short_help="Lead through it.")
@click.argument("game_day", metavar="GAME-DAY")
@click.option("--plain", is_flag=True, help="Plain lines while experiments run, also on a terminal.")
@terms.production_option
@terms.second_option
@click.option("--new", is_flag=True, help="Begin anew, although the last one of this name is not over.")
@click.option("--take-over", is_flag=True, help="Lead through the one that somebody else began or leads.")
@click.pass_obj
def run(
    settings: terms.Settings, game_day: str, plain: bool, production: bool, second: str, new: bool, take_over: bool
) -> None:
    """Lead through GAME-DAY (a name or path): go or no-go, each experiment, its questions, the report.

    One that was begun and is not over goes on where it was. Ctrl-C while an experiment runs takes everything back at
    once; at a question it leaves the game day where it is.

    With --take-over from another terminal, or where --register names a database from another machine. Only one leads:
    whoever does is asked to hand it over, and types `hand over` at a question; where they were not heard of for a
    minute it is taken from them, and what their experiment had in force has ended with its process.

    \b
    Exit codes: the worst of its experiments, as of `chaosrunner run`; 4 no-go · 6 halted, or it waits to go on
    """
    from chaosrunner.app.leading import Leading, Office
    from chaosrunner.cli._leading import Terminal
    from chaosrunner.clock import SystemClock
    from chaosrunner.stages.gameday_file import load_game_day

    loaded = load_game_day(game_day, Path())
    for warning in loaded.warnings:
        terms.warn(warning)
    shelf = _shelf(settings)
    book = _to_lead(shelf, loaded.day.name, new=new, take_over=take_over)
    leading = Leading(loaded, book, Office(settings.state, SystemClock(), terms.warn), second, production=production)
    try:
        code = Terminal(leading, plain=plain).run(take_over=take_over)
    finally:
        leading.leave()
    terms.leave(code)


def _to_lead(shelf: Shelf, name: str, *, new: bool, take_over: bool) -> DayBook:
    """The game day that is begun, or gone on with."""
    from chaosrunner.errors import UsageError

    if new and take_over:
        raise UsageError(
            "--new and --take-over contradict each other: one begins a game day, the other goes on with one"
        )
    if new:
        return shelf.new(name)
    if here := shelf.unfinished(name):
        return here
    there = shelf.elsewhere(name)
    if there is None and take_over:
        raise UsageError(f"no game day {name} is under way that could be taken over")
    if there is not None and not take_over:
        leader = there.leader
        led = f"{leader} leads through it" if leader else "nobody leads through it now"
        raise UsageError(
            f"{there.id} was begun on another machine and is not over; {led}. Follow it with `gameday watch`, take it "
            f"over with `gameday run {name} --take-over`, or begin another one with `gameday run {name} --new`"
        )
    return there or shelf.new(name)


@command.command("watch", short_help="Follow one, from anywhere.")
@_which
@click.option("--as", "role", type=click.Choice(_ROLES), help="What you are there as; default: as its file says.")
@click.option("--once", is_flag=True, help="Print what there is, and do not wait for more.")
@click.option("--unseen", is_flag=True, help="Do not write down that you are there.")
@terms.json_option
@click.pass_obj
def watch(
    settings: terms.Settings, game_day: str | None, role: str | None, once: bool, unseen: bool, as_json: bool
) -> None:
    """Follow a game day: what happens, and what everybody says. Waits for one to begin; Ctrl-C leaves.

    GAME-DAY is an id, its beginning, or a name; default: the one under way. Surprises are shown when they are over.
    The JSON is one entry a line, `{id, at, who, event: {type, …}}`.
    """
    from chaosrunner.cli._following import follow, say_all
    from chaosrunner.model.gameday import Role
    from chaosrunner.reports.gameday_words import Teller

    shelf = _shelf(settings)
    if once:
        say_all(shelf.open(game_day).news(), Teller(), as_json=as_json)
        return
    try:
        follow(shelf, game_day, Role(role) if role else None, join=not unseen, as_json=as_json)
    except KeyboardInterrupt:
        terms.leave(0)


@command.command("note", short_help="Write down what you see, think or do.")
@click.argument("text", nargs=-1, required=True)
@click.option("--game-day", metavar="GAME-DAY", help="Default: the one under way.")
@click.option("--respond", is_flag=True, help="You are on it: the time to respond ends here.")
@click.option("--who", "person", metavar="NAME", default="", help="Who says it; default: you.")
@terms.json_option
@click.pass_obj
def note(
    settings: terms.Settings, text: tuple[str, ...], game_day: str | None, respond: bool, person: str, as_json: bool
) -> None:
    """Write down TEXT with its time, for everybody who watches, the experiment's journal and the report.

    Everybody may. The first note after a fault is in force ends the time to respond; with --respond, that one does.
    """
    from chaosrunner.errors import UsageError
    from chaosrunner.model.gameday_log import NoteTaken

    book = _shelf(settings).open(game_day)
    book.news()
    if book.standing.ended is not None and game_day is None:
        raise UsageError(f"no game day is under way; for one that is over: --game-day {book.id}")
    entry = book.entry(NoteTaken(text=" ".join(text), respond=respond), person)
    book.keep([entry])
    book.close()
    if as_json:
        terms.say_json({"gameDay": book.id, **entry.as_json()})
    else:
        terms.say(f"noted in {book.id}")


@command.command("halt", short_help="Stop everything and take it back, at once.")
@_which
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@click.option("--within", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait.")
@terms.json_option
@click.pass_obj
def halt(settings: terms.Settings, game_day: str | None, reason: str, within: float, as_json: bool) -> None:
    """Stop whatever the game day runs, take every fault back, and end it. Anybody may, from anywhere that can watch it.

    Runs of others on the same environment are halted, too. Exits 6; 3 if a run has not ended in time.
    """
    from chaosrunner.app import halt_runs
    from chaosrunner.app.gamedays import halt_day
    from chaosrunner.errors import UsageError

    book = _shelf(settings).open(game_day)
    book.news()
    if book.standing.ended is not None:
        raise UsageError(f"{book.id} is over already")
    halt_day(book, reason)
    began = book.standing.began
    environment = began.environment if began is not None else None
    ended, left = terms.wait_for(
        halt_runs(run=None, environment=environment, reason=reason or "the game day is halted", within=within)
    )
    book.close()
    if as_json:
        terms.say_json({"gameDay": book.id, "halted": ended, "stillRunning": left})
    else:
        terms.say(f"{book.id} is halted" + (f"; ended: {', '.join(ended)}" if ended else ""))
        for each in left:
            terms.warn(f"run {each} has not ended yet")
    terms.leave(3 if left else 6)


@command.command("report", short_help="The after-action report.")
@_which
@click.option(
    "-f", "--format", "form", type=click.Choice(["html", "markdown", "json"]), help="Default: by FILE, or html."
)
@click.option("-o", "--output", metavar="FILE", help="Write there; `-` is standard output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def report(settings: terms.Settings, game_day: str | None, form: str | None, output: str | None, as_json: bool) -> None:
    """What was tried, what happened, who noticed and how fast, what was found, and how it was the last time.

    GAME-DAY is an id, its beginning, or a name; default: the one under way, or the last. Without FILE, it is
    written as HTML and as Markdown beside its log, and their paths are printed. Print the HTML in a browser for a PDF.
    The JSON has the shape `chaosrunner.after-action/1`.
    """
    from chaosrunner.app.after_action import form_of, report_text, write_report
    from chaosrunner.errors import UsageError
    from chaosrunner.store.gameday_log import Days
    from chaosrunner.store.kept import write_file

    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} contradict each other")
    form = "json" if as_json else form
    shelf = _shelf(settings)
    book = shelf.open(game_day)
    if form is None and output is None:
        for path in write_report(book, shelf, Days(settings.state).folder(book.id)):
            terms.say(str(path))
        return
    text = report_text(book, shelf, form or form_of(output))
    if output in (None, "-"):
        terms.write(text)
    else:
        terms.say(str(write_file(Path(str(output)), text)))


@command.command("list", short_help="Those that were held.")
@terms.json_option
@click.pass_obj
def list_(settings: terms.Settings, as_json: bool) -> None:
    """All game days, newest first. The JSON is a list of `{id, name, title, environment, beganAt, state, words}`."""
    from chaosrunner.cli._gameday_words import brief

    shelf = _shelf(settings)
    found: list[dict[str, Any]] = [brief(id, shelf.open(id)) for id in shelf.ids()]
    if as_json:
        terms.say_json(found)
    elif not found:
        terms.say("no game day has begun here")
    for each in found if not as_json else ():
        terms.say(f"{each['id']}  {each['state']:<11}  {each['words']:<24}  {each['title']}")
