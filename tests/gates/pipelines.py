"""A suite of quick experiments that hold or break as a file says, and gates asked about it by calls or processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from chaosrunner.app.gating import GateOrder, ask_gate
from chaosrunner.cli import chaosrunner
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.gate import GateAnswer

HEAD = "apiVersion: chaosrunner.dev/v1"
ENVIRONMENT = f"""\
{HEAD}
kind: Environment
metadata: {{name: quick}}
spec:
  class: quick
  verification: {{runs: 1, days: 1}}
  platform: {{local: {{services: {{nobody: {{pidFile: nobody.pid}}}}}}}}
"""


def experiment(name: str, *, service: str = "cart", at_most: str = "${limit}", lasts: str = "60ms") -> str:
    """Something is read while nothing happens; with a limit of 0 that is a gap."""
    return f"""\
---
{HEAD}
kind: Experiment
metadata: {{name: {name}, labels: {{team: {service}}}}}
spec:
  title: {name} holds
  service: {service}
  owner: team-{service}
  environment: quick
  parameters:
    limit: {{meaning: what is still in order, type: number, default: 9, example: 9}}
  hypotheses:
    - name: {service}-promise
      title: It holds
      measures:
        - {{name: one, noop: {{value: {len(service)}}}, every: 20ms, tolerance: {{fault: {{atMost: "{at_most}"}}}}}}
  baseline: 60ms
  method: [{{fault: noop, for: {lasts}}}]
  recovery: {{within: 1s, holds: 0s}}
"""


def suite(*entries: str, name: str = "release", more: str = "") -> str:
    listed = "\n".join(f"    - {entry}" for entry in entries)
    spec = f"  title: All is well\n  experiments:\n{listed}\n{more}"
    return f"{HEAD}\nkind: Suite\nmetadata: {{name: {name}}}\nspec:\n{spec}"


def order(folder: Path, **changes: object) -> GateOrder:
    return GateOrder(suite="release", folder=folder, state=folder / "state", **changes)  # type: ignore[arg-type]


def ask(folder: Path, tell: Callable[[str], None] = lambda words: None, **changes: object) -> GateAnswer:
    """The gate's answer, by a call; signals do what they did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return asyncio.run(ask_gate(order(folder, **changes), tell))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command(*words: str) -> int:
    """The exit code of `chaosrunner WORDS`, within this process."""
    try:
        code: int = chaosrunner.main(list(words), standalone_mode=False)
    except ChaosrunnerError as error:
        return error.exit_code
    return code


def pipelines(folder: Path, count: int) -> list[int]:
    """Exit codes of so many gates at once, each in a process of its own that has everything imported already."""
    children = [_child(folder) for _ in range(count)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _child(folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = asyncio.run(ask_gate(order(folder))).exit_code
    finally:
        os._exit(code)
