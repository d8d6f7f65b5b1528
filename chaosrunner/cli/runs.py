"""`chaosrunner runs`: which runs there are, one of them, two side by side, and removing old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.reports.brief import Comparison, RunBrief
    from chaosrunner.store.runs import Runs


@click.group("runs")
def command() -> None:
    """List, show, compare and remove runs."""


@command.command("list")
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@terms.json_option
@click.pass_obj
def list_(settings: terms.Settings, limit: int | None, as_json: bool) -> None:
    """All runs, newest first: answer, exit code, length, gaps.

    The JSON is a list of `{run, startedAt, experiment, environment, word, answer?, exitCode?, seconds, gaps,
    faultsInForce, note}`; `word` is the answer as shown, or RUNNING or DAMAGED.
    """
    from chaosrunner.store.runs import Runs

    runs = Runs(settings.state)
    lines = _briefs(runs, runs.list()[:limit])
    if as_json:
        terms.say_json([line.as_json() for line in lines])
    elif not lines:
        terms.say(f"there are no runs in {runs.root}")
    else:
        from chaosrunner.reports.tables import runs_table

        terms.say(runs_table(lines))


def _briefs(runs: Runs, wanted: list[str]) -> list[RunBrief]:
    from chaosrunner.stages.report import brief_of

    return [brief_of(run, runs.journal(run), running=_is_running(run)) for run in wanted]


def _is_running(run: str) -> bool:
    from chaosrunner.store.machine import Machine, machine_folder

    return Machine(machine_folder()).run_lock(run).holder is not None


@command.command("show")
@click.argument("run", metavar="[RUN]", default="last")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "html", "json", "junit", "markdown", "chaostoolkit"]),
    help="The same as for `report`.",
)
@terms.json_option
@click.pass_context
def show(ctx: click.Context, run: str, form: str | None, as_json: bool) -> None:
    """What one run says; the same as `chaosrunner report RUN`."""
    from chaosrunner.cli.report import command as report

    ctx.invoke(report, run=run, form=form, output=None, as_json=as_json)


@command.command("diff", short_help="Compare two runs: answers, numbers, gaps.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", default="last")
@terms.json_option
@click.pass_obj
def diff(settings: terms.Settings, a: str, b: str, as_json: bool) -> None:
    """Compare run A with run B (default: the last): plans, answers, medians and room, gaps.

    The JSON is `{a, b, samePlan, planDiffers, run, hypotheses, measures, numbers, recoverySeconds, gapsGone, gapsNew,
    better, worse}`.
    """
    from chaosrunner.reports.brief import compare
    from chaosrunner.stages.report import review
    from chaosrunner.store.runs import Runs

    runs = Runs(settings.state)
    left, right = (review(runs.journal(runs.find(word))) for word in (a, b))
    comparison = compare(
        (left.account, left.verdict, left.found),
        (right.account, right.verdict, right.found),
    )
    if as_json:
        terms.say_json(comparison.as_json() | {"better": [*comparison.better], "worse": [*comparison.worse]})
    else:
        _say_comparison(comparison)


def _say_comparison(comparison: Comparison) -> None:
    from chaosrunner.reports.tables import comparison_text

    terms.say(comparison_text(comparison))


@command.command("prune", short_help="Remove old runs for good.")
@click.option("--keep", type=click.IntRange(min=0), help="Keep the newest so many.")
@click.option("--older-than", metavar="AGE", help="Only runs that began longer ago: 30d, 12h.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@terms.json_option
@click.pass_obj
def prune(settings: terms.Settings, keep: int | None, older_than: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove old runs for good: journal, report, everything in the run's folder.

    With both options a run must be beyond both. Never removed: a run that is going on, one whose faults may still be
    in force, one whose journal cannot be read, and the first and last sight of a near miss that is not closed. The
    JSON is `{dryRun, removed: [RUN], kept: [{run, why}]}`.
    """
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.stages.report import Known, why_kept
    from chaosrunner.store.runs import Runs

    if keep is None and older_than is None:
        raise UsageError("say which runs may go: --keep N, --older-than AGE, or both")
    runs, clock = Runs(settings.state), SystemClock()
    old = _old_enough(runs, keep, older_than, clock.now())
    referred = Known(settings.state, clock).referred(old)
    reasons = {run: why_kept(runs.journal(run), running=_is_running(run), referred=referred) for run in old}
    removed = [run for run, why in reasons.items() if not why]
    kept = {run: why for run, why in reasons.items() if why}
    if not dry_run:
        from chaosrunner.stages.report import remove

        for run in removed:
            remove(runs.folder(run))
    if as_json:
        listed = [{"run": run, "why": why} for run, why in kept.items()]
        terms.say_json({"dryRun": dry_run, "removed": removed, "kept": listed})
        return
    for run in removed:
        terms.say(f"{'would remove' if dry_run else 'removed'} {run}")
    for run, why in kept.items():
        terms.say(f"kept {run}: {why}")
    if not old:
        terms.say("no run is old enough")


def _old_enough(runs: Runs, keep: int | None, older_than: str | None, now: float) -> list[str]:
    """The runs that the options mean, newest first."""
    from chaosrunner.stages.report import began_at

    beyond = runs.list()[keep or 0 :]
    if older_than is None:
        return beyond
    age = terms.seconds_of("--older-than", older_than)
    began = {run: began_at(runs.journal(run)) for run in beyond}
    return [run for run, at in began.items() if at is None or now - at > age]
