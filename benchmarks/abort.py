"""From the reading that completes `abortAt` to every fault undone, while a fault of 60 s is running.

Ours is real: a server, a link of the local platform, `network-latency` for 60 s on it, and a measure through the link
whose abort limit the fault exceeds; the time is from the reading's end to the last undo, as the journal has it.

Chaos Toolkit's is its continuous hypothesis with --fail-fast (every 0.1 s) during an action of 12 s; the time is from
the moment the hypothesis cannot hold any more to the end of the process, since it stops nothing before. Whether it
played the experiment's rollback is read from its journal.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.bench_proxy import free_port
from benchmarks.experiments import HEAD, journal, run_theirs, their_noop, theirs
from benchmarks.measuring import OURS, NotMeasured, Scale, cost, workplace
from benchmarks.table import Row, spread
from benchmarks.tools import chaos, chaos_version

BAR = 1.0
ACTION = 12

FILE = """\
{head}
kind: Environment
metadata: {{name: abort}}
spec:
  platform:
    local:
      services:
        caller: {{pidFile: nobody.pid}}
        server:
          start: [{python}, -m, http.server, "{port}", --bind, 127.0.0.1]
          cwd: empty
          ready: {{tcp: "127.0.0.1:{port}"}}
      links:
        between: {{from: caller, to: server, listen: "127.0.0.1:{link}", connect: "127.0.0.1:{port}"}}
---
{head}
kind: Experiment
metadata: {{name: abort}}
spec:
  title: The server stays quick
  environment: abort
  hypotheses:
    - name: quick
      title: Answers come at once
      measures:
        - name: latency
          http: {{url: "http://127.0.0.1:{link}/", read: latency}}
          every: 100ms
          tolerance: {{atMost: 500ms}}
          abortAt: {{atMost: 150ms, for: 300ms}}
  baseline: 500ms
  method:
    - {{fault: network-latency, target: {{link: between}}, with: {{delay: 100ms}}, for: 60s}}
  recovery: {{within: 10s, holds: 200ms}}
"""


def rows(scale: Scale) -> list[Row]:
    """One figure."""
    with workplace() as folder:
        ours = _ours(folder, scale.rounds(7))
    with workplace() as folder:
        took, rollbacks = _theirs(folder)
    played = "played" if rollbacks else "not played"
    return [
        Row(
            "abort: last reading to everything undone",
            spread(ours).text("s"),
            f"{took:.3g} s, rollbacks {played}",
            f"<= {BAR:g} s",
            max(ours) <= BAR,
            f"the slowest run counts; a 60 s fault is running; {chaos_version()} waits for its action of {ACTION} s",
        )
    ]


def _ours(folder: Path, runs: int) -> list[float]:
    (folder / "empty").mkdir()
    text = FILE.format(head=HEAD, python=sys.executable, port=free_port(), link=free_port())
    (folder / "abort.yaml").write_text(text)
    took = []
    try:
        cost([OURS, "local", "up", "abort.yaml"], folder)
        for _ in range(runs):
            cost([OURS, "run", "--plain", "abort.yaml"], folder, codes=(0, 1))
            took.append(undone_after(journal(folder)))
    finally:
        cost([OURS, "local", "down", "abort.yaml"], folder)
    return took


def undone_after(lines: list[dict[str, Any]]) -> float:
    """Seconds from the end of the reading that completed the limit to the last undo."""
    reached = [line["readingEnded"] for line in lines if line["type"] == "limit-reached"]
    undone = [line["t"] for line in lines if line["type"] == "fault-undone"]
    if not reached or not undone:
        raise NotMeasured("the abort limit was not reached")
    return float(max(undone) - reached[0])


def _theirs(folder: Path) -> tuple[float, int]:
    """(seconds from the deviation to the end, rollbacks played)"""
    healthy = folder / "healthy"
    healthy.touch()
    probe = their_noop("probe")
    probe["provider"] = {**probe["provider"], "arguments": {"path": str(healthy)}}
    sleep = {"type": "process", "path": sys.executable, "arguments": ["-c", f"import time; time.sleep({ACTION})"]}
    action = {"type": "action", "name": "long", "provider": sleep}
    whole = theirs([probe], [action], rollbacks=[{**their_noop("action"), "name": "undo"}])
    deviated: list[float] = []

    def deviate() -> None:
        with suppress(FileNotFoundError):
            healthy.unlink()
        deviated.append(time.monotonic())

    timer = threading.Timer(2.5, deviate)  # the method has begun by then
    timer.start()
    options = ("--hypothesis-strategy", "continuously", "--hypothesis-frequency", "0.1", "--fail-fast")
    try:
        _, found = run_theirs(chaos(), whole, folder, *options, codes=(0, 1))
        ended = time.monotonic()
    finally:
        timer.cancel()
    if not deviated or not found["deviated"]:
        raise NotMeasured("Chaos Toolkit did not see the deviation")
    return ended - deviated[0], len(found.get("rollbacks", []))
