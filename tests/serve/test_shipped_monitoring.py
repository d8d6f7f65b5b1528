"""The rules and the dashboard of k8s/monitoring: right for Prometheus, about metrics that exist, and they fire."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosrunner.exposition import exposition
from tests.debian import program
from tests.docs.pages import ROOT
from tests.serve.test_metrics import EVERYTHING, exposed

FOLDER = ROOT / "k8s" / "monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ()))
    yield from (one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query")


def metrics(query: str) -> dict[str, set[str]]:
    """The metrics that a query names, with the labels of their selectors."""
    found: dict[str, set[str]] = {}
    for name, _, selector in re.findall(r"(chaosrunner_\w+)(\{([^}]*)\})?", query):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
    return found


def test_every_metric_that_they_name_exists_with_its_labels() -> None:
    there = exposed(exposition(EVERYTHING))
    for kind, labels in list(there.values()):
        assert kind in ("counter", "gauge", "histogram")
        assert labels is not None
    for query in queries():
        for name, labels in metrics(query).items():
            family = re.sub(r"_(bucket|count|sum)$", "", name) if name not in there else name
            assert family in there, f"{query} names {name}, which chaosrunner does not expose"
            known = there[family][1] | ({"le"} if name.endswith("_bucket") else set())
            assert labels <= known, f"{query} selects {labels - known} of {name}"


def test_promtool_takes_the_rules() -> None:
    command = [program("promtool", "prometheus"), "check", "rules", str(FOLDER / "alerts.yaml")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    filled = [re.sub(r"\$__(range|rate_interval)", "1h", query) for query in queries() if "label_values" not in query]
    rules = [{"record": f"a:query:{number}", "expr": query} for number, query in enumerate(filled)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = [program("promtool", "prometheus"), "check", "rules", str(tmp_path / "rules.yml")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


ENV = 'environment="staging"'
RUN = f'experiment="slow", {ENV}'
FIRING: dict[str, tuple[list[str], list[str]]] = {
    "ChaosrunnerUndoFailed": (
        [f"chaosrunner_undo_failures_total{{{RUN}}} 0+0x10 1+0x170"],
        [f"chaosrunner_undo_failures_total{{{RUN}}} 1+0x180"],
    ),
    "ChaosrunnerRunLeft": ([f"chaosrunner_runs_left{{{ENV}}} 1+0x180"], [f"chaosrunner_runs_left{{{ENV}}} 0+0x180"]),
    "ChaosrunnerAbortSlow": (
        [
            f"chaosrunner_abort_seconds_count{{{ENV}}} 1+0x10 2+0x170",
            f'chaosrunner_abort_seconds_bucket{{{ENV}, le="5.0"}} 1+0x180',
        ],
        [
            f"chaosrunner_abort_seconds_count{{{ENV}}} 1+0x10 2+0x170",
            f'chaosrunner_abort_seconds_bucket{{{ENV}, le="5.0"}} 1+0x10 2+0x170',
        ],
    ),
    "ChaosrunnerNearMissOverdue": (
        ['chaosrunner_near_misses_overdue{service="a", environment_class="b", priority="P1"} 1+0x180'],
        ['chaosrunner_near_misses_overdue{service="a", environment_class="b", priority="P3"} 1+0x180'],
    ),
    "ChaosrunnerNearMissUntriaged": (
        ['chaosrunner_near_miss_oldest_seconds{service="a", state="open"} 700000+0x180'],
        ['chaosrunner_near_miss_oldest_seconds{service="a", state="triaged"} 700000+0x180'],
    ),
    "ChaosrunnerUndetected": (
        [f"chaosrunner_undetected_alerts_total{{{RUN}}} 0+0x10 1+0x170"],
        [f"chaosrunner_undetected_alerts_total{{{RUN}}} 4+0x180"],
    ),
    "ChaosrunnerNothingRuns": (
        [f"chaosrunner_last_run_timestamp_seconds{{{RUN}}} -2000000+0x180"],
        [f"chaosrunner_last_run_timestamp_seconds{{{RUN}}} 0+0x180"],
    ),
    "ChaosrunnerRegisterDown": (["chaosrunner_register_up 0+0x180"], ["chaosrunner_register_up 1+0x180"]),
    "ChaosrunnerJournalsUnreadable": (["chaosrunner_runs_unreadable 1+0x180"], ["chaosrunner_runs_unreadable 0+0x180"]),
}
"""Series, a sample a minute, under which each alert fires; and under which it does not."""


def test_every_alert_is_tried() -> None:
    assert set(FIRING) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("fires", [True, False])
def test_each_alert_fires_when_it_should_and_only_then(fires: bool, tmp_path: Path) -> None:
    """Held by promtool, at one moment an hour and a bit after the series begin."""
    tests: list[dict[str, Any]] = []
    for rule in RULES:
        series = FIRING[rule["alert"]][0 if fires else 1]
        split = [re.fullmatch(r"(\S+\{.*\}|\S+) (.*)", one) for one in series]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": one[1], "values": one[2]} for one in split if one is not None],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{rule["alert"]}", alertstate="firing"}}) or vector(0)',
                        "eval_time": "65m",
                        "exp_samples": [{"value": int(fires)}],
                    }
                ],
            }
        )
    document = {"rule_files": [str(FOLDER / "alerts.yaml")], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document))
    command = [program("promtool", "prometheus"), "test", "rules", str(tmp_path / "test.yml")]
    tried = subprocess.run(command, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]} | {"__range", "__rate_interval", "__all"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used <= variables
    for panel in DASHBOARD["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
