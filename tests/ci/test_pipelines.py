"""The Action, the template of GitLab, the Jenkinsfile and Argo's templates: what they would run is run, by bash."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosrunner.model.words import FindingClass
from chaosrunner.register import open_register
from tests.near_misses.world import SetClock, facts, finding, gap

ROOT = Path(__file__).parents[2]
CI = ROOT / "docs/ci"
Done = subprocess.CompletedProcess[str]

FILES = {
    "environments/staging.yaml": """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: staging}
spec: {platform: {local: {services: {web: {start: [web]}}}}}
""",
    "experiments/web.yaml": """
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: web-stays}
spec:
  title: The web stays
  service: web
  environment: staging
  hypotheses:
    - name: web
      title: It answers
      measures: [{name: up, http: {url: "http://127.0.0.1:1/", read: status}, every: 1s, tolerance: {equals: 200}}]
  baseline: 3s
  method: [{fault: process-pause, target: {service: web}, for: 5s}]
  recovery: {within: 10s}
""",
    "suites/release.yaml": """
apiVersion: chaosrunner.dev/v1
kind: Suite
metadata: {name: release}
spec: {title: Before a release, experiments: [web-stays]}
""",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a suite, whose only experiment held when it was last run."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    register(tmp_path, "held", found=False)
    return tmp_path


def register(repository: Path, answer: str, *, found: bool) -> None:
    world = {"experiment": "web-stays", "service": "web", "environment": "staging", "environment_class": "staging"}
    incident = gap(service="web", environment_class="staging", finding=FindingClass.INCIDENT)
    gaps = [finding(incident)] if found else []
    with open_register(str(repository / "near-misses.jsonl"), SetClock()) as book:
        book.record(facts(f"run-{answer}", answer=answer, **world), gaps)


def environment(**told: str) -> dict[str, str]:
    """As a pipeline has it: a PATH, and what it is told."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **told}


def bash(script: str, folder: Path, told: Mapping[str, str]) -> Done:
    words = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
    return subprocess.run(words, cwd=folder, env=environment(**told), capture_output=True, text=True, timeout=60)


def said(repository: Path) -> str:
    return str(json.loads((repository / "gate.json").read_text())["passed"])


# ------------------------------------------------------------------------------------------------------------ GitHub

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


def filled(text: str, values: Mapping[str, str]) -> str:
    """With GitHub's expressions replaced, each of which must be one that is known."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values[found[1]], text)


def action(repository: Path, **inputs: str) -> tuple[Done, dict[str, str], str]:
    """What the step `gate` of the Action does; its outputs and its page."""
    values: dict[str, str] = {}
    for name, each in ACTION["inputs"].items():
        values[f"inputs.{name}"] = inputs.get(name, filled(each.get("default", ""), values))
    (step,) = (each for each in ACTION["runs"]["steps"] if each.get("id") == "gate")
    told = {name: filled(value, values) for name, value in step["env"].items()}
    outputs, page = repository / "outputs", repository / "page.md"
    outputs.write_text("")
    on_github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page), "GITHUB_OUTPUT": str(outputs)}
    done = bash(step["run"], repository, told | on_github)
    given = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    return done, given, page.read_text() if page.exists() else ""


def test_the_action_lets_a_release_out_and_leaves_its_files(repository: Path) -> None:
    done, outputs, page = action(repository, suite="release", run="false", environment="staging")
    assert (done.returncode, done.stderr) == (0, "")
    assert outputs == {"exit-code": "0", "passed": "yes"}
    assert "May go out: release" in page
    kept = {each.name for each in (repository / "chaosrunner-gate").iterdir()}
    assert kept == {"gate.xml", "gate.sarif", "gate.md", "gate.json", "badge.svg"}


def test_the_action_stops_a_release_and_says_where(repository: Path) -> None:
    register(repository, "broken", found=True)
    done, outputs, page = action(repository, suite="release", run="false")
    assert (done.returncode, outputs) == (1, {"exit-code": "1", "passed": "no"})
    assert "::error file=experiments/web.yaml,line=" in done.stdout and "May not go out" in page


def test_the_action_ends_as_the_command_does_where_there_was_no_answer(repository: Path) -> None:
    done, outputs, _ = action(repository, suite="; touch stolen #", run="false")
    assert (done.returncode, outputs) == (2, {"exit-code": "2", "passed": ""})
    assert not (repository / "stolen").exists()


@pytest.mark.parametrize(("wanted", "installed"), [("", "/the/action"), ("chaosrunner==9", "chaosrunner==9")])
def test_the_action_installs_its_own_version_or_what_it_is_told(tmp_path: Path, wanted: str, installed: str) -> None:
    (step,) = (each for each in ACTION["runs"]["steps"] if each["id"] == "install")
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    told = {"CHAOSRUNNER_INSTALL": wanted, "GITHUB_ACTION_PATH": "/the/action"}
    done = bash(f"export PATH={tmp_path}\n{step['run']}", tmp_path, told)
    assert done.stdout == f"-m pip install --quiet --disable-pip-version-check {installed}\n"
    assert {*step["env"]} == {"CHAOSRUNNER_INSTALL"}


def test_every_input_of_the_action_is_used_and_no_expression_stands_in_a_script() -> None:
    text = (ROOT / "action.yml").read_text()
    for name in ACTION["inputs"]:
        assert f"${{{{ inputs.{name} }}}}" in text or f"inputs.{name} !=" in text
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash" and "${{" not in step["run"], "an input could be read as a command"
    workflow = yaml.safe_load((CI / "github-workflow.yml").read_text())
    (used,) = (each for each in workflow["jobs"]["gate"]["steps"] if each.get("id") == "gate")
    assert {*used["with"]} <= {*ACTION["inputs"]}


def test_the_workflow_commits_the_register(repository: Path) -> None:
    workflow = yaml.safe_load((CI / "github-workflow.yml").read_text())
    (step,) = (each for each in workflow["jobs"]["gate"]["steps"] if each.get("name") == "Keep the register")
    who = {"GIT_CONFIG_GLOBAL": "/dev/null"}
    begun = "git init -q --bare -b main origin && git clone -q origin work 2>/dev/null && cp near-misses.jsonl work"
    first = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && git push -q origin HEAD:main"
    done = bash(f"{begun} && cd work && {first} && {step['run']}", repository, who)
    assert done.returncode == 0, done.stderr
    shown = bash("git --git-dir=origin show main --stat --format=%s", repository, who).stdout
    assert shown.startswith("near misses: what the gate found") and "near-misses.jsonl" in shown
    assert bash(f"cd work && {step['run']}", repository, who).returncode == 0


# ------------------------------------------------------------------------------------------------------------ GitLab


class GitLab:
    """The notes of one merge request."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = [{"id": 1, "body": "nice work"}]
        self.tokens: set[str | None] = set()
        gitlab = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(gitlab.notes)

            def do_POST(self) -> None:
                gitlab.notes.append({"id": len(gitlab.notes) + 1, **self.body()})
                self.answer(gitlab.notes[-1])

            def do_PUT(self) -> None:
                (note,) = (each for each in gitlab.notes if self.path.endswith(f"/notes/{each['id']}"))
                note.update(self.body())
                self.answer(note)

            def body(self) -> dict[str, Any]:
                return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, value: object) -> None:
                assert self.path.startswith("/api/v4/projects/7/merge_requests/3/notes")
                gitlab.tokens.add(self.headers["PRIVATE-TOKEN"])
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    found = GitLab()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


def test_the_template_of_gitlab_keeps_one_note_in_the_merge_request(repository: Path, gitlab: GitLab) -> None:
    job = yaml.safe_load((CI / "gitlab.yml").read_text())[".chaosrunner-gate"]
    told = job["variables"] | {
        "CHAOSRUNNER_INSTALL": "",
        "GATE_OPTIONS": "--no-run",
        "GATE_ENVIRONMENT": "staging",
        "GATE_NOTE_TOKEN": "let-me-in",
        "CI_API_V4_URL": f"http://127.0.0.1:{gitlab.server.server_port}/api/v4",
        "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "3",
        "no_proxy": "127.0.0.1",
    }
    script = "\n".join((*job["before_script"], *job["script"]))
    assert bash(script, repository, told).returncode == 0
    assert (said(repository), len(gitlab.notes)) == ("yes", 2)
    assert "May go out" in gitlab.notes[1]["body"]
    register(repository, "broken", found=True)
    assert bash(script, repository, told).returncode == 1
    assert len(gitlab.notes) == 2 and "May not go out" in gitlab.notes[1]["body"]
    assert gitlab.notes[0]["body"] == "nice work" and gitlab.tokens == {"let-me-in"}
    kept = [name for name in job["artifacts"]["paths"] if "*" not in name]
    assert all((repository / name).is_file() for name in kept)


# ----------------------------------------------------------------------------------------------------------- Jenkins


def test_the_jenkinsfile_asks_the_gate(repository: Path) -> None:
    text = (CI / "Jenkinsfile").read_text()
    assert text.count("{") == text.count("}") and text.count("(") == text.count(")")
    (asks,) = (each for each in re.findall(r"'''(.*?)'''", text, re.DOTALL) if "chaosrunner gate" in each)
    told = dict(re.findall(r"^    (\w+) = '(.*)'$", text, re.MULTILINE))
    without_runs = asks.replace("\\\n", "").replace("chaosrunner gate", "chaosrunner gate --no-run")
    assert bash(without_runs, repository, told).returncode == 0
    assert said(repository) == "yes" and (repository / "gate.xml").is_file()


# -------------------------------------------------------------------------------------------------------------- Argo


def container(name: str) -> dict[str, Any]:
    first = next(yaml.safe_load_all((CI / name).read_text()))
    if first["kind"] == "AnalysisTemplate":
        (metric,) = first["spec"]["metrics"]
        job = metric["provider"]["job"]["spec"]
        assert (metric["failureLimit"], job["backoffLimit"]) == (0, 0), "a no must stop the rollout, and at once"
        (found,) = job["template"]["spec"]["containers"]
        return dict(found)
    return dict(first["spec"]["templates"][0]["container"])


@pytest.mark.parametrize("name", ["argo-rollouts.yaml", "argo-workflows.yaml"])
def test_argos_templates_ask_the_gate(name: str, repository: Path) -> None:
    wanted = container(name)
    given = {"suite": "release", "environment": "staging"}
    args = [re.sub(r"\{\{(?:.*\.)?(\w+)\}\}", lambda found: given[found[1]], each) for each in wanted["args"]]
    args = [each.replace("=/out/", f"={repository}/") for each in args]
    told = {"CHAOSRUNNER_REGISTER": "near-misses.jsonl", "CHAOSRUNNER_STATE": "state"}
    assert {each["name"] for each in wanted["env"]} == {*told, "CHAOSRUNNER_MACHINE"}
    words = [*wanted["command"], args[0], "--no-run", *args[1:]]
    done = subprocess.run(words, cwd=repository, env=environment(**told), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "=/out/" not in str(wanted) or said(repository) == "yes"
