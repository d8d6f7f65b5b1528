"""`chaosrunner gate`: may this release go out?"""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import _outputs, terms

CANNOT_BE_SAID = 3
"""The exit code of an answer that is neither yes nor no."""


@click.command("gate", short_help="Say whether a release may go out: run a suite, and apply its policy.")
@click.argument("suite")
@terms.environment_option
@click.option("--no-run", is_flag=True, help="Run nothing: judge by what the register knows.")
@click.option("--record-baseline", is_flag=True, help="Write what is there now to the file that `ratchet` names.")
@click.option("--halt-file", type=click.Path(path_type=Path), help="Stop and undo as soon as this file exists.")
@terms.production_option
@terms.second_option
@_outputs.option
@terms.json_option
@click.pass_obj
def command(
    settings: terms.Settings,
    /,
    suite: str,
    environment: str | None,
    no_run: bool,
    record_baseline: bool,
    halt_file: Path | None,
    production: bool,
    second: str,
    outputs: _outputs.Outputs,
    as_json: bool,
) -> None:
    """Run what is due of SUITE (a name or path), and say whether the release may go out: yes or no, and why.

    \b
    Exit codes: 0 yes · 1 the policy says no · 2 the command or a file is wrong
    3 it cannot be said (inconclusive, refused, halted, out of time, register out of reach) · 7 an undo failed
    """
    from chaosrunner.app.gating import GateOrder, ask_gate
    from chaosrunner.errors import Refused

    order = GateOrder(
        suite=suite,
        environment=environment,
        second=second,
        production_confirmed=production,
        halt_file=halt_file,
        state=settings.state,
        run=not no_run,
        record_baseline=record_baseline,
    )
    try:
        answer = terms.wait_for_run(ask_gate(order, terms.warn, terms.aside))
    except KeyboardInterrupt:
        terms.warn("interrupted before anything was started")
        terms.leave(CANNOT_BE_SAID)
    except Refused as error:
        terms.warn(str(error))
        terms.leave(CANNOT_BE_SAID)
    terms.leave(_outputs.deliver(answer, outputs, as_json=as_json))
