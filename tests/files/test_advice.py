"""What is not wrong but will hardly help is a warning: it fails nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.stages.load import check, load_experiment
from tests.files.good import WHOLE, Mistake, changed

ADVICE = [
    Mistake(
        "      for: 60s",
        "      for: ‸1s",
        "1s is less than twice the lag of checkout-slo/p99 (1s): it will be inconclusive",
    ),
    Mistake(
        "    - {fault: noop, for: 10s}",
        "    - {fault: noop, for: ‸3s}",
        "in-place/one is read every 5s, and the fault lasts only 3s",
    ),
    Mistake("      settle: 10s", "      settle: ‸60s", "`settle` lasts as long as the fault (1m): nothing is judged"),
    Mistake(
        "      abortAt: {atMost: 5s, for: 2s}\n", "", "no measure has `abortAt`: nothing would stop this run early"
    ),
    Mistake(
        "{name: one, noop: , tolerance: {atLeast: 1}}",
        "{name: one, noop: }",
        "nothing of in-place is judged while a fault is in force",
    ),
]


def warnings_of(folder: Path, text: str) -> list[str]:
    (folder / "f.yaml").write_text(text)
    checked = check(["f.yaml"], folder)
    assert not checked.problems
    loaded = load_experiment("f.yaml", None, folder)
    assert loaded.warnings == tuple(str(warning) for warning in checked.warnings)
    return list(loaded.warnings)


@pytest.mark.parametrize("change", ADVICE, ids=[change.said for change in ADVICE])
def test_it_is_said_where_it_stands(change: Mistake, tmp_path: Path) -> None:
    text = WHOLE.replace(change.old, change.new.replace("‸", ""))
    said = warnings_of(tmp_path, text)
    assert any(one.endswith(f": {change.said}") for one in said), said
    if "‸" in change.new:
        _, line, column = changed(change)
        assert any(one.startswith(f"f.yaml:{line}:{column}: ") for one in said)


def test_the_lag_that_a_probe_tells_counts_where_none_is_written(tmp_path: Path) -> None:
    query = """prometheus: {ratio: {bad: 'a{code="5"}', total: a, over: 30s}}"""
    text = WHOLE.replace("noop: , tolerance: {atLeast: 1}", f"{query}, tolerance: {{atMost: 1}}")
    assert any("less than twice the lag of in-place/one" in one for one in warnings_of(tmp_path, text))


def test_a_query_that_does_not_fit_the_fault_is_told_with_how_far_it_looks_back(tmp_path: Path) -> None:
    query = "prometheus: {query: 'sum(rate(a[1m]))'}"
    text = WHOLE.replace("noop: , tolerance: {atLeast: 1}", f"{query}, tolerance: {{atMost: 1}}")
    expected = "10s is less than twice the lag of in-place/one (75s, of which its query looks back 1m)"
    assert any(f": {expected}: it will be inconclusive" in one for one in warnings_of(tmp_path, text))
    text = WHOLE.replace("noop: , tolerance: {atLeast: 1}", f"{query}, lag: 4s, tolerance: {{atMost: 1}}")
    assert any(
        one.endswith("`lag` of in-place/one is 4s, and its probe looks back 1m: phases would mix")
        for one in warnings_of(tmp_path, text)
    )


def test_a_rank_test_that_will_have_too_few_readings_is_told_with_how_many_it_takes(tmp_path: Path) -> None:
    text = WHOLE.replace("noop: , tolerance: {atLeast: 1}", "noop: , every: 1s, tolerance: like baseline")
    text = text.replace("    - {fault: noop, for: 10s}", "    - {fault: noop, for: 20s}")
    said = [one for one in warnings_of(tmp_path, text) if "like baseline" in one]
    few = "in-place/one has about 20 readings of this fault to compare with 5 of the baseline; for `like baseline` it"
    assert any(f": {few} takes 69 and 18: only a great difference would show" in one for one in said), said
    often = text.replace("every: 1s, tolerance: like", "every: 100ms, tolerance: like")
    assert [one for one in warnings_of(tmp_path, often) if "like baseline" in one] == []
    overlapping = text.replace("every: 1s, tolerance: like", "every: 500ms, lag: 2s, tolerance: like")
    assert any("as each tells of 2s" in one for one in warnings_of(tmp_path, overlapping))


def test_a_measure_of_the_runs_own_load_needs_one(tmp_path: Path) -> None:
    load = next(line for line in WHOLE.splitlines(keepends=True) if line.startswith("  traffic: "))
    reading = WHOLE.replace("{name: one, noop: , tolerance: {atLeast: 1}}", "{name: one, traffic: {read: throughput}}")
    (tmp_path / "with.yaml").write_text(reading)
    assert check(["with.yaml"], tmp_path).problems == ()
    (tmp_path / "without.yaml").write_text(reading.replace(load, ""))
    said = [str(problem) for problem in check(["without.yaml"], tmp_path).problems]
    assert [one.partition(": ")[2] for one in said] == [
        "in-place/one reads the experiment's own load, and there is none, expected `traffic:`"
    ]
