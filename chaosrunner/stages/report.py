"""report: a run's journal, its verdict and gaps -> a page, JSON or text; and many runs -> a list.

Old runs are judged again from their journals: what is shown is never older than the judge's rules.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from pathlib import Path

from chaosrunner.clock import Clock, iso
from chaosrunner.errors import ChaosrunnerError, JournalFailed, NotPossibleNow
from chaosrunner.model.frozen import json_text
from chaosrunner.model.gap import Gap
from chaosrunner.model.verdict import Verdict
from chaosrunner.records.light import dataclass, replace
from chaosrunner.reports.account import Account, Gathering, gather
from chaosrunner.reports.brief import RunBrief, brief
from chaosrunner.reports.shown_gap import ShownGap, shown
from chaosrunner.stages.detect import detect
from chaosrunner.stages.judge import judge
from chaosrunner.store.journal import read_journal
from chaosrunner.store.kept import Kept, write_file

FORMATS = ("text", "html", "json", "junit", "markdown")

Lookup = Callable[[Gap], ShownGap]
"""What the register knows of a gap; `ShownGap` itself knows nothing."""


@dataclass(frozen=True, slots=True)
class Review:
    """A run read again from its journal: what happened, what it means, and what was found."""

    account: Account
    verdict: Verdict
    found: tuple[ShownGap, ...]


def review(journal: Path, lookup: Lookup = ShownGap) -> Review:
    """Read and judge a journal; it may still be growing. Raises `JournalFailed`."""
    gathering = Gathering()
    entries = gathering.passing(read_journal(journal))
    first = next(entries, None)
    if first is None:
        raise JournalFailed(f"{journal} is empty: the run never began")
    verdict = judge(chain([first], entries))
    account = gathering.account
    return Review(account, verdict, tuple(_with_clues(lookup(gap), account) for gap in detect(verdict, account.plan)))


def _with_clues(one: ShownGap, account: Account) -> ShownGap:
    """With what the journal says of what else changed."""
    written = account.evidence.get(one.gap.fingerprint)
    if written is None:
        return one
    from chaosrunner.model.evidence import Clues

    return replace(one, clues=Clues.model_validate(written))


def written(run: Review, form: str, *, page: str = "", colour: bool = False, width: int = 100) -> str:
    """The report in one of `FORMATS`, with a line end. `page` is the HTML report's path, for the text."""
    if form == "html":
        from chaosrunner.reports.html import html_report

        return html_report(run.account, run.verdict, run.found)
    if form == "json":
        from chaosrunner.reports.json import json_report

        return json_text(json_report(run.account, run.verdict, run.found))
    if form in ("junit", "markdown"):
        from chaosrunner.reports import one_run

        return one_run.written(run.account, run.verdict, run.found, form, page)
    from chaosrunner.reports.summary import summary

    return summary(run.verdict, run.found, report=page, colour=colour, width=width) + "\n"


def write_html(run: Review, path: Path) -> Path:
    """Write the page to a file, whole or not at all. Raises `NotPossibleNow` where it cannot be written."""
    return write_file(path, written(run, "html"))


def brief_of(run: str, journal: Path, *, running: bool = False) -> RunBrief:
    """A run in one line. A damaged journal has a line too, which says so.

    Judging a long run takes a while, so the line is kept beside the journal and used again while neither the journal
    nor chaosrunner has changed.
    """
    try:
        if running:
            return _running(journal)
        beside = Kept(journal, "brief", RunBrief)
        if (kept := beside.read()) is not None:
            return kept
        seen = review(journal)
        made = brief(seen.account, seen.verdict, seen.found)
        beside.write(made)
        return made
    except ChaosrunnerError as error:
        return RunBrief(
            run=run, started_at="", experiment="", environment="", word="DAMAGED", seconds=0.0, note=str(error)
        )


def _running(journal: Path) -> RunBrief:
    account = gather(read_journal(journal))
    return RunBrief(
        run=account.started.run,
        started_at=iso(account.began_at),
        experiment=account.plan.experiment,
        environment=account.plan.environment.name,
        word="RUNNING",
        seconds=round(account.seconds, 3),
        faults_in_force=len(account.in_force),
    )


def why_kept(journal: Path, *, running: bool, referred: Collection[str] = ()) -> str:
    """Why a run must not be removed: it is running, may have faults in force, or is evidence. Empty: it may.

    A journal that cannot be read is kept: nobody can say what of it is in force.
    """
    if running:
        return "it is running"
    try:
        account = gather(read_journal(journal))
    except ChaosrunnerError as error:
        return f"its journal cannot be read, so nobody knows what is in force ({error})"
    if account.in_force:
        names = ", ".join(fault.fault for fault in account.in_force)
        return f"{names} may still be in force: `chaosrunner heal {account.started.run}` first"
    if account.started.run in referred:
        return "a near miss that is not closed refers to it"
    return ""


def began_at(journal: Path) -> float | None:
    """When a run began (wall time), or None where its journal does not say."""
    try:
        first = next(read_journal(journal), None)
    except ChaosrunnerError:
        return None
    return None if first is None else first.at - first.t


class Known:
    """What the near-miss register of a state folder knows, asked for no more than is needed; a folder without one knows
    nothing. Everything raises `NotPossibleNow` where it cannot be read."""

    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def lookup(self, gap: Gap) -> ShownGap:
        """The gap with its near miss, if it has one."""
        from chaosrunner.register import open_register, register_exists

        if not register_exists(self._state):
            return ShownGap(gap)
        with open_register(self._state, self._clock) as register:
            return shown(gap, register.of_fingerprint(gap.fingerprint))

    def referred(self, runs: Sequence[str]) -> frozenset[str]:
        """Those of these runs that a near miss which is not closed names as its first or last sight."""
        from chaosrunner.register import open_register, register_exists

        if not runs or not register_exists(self._state):
            return frozenset()
        with open_register(self._state, self._clock) as register:
            return register.referred(runs)


def remove(folder: Path) -> None:
    """Remove a run's folder for good. Raises `NotPossibleNow` where it cannot be removed.

    The journal goes last: what is cut short is still a run, and can be removed again.
    """
    try:
        for path in sorted(folder.rglob("*"), key=lambda one: (one.name == "journal.jsonl", -len(one.parts))):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise NotPossibleNow(f"cannot remove {folder}: {error.strerror}") from error
