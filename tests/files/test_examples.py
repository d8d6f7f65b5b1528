"""Every plugin's example, and every file that is shipped, is right."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from chaosrunner import catalog
from chaosrunner.pages import pages
from chaosrunner.reports import catalogue
from chaosrunner.stages.load import check

ROOT = Path(__file__).parents[2]

EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: example}
spec:
  title: The example of a plugin is right
  hypotheses:
    - name: it-holds
      title: It holds
      measures:
        - {name: one, noop: {}, tolerance: {equals: 1}, abortAt: {atMost: 2}}
  method:
"""
HYPOTHESIS = """\
apiVersion: chaosrunner.dev/v1
kind: Hypothesis
metadata: {name: example}
spec:
  title: The example of a plugin is right
  measures:
    - name: example
"""
ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: example}
spec:
  platform: {local: {services: {shop: {listens: 80}}}}
"""


def said(folder: Path, text: str) -> list[str]:
    (folder / "example.yaml").write_text(text)
    checked = check(["example.yaml"], folder)
    return [str(problem) for problem in checked.problems]


def example(role: str, kind: str) -> str:
    text: str = catalog.find(role, kind).example
    return textwrap.dedent(text).strip() + "\n"


@pytest.mark.parametrize("kind", catalog.kinds("faults"))
def test_a_faults_example_is_a_step_that_check_lets_pass(kind: str, tmp_path: Path) -> None:
    assert said(tmp_path, EXPERIMENT + textwrap.indent(example("faults", kind), "    ")) == []


@pytest.mark.parametrize("kind", catalog.kinds("probes"))
def test_a_probes_example_stands_in_a_measure(kind: str, tmp_path: Path) -> None:
    assert said(tmp_path, HYPOTHESIS + textwrap.indent(example("probes", kind), "      ")) == []


@pytest.mark.parametrize("kind", catalog.kinds("trackers"))
def test_a_trackers_example_stands_in_an_environment(kind: str, tmp_path: Path) -> None:
    assert said(tmp_path, ENVIRONMENT + textwrap.indent(example("trackers", kind), "  ")) == []


def test_everything_that_is_shipped_is_in_order() -> None:
    checked = check(["environments", "experiments", "hypotheses"], ROOT)
    assert len(checked.files) > 5
    assert not checked.problems
    assert not checked.warnings


def test_the_catalogue_page_is_what_the_plugins_say() -> None:
    """If this fails: `make docs`."""
    assert (ROOT / "docs" / "catalogue.md").read_text() == catalogue.markdown(pages(only_own=True))
