"""`chaosrunner remediate NM --check | --apply`: a near miss's runbook, for people and machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.app.remedying import Remedied, Remedy
    from chaosrunner.model.pending import PendingApply
    from chaosrunner.stages.runbook import Played


def play(remedy: Remedy, *, apply: bool, strict: bool, as_json: bool) -> int:
    """Check, and if asked for apply and verify; the exit code."""
    from chaosrunner.app.remedying import check_runbook

    if apply:
        return _apply(remedy, as_json)
    done = terms.wait_for(check_runbook(remedy))
    assert done.checked is not None
    as_wanted = done.checked.says.as_wanted
    if as_json:
        terms.say_json(_as_json(done, None))
    else:
        _say(_head(done), _left_over(done, _again(remedy, done)), _changes(done.checked, "would change"))
        if not as_wanted:
            terms.say(f"\napply it, and see by the experiment whether it helps: {_again(remedy, done)} --apply")
    return 1 if strict and not as_wanted else 0


def _apply(remedy: Remedy, as_json: bool) -> int:
    """What an earlier process left undone is gone on with; otherwise it is checked and applied. Then it is tried."""
    from chaosrunner.app.remedying import apply_runbook, check_runbook, refuse_change, taken_up

    refuse_change(remedy)
    done = terms.wait_for(taken_up(remedy))
    if done is not None:
        if not as_json:
            _say(_head(done), _left_over(done))
    else:
        done = terms.wait_for(check_runbook(remedy))
        if not as_json and done.checked is not None:
            _say(_head(done), _left_over(done), _changes(done.checked, "would change"))
        done = terms.wait_for(apply_runbook(remedy, done))
        if not as_json:
            _say(_changes(done.applied, "was changed") if done.applied else iter(["nothing to apply"]), iter([""]))
    _say_where_it_leaves(done)
    code, run = _verify(remedy, done, as_json)
    if as_json:
        terms.say_json(_as_json(done, run))
    return code


def _say_where_it_leaves(done: Remedied) -> None:
    """What is waived, or closed, does not become fix-ready: passing runs then verify nothing."""
    near_miss = done.near_miss
    if (done.applied or done.pending) and near_miss.state.value not in ("fix-ready", "verified"):
        terms.warn(f"{near_miss.id} is {near_miss.state.value} and stays so: the run that follows verifies nothing")


def _verify(remedy: Remedy, done: Remedied, as_json: bool) -> tuple[int, Any]:
    """The experiment again: its exit code, and its JSON."""
    from chaosrunner.app import run_experiment
    from chaosrunner.app.remedying import note_tried, order_of
    from chaosrunner.cli._showing import run_json, show_run, view
    from chaosrunner.errors import ChaosrunnerError

    try:
        with view(plain=False, quiet=as_json) as observe:
            report = terms.wait_for_run(run_experiment(order_of(remedy, done), [observe], terms.warn))
    except ChaosrunnerError as error:
        applied = "the runbook was applied, and is" if done.applied or done.pending else "the fix is"
        terms.warn(f"{applied} not verified: {error}")
        return error.exit_code, {"error": str(error), "exitCode": error.exit_code}
    try:
        note_tried(remedy, done, report.outcome.run, report.verdict.answer.value)
    except ChaosrunnerError as error:
        terms.warn(f"that this run tried it is not on record: {error}")
    if not as_json:
        show_run(report)
        return report.verdict.exit_code, None
    return report.verdict.exit_code, run_json(report)


def _say(*parts: Iterator[str]) -> None:
    from chaosrunner.reports.words import clean

    for part in parts:
        for line in part:
            terms.say(clean(line.expandtabs(4)))


def _again(remedy: Remedy, done: Remedied) -> str:
    environment = f" -e {remedy.environment}" if remedy.environment else ""
    experiment = f" --experiment {remedy.experiment}" if remedy.experiment else ""
    return f"chaosrunner remediate {done.near_miss.id}{environment}{experiment}"


def _head(done: Remedied) -> Iterator[str]:
    yield f"{done.near_miss.id}  {done.near_miss.title}"
    yield f"  {done.runbook.does} ({done.runbook.kind}, named in {_near(done.runbook.loaded.path)})"
    yield ""


def _left_over(done: Remedied, again: str = "") -> Iterator[str]:
    """What an earlier apply left undone. `again`: the command that goes on with it; empty: this one does."""
    from chaosrunner.stages.runbook import moment

    if (pending := done.pending) is None:
        return
    happened = pending.in_words(moment(pending.at))
    if pending.ended:
        yield f"{happened}; {f'{again} --apply goes' if again else 'going'} on with the run that verifies it"
    else:
        yield f"{happened}: what it had changed by then stays, and this check says what is left"
    yield ""


def _changes(played: Played, how: str) -> Iterator[str]:
    says = played.says
    yield f"what {how}: {says.in_words}"
    for each in says.changes:
        yield f"  {each.line}"
        yield from (f"      {line}" for line in each.diff.splitlines())
    if says.unknown:
        yield "what cannot be told:"
        yield from (f"  {each}" for each in says.unknown)
    yield f"all that it said: {_near(played.kept)}"


def _near(path: Path) -> str:
    """As it is typed here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _as_json(done: Remedied, run: Any) -> dict[str, Any]:
    return {
        "nearMiss": done.near_miss.id,
        "state": done.near_miss.state.value,
        "runbook": {"kind": done.runbook.kind, "does": done.runbook.does, "file": str(done.runbook.loaded.path)},
        "checked": _played(done.checked) if done.checked else None,
        "applied": _played(done.applied) if done.applied else None,
        "pending": pending_json(done.pending),
        "run": run,
    }


def pending_json(pending: PendingApply | None) -> dict[str, Any] | None:
    """An earlier apply of which something was left to be done."""
    return None if pending is None else {**pending.as_json(), "ended": pending.ended}


def _played(played: Played) -> dict[str, Any]:
    says = played.says
    return {
        "drift": says.drift,
        "asWanted": says.as_wanted,
        "changes": [{"where": each.where, "what": each.what, "diff": each.diff} for each in says.changes],
        "unknown": list(says.unknown),
        "output": str(played.kept),
    }
