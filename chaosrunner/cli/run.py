"""`chaosrunner run`: run an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import _suites, _toolkit, terms

if TYPE_CHECKING:
    from chaosrunner.app import Order, RunReport


@click.command()
@click.argument("experiment")
@terms.environment_option
@terms.parameter_option
@click.option("--seed", type=int, help="Choose targets by this seed, as an earlier run did.")
@click.option("--plain", is_flag=True, help="Plain lines, also on a terminal.")
@click.option("--strict", is_flag=True, help="A close call exits 1; of a Chaos Toolkit file: our own judgement.")
@click.option("--halt-file", type=click.Path(path_type=Path), help="Stop and undo as soon as this file exists.")
@terms.production_option
@terms.second_option
@_toolkit.options
@terms.json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    experiment: str,
    environment: str | None,
    parameters: dict[str, str],
    seed: int | None,
    halt_file: Path | None,
    second: str,
    production: bool,
    **show: bool,
) -> None:
    """Run EXPERIMENT (a name or path): baseline, fault, recovery. Whatever happens, the fault is taken back.

    A file of Chaos Toolkit is run as `chaos run` does, and what it shows is kept here.

    An experiment with a matrix is several runs, one after the other; the worst exit code counts. EXPERIMENT may also be
    a suite: all of its experiments are run, as its file says.

    \b
    Exit codes: 0 held · 1 a gap was found · 2 the command or a file is wrong · 3 inconclusive
    4 refused by a guard · 5 the baseline was not steady · 6 halted · 7 an undo failed
    """
    settings: terms.Settings = ctx.obj
    if _toolkit.is_theirs(experiment):
        _toolkit.refuse_ours(seed=seed, halt_file=halt_file, parameter=parameters)
        agreed = production and bool(second)
        how = {"strict": show["strict"], "as_json": show["as_json"], "production": agreed}
        _toolkit.run(ctx, settings, Path(experiment), environment=environment, **how)
    _toolkit.refuse_options(ctx)
    from chaosrunner.app import Order
    from chaosrunner.errors import ManyRuns, UsageError

    order = Order(
        experiment=experiment,
        environment=environment,
        seed=seed,
        second=second,
        production_confirmed=production,
        halt_file=halt_file,
        state=settings.state,
        parameters=parameters,
    )
    try:
        report = _run(order, **show)
    except ManyRuns:
        terms.leave(_run_all(order, **show))
    except UsageError as error:
        terms.leave(_suites.run_if_it_is_one(order, error, as_json=show["as_json"]))
    if show["as_json"]:
        from chaosrunner.cli._showing import run_json

        terms.say_json(run_json(report))
    terms.leave(_exit_code(report, strict=show["strict"]))


def _run(order: Order, *, plain: bool, as_json: bool, **_: bool) -> RunReport:
    from chaosrunner.app import run_experiment
    from chaosrunner.cli._showing import show_run, view

    with view(plain=plain, quiet=as_json) as observe:
        report = terms.wait_for_run(run_experiment(order, [observe], terms.warn))
    if not as_json:
        show_run(report)
    return report


def _exit_code(report: RunReport, *, strict: bool) -> int:
    code = report.verdict.exit_code
    return 1 if strict and code == 0 and report.close_call else code


def _run_all(order: Order, *, as_json: bool, strict: bool, **show: bool) -> int:
    """Each combination of a matrix, one after the other; what cannot be run stands in the answer, too."""
    from chaosrunner.app import each_run
    from chaosrunner.app.matrix import ENDS_ALL
    from chaosrunner.cli._showing import matrix_line, run_json
    from chaosrunner.errors import ChaosrunnerError
    from chaosrunner.model.exit_codes import gravest

    orders, codes, lines, shown = each_run(order), list[int](), list[str](), list[Any]()
    for number, one in enumerate(orders, 1):
        named = matrix_line(one, number, len(orders))
        if not as_json:
            terms.say(f"{chr(10) if codes else ''}{named}")
        try:
            report = _run(one, as_json=as_json, **show)
            codes.append(_exit_code(report, strict=strict))
            shown.append(run_json(report) if as_json else None)
            lines.append(f"{named}: {report.verdict.answer.value}, exit code {codes[-1]}")
        except ChaosrunnerError as error:
            terms.warn(f"{named}: {error}")
            codes.append(error.exit_code)
            shown.append({"error": str(error), "exitCode": error.exit_code})
            lines.append(f"{named}: {error}")
        if codes[-1] in ENDS_ALL:
            break
    worst = gravest(codes)
    if as_json:
        terms.say_json({"runs": shown, "planned": len(orders), "exitCode": worst})
    else:
        left = f"; {len(orders) - len(codes)} were not started" if len(codes) < len(orders) else ""
        terms.say("\n".join(["", *lines, f"{len(codes)} of {len(orders)} runs, exit code {worst}{left}"]))
    return worst
