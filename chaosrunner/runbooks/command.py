"""A runbook of two commands: one that says what would change, one that changes it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from chaosrunner import programs
from chaosrunner.errors import RunbookFailed
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.model.runbook import RunbookChange, RunbookSays
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Runbook

_SHOWN = 300
_MOST_LINES = 200


class Params(Parameters):
    """What to run."""

    check: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, as a list, that change nothing and say what would be changed; no shell takes part."""
    apply: tuple[str, ...] = Field(min_length=1)
    """Program and arguments that make the change. Arguments are shown in messages: secrets go in `env`."""
    drift_code: int = Field(default=2, ge=1, le=255)
    """The check's exit code if something would change (0: nothing would, any other: it failed). Default 2, as
    `terraform plan -detailed-exitcode` has it; 1 for `diff` and `kubectl diff`."""
    env: dict[str, str | SecretRef] = {}
    """Variables added to chaosrunner's own; a value is text, or where a secret is: `{env: NAME}`."""
    folder: str | None = None
    """Where both run; default: the experiment's folder."""
    timeout: Duration = Field(default=600.0, gt=0)
    """For each of both; then it is stopped with everything that it started. Default 10m."""


class Command(Runbook[Params]):
    """Runs a command that says what would change, and another that changes it.

    The check's exit code decides: 0 says that nothing would change, `driftCode` that something would, and what it
    prints is shown as the difference. Any other code, a signal or running out of time is a failed check. Applying has
    worked if it exits with 0. What a command leaves running on purpose goes on after it.
    """

    example = """\
runbook:
  command:
    check: [terraform, plan, -detailed-exitcode, -no-color, -input=false]
    apply: [terraform, apply, -auto-approve, -no-color, -input=false]
    folder: runbooks/limits
"""

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Runs {_words(params.apply)}."

    @classmethod
    def files(cls, params: Params) -> Sequence[str]:
        return (params.folder,) if params.folder else ()

    async def check(self) -> RunbookSays:
        ended = await self._run(self.params.check)
        if ended.code == 0:
            return RunbookSays(output=ended.output)
        if ended.code != self.params.drift_code:
            raise RunbookFailed(_failure(self.params.check, ended), ended.output)
        lines = ended.output.strip("\n").splitlines()
        more = [f"… {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
        change = RunbookChange(what=_words(self.params.apply), diff="\n".join([*lines[:_MOST_LINES], *more]))
        return RunbookSays(changes=(change,), output=ended.output)

    async def apply(self) -> RunbookSays:
        ended = await self._run(self.params.apply)
        if ended.code != 0:
            raise RunbookFailed(_failure(self.params.apply, ended), ended.output)
        return RunbookSays(changes=(RunbookChange(what=f"ran {_words(self.params.apply)}"),), output=ended.output)

    async def _run(self, words: tuple[str, ...]) -> programs.Ended:
        env = programs.variables(self.params.env, self.context.http.secret)
        folder = programs.place(self.context.folder, self.params.folder)
        return await programs.run(programs.Program(words, folder, env, self.params.timeout), self.context.clock)


def _words(words: tuple[str, ...]) -> str:
    text = shlex.join(words)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _failure(words: tuple[str, ...], ended: programs.Ended) -> str:
    last = next((line.strip() for line in reversed(ended.output.splitlines()) if line.strip()), "")
    how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"exited with {ended.code}"
    return f"{_words(words)} {how}{f': {last[:_SHOWN]}' if last else ''}"
