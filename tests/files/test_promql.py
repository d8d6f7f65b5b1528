"""PromQL in files is read offline, and a mistake is told at its place in the file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chaosrunner.files.promql import mistakes, place_in, query_problems
from chaosrunner.files.reader import read
from chaosrunner.stages.load import check

HEAD = "apiVersion: chaosrunner.dev/v1\nkind: Hypothesis\nmetadata: {name: h}\nspec:\n  title: It holds\n  measures:\n"


@pytest.fixture(params=["promtool", "parser alone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "parser alone":
        monkeypatch.setenv("PATH", "")
    elif shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    return str(request.param)


def told(folder: Path, *measures: str) -> list[str]:
    """The problems of a hypothesis with these measures, each written under `prometheus:`."""
    text = HEAD
    for number, measure in enumerate(measures):
        text += f"    - name: m{number}\n      tolerance: {{atMost: 1}}\n      prometheus: {measure}\n"
    (folder / "h.yaml").write_text(text, encoding="utf-8")
    return [str(problem) for problem in check(["h.yaml"], folder).problems]


STYLES = {
    "plain": "query: sum(up) ‸foo bar",
    "plain over lines": "query: sum(up)\n    ‸foo bar",
    "single quotes": "query: 'sum(up{a=\"it''s\"}) ‸foo'",
    "double quotes": 'query: "sum(up{a=\\"\\u00e9\\"}) ‸foo"',
    "double quotes over lines": 'query: "sum(up) +\n\n    sum(up) ‸foo"',
    "as it stands": "query: |\n  sum(up) +\n    sum(up) ‸foo\n",
    "folded": "query: >-\n  sum(up) +\n  sum(up) ‸foo",
}


@pytest.mark.parametrize("style", STYLES)
def test_a_place_in_a_text_is_found_whatever_way_it_is_written(style: str) -> None:
    marked = STYLES[style]
    before = marked[: marked.index("‸")]
    (document,) = read(marked.replace("‸", "").encode(), "f").documents
    query = document.nearest("query")
    found = place_in(query.node, str(query.value).index("foo"))
    assert found == (before.count("\n") + 1, len(before) - before.rfind("\n"))


@pytest.mark.parametrize("style", STYLES)
def test_promtool_says_where_it_is(style: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    marked = STYLES[style]
    before = marked[: marked.index("‸")]
    (document,) = read(marked.replace("‸", "").encode(), "f").documents
    (problem,) = query_problems([document.nearest("query")])
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert str(problem) == f'f:{line}:{column}: `query` is no PromQL: unexpected identifier "foo"'


def test_a_query_that_is_right_is_not_spoken_of(tmp_path: Path, way: str) -> None:
    assert told(tmp_path, "{query: 'sum(rate(r[1m])) / sum(rate(t[1m]))'}", "{query: 'max_over_time(x[1h:1m])'}") == []


def test_every_mistake_of_a_file_is_told(tmp_path: Path, way: str) -> None:
    found = told(
        tmp_path,
        "{query: 'sum(rate(r[1m])'}",
        "{query: 'sum(up)'}",
        "{query: 'rate(r)'}",
        "{ratio: {bad: 'r{code=~\"5(\"}', total: r, over: 30s}}",
    )
    assert [one.split(":")[1] for one in found] == ["9", "15", "18"]
    assert "`query` is no PromQL: unclosed left parenthesis" in found[0]
    assert "in call to function" in found[1]
    assert "`bad` is no PromQL" in found[2]


def test_the_parser_alone_points_at_the_bracket_or_at_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    places = {
        "sum(rate(r[1m])": 3,
        'sum(r{a="("}) + rate(r[1m]))': 27,
        "sum(up) + rate(r)": 10,
        "sum(rate(r[5x]))": 11,
        "1 + nofunction(up)": 4,
    }
    assert {query: one.at for query, one in mistakes(list(places)).items()} == places


def test_promtools_word_counts_where_both_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promtool that takes what the parser refuses: a Prometheus of another version knows more."""
    tool = tmp_path / "bin" / "promtool"
    tool.parent.mkdir()
    tool.write_text(f"#!{sys.executable}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    assert mistakes(["rate(x[1m] smoothed)"]) == {}


def test_promtool_reads_where_there_is_no_parser(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    (tmp_path / "promql_parser.py").write_text("raise ImportError\n")
    code = "from chaosrunner.files.promql import mistakes\nprint(mistakes(['sum(up)', 'sum(up) foo']))"
    said = {}
    for path in (os.environ["PATH"], ""):
        variables = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        said[bool(path)] = done.stdout.strip()
    assert said[True] == "{'sum(up) foo': Mistake(at=8, words='unexpected identifier \"foo\"')}"
    assert said[False] == "{}"


def test_another_dialect_is_left_alone(tmp_path: Path, way: str) -> None:
    assert told(tmp_path, "{query: 'rate(x) keep_metric_names', dialect: other}") == []
    selectors = "objective: 99%, bad: 'x{a=~\"5(\"}', total: x, long: 1h"
    text = f"{HEAD}    - name: m\n      prometheus-slo: {{{selectors}, dialect: other}}\n"
    (tmp_path / "h.yaml").write_text(text)
    assert check(["h.yaml"], tmp_path).problems == ()
    (tmp_path / "h.yaml").write_text(text.replace(", dialect: other", ""))
    assert len(check(["h.yaml"], tmp_path).problems) == 1
