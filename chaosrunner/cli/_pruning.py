"""`chaosrunner near-miss prune`: what need not be kept for ever of near misses that are closed."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command(short_help="Remove old evidence of closed near misses; they themselves stay.")
@click.option(
    "--older-than", metavar="AGE", required=True, help="Only of near misses that were closed longer ago: 365d, 26w."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@terms.json_option
@click.pass_obj
def prune(settings: terms.Settings, older_than: str, dry_run: bool, as_json: bool) -> None:
    """Remove for good what takes room and may hold more than should be kept: of near misses that are closed for longer
    than AGE the curves of their measures, samples of log lines and all that their runbooks said; alerts that were a
    run's doing; the texts of news that was told.

    Never removed: near misses, their occurrences with numbers and stories, runs, and the history, which says what was
    removed when and by whom. Nothing is ever removed unless this is asked for. See also `chaosrunner runs prune`.
    """
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.clock import SystemClock
    from chaosrunner.person import who
    from chaosrunner.reports.words import count
    from chaosrunner.store.outbox import Outbox, outbox_exists
    from chaosrunner.store.played import PlayedRunbooks

    age = terms.seconds_of("--older-than", older_than)
    clock = SystemClock()
    before = clock.now() - age
    with words.opened(settings.state) as register:
        done = register.prune(before, who(), older_than, remove=not dry_run)
    outputs = PlayedRunbooks(settings.state).prune(done.near_misses, before, remove=not dry_run)
    news = Outbox(settings.state, clock).prune(before, remove=not dry_run) if outbox_exists(settings.state) else 0
    if as_json:
        found = {"occurrences": done.occurrences, "alerts": done.alerts, "runbookOutputs": outputs, "news": news}
        terms.say_json({"dryRun": dry_run, "removed": found})
        return
    said = {
        f"the curves and log samples of {count(done.occurrences, 'occurrence')}": done.occurrences,
        f"{count(done.alerts, 'alert')} that runs caused": done.alerts,
        f"{count(outputs, 'output')} of runbooks": outputs,
        f"the text of {count(news, 'notice')} that was told or given up": news,
    }
    for what, number in said.items():
        if number:
            terms.say(f"{'would remove' if dry_run else 'removed'} {what}")
    if not any(said.values()):
        terms.say("there is nothing that old to remove")
