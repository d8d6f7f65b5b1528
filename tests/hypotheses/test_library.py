"""The library of hypotheses: every file is right, its PromQL is PromQL, and it reads numbers from a real Prometheus."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.http import Http
from chaosrunner.model.hypothesis import Hypothesis
from chaosrunner.ports import ProbeContext
from chaosrunner.stages.load import check, load_experiment
from tests.debian import program
from tests.docs.pages import ROOT, table
from tests.metrics.prometheus_server import PrometheusServer, every

FILES = sorted(path for path in (ROOT / "hypotheses").glob("*.yaml") if "parameters:" in path.read_text())
NAMES = [path.stem for path in FILES]
EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: uses-the-library}
spec:
  title: The library can be used
  environment: here
  hypotheses:
%s
  method: [{fault: noop, for: 5m}]
---
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  platform: {local: {services: {web: {listens: 9}}}}
  prometheus: {url: "http://127.0.0.1:9"}
"""


def parameters(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())["spec"]["parameters"]
    return found


def must_be_said(path: Path) -> dict[str, Any]:
    """With their examples."""
    return {name: one["example"] for name, one in parameters(path).items() if "default" not in one}


def used(folder: Path) -> tuple[Hypothesis, ...]:
    """All of the library in one experiment, with what must be said and nothing else."""
    values = {path: yaml.safe_dump(must_be_said(path), default_flow_style=True).strip() for path in FILES}
    uses = [f"    - {{use: {path}, with: {given}}}" for path, given in values.items()]
    (folder / "all.yaml").write_text(EXPERIMENT % "\n".join(uses))
    loaded = load_experiment("all.yaml", None, folder)
    assert not loaded.warnings
    return loaded.hypotheses


def test_red_and_use_are_there_for_each() -> None:
    kinds = ("http", "grpc", "queue", "database", "kubernetes-workload")
    assert set(NAMES) == {f"{kind}-{way}" for kind in kinds for way in ("red", "use")}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_is_right_and_its_name_is_its_own(path: Path) -> None:
    checked = check([str(path)], ROOT)
    assert not checked.problems and not checked.warnings
    assert yaml.safe_load(path.read_text())["metadata"]["name"] == path.stem


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_parameter_is_used_and_every_measure_is_judged(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"\$\{([\w-]+)\}", text)) == set(parameters(path))
    (found,) = [one for one in used(tmp_path) if one.name == path.stem]
    assert [one.name for one in found.measures if one.tolerance is None] == []
    three = {"rate", "errors", "duration"} if path.stem.endswith("red") else {"utilisation", "saturation", "errors"}
    assert {one.name for one in found.measures} >= three


def queries(hypotheses: tuple[Hypothesis, ...]) -> Iterator[str]:
    for measure in (measure for one in hypotheses for measure in one.measures):
        ratio = measure.params.get("ratio")
        if isinstance(ratio, dict):
            yield from (f"sum(increase({ratio[side]}[{ratio['over']}]))" for side in ("bad", "total"))
        else:
            yield str(measure.params["query"])


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"a:query:{number}", "expr": query} for number, query in enumerate(queries(used(tmp_path)))]
    assert len(rules) > 30
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "library", "rules": rules}]}))
    command = [program("promtool", "prometheus"), "check", "rules", str(tmp_path / "rules.yml")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


# -- numbers of a real Prometheus

POD = 'namespace="shop",pod="checkout-7f-x"'
GROWS: dict[str, float] = {
    'http_requests_total{job="checkout",code="200"}': 99.0,
    'http_requests_total{job="checkout",code="503"}': 1.0,
    'http_request_duration_seconds_bucket{job="checkout",le="0.1"}': 90.0,
    'http_request_duration_seconds_bucket{job="checkout",le="0.2"}': 100.0,
    'http_request_duration_seconds_bucket{job="checkout",le="+Inf"}': 100.0,
    'process_cpu_seconds_total{job="checkout"}': 0.25,
    'process_cpu_seconds_total{job="payments"}': 0.5,
    'grpc_server_started_total{job="payments",grpc_service="pay"}': 10.0,
    'grpc_server_handled_total{job="payments",grpc_service="pay",grpc_code="OK"}': 9.0,
    'grpc_server_handled_total{job="payments",grpc_service="pay",grpc_code="Internal"}': 1.0,
    'grpc_server_handling_seconds_bucket{job="payments",grpc_service="pay",le="0.1"}': 10.0,
    'grpc_server_handling_seconds_bucket{job="payments",grpc_service="pay",le="+Inf"}': 10.0,
    'rabbitmq_detailed_channel_messages_acked_total{job="rabbitmq",queue="orders"}': 5.0,
    'rabbitmq_detailed_channel_messages_delivered_ack_total{job="rabbitmq",queue="orders"}': 5.0,
    'rabbitmq_detailed_channel_messages_redelivered_total{job="rabbitmq",queue="orders"}': 1.0,
    'pg_stat_database_xact_commit{job="postgres",datname="shop"}': 3.0,
    'pg_stat_database_xact_rollback{job="postgres",datname="shop"}': 1.0,
    'istio_requests_total{reporter="source",destination_workload="checkout",'
    'destination_workload_namespace="shop",response_code="200"}': 8.0,
    'istio_requests_total{reporter="source",destination_workload="checkout",'
    'destination_workload_namespace="shop",response_code="0"}': 2.0,
    'istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="checkout",'
    'destination_workload_namespace="shop",le="100"}': 10.0,
    'istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="checkout",'
    'destination_workload_namespace="shop",le="+Inf"}': 10.0,
    f"container_cpu_cfs_throttled_periods_total{{{POD}}}": 1.0,
    f"container_cpu_cfs_periods_total{{{POD}}}": 10.0,
}
"""A second."""
STAYS: dict[str, float] = {
    'http_requests_in_flight{job="checkout"}': 7.0,
    'process_start_time_seconds{job="checkout"}': 1e9,
    'process_start_time_seconds{job="payments"}': 1e9,
    'rabbitmq_detailed_queue_messages_ready{job="rabbitmq",queue="orders"}': 50.0,
    'rabbitmq_detailed_queue_consumers{job="rabbitmq",queue="orders"}': 2.0,
    'rabbitmq_detailed_queue_consumer_utilisation{job="rabbitmq",queue="orders"}': 0.75,
    'pg_stat_activity_max_tx_duration{job="postgres",datname="shop"}': 0.5,
    'pg_stat_activity_count{job="postgres",datname="shop",state="active"}': 30.0,
    'pg_settings_max_connections{job="postgres"}': 100.0,
    'pg_locks_count{job="postgres",mode="exclusivelock"}': 1.0,
    'pg_stat_database_deadlocks{job="postgres",datname="shop"}': 4.0,
    f'container_memory_working_set_bytes{{{POD},container="app"}}': 50e6,
    f'kube_pod_container_resource_limits{{{POD},container="app",resource="memory"}}': 100e6,
    'kube_deployment_status_replicas_available{namespace="shop",deployment="checkout"}': 2.0,
    'kube_deployment_spec_replicas{namespace="shop",deployment="checkout"}': 3.0,
    f'kube_pod_container_status_restarts_total{{{POD},container="app"}}': 6.0,
}
READS = {
    "http-red": {"rate": 100.0, "errors": 0.01, "duration": 0.15},
    "http-use": {"utilisation": 0.25, "saturation": 7.0, "errors": 0.0},
    "grpc-red": {"rate": 10.0, "errors": 0.1, "duration": 0.095},
    "grpc-use": {"utilisation": 0.5, "saturation": 0.0, "errors": 0.0},
    "queue-red": {"rate": 5.0, "errors": 0.2, "duration": 10.0},
    "queue-use": {"utilisation": 0.75, "saturation": 50.0, "errors": 2.0},
    "database-red": {"rate": 3.0, "errors": 0.25, "duration": 0.5},
    "database-use": {"utilisation": 0.3, "saturation": 1.0, "errors": 0.0},
    "kubernetes-workload-red": {"rate": 10.0, "errors": 0.2, "duration": 95.0},
    "kubernetes-workload-use": {"utilisation": 0.5, "saturation": 0.1, "ready": 2 / 3, "errors": 0.0},
}


@pytest.mark.real_time
async def test_every_measure_reads_its_number_from_a_real_prometheus(tmp_path: Path) -> None:
    now = time.time()
    times = every(5, 300, 0, now)
    history = {name: [(at, (at - now + 300) * rate) for at in times] for name, rate in GROWS.items()}
    history |= {name: [(at, value) for at in times] for name, value in STAYS.items()}
    (tmp_path / "prometheus").mkdir()
    async with PrometheusServer(tmp_path / "prometheus", history=history) as prometheus, Http(SystemClock()) as http:
        context = ProbeContext(SystemClock(), http, tmp_path)
        for hypothesis in used(tmp_path):
            found = {}
            for measure in hypothesis.measures:
                plugin = catalog.find("probes", measure.probe)
                params = measure.params | {"url": prometheus.url, "maxAge": "60s"}
                found[measure.name] = await plugin(plugin.Params.model_validate(params), context).read()
            assert found == pytest.approx(READS[hypothesis.name], rel=0.02), hypothesis.name


def test_the_page_lists_the_library() -> None:
    listed = {row[0].strip("`"): row[1] for row in table(ROOT / "docs" / "hypotheses.md", "hypothesis")}
    assert set(listed) == set(NAMES)
    for path in FILES:
        said = set(re.findall(r"`([\w-]+)`", listed[path.stem]))
        assert said == set(must_be_said(path)), f"{path.stem}: what must be said"
