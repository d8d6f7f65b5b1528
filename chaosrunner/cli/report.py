"""`chaosrunner report`: a run as a page, as JSON, as text, or for a pipeline as JUnit or Markdown."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command("report")
@click.argument("run", metavar="[RUN]", default="last")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["text", "html", "json", "junit", "markdown", "chaostoolkit"]),
    help="Default: by FILE, or text; chaostoolkit: a journal as Chaos Toolkit writes it.",
)
@click.option("-o", "--output", metavar="FILE", help="Write there; `-` is standard output.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def command(settings: terms.Settings, run: str, form: str | None, output: str | None, as_json: bool) -> None:
    """Show what a run says. RUN is a run's id, its beginning, or `last` (the default).

    The run is judged again from its journal. As `html` without FILE, the page is written beside the journal and its
    path is printed. The JSON has the shape `chaosrunner.report/1`.
    """
    from chaosrunner.cli._showing import colour
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.stages.report import Known, review, write_html, written
    from chaosrunner.store.runs import Runs

    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and --format {form} contradict each other")
    form = "json" if as_json else form or _by_name(output)
    if form is None:
        raise UsageError(
            f"{output}: no format goes by that ending, expected .html, .json, .txt, .xml or .md, or --format"
        )
    runs = Runs(settings.state)
    found = runs.find(run)
    if form == "chaostoolkit":
        from chaosrunner.app.toolkit import exported

        _put(exported(runs.folder(found)), output)
        return
    seen = review(runs.journal(found), Known(settings.state, SystemClock()).lookup)
    page = runs.folder(found) / "report.html"
    if form == "html" and output is None:
        terms.say(str(write_html(seen, page)))
        return
    to_file = output not in (None, "-")
    beside = str(page) if page.exists() else ""
    _put(written(seen, form, page=beside, colour=not to_file and colour(), width=width()), output)


def _put(text: str, output: str | None) -> None:
    from chaosrunner.store.kept import write_file

    if output in (None, "-"):
        terms.write(text)
    else:
        terms.say(str(write_file(Path(str(output)), text)))


def _by_name(output: str | None) -> str | None:
    """The format that a file's name asks for; None: one that there is not."""
    endings = {"": "text", ".txt": "text", ".text": "text", ".log": "text", ".html": "html", ".htm": "html"}
    endings |= {".json": "json", ".xml": "junit", ".md": "markdown", ".markdown": "markdown"}
    return endings.get(Path(output or "").suffix.lower())


def width() -> int:
    """How wide text may be on this terminal."""
    import shutil

    return min(120, shutil.get_terminal_size((100, 40)).columns)
