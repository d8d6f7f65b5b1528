"""A whole run in which a step reads, a fault takes its parameters from that, and tells a later reading; `real_time`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaosrunner.app.orders import Order
from chaosrunner.app.running import run_experiment
from chaosrunner.model.journal import FaultPrepared, StepReported
from chaosrunner.store.journal import read_journal

FILES = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  platform: {local: {services: {web: {listens: 9}}}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: without-its-cache}
spec:
  title: It does without its cache
  environment: here
  hypotheses:
    - name: ok
      title: It does
      measures: [{name: one, command: {run: [test, -f, state.json]}, tolerance: {equals: 0}, every: 100ms}]
  baseline: 300ms
  method:
    - {id: newest, read: {command: {run: [cat, state.json], read: stdout}}}
    - id: away
      fault: chaostoolkit
      with:
        folder: FOLDER
        module: os
        func: rename
        arguments: {src: "${steps.newest.value.caches.0}", dst: "${steps.newest.value.caches.0}.away"}
        undo:
          module: os
          func: rename
          arguments: {src: "${steps.newest.value.caches.0}.away", dst: "${steps.newest.value.caches.0}"}
        confirm: {module: os.path, func: isdir, arguments: {s: "${steps.newest.value.caches.0}.away"}}
      for: 600ms
    - {id: note, read: {command: {run: [echo, "${steps.away.seen}"], read: stdout}}}
  recovery: {within: 2s, holds: 200ms}
"""


@pytest.mark.real_time
async def test_a_run_goes_by_what_its_own_steps_have_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(tmp_path / "machine"))
    (tmp_path / "state.json").write_text(json.dumps({"caches": ["cache-7"]}))
    (tmp_path / "cache-7").mkdir()
    (tmp_path / "all.yaml").write_text(FILES.replace("FOLDER", str(tmp_path)))
    report = await run_experiment(Order("all.yaml", folder=tmp_path, state=tmp_path / "state"))
    assert report.verdict.exit_code == 0, report.verdict
    (journal,) = (tmp_path / "state" / "runs").glob("*/journal.jsonl")
    events = [entry.event for entry in read_journal(journal)]
    told = {event.step: event.values for event in events if isinstance(event, StepReported)}
    assert told["away"]["output"] is None
    assert told["note"]["value"] == "os.path.isdir returned true"
    (prepared,) = [event for event in events if isinstance(event, FaultPrepared)]
    assert prepared.params["arguments"] == {"src": "cache-7", "dst": "cache-7.away"}
    assert (tmp_path / "cache-7").is_dir()
