"""An action of any Chaos Toolkit extension, with the action that takes it back."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.extensions import Extensions, NoWord, revealed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.model.quantities import Duration, write_duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Parameters, Sighting

_USUAL = 10.0
"""Seconds that every injection has."""
_LOOK = 4.0
_UNDO = 9.0
"""Seconds that looks and undos have: a little less than the engine gives them, so that they end in words."""
_SHOWN = 100


class Call(Parameters):
    """A function and what it is given."""

    module: str = Field(min_length=1)
    """Its module, which must be installed beside chaosrunner."""
    func: str = Field(min_length=1)
    """Its name."""
    arguments: JsonObject = {}
    """Its arguments by name."""


class Look(Call):
    """A function that tells whether the fault is in force."""

    equals: JsonValue = True
    """What it returns while the fault is in force; anything else: it is not. Default true."""


class Params(Call):
    """The action, the action that takes it back, and the probe that sees it."""

    undo: Call
    """The action that takes it back. It must be harmless when there is nothing to take back."""
    confirm: Look | None = None
    """The probe that sees the fault in force, by another way than the action's own word. Without one nobody knows, and
    a run that shows nothing broken is inconclusive."""
    configuration: JsonObject = {}
    """What the functions get as `configuration`; `${name}` in arguments is replaced by it."""
    secrets: dict[str, str | SecretRef] = {}
    """What they get as `secrets`: text, or where a secret is: `{env: NAME}`."""
    folder: str | None = None
    """Where they run; default: the folder that chaosrunner was started in."""
    timeout: Duration = Field(default=10.0, gt=0, le=600)
    """How long the action may take; then its process is killed, and it is taken back. Default 10s, at most 10m."""


class ChaosToolkit(Fault[Params]):
    """Calls an action of a Chaos Toolkit extension in a process of its own, and at the end the one that takes it back.

    What is left at the end is up to these two. Unlike other faults it does not end by itself when the runner dies: the
    next run on this environment, or `chaosrunner heal`, calls the undo from the ledger.
    """

    platforms = frozenset({"local", "kubernetes"})
    acts_on = frozenset({"nothing"})
    fault_class = "extension"
    late: ClassVar[Mapping[str, JsonValue]] = {
        "arguments": None,
        "undo.arguments": None,
        "confirm.arguments": None,
        "confirm.equals": None,
    }
    reports: ClassVar[Mapping[str, str]] = {"output": "what the action returned; a part of it is `output.a.b`"}
    example = """\
- fault: chaostoolkit
  with:
    module: os
    func: makedirs
    arguments: {name: maintenance, exist_ok: true}
    undo: {module: shutil, func: rmtree, arguments: {path: maintenance, ignore_errors: true}}
    confirm: {module: os.path, func: isdir, arguments: {s: maintenance}}
  for: 30s
"""

    _extensions: Extensions | None = None
    _output: JsonValue = None

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        return {"action": _name(params)}

    @classmethod
    def patience(cls, params: Params) -> float:
        return max(0.0, params.timeout - _USUAL) + 1.0

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Calls {_words(params)}, which may take {write_duration(params.timeout)}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        seen = f"{_name(params.confirm)} tells" if params.confirm is not None else "nobody looks"
        return f"Calls {_words(params.undo)}; {seen} whether it is gone."

    async def check(self) -> None:
        calls = [self.params, self.params.undo, *([self.params.confirm] if self.params.confirm is not None else [])]
        for call in calls:
            answer = await self._asked(call, self._here(), _USUAL, only="validate")
            if "failed" in answer:
                self._leave()
                raise CannotDoHonestly(f"{_name(call)} cannot be called: {answer['failed']}")
        self._leave()

    async def prepare(self) -> JsonObject:
        return {"folder": str(self._here())}

    async def inject(self) -> None:
        answer = await self._asked(self.params, self._here(), self.params.timeout)
        if "failed" in answer:
            raise FaultFailed(f"{_name(self.params)}: {answer['failed']}")
        if why := _refused(answer.get("value")):
            raise FaultFailed(f"{_name(self.params)}: {why}")
        self._output = answer.get("value")

    async def report(self, prepared: JsonObject) -> JsonObject:
        return {"output": self._output}

    async def confirm(self, prepared: JsonObject) -> Sighting:
        look = self.params.confirm
        if look is None:
            return Sighting(False, "nobody looks: the step names no `confirm`, and an action's own word proves nothing")
        answer = await self._asked(look, _folder(prepared), _LOOK)
        if "failed" in answer:
            self._leave()
            raise FaultFailed(f"{_name(look)}: {answer['failed']}")
        value = answer["value"]
        seen = bool(value == look.equals)
        if not seen:
            self._leave()
        return Sighting(seen, f"{_name(look)} returned {json.dumps(value)[:_SHOWN]}")

    async def undo(self, prepared: JsonObject) -> None:
        answer = await self._asked(self.params.undo, _folder(prepared), _UNDO)
        if "failed" in answer and await self._is_gone(prepared):
            return  # many undos fail where there is nothing to take back
        self._leave()
        if "failed" in answer:
            raise UndoFailed(f"{_name(self.params.undo)}: {answer['failed']}", self.by_hand(prepared))

    async def _is_gone(self, prepared: JsonObject) -> bool:
        """Whether the named probe really answers, and does not see it."""
        try:
            return self.params.confirm is not None and not await self.confirm(prepared)
        except FaultFailed:
            return False

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        call = self.params.undo
        if self.params.secrets or self.params.configuration:
            return (f"chaosrunner heal {self.hold.run}",)
        code = f"from {call.module} import {call.func}; {call.func}(**{dict(call.arguments)!r})"
        place = shlex.quote(str(_folder(prepared)))
        return (f"cd {place} && {shlex.join([sys.executable, '-c', code])}", f"chaosrunner heal {self.hold.run}")

    def _here(self) -> Path:
        return Path.cwd() / Path(self.params.folder or "").expanduser()

    async def _asked(self, call: Call, folder: Path, seconds: float, **more: str) -> dict[str, Any]:
        """Its answer; where it gave none, why, as one that failed."""
        if self._extensions is None:
            self._extensions = Extensions(folder)
        order = {
            "do": "call",
            "module": call.module,
            "func": call.func,
            "arguments": call.arguments,
            "configuration": self.params.configuration,
            "secrets": revealed(self.params.secrets, folder),
            **more,
        }
        try:
            return await self._extensions.ask(order, seconds)
        except NoWord as error:
            return {"failed": str(error)}

    def _leave(self) -> None:
        """Let the process go where it may be the last time that it is needed."""
        if self._extensions is not None:
            self._extensions.close()
            self._extensions = None


def _refused(value: Any) -> str:
    """Why an action that returned did nothing all the same: what a request or a program answered."""
    status = value.get("status") if isinstance(value, dict) else None
    if isinstance(status, int) and not isinstance(status, bool) and status >= 400:
        return f"it was answered with {status}"
    return ""


def _folder(prepared: JsonObject) -> Path:
    return Path(str(prepared["folder"]))


def _name(call: Call) -> str:
    return f"{call.module}.{call.func}"


def _words(call: Call) -> str:
    given = ", ".join(f"{name}={json.dumps(value)}" for name, value in call.arguments.items())
    return f"{_name(call)}({given if len(given) <= _SHOWN else given[: _SHOWN - 1] + '…'})"
