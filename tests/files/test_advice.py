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
