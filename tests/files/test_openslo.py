"""OpenSLO objectives become measures, or it is said where and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosrunner.errors import FileProblems
from chaosrunner.model.hypothesis import Hypothesis, Measure
from chaosrunner.stages.load import check, load_experiment
from tests.files.test_schema import refused

EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  platform: {local: {services: {shop: {pidFile: shop.pid}}}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: e}
spec:
  title: The objective is kept
  environment: here
  hypotheses:
    - openslo: slo/checkout.yaml
  method:
    - {fault: noop, for: 10m}
"""
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout, displayName: Shoppers can check out}
spec:
  service: checkout
  indicator:
    metadata: {name: orders}
    spec:
      ratioMetric:
        counter: true
        good:
          metricSource:
            type: Prometheus
            spec: {query: 'sum(r{code!~"5.."})'}
        total:
          metricSource:
            type: Prometheus
            spec: {query: 'r{app="shop"}'}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {target: 0.999}
"""
THRESHOLD = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: speed}
spec:
  service: checkout
  indicator:
    metadata: {name: p99}
    spec:
      thresholdMetric:
        metricSource: {type: Prometheus, spec: {query: 'latency{quantile="0.99"}'}}
  timeWindow: [{duration: 28d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {op: lte, value: 0.3, target: 0.95}
"""


def write(folder: Path, slo: str, experiment: str = EXPERIMENT) -> None:
    (folder / "slo").mkdir(exist_ok=True)
    (folder / "slo" / "checkout.yaml").write_text(slo)
    (folder / "e.yaml").write_text(experiment)


def loaded(folder: Path, slo: str, experiment: str = EXPERIMENT) -> Hypothesis:
    write(folder, slo, experiment)
    return load_experiment("e.yaml", None, folder).hypotheses[0]


def only(folder: Path, slo: str, experiment: str = EXPERIMENT) -> Measure:
    (one,) = loaded(folder, slo, experiment).measures
    return one


def rules(measure: Measure) -> list[str]:
    assert measure.tolerance is not None
    return [str(getattr(measure.tolerance, phase)) for phase in ("baseline", "fault", "recovery")]


def test_good_events_of_all_become_a_ratio_held_against_the_target(tmp_path: Path) -> None:
    found = loaded(tmp_path, SLO)
    assert (found.name, found.title) == ("checkout", "Shoppers can check out")
    (measure,) = found.measures
    assert (measure.name, measure.probe, measure.unit, measure.every) == ("objective", "prometheus", "ratio", 5.0)
    ratio = {"good": 'r{code!~"5.."}', "total": 'r{app="shop"}', "over": "30s", "minimum": 1.0}
    assert measure.params == {"ratio": ratio, "maxAge": "15s"}
    assert rules(measure) == ["at most 0.001"] * 3


def test_each_objective_is_a_measure_under_its_name(tmp_path: Path) -> None:
    two = SLO.replace(
        "    - {target: 0.999}", "    - {displayName: The SLA, target: 0.99}\n    - {targetPercent: 99.9}"
    )
    found = loaded(tmp_path, two).measures
    assert [(one.name, rules(one)[1]) for one in found] == [
        ("the-sla", "at most 0.01"),
        ("objective-2", "at most 0.001"),
    ]


def test_the_file_that_the_objective_stands_in_belongs_to_the_run(tmp_path: Path) -> None:
    write(tmp_path, SLO)
    assert [one.path for one in load_experiment("e.yaml", None, tmp_path).sources] == ["e.yaml", "slo/checkout.yaml"]


def test_what_the_experiment_says_of_the_objective_counts(tmp_path: Path) -> None:
    settings = "{slo: slo/checkout.yaml, over: 1m, every: 2s, minimum: 50, maxAge: 4s, abortAt: {atMost: 20%, for: 6s}}"
    measure = only(tmp_path, SLO, EXPERIMENT.replace("slo/checkout.yaml", settings))
    assert measure.params["maxAge"] == "4s" and measure.every == 2.0
    assert measure.params["ratio"] == {
        "good": 'r{code!~"5.."}',
        "total": 'r{app="shop"}',
        "over": "1m",
        "minimum": 50.0,
    }
    assert str(measure.abort_at) == "at most 20% for 6 s"


def query(folder: Path, old: str, new: str) -> Any:
    return only(folder, SLO.replace(old, new)).params["query"]


def test_queries_that_are_numbers_already_are_divided_as_they_are(tmp_path: Path) -> None:
    ranges = SLO.replace("sum(r{code!~", "sum(rate(r{code!~").replace("\"})'", "\"}[1m]))'")
    ranges = ranges.replace("'r{app=\"shop\"}'", "'sum(rate(r[1m]))'")
    assert only(tmp_path, ranges).params["query"] == '1 - (sum(rate(r{code!~"5.."}[1m]))) / (sum(rate(r[1m])))'
    sloth = ranges.replace("[1m]", "[{{.window}}]").replace("good:", "bad:")
    assert only(tmp_path, sloth).params["query"] == '(sum(rate(r{code!~"5.."}[30s]))) / (sum(rate(r[30s])))'
    gauges = query(tmp_path, "counter: true", "counter: false")
    assert gauges == '1 - (sum(r{code!~"5.."})) / (r{app="shop"})'


def test_a_ratio_that_is_stored_is_read_as_it_is(tmp_path: Path) -> None:
    raw = THRESHOLD.replace("thresholdMetric:", "ratioMetric:\n        rawType: success\n        raw:")
    raw = raw.replace("        metricSource:", "          metricSource:").replace("op: lte, value: 0.3, ", "")
    assert only(tmp_path, raw).params["query"] == '1 - (latency{quantile="0.99"})'
    assert rules(only(tmp_path, raw))[1] == "at most 0.05"
    assert only(tmp_path, raw.replace("success", "failure")).params["query"] == 'latency{quantile="0.99"}'


@pytest.mark.parametrize(
    ("operator", "fault", "single"),
    [
        ("lte", "at most 0.3 (p95 of the phase)", "at most 0.3"),
        ("lt", "at most 0.3 (p95 of the phase)", "at most 0.3"),
        ("gte", "at least 0.3 (p5 of the phase)", "at least 0.3"),
        ("gt", "at least 0.3 (p5 of the phase)", "at least 0.3"),
    ],
)
def test_a_threshold_must_be_kept_in_the_targets_share_of_readings(
    tmp_path: Path, operator: str, fault: str, single: str
) -> None:
    measure = only(tmp_path, THRESHOLD.replace("lte", operator))
    assert rules(measure) == [single, fault, single]
    tolerance = measure.tolerance
    assert tolerance is not None and tolerance.fault is not None
    low, high = tolerance.fault.bounds(None, None)
    inside = (low is None or low <= 0.3) and (high is None or high >= 0.3)
    assert inside is operator.endswith("e")


def test_slices_of_time_must_be_good_in_the_targets_share_of_readings(tmp_path: Path) -> None:
    slices = SLO.replace("Occurrences", "Timeslices").replace(
        "{target: 0.999}", "{target: 0.95, timeSliceTarget: 0.99, timeSliceWindow: 2m}"
    )
    measure = only(tmp_path, slices)
    assert rules(measure) == ["at most 0.01", "at most 0.01 (p95 of the phase)", "at most 0.01"]
    assert measure.params["ratio"]["over"] == "2m"  # type: ignore[index,call-overload]
    assert only(tmp_path, slices.replace("2m}", "3}")).params["ratio"]["over"] == "3m"  # type: ignore[index,call-overload]


def test_indicators_and_sources_may_stand_elsewhere(tmp_path: Path) -> None:
    start, rest = SLO.split("  indicator:\n")
    inside, end = rest.split("  timeWindow")
    spec = inside.split("    spec:\n")[1]
    indicator = f"apiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: orders}}\nspec:\n{spec}"
    indicator = indicator.replace("            type: Prometheus\n", "            metricSourceRef: metrics\n")
    source = "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: metrics}\nspec: {type: prometheus}\n"
    slo = f"{start}  indicatorRef: orders\n  timeWindow{end}"
    assert rules(only(tmp_path, f"{slo}---\n{indicator}---\n{source}"))[1] == "at most 0.001"
    (tmp_path / "slo" / "indicators.yaml").write_text(f"{indicator}")
    (tmp_path / "slo" / "sources.yaml").write_text(source)
    assert rules(only(tmp_path, slo))[1] == "at most 0.001"


def test_one_of_several_is_named(tmp_path: Path) -> None:
    both = f"{SLO}---\n{THRESHOLD}"
    with pytest.raises(FileProblems, match="holds more than one SLO: checkout, speed, expected"):
        loaded(tmp_path, both)
    chosen = EXPERIMENT.replace("slo/checkout.yaml", "{slo: slo/checkout.yaml, name: speed}")
    assert loaded(tmp_path, both, chosen).name == "speed"
    wrong = EXPERIMENT.replace("slo/checkout.yaml", "{slo: slo/checkout.yaml, name: sped}")
    with pytest.raises(FileProblems, match="has no SLO 'sped', expected one of checkout, speed"):
        loaded(tmp_path, both, wrong)


MISTAKES = [
    ("openslo/v1", "‸openslo/v2alpha", "`apiVersion` is 'openslo/v2alpha', expected openslo/v1"),
    ("  budgetingMethod: Occurrences", "  budgetingMethod: ‸RatioTimeslices", "`budgetingMethod` is 'RatioTimeslices'"),
    ("    - {target: 0.999}", "    - ‸{displayName: x}", "item 1 of `objectives` needs a target, expected one of"),
    ("{target: 0.999}", "{target: ‸99.9}", "`target` is 99.9, expected a number between 0 and 1"),
    ("{target: 0.999}", "{targetPercent: ‸100}", "`targetPercent` is 100, expected a number between 0 and 100"),
    ("{target: 0.999}", "{target: 0.9, ‸indicatorRef: x}", "objectives with indicators of their own are not supported"),
    ("        good:\n          metricSource:\n            type: Prometheus",
     "        good:\n          metricSource:\n            type: ‸Datadog",
     "the metric source is 'Datadog', expected Prometheus, the only one that is read"),
    ("        good:\n          metricSource:\n            type: Prometheus",
     "        good:\n          metricSource:\n            metricSourceRef: ‸dd",
     "nobody says what 'dd' is: there is no such DataSource in this file or beside it"),
    ("        counter: true\n        good:", "        ‸good:", "nobody says whether these are counters"),
    ("{query: 'sum(r{code", "{query: ‸'max(r{code", "how many events this counts cannot be told, expected a selector"),
    ("{query: 'sum(r{code!~", "{query: 'sum(r{code!~~‸", "`query` is no PromQL"),
    ("spec: {query: 'r{app=", "spec: ‸{promql: 'r{app=", "the metric source has no `query`, found promql"),
    ("        total:", "        ‸totl:", "`ratioMetric` has no `total`"),
    ("  indicator:", "  ‸indicatr:", "`spec` has no indicator, expected `indicator` or `indicatorRef`"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[new.replace("‸", "") for _, new, _ in MISTAKES])
def test_what_is_not_understood_is_said_at_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    changed = SLO.replace(old, new, 1)
    assert "‸" in changed
    write(tmp_path, changed.replace("‸", ""))
    problems = [str(problem) for problem in check(["e.yaml"], tmp_path).problems]
    assert len(problems) == 1 and said in problems[0], problems
    line = changed[: changed.index("‸")].count("\n") + 1
    in_the_line = problems[0].startswith(f"slo/checkout.yaml:{line}:")
    assert in_the_line or "has no `total`" in said or "no indicator" in said or "whether these" in said


def test_thresholds_need_an_operator_and_a_value(tmp_path: Path) -> None:
    for change, said in (
        ("op: eq, value: 0.3", "`op` is 'eq', expected one of lte, gte, lt, gt"),
        ("value: 0.3", "item 1 of `objectives` has no `op`"),
        ("op: lte, value: high", "`value` is 'high', expected a number"),
    ):
        with pytest.raises(FileProblems, match=said):
            loaded(tmp_path, THRESHOLD.replace("op: lte, value: 0.3", change))


def test_a_file_that_is_no_slo_is_said_where_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, SLO.replace("kind: SLO", "kind: Service"))
    assert [str(one) for one in check(["e.yaml"], tmp_path).problems] == [
        "e.yaml:14:16: slo/checkout.yaml holds no SLO of OpenSLO"
    ]


def test_the_schema_for_editors_knows_objectives(tmp_path: Path) -> None:
    settings = "{slo: slo/checkout.yaml, over: 1m, every: 2s, minimum: 50, maxAge: 4s, abortAt: {atMost: 20%, for: 6s}}"
    for written, right in (("slo/checkout.yaml", True), (settings, True), ("{slo: x, ovr: 1m}", False), ("3", False)):
        text = EXPERIMENT.replace("slo/checkout.yaml", written)
        assert (not refused(text)) is right, written


def test_an_objective_has_its_warnings_too(tmp_path: Path) -> None:
    write(tmp_path, SLO, EXPERIMENT.replace("10m", "1m"))
    said = [str(one) for one in check(["e.yaml"], tmp_path).warnings]
    assert any(
        "1m is less than twice the lag of checkout/objective (45s, of which its query looks back 30s)" in one
        for one in said
    )
