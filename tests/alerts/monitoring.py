"""A real Prometheus and a real Alertmanager on loopback, and a small system that they watch.

`front` calls `back` over a link all the time and says how long that took; a fault on the link makes alerts fire.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaosrunner.model.verdict import AlertVerdict
from chaosrunner.stages.judge import judge
from chaosrunner.store.journal import read_journal
from tests.debian import program
from tests.loopback import free_port

FRONT = """
import http.server, sys, threading, time, urllib.request
port, back = int(sys.argv[1]), sys.argv[2]
seen = {"seconds": 0.0, "calls": 0}
def call():
    while True:
        began = time.monotonic()
        try:
            urllib.request.urlopen(back, timeout=2).read()
        except OSError:
            pass
        seen["seconds"] = time.monotonic() - began
        seen["calls"] += 1
        time.sleep(0.03)
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = f"call_seconds {seen['seconds']}\\ncalls_total {seen['calls']}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        pass
if len(sys.argv) > 3 and sys.argv[3] == "calls":
    threading.Thread(target=call, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""

RULES = """
groups:
  - name: shop
    interval: 100ms
    rules:
      - {alert: CallsAreSlow, expr: call_seconds > 0.1, labels: {severity: page, service: front}}
      - {alert: CallsAreVerySlow, expr: call_seconds > 60, labels: {severity: page, service: front}}
      - {alert: Patient, expr: call_seconds > 0.1, for: 1h, labels: {severity: page, service: front}}
      - {alert: Watchdog, expr: vector(1), labels: {severity: none}}
"""

PROMETHEUS = """
global: {{scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]
scrape_configs:
  - {{job_name: shop, static_configs: [{{targets: ["127.0.0.1:{front}"]}}]}}
"""

ALERTMANAGER = """
route: {receiver: nobody, group_wait: 0s}
receivers: [{name: nobody}]
"""

ENVIRONMENT = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: watched}}
spec:
  platform:
    local:
      services:
        front:
          start: [{python}, -S, front.py, "{front}", "http://127.0.0.1:{link}/", calls]
          ready: {{http: "http://127.0.0.1:{front}/"}}
        back: {{start: [{python}, -S, front.py, "{back}", ""], ready: {{http: "http://127.0.0.1:{back}/"}}}}
      links:
        front-to-back: {{from: front, to: back, listen: "127.0.0.1:{link}", connect: "127.0.0.1:{back}"}}
  prometheus: {{url: "{prometheus}", timeout: 1s}}
  alertmanager: {{url: "{alertmanager}"}}
  alerts: {{every: 100ms}}
"""

EXPERIMENT = """
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: {name}}}
spec:
  title: Slow calls are noticed
  service: front
  environment: environment.yaml
  hypotheses:
    - name: answers
      title: It answers
      measures:
        - name: answers
          tcp: {{host: 127.0.0.1, port: {front}}}
          every: 100ms
          timeout: 500ms
          tolerance: {{atMost: 10s}}
  baseline: 300ms
  method:
{method}
  recovery: {{within: 5s, holds: 300ms}}
{more}
"""


class Service:
    """A program that answers over HTTP, and is ended with the test."""

    def __init__(self, folder: Path, words: list[str], url: str) -> None:
        self.folder, self.words, self.url = folder, words, url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait(lambda: answers(self.url + "/-/ready"), 30, "it is not ready")

    def hang(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Monitored:
    """The system, what watches it, and experiments on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.front, self.back, self.link, one, two = (free_port() for _ in range(5))
        self.prometheus = self._prometheus(one, two)
        self.alertmanager = self._alertmanager(two)
        (folder / "front.py").write_text(FRONT)
        (folder / "environment.yaml").write_text(
            ENVIRONMENT.format(
                python=sys.executable,
                front=self.front,
                back=self.back,
                link=self.link,
                prometheus=self.prometheus.url,
                alertmanager=self.alertmanager.url,
            )
        )
        self._known: set[Path] = set()
        self._running: list[subprocess.Popen[bytes]] = []

    def _prometheus(self, port: int, alertmanager: int) -> Service:
        folder = self.folder / "prometheus"
        folder.mkdir()
        (folder / "rules.yml").write_text(RULES)
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(front=self.front, alertmanager=alertmanager))
        words = [
            program("prometheus", "prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--rules.alert.resend-delay=1s",
        ]
        return Service(folder, words, f"http://127.0.0.1:{port}")

    def _alertmanager(self, port: int) -> Service:
        folder = self.folder / "alertmanager"
        folder.mkdir()
        (folder / "alertmanager.yml").write_text(ALERTMANAGER)
        words = [
            program("prometheus-alertmanager", "prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        return Service(folder, words, f"http://127.0.0.1:{port}")

    # -- running

    @property
    def environ(self) -> dict[str, str]:
        own = {"CHAOSRUNNER_MACHINE": str(self.folder / "m"), "CHAOSRUNNER_BEAT_LIMIT": "2.5"}
        return os.environ | own

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that goes on by itself; a run is from now on the newest, also while it has no journal yet."""
        if words[0] == "run":
            self._known = set(self._journals())
        command = [sys.executable, "-m", "chaosrunner", "--state", str(self.folder / "state"), *words]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._running.append(process)
        return process

    def command(self, *words: str) -> tuple[int, str]:
        """Exit code and output."""
        process = self.begin(*words)
        output = process.communicate(timeout=60)[0].decode()
        return process.returncode, output

    def experiment(self, name: str, method: str, more: str = "") -> str:
        """Write one; its file."""
        text = EXPERIMENT.format(name=name, front=self.front, method=method, more=more)
        (self.folder / f"{name}.yaml").write_text(text)
        return f"{name}.yaml"

    def _journals(self) -> list[Path]:
        return sorted((self.folder / "state" / "runs").glob("*/journal.jsonl"))

    def journal(self) -> list[dict[str, Any]]:
        """Of the newest run; what stands in it so far."""
        new = [path for path in self._journals() if path not in self._known]
        lines = new[-1].read_text().splitlines(keepends=True) if new else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Its events of one sort."""
        return [line for line in self.journal() if line["type"] == kind]

    def alerts(self) -> dict[str, AlertVerdict]:
        """What the newest run's journal means for each expected alert."""
        return {one.alert: one for one in judge(read_journal(self._journals()[-1])).alerts}

    # -- what Alertmanager says

    def silences(self) -> list[dict[str, Any]]:
        """Those that have not ended."""
        with urllib.request.urlopen(f"{self.alertmanager.url}/api/v2/silences", timeout=5) as answer:
            return [one for one in json.load(answer) if one["status"]["state"] != "expired"]

    def routed(self, alert: str) -> list[dict[str, Any]]:
        """Its alerts of this name."""
        with urllib.request.urlopen(f"{self.alertmanager.url}/api/v2/alerts", timeout=5) as answer:
            return [one for one in json.load(answer) if one["labels"]["alertname"] == alert]

    def scraped(self) -> bool:
        """Whether Prometheus has seen the system."""
        with urllib.request.urlopen(f"{self.prometheus.url}/api/v1/query?query=call_seconds", timeout=5) as answer:
            return bool(json.load(answer)["data"]["result"])

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()
        self.command("local", "down", "environment.yaml")
        for service in (self.prometheus, self.alertmanager):
            service.stop()


@contextmanager
def monitored(folder: Path) -> Iterator[Monitored]:
    """All of it up, and Prometheus with a first look at the system."""
    system = Monitored(folder)
    try:
        system.alertmanager.start()
        code, output = system.command("local", "up", "environment.yaml")
        assert code == 0, output
        system.prometheus.start()
        # Prometheus takes five seconds to find its targets and its Alertmanager.
        wait(lambda: system.routed("Watchdog") and system.scraped(), 30, "nothing is scraped, or routed")
        yield system
    finally:
        system.end()


def fires(prometheus: Service, alert: str) -> bool:
    """Whether Prometheus says so, seen past chaosrunner."""
    try:
        with urllib.request.urlopen(f"{prometheus.url}/api/v1/alerts", timeout=2) as answer:
            alerts = json.load(answer)["data"]["alerts"]
    except (OSError, urllib.error.URLError):
        return False
    return any(one["labels"]["alertname"] == alert and one["state"] == "firing" for one in alerts)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait(happens: Callable[[], object], within: float, what: str) -> None:
    """Until something is so."""
    until = time.monotonic() + within
    while not happens():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def wait_beside(run: subprocess.Popen[bytes], happens: Callable[[], object], what: str) -> None:
    """Until something is so while a command runs; fails with what it said where it ends before."""
    wait(lambda: happens() or run.poll() is not None, 30, what)
    assert happens(), f"{what}: {run.communicate()[0].decode()}"
