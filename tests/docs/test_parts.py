"""Parts of files that pages show (a step, a gate's policy, a notifier) are right: each is put where it belongs and
checked as `check` does, or read by what reads such a file. No block of a page is looked at by nobody."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from chaosrunner.cli import chaosrunner
from chaosrunner.files import fields
from chaosrunner.interop.toolkit_file import settings_of_ours
from chaosrunner.model.environment import EnvironmentSpec
from chaosrunner.stages.coverage import modes_of, read_services
from chaosrunner.stages.load import check
from chaosrunner.stages.reporting import read_reports
from chaosrunner.stages.waiving import read_waivers
from tests.docs.pages import DOCS, PAGES, ROOT, Block, all_commands, fenced, name_of, text_of
from tests.files.test_examples import ENVIRONMENT, EXPERIMENT, said

ELSEWHERE = {
    DOCS / "adding.md": "tests/adding does what the page says",
    DOCS / "catalogue.md": "tests/files checks the examples of the plugins, of which the page is made",
}
PARTS = [
    pytest.param(block.text, id=f"{name_of(page)}: {block.text.splitlines()[0].strip()}")
    for page in PAGES
    if page not in ELSEWHERE
    for block in fenced(page)
    if block.language == "yaml" and not block.file
]
STEP = "    - {fault: noop, for: 10s}\n"


def keys(text: str) -> set[str]:
    """What it says at its top; of a list its items."""
    value = yaml.safe_load(text)
    return set(value) if isinstance(value, dict) else {key for item in value for key in item}


def in_experiment(text: str, folder: Path) -> list[str]:
    """Fields of an experiment's `spec`; they stand in place of the scaffold's own."""
    shutil.copytree(ROOT / "hypotheses", folder / "hypotheses")
    head, _, hypotheses = EXPERIMENT.partition("  hypotheses:\n")
    own = "" if "hypotheses" in keys(text) else "  hypotheses:\n" + hypotheses.partition("  method:\n")[0]
    return said(folder, head + own + textwrap.indent(text, "  ") + "  method:\n" + STEP)


def in_environment(text: str, folder: Path) -> list[str]:
    return said(folder, ENVIRONMENT + textwrap.indent(textwrap.dedent(text), "  "))


def in_measure(text: str, folder: Path) -> list[str]:
    """Tolerances, one after the other, each in an experiment of its own."""
    found = []
    for number, one in enumerate(text.replace("\ntolerance:", "\n\0tolerance:").split("\0")):
        measure = "      measures:\n        - name: it\n          http: {url: 'http://127.0.0.1:1/', read: latency}\n"
        if "rate" in one:
            measure = "      measures:\n        - name: it\n          noop: {}\n"
        written = EXPERIMENT.partition("      measures:\n")[0] + measure + textwrap.indent(one, " " * 10)
        (folder / str(number)).mkdir()
        found += said(folder / str(number), written + "  method:\n" + STEP)
    return found


def as_step(text: str, folder: Path) -> list[str]:
    return said(folder, EXPERIMENT + textwrap.indent(text, "    "))


def in_suite(text: str, folder: Path) -> list[str]:
    """`spec` of a suite of this repository's experiments, or a field of it."""
    for each in ("experiments", "hypotheses", "environments"):
        shutil.copytree(ROOT / each, folder / each)
    labelled = folder / "experiments" / "page-when-prices-is-killed.yaml"
    plain = labelled.read_text()
    labelled.write_text(plain.replace("metadata:\n", "metadata:\n  labels: {team: storefront}\n"))
    assert labelled.read_text() != plain
    (folder / "suites").mkdir()
    head = "apiVersion: chaosrunner.dev/v1\nkind: Suite\nmetadata: {name: release}\n"
    if "spec" not in keys(text):
        text = "spec:\n  title: It holds\n  experiments: [checkout-when-payments-is-slow]\n" + textwrap.indent(
            text, "  "
        )
    (folder / "suites" / "release.yaml").write_text(head + text)
    return [str(problem) for problem in check(["suites/release.yaml"], folder).problems]


def as_reports(text: str, folder: Path) -> list[str]:
    return [] if read_reports(text.encode(), "reports.yaml") else ["no report"]


def as_waivers(text: str, folder: Path) -> list[str]:
    return [] if read_waivers(text.encode(), "waivers.yaml") else ["no waiver"]


def as_services(text: str, folder: Path) -> list[str]:
    (folder / "services.yaml").write_text(text)
    return [] if read_services(folder / "services.yaml", modes_of(None, "class")) else ["no service"]


def as_control(text: str, folder: Path) -> list[str]:
    """A control of Chaos Toolkit's: a module with functions that its library calls by these names."""
    (control,) = yaml.safe_load(text)["controls"]
    module = importlib.import_module(control["provider"]["module"])
    return [] if inspect.isfunction(module.after_experiment_control) else ["no control"]


def as_settings(text: str, folder: Path) -> list[str]:
    return [] if settings_of_ours(yaml.safe_load(text)) else ["nothing is said to chaosrunner"]


def as_gitlab_job(text: str, folder: Path) -> list[str]:
    """A job that goes on top of the template's: the template has it, and the variables that are set."""
    template = text_of(DOCS / "ci" / "gitlab.yml")
    (job,) = yaml.safe_load(text).values()
    return [name for name in (f"{job['extends']}:", *job["variables"]) if name not in template]


def for_prometheus(text: str, folder: Path) -> list[str]:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not there")
    (folder / "prometheus.yml").write_text(text)
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", folder / "prometheus.yml"], capture_output=True, text=True
    )
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


Check = Callable[[str, Path], list[str]]
BY_KEY: dict[str, Check] = {
    "nearMiss": as_waivers,
    "scrape_configs": for_prometheus,
    "services": as_services,
    "controls": as_control,
    "extensions": as_settings,
    "tolerance": in_measure,
    "release-gate": as_gitlab_job,
    "gate": in_suite,
    "spec": in_suite,
    "title": as_reports,
    "fault": as_step,
    "hypotheses": in_experiment,
    "remediation": in_experiment,
}


def check_for(text: str) -> Check | None:
    """What a part of a file is checked by; None: nobody knows what it is."""
    said_there = keys(text)
    for key, its in BY_KEY.items():
        if key in said_there:
            return its
    return in_environment if said_there <= set(fields.fields_of(EnvironmentSpec)) else None


@pytest.mark.parametrize("text", PARTS)
def test_a_part_of_a_file_is_right_where_it_belongs(text: str, tmp_path: Path) -> None:
    its = check_for(text)
    assert its is not None, f"no test knows where this belongs:\n{text}"
    assert its(text, tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "tolerance: {fault: {atmost: 1}}\n",
        "gate: {new: P9}\n",
        "- fault: chaostoolkit\n  for: 1m\n",
        "notify: [{slack: {}}]\n",
        "hypotheses: [{use: http-red, with: {jobb: x}}]\n",
    ],
)
def test_a_part_with_a_mistake_is_noticed(text: str, tmp_path: Path) -> None:
    its = check_for(text)
    assert its is not None
    assert its(text, tmp_path)


def test_what_nobody_knows_is_noticed() -> None:
    assert check_for("nonsense: 1\n") is None


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE], ids=name_of)
def test_every_block_is_of_a_kind_that_a_test_looks_at(page: Path) -> None:
    """Commands and YAML: here and beside; Python by its name, where a test runs it; the rest shows what was said."""
    wrong = [
        block
        for block in fenced(page)
        if block.language not in ("", "text", "sh", "yaml") and not (block.language == "python" and block.file)
    ]
    assert wrong == []


TOLD = sorted(
    {
        command.line
        for page in PAGES
        if page not in ELSEWHERE
        for command in all_commands(page)
        if command.words[1:] != [] or not command.spoken_of
        if command.words[:1] and command.words[0] in ("explain", "schema", "catalog")
        if not any(word.isupper() or word.startswith("--write") for word in command.words)
    }
)


@pytest.mark.parametrize("line", TOLD)
def test_what_only_tells_something_tells_it(line: str) -> None:
    words = Block("sh", line).text.split("#")[0].split()[1:]
    done = CliRunner().invoke(chaosrunner, words)
    assert done.exit_code == 0, done.output
    assert done.output.strip()


def test_what_is_installed_beside_it_is_offered() -> None:
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for page in PAGES for name in re.findall(r"chaosrunner\[([a-z]+)\]", text_of(page))}
    assert {"editor", "apprise"} <= named <= set(offered)
