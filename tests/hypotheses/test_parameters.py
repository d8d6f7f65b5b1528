"""Hypotheses with parameters: filled in where they stand, and every mistake said where it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.stages.load import check, load_experiment

HYPOTHESIS = """\
apiVersion: chaosrunner.dev/v1
kind: Hypothesis
metadata: {name: quick}
spec:
  title: ${what} is quick
  parameters:
    what: {meaning: what is asked, example: It}
    url: {meaning: where, type: label, default: "http://127.0.0.1:9/"}
    slowest: {meaning: how long it may take, type: duration, default: 200ms}
    times: {meaning: how often slower, type: number, default: 4}
  measures:
    - name: latency
      http: {url: "${url}healthz", read: latency}
      tolerance: {baseline: {atMost: "${slowest}"}, fault: {atMost: "${times}x baseline"}}
      abortAt: {atMost: 10s}
    - name: literal
      http: {url: "${url}", read: body}
      tolerance: {matches: "$${what}"}
    - name: whole
      noop: {value: "${times}"}
      tolerance: {equals: 4}
"""
EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: asks}}
spec:
  title: It asks
  environment: here
  hypotheses:
{uses}
  method: [{{fault: noop, for: 1s}}]
---
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: here}}
spec: {{platform: {{local: {{services: {{web: {{listens: 9}}}}}}}}}}
"""


def write(folder: Path, *uses: str, hypothesis: str = HYPOTHESIS) -> None:
    (folder / "quick.yaml").write_text(hypothesis)
    (folder / "asks.yaml").write_text(EXPERIMENT.format(uses="\n".join(f"    - {use}" for use in uses)))


def problems(folder: Path, name: str = "asks.yaml") -> list[str]:
    return [str(problem) for problem in check([name], folder).problems]


def test_values_stand_where_the_parameters_stood(tmp_path: Path) -> None:
    write(tmp_path, "{use: quick, with: {what: Checkout, url: 'http://127.0.0.1:1/', slowest: 1s, times: 2.5}}")
    (loaded,) = load_experiment("asks.yaml", None, tmp_path).hypotheses
    assert (loaded.name, loaded.title) == ("quick", "Checkout is quick")
    latency, literal, whole = loaded.measures
    assert latency.params["url"] == "http://127.0.0.1:1/healthz"
    assert latency.tolerance is not None and latency.tolerance.fault is not None
    assert str(latency.tolerance.fault.at_most) == "2.5x baseline"
    assert literal.tolerance is not None and literal.tolerance.fault is not None
    assert literal.tolerance.fault.matches == "${what}"
    assert whole.params["value"] == 2.5


def test_defaults_are_taken_and_one_hypothesis_is_used_twice(tmp_path: Path) -> None:
    write(tmp_path, "{use: quick, with: {what: A}}", "{use: quick.yaml, with: {what: B}, as: quick-b}")
    first, second = load_experiment("asks.yaml", None, tmp_path).hypotheses
    assert (first.title, second.name, second.title) == ("A is quick", "quick-b", "B is quick")
    assert first.measures[2].params["value"] == 4


def test_a_hypothesis_by_itself_is_checked_with_its_examples(tmp_path: Path) -> None:
    write(tmp_path, "{use: quick, with: {what: A}}")
    assert problems(tmp_path, "quick.yaml") == problems(tmp_path) == []


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("{use: quick}", "asks.yaml:8:7: the parameter `what` has no value, expected `with: {what: …}`"),
        ("{use: quick, with: {what: A, slowet: 1s}}", "asks.yaml:8:36: the hypothesis has no parameter `slowet`, did"),
        ("{use: quick, with: {what: A, slowest: soon}}", "`slowest` is 'soon', expected a duration such as"),
        ("{use: quick, with: {what: A, times: '4'}}", "`times` is '4', expected a number"),
        ("{use: quick, with: {what: 3}}", "`what` is 3, expected text"),
        ("{use: quick, with: {what: A, url: 'a\"b'}}", "expected text without quotes, backslashes and line ends"),
        ("{use: quik, with: {what: A}}", "there is no Hypothesis 'quik', did you mean 'quick'?"),
        ("{use: quick, wiht: {what: A}}", "unknown field `wiht`, did you mean 'with'?"),
        ("{with: {what: A}}", "is a mapping, expected a name, a path, {use: NAME, with: {…}}"),
        ("{use: 3}", "`use` is 3, expected text"),
    ],
)
def test_a_wrong_use_is_said_where_it_stands(use: str, said: str, tmp_path: Path) -> None:
    write(tmp_path, use)
    found = problems(tmp_path)
    assert any(said in one for one in found), found


def test_two_uses_need_two_names(tmp_path: Path) -> None:
    write(tmp_path, "{use: quick, with: {what: A}}", "{use: quick, with: {what: B}}")
    assert any("the hypothesis 'quick' is named twice" in one for one in problems(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("${url}healthz", "${urk}healthz", "quick.yaml:13:19: `${urk}` names no parameter, did you mean 'url'?"),
        ("default: 200ms", "default: soon", "quick.yaml:9:14: `slowest` is 'soon', expected a duration such as"),
        ("{meaning: what is asked, example: It}", "{meaning: what is asked}", "expected a default, or an example"),
        ("type: number", "type: numbr", "`type` is 'numbr', did you mean 'number'?"),
        ("{meaning: where, ", "{", "has no `meaning`"),
        ("abortAt: {atMost: 10s}", 'abortAt: {atMost: "${what}"}', "quick.yaml:15:25"),
    ],
)
def test_a_wrong_parameter_is_said_in_its_own_file(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in HYPOTHESIS
    write(tmp_path, "{use: quick, with: {what: A}}", hypothesis=HYPOTHESIS.replace(old, new))
    found = problems(tmp_path, "quick.yaml")
    assert any(said in one for one in found), found


def test_a_hypothesis_without_parameters_takes_none(tmp_path: Path) -> None:
    plain = HYPOTHESIS.partition("  parameters:")[0].replace("${what}", "It")
    measures = "  measures: [{name: one, noop: {}, tolerance: {equals: 1}}]\n"
    write(tmp_path, "{use: quick, with: {what: A}}", hypothesis=plain + measures)
    assert any("this hypothesis has no parameters, expected no `with`" in one for one in problems(tmp_path))
    write(tmp_path, "{use: quick, as: other}", hypothesis=plain + measures)
    assert load_experiment("asks.yaml", None, tmp_path).hypotheses[0].name == "other"


def test_what_is_only_said_on_use_must_be_said(tmp_path: Path) -> None:
    write(tmp_path, "quick")
    assert problems(tmp_path) == [
        "asks.yaml:8:7: the parameter `what` has no value, expected `use: quick` and `with: {what: …}`"
    ]
