"""The experiment files that the benchmarks run, ours and Chaos Toolkit's, and what their journals say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import OURS, NotMeasured, cost

HEAD = "apiVersion: chaosrunner.dev/v1"
NOTHING = f"""\
{HEAD}
kind: Environment
metadata: {{name: bench}}
spec:
  platform:
    local: {{services: {{nobody: {{pidFile: nobody.pid}}}}}}
"""
"""An environment with one service that is not running."""


def experiment(measures: Sequence[str], lasts: str, *, baseline: str, recovery: str) -> str:
    """A file with the fault `noop` and these measures, in the environment `NOTHING`."""
    listed = "\n".join(f"        - {measure}" for measure in measures)
    return f"""\
{NOTHING}---
{HEAD}
kind: Experiment
metadata: {{name: bench}}
spec:
  title: Nothing happens
  environment: bench
  hypotheses:
    - name: h
      title: All is well
      measures:
{listed}
  baseline: {baseline}
  method:
    - {{fault: noop, for: {lasts}}}
  recovery: {recovery}
"""


def run_ours(text: str, folder: Path, *, within: float = 60.0) -> list[dict[str, Any]]:
    """Run an experiment to its end; its journal."""
    (folder / "bench.yaml").write_text(text)
    cost([OURS, "run", "--plain", "bench.yaml"], folder, within=within)
    return journal(folder)


def journal(folder: Path) -> list[dict[str, Any]]:
    """Of the newest run in this workplace."""
    paths = sorted((folder / "state" / "runs").glob("*/journal.jsonl"))
    if not paths:
        raise NotMeasured("there is no journal")
    return [json.loads(line) for line in paths[-1].read_text().splitlines()]


def run_theirs(chaos: str, found: Mapping[str, Any], folder: Path, *options: str, codes: Sequence[int] = (0,)) -> Any:
    """Run a Chaos Toolkit experiment to its end; (what it cost, its journal)."""
    (folder / "bench.json").write_text(json.dumps(found))
    spent = cost([chaos, "run", *options, "bench.json"], folder, codes=codes)
    return spent, json.loads((folder / "journal.json").read_text())


def theirs(
    probes: Sequence[Mapping[str, Any]], method: Sequence[Mapping[str, Any]] = (), **more: Any
) -> dict[str, Any]:
    """A Chaos Toolkit experiment."""
    hypothesis = {"title": "All is well", "probes": list(probes)}
    whole = {"version": "1.0.0", "title": "bench", "description": "Nothing happens", "method": list(method)}
    return {**whole, "steady-state-hypothesis": hypothesis, "rollbacks": [], **more}


def their_http(name: str, url: str) -> dict[str, Any]:
    """A probe of Chaos Toolkit's own HTTP provider."""
    return {"type": "probe", "name": name, "tolerance": 200, "provider": {"type": "http", "url": url, "timeout": 5}}


def their_noop(kind: str) -> dict[str, Any]:
    """The cheapest activity of Chaos Toolkit: a call of a function that is there anyway."""
    call = {"type": "python", "module": "os.path", "func": "exists", "arguments": {"path": "/"}}
    return {"type": kind, "name": "noop", "provider": call, **({"tolerance": True} if kind == "probe" else {})}
