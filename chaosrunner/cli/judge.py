"""`chaosrunner judge`: judge a run again from its journal."""

from __future__ import annotations

import click

from chaosrunner.cli import terms


@click.command("judge", short_help="Judge a run again from its journal.")
@click.argument("run", metavar="[RUN]", default="last")
@terms.json_option
@click.pass_obj
def command(settings: terms.Settings, run: str, as_json: bool) -> None:
    """Judge a run again from its journal, and exit with the code that the run deserves.

    RUN is a run's id, its beginning, or `last` (the default). Nothing is changed: no near miss is recorded. The JSON is
    `{run, word, exitCode, verdict, gaps: [{fingerprint, gap, nearMiss?}]}`.
    """
    from chaosrunner.cli._showing import colour
    from chaosrunner.cli.report import width
    from chaosrunner.clock import SystemClock
    from chaosrunner.stages.report import Known, review, written
    from chaosrunner.store.runs import Runs

    runs = Runs(settings.state)
    found = runs.find(run)
    seen = review(runs.journal(found), Known(settings.state, SystemClock()).lookup)
    if as_json:
        from chaosrunner.reports.json import judged

        terms.say_json(judged(seen.verdict, seen.found))
    else:
        page = runs.folder(found) / "report.html"
        beside = str(page) if page.exists() else ""
        terms.write(written(seen, "text", page=beside, colour=colour(), width=width()))
    terms.leave(seen.verdict.exit_code)
