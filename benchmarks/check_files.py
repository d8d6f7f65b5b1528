"""`check` over a thousand experiment files of ten steps each, next to Chaos Toolkit's own load and validate.

Both in one process, over files with the same content, in YAML: a title, one measure with a tolerance, ten steps, each a
fault with the same four values (service, what it uses, delay, jitter) and the time it lasts. Delays differ from file to
file, so that nothing of one helps with the next. Ours is the command as it is, from start to exit, nothing remembered,
and then once more with what it remembers of files that did not change; it also looks for what is weak. Theirs are
`load_experiment` and `ensure_experiment_is_valid` of chaoslib, in a process that has imported it; its actions are of a
small module beside the files, since it imports what a file names.

What our faults undo by themselves has to be written down there: ten rollbacks. The bar is held against files without
them, which are no longer than ours; what it is with them is told beside it.
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
SHORT, WHOLE = "theirs", "theirs-undone"
"""Folders of files for Chaos Toolkit: without and with rollbacks."""
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
THEIR_MODULE = """\
def slow_down(service: str, to: str, delay: str, jitter: str) -> bool:
    return True


def restore(service: str, to: str) -> bool:
    return True
"""
THEIR_PROGRAM = """\
import sys, time
from pathlib import Path
from chaoslib.experiment import ensure_experiment_is_valid
from chaoslib.loader import load_experiment
began = time.process_time()
for path in sorted(Path(sys.argv[1]).iterdir()):
    ensure_experiment_is_valid(load_experiment(str(path)))
print(time.process_time() - began)
"""


def _delay(number: int, step: int) -> str:
    return f"{100 + 10 * step + number}ms"


def _ours(number: int) -> str:
    steps = "".join(
        f"    - id: step-{step}\n      fault: network-latency\n      target: {{service: checkout, to: payments}}\n"
        f"      with: {{delay: {_delay(number, step)}, jitter: 20ms}}\n      for: 30s\n"
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


def _theirs(number: int, *, undone: bool) -> str:
    place = "service: checkout, to: payments"
    steps = "".join(
        f"  - type: action\n    name: step-{step}\n    provider:\n      type: python\n      module: links\n"
        f"      func: slow_down\n      arguments: {{{place}, delay: {_delay(number, step)}, jitter: 20ms}}\n"
        "    pauses: {after: 30}\n"
        for step in range(STEPS)
    )
    back = "".join(
        f"  - type: action\n    name: undo-step-{step}\n    provider:\n      type: python\n      module: links\n"
        f"      func: restore\n      arguments: {{{place}}}\n"
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
{steps}rollbacks:{f"{chr(10)}{back}" if undone else " []"}
"""


def rows(scale: Scale) -> list[Row]:
    """Processor time, which other work on the machine hardly changes."""
    chaos()
    python = str(CHAOS_VENV / "bin" / "python")
    ours: list[Cost] = []
    again: list[Cost] = []
    theirs: dict[str, list[float]] = {SHORT: [], WHOLE: []}
    with workplace() as folder:
        _write(folder)
        check = [OURS, "check", "--json"]
        for number in range(-1, scale.rounds(3)):
            shutil.rmtree(folder / "state", ignore_errors=True)
            turn = [cost(check, folder, within=300.0), cost(check, folder, within=300.0)]
            others = {name: cost([python, "-c", THEIR_PROGRAM, name], folder, within=300.0) for name in theirs}
            if number >= 0:
                ours.append(_right(turn[0]))
                again.append(_right(turn[1]))
                for name, other in others.items():
                    theirs[name].append(float(other.output.split()[-1]))
    used, kept = [each.cpu for each in ours], [each.cpu for each in again]
    ratio, whole = ratios(used, theirs[SHORT]), ratios(used, theirs[WHOLE])
    name = f"check of {FILES:,} files of {STEPS} steps"
    other_text = spread(theirs[SHORT]).text("s")
    return [
        Row(
            name, spread(used).text("s"), other_text, "<= 0.33x", ratio.median <= BAR,
            f"processor time, the whole command; {ratio.text('x', digits=2)} of {chaos_version()}'s load and validate, "
            f"which is counted without its start; {whole.text('x', digits=2)} where its files have ten rollbacks "
            f"({spread(theirs[WHOLE]).text('s')})",
        ),
        Row(
            f"{name}, unchanged", spread(kept).text("s"), other_text, "", None,
            f"the same command once more; {ratios(kept, theirs[SHORT]).text('x', digits=2)}",
        ),
    ]  # fmt: skip


def _write(folder: Path) -> None:
    for name in ("environments", "experiments", SHORT, WHOLE, ".git"):
        (folder / name).mkdir()
    (folder / "links.py").write_text(THEIR_MODULE)
    (folder / "environments" / "laptop.yaml").write_text(ENVIRONMENT)
    for number in range(FILES):
        (folder / "experiments" / f"{number:04}.yaml").write_text(_ours(number))
        for name in (SHORT, WHOLE):
            (folder / name / f"{number:04}.yaml").write_text(_theirs(number, undone=name == WHOLE))


def _right(measured: Cost) -> Cost:
    """Ours must have looked at every file, and found nothing."""
    told = json.loads(measured.output)
    assert len(told["files"]) == FILES + 1 and told["inOrder"] and not told["warnings"], told["warnings"][:3]
    return measured
