"""Tolerances that look at all readings of a phase, as files write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.model.tolerance import Tolerance
from chaosrunner.stages.load import check
from tests.files.test_schema import refused

HEAD = "apiVersion: chaosrunner.dev/v1\nkind: Hypothesis\nmetadata: {name: h}\nspec:\n  title: It holds\n  measures:\n"
ALIKE = "expected a rule such as {atMost: 1%}, or `like baseline`"
WHOLE = "expected a rule such as {atMost: 1%}, `like baseline`, or a rule for each of baseline, fault, recovery"
MISTAKES = {
    "tolerance: ‸like basline": f"`tolerance` is 'like basline', {WHOLE}",
    "tolerance: {fault: ‸like basline}": f"`fault` is 'like basline', {ALIKE}",
    "tolerance: ‸{baseline: like baseline}": "`tolerance`: the baseline cannot be held against itself",
    "tolerance: {fault: ‸{like: baseline, for: 3s}}": "`fault`: `for` counts single readings; `like` and `take`",
    "tolerance: {fault: {like: ‸base}}": "`like` is 'base', expected 'baseline'",
    "tolerance: {fault: {like: baseline, effect: ‸huge}}": "`effect` is 'huge', expected small, medium, large",
    "tolerance: {fault: {like: baseline, effect: ‸40%}}": "`effect` is '40%', expected small, medium, large",
    "tolerance: {fault: ‸{like: baseline, effect: 80%, detect: 70%}}": "`fault` is not right, expected a `detect`",
    "tolerance: {fault: ‸{like: baseline, power: 20%}}": "`fault` is not right, expected a power from 50% to 99.99%",
    "tolerance: {fault: ‸{like: baseline, atMost: 3}}": "`fault` is not right, expected exactly one of atMost, atLeast",
    "tolerance: {fault: ‸{atMost: 3, effect: large}}": "`fault`: side, effect, detect, power and falseAlarms go with",
    "tolerance: {fault: {atMost: 3, take: ‸p100}}": "`take` is 'p100', expected mean, min, max, rate, or a quantile",
    "tolerance: {fault: {atMost: ‸3kB, take: rate}}, unit: kB": "a limit in kB does not fit a measure in kB/s",
    "during: fault, tolerance: ‸like baseline": "the tolerance compares with the baseline, and `during: fault` reads",
    "abortAt: ‸like baseline": "`abortAt`: an abort limit is held against each reading as it comes",
}


@pytest.mark.parametrize("written", MISTAKES, ids=[one.replace("‸", "") for one in MISTAKES])
def test_a_mistake_is_said_at_its_place(written: str, tmp_path: Path) -> None:
    line = f"    - {{name: one, noop: , {written}}}"
    (tmp_path / "h.yaml").write_text(HEAD + line.replace("‸", "") + "\n", encoding="utf-8")
    (problem,) = map(str, check(["h.yaml"], tmp_path).problems)
    assert problem.startswith(f"h.yaml:7:{line.index('‸') + 1}: {MISTAKES[written]}")


RIGHT: list[Any] = [
    "like baseline",
    {"fault": "like baseline"},
    {"like": "baseline", "side": "higher", "effect": "small", "detect": "90%", "power": "95%", "falseAlarms": "5%"},
    {"fault": {"like": "baseline", "effect": "66.5%"}},
    {"atMost": "300ms", "take": "p99.9"},
    {"fault": {"between": "baseline ± 10%", "take": "mean"}},
]


@pytest.mark.parametrize("written", RIGHT, ids=map(str, RIGHT))
def test_what_is_right_comes_back_from_a_journal_as_it_was(written: Any) -> None:
    tolerance = Tolerance.model_validate(written)
    assert Tolerance.model_validate(tolerance.as_json()) == tolerance


@pytest.mark.parametrize("written", RIGHT, ids=map(str, RIGHT))
def test_what_is_right_is_valid_for_editors(written: Any) -> None:
    spec = {"title": "t", "measures": [{"name": "m", "noop": None, "tolerance": written}]}
    document = {"apiVersion": "chaosrunner.dev/v1", "kind": "Hypothesis", "metadata": {"name": "h"}, "spec": spec}
    assert refused(json.dumps(document)) == []


def test_like_baseline_without_phases_holds_in_those_after_it() -> None:
    found = Tolerance.model_validate("like baseline")
    assert (found.baseline, str(found.fault), str(found.recovery)) == (None, "like the baseline", "like the baseline")
