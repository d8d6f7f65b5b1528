"""Looks for halts: of the run, its environment or the whole machine, and the halt file."""

from __future__ import annotations

import json
from pathlib import Path

from chaosrunner.engine.stop import Stop
from chaosrunner.model.words import Ending
from chaosrunner.store.machine import Machine


class HaltWatch:
    """Halts that were there when it was made are of another day. Make it before the run is on the machine's list:
    whoever finds the run there and halts it must not be too early."""

    def __init__(self, machine: Machine, environment: str, run: str, stop: Stop, halt_file: Path | None) -> None:
        self._machine = machine
        self._environment = environment
        self._run = run
        self._stop = stop
        self._halt_file = halt_file
        self._known = machine.halts(environment, run)

    def look(self) -> None:
        """Stop the run if there is a halt that was not there before, or the halt file."""
        now = self._machine.halts(self._environment, self._run)
        for name, content in now.items():
            if self._known.get(name) != content:
                words = _words(content)
                self._stop.now(Ending.HALTED, words.get("by", "somebody"), words.get("reason", ""))
        self._known = now
        if self._halt_file is not None and (seen := _seen(self._halt_file)):
            self._stop.now(Ending.HALTED, "halt file", seen)


def _seen(halt_file: Path) -> str:
    """Why a halt file halts; empty: it is not there. One that cannot be looked at halts, too."""
    try:
        return str(halt_file) if halt_file.exists() else ""
    except OSError as error:
        return f"{halt_file} cannot be looked at: {error.strerror}"


def _words(content: str) -> dict[str, str]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}
