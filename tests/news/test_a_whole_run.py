"""A run is over, undone and written down before anybody is told of it; whoever is told changes nothing of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.orders import Order
from chaosrunner.app.running import run_experiment
from chaosrunner.clock import SystemClock
from chaosrunner.store.outbox import Fate, Outbox
from tests import loopback
from tests.loopback import HttpServer, Met, page

FILES = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: told}}
spec:
  platform: {{local: {{services: {{web: {{listens: 9}}}}}}}}
  notify:
    - slack: {{webhook: {{file: slack}}}}
    - webhook: {{url: "{good}", secret: {{file: key}}, events: [found, run-ended]}}
    - webhook: {{url: "{bad}", secret: {{file: key}}, timeout: 200ms}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: nothing}}
spec:
  title: It answers
  environment: told
  service: web
  hypotheses:
    - name: ok
      title: It does
      measures: [{{name: one, http: {{url: "{shop}"}}, tolerance: {{equals: 200}}, every: 50ms, timeout: 1s}}]
  baseline: 200ms
  method: [{{fault: noop, for: 400ms}}]
  recovery: {{within: 1s, holds: 150ms}}
"""


@pytest.mark.real_time
async def test_a_run_is_over_and_undone_before_anybody_is_told(tmp_path: Path, machine: Path) -> None:
    kinds_before: list[list[str]] = []
    bodies: list[dict[str, Any]] = []

    async def hear(met: Met, writer: asyncio.StreamWriter) -> None:
        (journal,) = (tmp_path / "state" / "runs").glob("*/journal.jsonl")
        kinds_before.append([str(json.loads(line)["type"]) for line in journal.read_text().splitlines()])
        bodies.append(json.loads(met.body))
        writer.write(page(b"ok"))

    async def shop(met: Met, writer: asyncio.StreamWriter) -> None:
        broken = any("fault-in-force" in each for each in journal_words())
        writer.write(page(b"", 500 if broken else 200))

    def journal_words() -> list[str]:
        return [file.read_text() for file in (tmp_path / "state" / "runs").glob("*/journal.jsonl")]

    said: list[str] = []
    async with HttpServer() as server:
        places = {
            "good": server.on("/good", hear),
            "bad": server.on("/bad", loopback.hang),
            "shop": server.on("/shop", shop),
        }
        (tmp_path / "slack").write_text(server.on("/slack", loopback.text("no_service", 404)))
        (tmp_path / "key").write_text("a key to sign with\n")
        (tmp_path / "all.yaml").write_text(FILES.format(**places))
        report = await run_experiment(Order("all.yaml", folder=tmp_path, state=tmp_path / "state"), tell=said.append)
    assert report.verdict.exit_code == 1, said
    assert [each["news"] for each in bodies] == ["found", "run-ended"]
    assert bodies[0]["nearMiss"].startswith("NM-")
    assert all("run-ended" in kinds for kinds in kinds_before)
    fates = {each.receiver: each.fate for each in Outbox(tmp_path / "state", SystemClock()).posted()}
    assert fates == {"told/slack": Fate.WAITING, "told/webhook": Fate.TOLD, "told/webhook#2": Fate.WAITING}
    assert sum("is told later" in words for words in said) == 2
