"""Runbooks of near misses: checked and applied, with everything on the record.

What a tool says comes from the system and may hold secrets: they are taken out before anything is shown or kept.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from chaosrunner import catalog, programs
from chaosrunner.clock import Clock, iso
from chaosrunner.errors import ChaosrunnerError, FileProblems, PluginDefect, RunbookFailed, UsageError
from chaosrunner.judging.redacting import redacted
from chaosrunner.model.frozen import Call
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.pending import APPLIED, BEGUN, LOST, PendingApply
from chaosrunner.model.runbook import RunbookChange, RunbookSays
from chaosrunner.model.words import Source, State
from chaosrunner.ports import ProbeContext, Runbook
from chaosrunner.records.light import dataclass
from chaosrunner.register.near_misses import Record, Register
from chaosrunner.secrets import HIDDEN, without_secrets
from chaosrunner.stages.load import Loaded, load_experiment
from chaosrunner.store.played import PlayedRunbooks

MOST_NAMED = 20
"""Changes that an event of the history names; the kept output has all."""
_LATEST = 20
"""Occurrences whose experiments are asked for a runbook."""
_KEY_BEGINS, _KEY_ENDS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(r"-----END [A-Z ]*PRIVATE KEY-----"),
)


@dataclass(frozen=True, slots=True)
class Rerun:
    """How an experiment is run so that it shows a near miss again."""

    experiment: str
    environment: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    """A near miss's runbook, from the file of the experiment that shows it."""

    rerun: Rerun
    loaded: Loaded
    kind: str
    does: str
    """One sentence."""

    def made(self, context: ProbeContext) -> Runbook[Any]:
        """Ready to be played."""
        plugin: type[Runbook[Any]] = catalog.find("runbooks", self.kind)
        return plugin(plugin.Params.model_validate(_call(self.loaded).with_), context)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a check, or of an apply."""

    says: RunbookSays
    kept: Path
    """All that the tool said."""


# ------------------------------------------------------------------------------------------------------------- finding


def assigned(record: Record, rerun: Rerun | None, environment: str | None, folder: Path) -> Assigned:
    """The runbook of a near miss: that of the experiment named (`rerun`), or of the first that shows it and has one.

    Raises `UsageError` where there is none, with the place where it would be written.
    """
    near_miss, without, lost = record.near_miss, list[str](), list[ChaosrunnerError]()
    for each in [rerun] if rerun else _reruns(record):
        try:
            loaded = load_experiment(each.experiment, environment or each.environment, folder, dict(each.parameters))
        except FileProblems:
            raise
        except UsageError as error:
            lost.append(error)
            continue
        if loaded.experiment.spec.remediation is None or loaded.experiment.spec.remediation.runbook is None:
            without.append(each.experiment)
            continue
        call = _call(loaded)
        plugin: type[Runbook[Any]] = catalog.find("runbooks", call.kind)
        does = plugin.does(plugin.Params.model_validate(call.with_))
        return Assigned(each, loaded, call.kind, redacted(does))
    if without:
        where = f"its experiment {without[0]} names none: `remediation: {{runbook: {{…}}}}`"
        raise UsageError(f"{near_miss.id} has no runbook; {where} (kinds: {', '.join(catalog.kinds('runbooks'))})")
    if lost:
        raise UsageError(f"the experiment that shows {near_miss.id} is not found from here: {lost[0]}")
    none = f"no experiment shows it yet (`chaosrunner near-miss link {near_miss.id} EXPERIMENT`)"
    raise UsageError(f"{near_miss.id} has no runbook: {none}")


def _call(loaded: Loaded) -> Call:
    remediation = loaded.experiment.spec.remediation
    assert remediation is not None and remediation.runbook is not None
    return remediation.runbook


def _reruns(record: Record) -> list[Rerun]:
    """Each way in which an experiment may show it again, the latest first."""
    found: list[Rerun] = []
    for seen in record.occurrences[: -_LATEST - 1 : -1]:
        if seen.source is Source.RUN:
            found += [each for each in (rerun_of(seen.command), Rerun(seen.experiment, seed=seen.seed)) if each]
    found += [Rerun(name) for name in (*record.near_miss.experiments, *record.near_miss.links)]
    return list(dict.fromkeys(found))


def rerun_of(command: str) -> Rerun | None:
    """What a recorded command runs; None: it is none that runs an experiment."""
    words = shlex.split(command)
    if words[:2] != ["chaosrunner", "run"] or len(words) < 3:
        return None
    options = list(zip(words[3::2], words[4::2], strict=False))
    parameters = [value.partition("=") for name, value in options if name == "--parameter"]
    seed = next((value for name, value in options if name == "--seed" and value.isdecimal()), None)
    return Rerun(
        words[2],
        next((value for name, value in options if name == "-e"), None),
        tuple((name, value) for name, _, value in parameters),
        int(seed) if seed else None,
    )


# ------------------------------------------------------------------------------------------------------------- playing


@dataclass(frozen=True)
class Playing:
    """One near miss's runbook, played by somebody."""

    register: Register
    near_miss: NearMiss
    kind: str
    does: str
    runbook: Runbook[Any]
    clock: Clock
    played: PlayedRunbooks
    actor: str

    async def check(self) -> Played:
        """What it would change. Raises `RunbookFailed` and `NotPossibleNow`; that it failed is on record by then."""
        return await self._play("check", "runbook checked", self.runbook.check)

    async def apply(self) -> Played:
        """Change it. What was changed makes the near miss fix-ready; a run has yet to verify it."""
        self._note(BEGUN, reason=self.does)  # whatever becomes of it, that it was begun is known
        return await self._play("apply", APPLIED, self.runbook.apply)

    def settle(self, pending: PendingApply, checked: RunbookSays) -> None:
        """Put down that an apply of an earlier process did not report its end, and what a check says since. If nothing
        is left to be changed by this runbook, that apply did what it was to do: the near miss is fix-ready."""
        since = f"begun at {moment(pending.at)} by {pending.by}; what a check would change since: {checked.in_words}"
        self._note(LOST, reason=since)
        if checked.as_wanted and pending.does == self.does:
            self._fix_ready(f"begun at {moment(pending.at)}; a check since finds nothing left to change")

    def go_on(self, pending: PendingApply) -> None:
        """What was applied and not yet tried is fix-ready; its process may have been killed before it said so."""
        if not pending.changed_nothing:
            self._fix_ready(pending.changed)

    def _fix_ready(self, how: str) -> None:
        active = (State.OPEN, State.TRIAGED, State.IN_PROGRESS, State.NEEDS_INFO)
        if self.near_miss.state in active:
            fix = f"runbook {self.kind}: {self.does} {how}"
            change = Change(to=State.FIX_READY, actor=self.actor, at=self.clock.now(), change=fix)
            self.register.change(self.near_miss.id, change)

    async def _play(self, what: str, done: str, work: Callable[[], Awaitable[RunbookSays]]) -> Played:
        def started(program: programs.Begun) -> None:
            self.played.runs_in(self.near_miss.id, what, program)

        try:
            with programs.told_of_each(started):
                says = without_any_secret(await self._guarded(work))
        except asyncio.CancelledError:
            self._note("runbook stopped", after=f"while it was {'checked' if what == 'check' else 'applied'}")
            raise
        except RunbookFailed as error:
            raise self._failed(what, error) from error
        except ChaosrunnerError as error:
            self._note(f"runbook {what} failed", reason=veiled(str(error)))
            raise
        kept = self.played.place(self.near_miss.id, what, self.clock.now())
        named = [each.line for each in says.changes] + [f"unknown: {each}" for each in says.unknown]
        self._note(done, after=says.in_words, reason=_account(self.does, named, kept))
        if what == "apply" and says.changes:
            self._fix_ready(says.in_words)
        self.played.keep(kept, says.output)  # last: a full disk must not keep it from the record
        return Played(says, kept)

    async def _guarded(self, work: Callable[[], Awaitable[RunbookSays]]) -> RunbookSays:
        try:
            return await work()
        except ChaosrunnerError:
            raise
        except Exception as error:  # the one wrapper around runbooks
            raise PluginDefect(f"the runbook {self.kind} raised {type(error).__name__}: {error}") from error

    def _failed(self, what: str, error: RunbookFailed) -> RunbookFailed:
        """The same failure on the record, in words without secrets, and with the place of all that was said."""
        kept = self.played.place(self.near_miss.id, what, self.clock.now())
        changed = [f"changed before that: {veiled(each)}" for each in error.changed]
        words = veiled(str(error)) + ("; what it had changed by then stays" if what == "apply" else "")
        self._note(f"runbook {what} failed", reason=_account(words, changed, kept))
        self.played.keep(kept, veiled(error.output))
        return type(error)(
            f"{words}\n  all that it said: {kept}", veiled(error.output), tuple(map(veiled, error.changed))
        )

    def _note(self, what: str, after: str = "", reason: str = "") -> None:
        self.register.add_event(self.near_miss.id, self.actor, what, after=after, reason=reason)


def moment(at: float) -> str:
    """A time as people read it, UTC."""
    return iso(at)[:16].replace("T", " ")


def _account(head: str, lines: Sequence[str], kept: Path) -> str:
    more = [f"and {len(lines) - MOST_NAMED} more"] if len(lines) > MOST_NAMED else []
    return "; ".join([head, *lines[:MOST_NAMED], *more, f"output: {kept}"])


# ------------------------------------------------------------------------------------------------------------- secrets


def without_any_secret(says: RunbookSays) -> RunbookSays:
    """The same without what this process knows to be a secret, or what looks like one."""
    return RunbookSays(
        changes=tuple(
            RunbookChange(where=each.where, what=veiled(each.what), diff=veiled(each.diff)) for each in says.changes
        ),
        unknown=tuple(map(veiled, says.unknown)),
        output=veiled(says.output),
    )


def veiled(text: str) -> str:
    """A text of several lines without secrets; of a private key nothing is left."""
    return "\n".join(_veiled_lines(without_secrets(text).split("\n")))


def _veiled_lines(lines: Sequence[str]) -> Iterator[str]:
    in_key = False
    for line in lines:
        if _KEY_BEGINS.search(line):
            in_key = True
            yield redacted(line)
        elif not in_key:
            yield redacted(line)
        if in_key and _KEY_ENDS.search(line):
            in_key = False
            if not _KEY_BEGINS.search(line):
                yield HIDDEN
