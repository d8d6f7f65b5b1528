"""What `chaosrunner run` adds for files of Chaos Toolkit: its options, by the names that they have there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app.toolkit import ToolkitReport

C = TypeVar("C", bound=Callable[..., Any])
_KEY = "chaosrunner.toolkit"
_CT = "Chaos Toolkit files only: "


def _kept(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """Beside the command's own parameters, as they mean nothing to files of ours."""
    if value not in (None, (), False):
        ctx.meta.setdefault(_KEY, {})[str(option.name)] = value


def _option(*names: str, help: str, **more: Any) -> Callable[[C], C]:
    return click.option(*names, help=_CT + help, expose_value=False, callback=_kept, **more)


_HYPOTHESIS = ("default", "before-method-only", "after-method-only", "during-method-only", "continuously", "skip")
_FILE = click.Path(exists=True, dir_okay=False)
_OPTIONS = (
    _option("--hypothesis-strategy", type=click.Choice(_HYPOTHESIS), help="when the hypothesis is looked at."),
    _option(
        "--hypothesis-frequency", "frequency", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
        help="the pause between two looks; default 1.",
    ),
    _option("--fail-fast", is_flag=True, help="end the method once the hypothesis deviates."),
    _option(
        "--rollback-strategy", "rollbacks_strategy", type=click.Choice(("default", "always", "never", "deviated")),
        help="when the rollbacks are played.",
    ),
    _option("--dry", type=click.Choice(("probes", "actions", "activities", "pause")), help="leave these out."),
    _option("--var", multiple=True, metavar="NAME[:TYPE]=VALUE", help="a value of its `configuration`."),
    _option("--var-file", multiple=True, type=_FILE, help="values of its `configuration` and `secrets`."),
    _option("--control-file", multiple=True, type=_FILE, help="controls for the whole run."),
    _option("--ct-settings", "settings", type=_FILE, help="its settings; default ~/.chaostoolkit/settings.yaml."),
    _option("--time-limit", metavar="DURATION", help="then it is stopped, and killed if it does not stop; default 1h."),
    _option("--journal-path", type=click.Path(dir_okay=False), help="where its journal is written, too."),
)  # fmt: skip


def options(command: C) -> C:
    """Decorates `run` with all of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_theirs(word: str) -> bool:
    """Whether a command's argument is a file of Chaos Toolkit. Nothing is imported to say that one is ours."""
    path = Path(word)
    if path.suffix.lower() not in (".json", ".yaml", ".yml") or not path.is_file():
        return False
    with path.open(errors="replace") as lines:
        if any(line.startswith("apiVersion:") for line in lines):
            return False
    from chaosrunner.interop.toolkit_file import is_toolkit_file

    return is_toolkit_file(path)


def refuse_options(ctx: click.Context) -> None:
    """Where the file is ours: its options would be passed over in silence."""
    if given := ctx.meta.get(_KEY):
        from chaosrunner.errors import UsageError

        names = {
            "rollbacks_strategy": "rollback-strategy",
            "frequency": "hypothesis-frequency",
            "settings": "ct-settings",
        }
        first = next(iter(given))
        raise UsageError(
            f"--{names.get(first, first).replace('_', '-')} is for files of Chaos Toolkit, and this is none"
        )


def refuse_ours(**given: object) -> None:
    """Where the file is theirs: options that mean nothing to it would be passed over in silence."""
    for name, value in given.items():
        if value is not None and value != {}:
            from chaosrunner.errors import UsageError

            option = name.replace("_", "-")
            raise UsageError(f"--{option} is for files of chaosrunner's, and this is one of Chaos Toolkit's")


def run(
    ctx: click.Context,
    settings: terms.Settings,
    path: Path,
    *,
    environment: str | None,
    strict: bool,
    as_json: bool,
    production: bool,
) -> NoReturn:
    """Run one of their files, show what came of it, and leave."""
    from chaosrunner.app.toolkit import ToolkitOrder, run_toolkit
    from chaosrunner.store.kept import write_file

    given = dict(ctx.meta.get(_KEY, {}))
    journal = given.pop("journal_path", None)
    limit = terms.seconds_of("--time-limit", given.pop("time_limit", "1h"))
    order = ToolkitOrder(
        path=path,
        environment=environment,
        state=settings.state,
        strict=strict,
        production_agreed=production,
        time_limit=limit,
        shows=not as_json,
        options=given,
    )
    report = terms.wait_for_run(run_toolkit(order, terms.warn))
    if journal:
        write_file(Path(journal), report.journal.read_text())
    show(report, as_json=as_json, strict=strict)
    terms.leave(report.exit_code)


def show(report: ToolkitReport, *, as_json: bool, strict: bool) -> None:
    """What it says, for both."""
    from chaosrunner.cli._showing import run_json, show_run

    if as_json:
        theirs = {
            "status": report.status,
            "deviated": report.deviated,
            "exitCode": report.their_exit,
            "fellInto": list(report.fell_into),
            "journal": str(report.journal),
        }
        terms.say_json({**run_json(report.report), "chaosToolkit": theirs, "exitCode": report.exit_code})
        return
    terms.say()
    word = f"{report.status or 'no end'}{', deviated' if report.deviated else ''}"
    counts = "" if strict else ": this is what counts here (--strict: chaosrunner's own judgement)"
    terms.say(f"Chaos Toolkit says: {word}; `chaos run` exits with {report.their_exit}{counts}")
    for sentence in report.fell_into:
        terms.say(f"  · {sentence}")
    terms.say("chaosrunner says:")
    show_run(report.report)
