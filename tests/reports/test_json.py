"""The JSON report keeps its shape."""

from __future__ import annotations

import json

import jsonschema

from chaosrunner.reports.account import gather
from chaosrunner.reports.json import JsonReport, json_report
from tests.reports import journals
from tests.reports.test_html import RECORDED


def test_the_report_is_what_its_schema_says() -> None:
    schema = JsonReport.model_json_schema(by_alias=True, mode="serialization")
    for entries in (journals.payments_are_slow(), [*journals.one_of_each()]):
        report = json_report(gather(entries), journals.verdict(), [RECORDED])
        jsonschema.validate(json.loads(json.dumps(report)), schema)


def test_the_shape_is_stable() -> None:
    report = json_report(gather(journals.payments_are_slow()), journals.verdict(), [RECORDED])
    assert list(report) == [
        "format",
        "word",
        "exitCode",
        "run",
        "experiment",
        "statements",
        "gaps",
        "verdict",
        "guards",
        "phases",
        "faults",
        "series",
        "timeline",
    ]
    assert report["format"] == "chaosrunner.report/1"
    assert (report["word"], report["exitCode"]) == ("BROKEN", 1)
    assert report["run"]["startedAt"] == "2026-11-22T10:51:03.120Z"
    assert report["gaps"][0]["nearMiss"] == {
        "id": "NM-2026-0042",
        "priority": "P2",
        "state": "open",
        "occurrences": 1,
        "remediation": "remediation/NM-2026-0042.md",
        "regressed": False,
    }
    assert [phase["phase"] for phase in report["phases"]] == ["baseline", "fault", "recovery"]
    fault = report["faults"][0]
    assert (fault["injected"], fault["inForce"], fault["undone"], fault["touched"]) == (10.2, 10.9, 30.4, 1204)


def test_series_hold_readings_and_why_some_are_not_there() -> None:
    report = json_report(gather(journals.payments_are_slow()), journals.verdict())
    by_key = {series["key"]: series for series in report["series"]}
    p99 = by_key["checkout-slo/p99"]
    assert (p99["count"], p99["thinned"], len(p99["readings"])) == (35, False, 35)
    assert len(p99["noAnswers"]) == 3
    assert p99["missing"][0][1] == "the probe was cut off by its own time limit"
    assert {value for _, value in by_key["storefront-up/mode"]["readings"]} == {"normal", "fallback"}


def test_a_long_series_is_thinned_and_says_so() -> None:
    script = journals.Script().at(0.0, journals.started(journals.plan()))
    for second in range(1, 5_000):
        script.at(second, journals.reading("checkout-slo/p99", second, 9.0 if second == 3_333 else 0.04))
    series = json_report(gather(script.entries), journals.verdict())["series"][0]
    assert (series["count"], series["thinned"]) == (4_999, True)
    assert [3_333.0, 9.0] in series["readings"]
