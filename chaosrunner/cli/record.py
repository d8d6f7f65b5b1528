"""`chaosrunner record`: keep what a run of another tool showed."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command("record", short_help="Keep what a journal of Chaos Toolkit shows.")
@click.argument("journal", type=click.Path(path_type=Path))
@click.option(
    "--command", "again", metavar="TEXT", default="", help="How it is run again, as near misses shall say it."
)
@terms.environment_option
@terms.json_option
@click.pass_obj
def command(settings: terms.Settings, journal: Path, again: str, environment: str | None, as_json: bool) -> None:
    """Keep what JOURNAL, which `chaos run` wrote, shows: as a run, with near misses and remediation, as if chaosrunner
    had run the experiment. A journal is recorded once: what the control of `chaos run` has recorded is known already.

    The JSON is `{run, status, deviated, answer, nearMisses: [{id, title, priority, state, remediation}], report}`.
    """
    from chaosrunner.app.toolkit import record_toolkit
    from chaosrunner.cli._toolkit import show

    kept = terms.wait_for(record_toolkit(journal, environment, settings.state, terms.warn, command=again))
    if not as_json:
        show(kept, as_json=False, strict=True)
        return
    found = [
        {
            "id": each.id,
            "title": each.gap.title,
            "priority": each.priority,
            "state": each.state,
            "remediation": each.remediation,
        }
        for each in kept.report.found
        if each.id
    ]
    terms.say_json(
        {
            "run": kept.report.outcome.run,
            "status": kept.status,
            "deviated": kept.deviated,
            "answer": kept.report.verdict.answer.value,
            "nearMisses": found,
            "report": str(kept.report.html),
        }
    )
