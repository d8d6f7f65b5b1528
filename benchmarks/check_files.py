"""`check` over a thousand experiment files of ten steps each, next to Chaos Toolkit's own load and validate.

Both in one process, over files with the same content: a title, one measure with a tolerance, ten faults on one service
with the same arguments, in YAML. Ours is the command as it is, from start to exit, nothing remembered, and then once
more with what it remembers of files that did not change. Theirs are `load_experiment` and `ensure_experiment_is_valid`
of chaoslib, in a process that has imported it; its actions are of a module of the standard library, since it imports
what a file names.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.experiments import HEAD
from benchmarks.measuring import OURS, Cost, Scale, cost, workplace
from benchmarks.table import Row, ratios, spread
from benchmarks.tools import CHAOS_VENV, chaos, chaos_version

FILES, STEPS = 1000, 10
BAR = 1 / 3
ENVIRONMENT = f"""\
{HEAD}
kind: Environment
metadata: {{name: laptop}}
spec:
  platform:
    local:
      services:
        checkout: {{start: [python3, checkout.py], ready: {{http: "http://127.0.0.1:7001/healthz"}}}}
        payments: {{start: [python3, payments.py], ready: {{http: "http://127.0.0.1:7003/healthz"}}}}
      links:
        checkout-to-payments: {{from: checkout, to: payments, listen: "127.0.0.1:8003", connect: "127.0.0.1:7003"}}
"""
THEIR_PROGRAM = """\
import sys, time
from pathlib import Path
from chaoslib.experiment import ensure_experiment_is_valid
from chaoslib.loader import load_experiment
began = time.process_time()
for path in sorted(Path("theirs").iterdir()):
    ensure_experiment_is_valid(load_experiment(str(path)))
print(time.process_time() - began)
"""


def _ours(number: int) -> str:
    steps = "".join(
        f"    - id: step-{step}\n      fault: network-latency\n      target: {{service: checkout, to: payments}}\n"
        f"      with: {{delay: {100 + 10 * step}ms, jitter: 20ms}}\n      for: 30s\n"
        for step in range(STEPS)
    )
    return f"""\
{HEAD}
kind: Experiment
metadata: {{name: experiment-{number}}}
spec:
  title: Checkout keeps its promise, number {number}
  environment: laptop
  hypotheses:
    - name: fine
      title: Shoppers can check out
      measures:
        - name: status
          http: {{url: "http://127.0.0.1:7001/healthz", timeout: 2s, read: status}}
          tolerance: {{equals: 200}}
          abortAt: {{atMost: 499, for: 5s}}
  baseline: 30s
  method:
{steps}  recovery: {{within: 60s}}
"""


def _theirs(number: int) -> str:
    steps = "".join(
        f"  - type: action\n    name: step-{step}\n    provider:\n      type: python\n      module: shutil\n"
        f"      func: move\n      arguments: {{src: checkout, dst: payments{step}}}\n    pauses: {{after: 30}}\n"
        for step in range(STEPS)
    )
    return f"""\
title: Checkout keeps its promise, number {number}
description: Shoppers can check out
steady-state-hypothesis:
  title: Shoppers can check out
  probes:
    - type: probe
      name: status
      tolerance: 200
      provider: {{type: http, url: "http://127.0.0.1:7001/healthz", timeout: 2}}
method:
{steps}rollbacks: []
"""


def rows(scale: Scale) -> list[Row]:
    """Processor time, which other work on the machine hardly changes."""
    chaos()
    python = str(CHAOS_VENV / "bin" / "python")
    ours: list[Cost] = []
    again: list[Cost] = []
    theirs: list[float] = []
    with workplace() as folder:
        _write(folder)
        check = [OURS, "check", "--json"]
        for number in range(-1, scale.rounds(3)):
            shutil.rmtree(folder / "state", ignore_errors=True)
            turn = [cost(check, folder, within=300.0), cost(check, folder, within=300.0)]
            other = cost([python, "-c", THEIR_PROGRAM], folder, within=300.0)
            if number >= 0:
                ours.append(_right(turn[0]))
                again.append(_right(turn[1]))
                theirs.append(float(other.output.split()[-1]))
    ratio, kept = ratios([each.cpu for each in ours], theirs), ratios([each.cpu for each in again], theirs)
    name = f"check of {FILES:,} files of {STEPS} steps"
    other_text = spread(theirs).text("s")
    return [
        Row(
            name, spread([each.cpu for each in ours]).text("s"), other_text, "<= 0.33x", ratio.median <= BAR,
            f"processor time, the whole command; {ratio.text('x', digits=2)} of {chaos_version()}'s load and validate, "
            "which is counted without its start",
        ),
        Row(
            f"{name}, unchanged", spread([each.cpu for each in again]).text("s"), other_text, "", None,
            f"the same command once more; {kept.text('x', digits=2)}",
        ),
    ]  # fmt: skip


def _write(folder: Path) -> None:
    for name in ("environments", "experiments", "theirs", ".git"):
        (folder / name).mkdir()
    (folder / "environments" / "laptop.yaml").write_text(ENVIRONMENT)
    for number in range(FILES):
        (folder / "experiments" / f"{number:04}.yaml").write_text(_ours(number))
        (folder / "theirs" / f"{number:04}.yaml").write_text(_theirs(number))


def _right(measured: Cost) -> Cost:
    """Ours must have looked at every file, and found nothing."""
    told = json.loads(measured.output)
    assert len(told["files"]) == FILES + 1 and told["inOrder"] and not told["warnings"], told["warnings"][:3]
    return measured
