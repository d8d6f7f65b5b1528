"""`chaosrunner init`: what is there becomes files that pass check and plan; nothing is touched or written over."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaosrunner.app import Order, examine, plan_experiment
from chaosrunner.beginning.compose import compose
from chaosrunner.beginning.credentials import Credentials, access, from_there
from chaosrunner.beginning.first_files import proposal
from chaosrunner.beginning.look import Wanted, chosen_context, contexts, look
from chaosrunner.beginning.writing import Written, write
from chaosrunner.cli import chaosrunner
from chaosrunner.cli.init import asked
from chaosrunner.clock import SystemClock
from chaosrunner.errors import FileProblems, NotPossibleNow, UsageError
from chaosrunner.model.environment import PrometheusSource
from chaosrunner.stages.load import check, load_environment
from tests import loopback
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.metrics.prometheus_server import PrometheusServer

COMPOSE = """\
services:
  web:
    ports: ["8080:80"]
    depends_on: [api, worker]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost/healthz?deep=1"]}
  api:
    ports: ["127.0.0.1:${API:-7002}:7002/tcp", "9/udp"]
    depends_on: {db: {condition: service_started}}
    healthcheck: {test: curl http://localhost:9999/}
  db:
    ports: [{target: 5432, published: "15432"}]
  worker: {image: z}
"""
OPENSLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: web-availability}
spec:
  service: web
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.99}]
  indicator:
    metadata: {name: good}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'requests_total{app="web", ok="1"}'}}}
        total: {metricSource: {type: Prometheus, spec: {query: 'requests_total{app="web"}'}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def init(*arguments: str, catch: bool = True) -> Result:
    return CliRunner().invoke(chaosrunner, ["init", *arguments], catch_exceptions=catch)


def texts(written: Written) -> dict[str, str]:
    return {file.path: file.text for file in written.new}


# ----------------------------------------------------------------------------------------------------------- a folder


def test_a_compose_file_and_objectives_of_the_folder_become_files_that_are_in_order(here: Path) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    (here / "slo").mkdir()
    (here / "slo" / "web.yaml").write_text(OPENSLO)
    result = init()
    assert result.exit_code == 0, result.output
    assert sorted(path.stem for path in (here / "experiments").iterdir()) == [
        "api-when-db-is-gone",
        "api-when-db-is-slow",
        "web-when-api-is-gone",
        "web-when-api-is-slow",
    ]
    slow = (here / "experiments" / "web-when-api-is-slow.yaml").read_text()
    assert slow.startswith("# Why: web is set up to call api.")
    assert "openslo: {slo: slo/web.yaml, name: web-availability" in slow
    assert "8080/healthz" in (here / "hypotheses" / "web-answers.yaml").read_text()
    assert "tcp: {host: 127.0.0.1, port: 7002" in (here / "hypotheses" / "api-answers.yaml").read_text()
    checked = check((), here)
    assert (checked.problems, checked.warnings) == ((), ())
    assert "worker publishes no port on this machine" in result.output


def test_what_is_there_is_left_alone_and_said(here: Path) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    (here / "environments").mkdir()
    (here / "environments" / "laptop.yaml").write_text("mine")
    result = init()
    assert (here / "environments" / "laptop.yaml").read_text() == "mine"
    assert "left alone environments/laptop.yaml: it is there already" in result.output
    assert "wrote hypotheses/web-answers.yaml" in result.output
    again = init("--json")
    assert json.loads(again.stdout)["files"] == []
    assert len(json.loads(again.stdout)["existing"]) == 8


def test_a_dry_run_shows_all_and_writes_nothing(here: Path) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    result = init("--dry-run")
    assert "would write environments/laptop.yaml" in result.output
    assert "    kind: Environment" in result.output
    assert [path.name for path in here.iterdir()] == ["compose.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "there is nothing to look at: name a cluster (--namespace)"),
        (("--compose", "none.yaml"), "none.yaml cannot be read: No such file or directory"),
        (("--namespace", "shop", "--compose", "c.yaml"), "expected --namespace or --compose, not both"),
        (("--context", "other"), "expected --namespace NAME"),
        (("--prometheus", "nowhere"), "--prometheus: "),
        (("--opt-in", "yes"), "--opt-in yes: expected LABEL=VALUE"),
        (("--kubeconfig", "none"), "there is no file none"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], said: str, here: Path) -> None:
    result = init(*arguments)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert list(here.iterdir()) == []


def test_a_compose_file_that_is_none_is_told_with_its_place(here: Path) -> None:
    with pytest.raises(FileProblems, match=r"c\.yaml:1:1: this is no Compose file, expected a mapping `services`"):
        compose(b"a: 1", "c.yaml")
    assert compose(COMPOSE.encode(), "c.yaml").services[0].calls == ("api", "worker")


def test_an_objective_that_cannot_be_taken_over_is_left_out_with_its_reason(here: Path) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    (here / "slo.yaml").write_text(OPENSLO.replace("type: Prometheus", "type: Datadog"))
    result = init()
    assert "the objective web-availability: slo.yaml:14:37: the metric source is 'Datadog'" in result.output
    assert "wrote experiments/web-when-api-is-slow.yaml" in result.output
    assert not [one for one in check((), here).problems if one.file != "slo.yaml"]


def test_objectives_alone_are_told_with_how_to_name_them(here: Path) -> None:
    (here / "slo.yaml").write_text(OPENSLO)
    result = init()
    assert result.exit_code == 0
    assert (
        "its service web was not found; an experiment has it with `openslo: {slo: slo.yaml, name: web" in result.output
    )
    assert (
        "an environment and experiments: no services were found that something could be done to; name" in result.output
    )
    assert [path.name for path in here.iterdir()] == ["slo.yaml"]


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ("['${OUT}:80']", 8088),
        ("['$OUT:80']", 8088),
        ("['${OTHER:-81}:80']", 81),
        ("['${EMPTY:-82}:80', '${EMPTY-83}:80']", 82),
        ("['3000-3002:3000-3002']", 3000),
        ("['53:53/udp', '[::]:84:80']", 84),
        ("[{target: 80, published: '${OUT}', host_ip: 127.0.0.1}]", 8088),
        ("['80']", "publishes 80 under a port that changes: give it one, such as `80:80`"),
        ("[{target: 80}]", "publishes 80 under a port that changes: give it one, such as `80:80`"),
        ("['10.0.0.1:85:80']", "publishes its port on 10.0.0.1 only"),
        ("['${NONE}:80']", "publishes a port that depends on a variable without a value: ${NONE}:80"),
        ("['9:9/udp']", "publishes no port on this machine"),
    ],
)
def test_the_port_of_a_service_is_read_as_compose_reads_it(ports: str, found: int | str) -> None:
    read = compose(f"services: {{a: {{ports: {ports}}}}}".encode(), "c.yaml", {"OUT": "8088", "EMPTY": ""})
    assert [one.port for one in read.services] == ([found] if isinstance(found, int) else [])
    assert list(read.passed_over) == ([] if isinstance(found, int) else [f"a {found}"])


def test_services_have_names_that_yaml_reads_as_text(here: Path) -> None:
    (here / "compose.yaml").write_text(
        "services: {'123': {ports: ['81:80'], depends_on: ['null']}, 'null': {ports: ['82:80']}}"
    )
    assert init().exit_code == 0
    checked = check((), here)
    assert (checked.problems, checked.warnings) == ((), ())
    assert (here / "experiments" / "service-123-when-service-null-is-slow.yaml").exists()


def test_whom_a_service_is_set_up_to_call_stands_in_its_settings_too(here: Path) -> None:
    settings = "{A: 'http://api:80/x', B: 'pg://u:p@${DB}/y', C: words of web and cache, D: 'kafka:9092', E: web}"
    others = "".join(
        f"  {name}: {{ports: ['{port}:80']}}\n" for port, name in enumerate(("api", "db", "cache", "kafka"), 81)
    )
    (here / "compose.yaml").write_text(f"services:\n  web: {{ports: ['80:80'], environment: {settings}}}\n{others}")
    (here / ".env").write_text("# of this machine\nDB=db\n")
    links = [line.split(":")[0].strip() for line in init("--dry-run").output.splitlines() if "connect:" in line]
    assert links == ["web-to-api", "web-to-db", "web-to-kafka"]


def test_what_is_called_production_is_taken_for_it(here: Path) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    assert "production: true " in init("--dry-run", "--name", "eu-prod-1").output
    for name in ("non-prod", "preprod", "products", "laptop"):
        assert "production: false " in init("--dry-run", "--name", name).output


# ---------------------------------------------------------------------------------------------------------- a cluster


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        server.add(shapes.namespace("shop"))
        for name, replicas, calls in (("cart", 3, "payments"), ("payments", 1, "db"), ("old", 0, "")):
            made = shapes.workload("Deployment", name, replicas=replicas)
            value = f"http://{calls}.shop.svc:8080/" if calls else ""
            probe = {"httpGet": {"path": "/healthz"}} if name == "cart" else {}
            container = {"name": "main", "env": [{"name": "URL", "value": value}], "readinessProbe": probe}
            made["spec"]["template"] = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
            kept = server.add(made)
            server.add(shapes.service(name, port=8080))
            for number in range(replicas):
                server.add(shapes.pod(f"{name}-{number}", labels={"app": name}, owner=kept))
        yield server


async def looked(folder: Path, wanted: Wanted, name: str = "staging", opt_in: str = "") -> Written:
    found = await look(wanted, folder, SystemClock())
    return write(proposal(found, name, opt_in), folder)


async def test_workloads_of_a_namespace_become_an_environment_and_experiments_that_can_be_planned(
    api: FakeApi, here: Path
) -> None:
    written = await looked(here, Wanted(True, str(api.kubeconfig(here)), "fake", ("shop",)))
    made = texts(written)
    assert sorted(path for path in made if path.startswith("experiments/")) == [
        "experiments/cart-when-a-pod-is-killed.yaml",
        "experiments/cart-when-it-is-deployed.yaml",
        "experiments/cart-when-payments-is-gone.yaml",
        "experiments/cart-when-payments-is-slow.yaml",
    ]
    environment = made["environments/staging.yaml"]
    assert "kubeconfig: ../kubeconfig" in environment
    assert "namespaces: [shop]" in environment
    assert "clusterUid: " in environment
    assert "cart: {workload: deployment/cart, service: cart}" in environment
    assert "service: cart, url: /healthz" in made["hypotheses/cart-answers.yaml"]
    assert "fault: {atLeast: 1}, recovery: {atLeast: 3}" in made["hypotheses/cart-has-pods.yaml"]
    assert "payments: has one replica, so any loss of it is an outage: give it a second one first" in written.left_out
    assert "shop: deployment/old has no replicas" in written.left_out
    checked = check((), here)
    assert (checked.problems, checked.warnings) == ((), ())
    assert {asked.method for asked in api.requests()} == {"GET"}
    plan, _ = await plan_experiment(Order("experiments/cart-when-a-pod-is-killed.yaml", folder=here), read=False)
    assert [target.kind for target in plan.faults[0].targets] == ["pod"]
    assert [answer for answer in plan.guards if not answer.go] == []


async def test_a_label_that_pods_must_carry_is_kept(api: FakeApi, here: Path) -> None:
    written = await looked(here, Wanted(True, str(api.kubeconfig(here)), "fake", ("shop",)), opt_in="chaos=true")
    assert 'optIn: {chaos: "true"}' in texts(written)["environments/staging.yaml"]
    assert not check((), here).problems


async def test_a_workload_that_keeps_chaos_out_gets_no_experiments(api: FakeApi, here: Path) -> None:
    api.add(shapes.workload("StatefulSet", "ledger", labels={"chaosrunner.dev/allow": "false"}))
    written = await looked(here, Wanted(True, str(api.kubeconfig(here)), "fake", ("shop",)))
    assert 'ledger: says chaosrunner.dev/allow: "false"' in written.left_out
    assert not [path for path in texts(written) if path.startswith("experiments/ledger")]


async def test_a_cluster_that_does_not_let_us_look_is_said_and_nothing_is_written(api: FakeApi, here: Path) -> None:
    api.deny("list deployments.apps")
    environments = here / "environments"
    with pytest.raises(NotPossibleNow, match="deployments"):
        await looked(here, Wanted(True, str(api.kubeconfig(here)), "fake", ("shop",)))
    assert not environments.exists()


def test_contexts_of_a_kubeconfig_are_read_without_asking_anybody(here: Path) -> None:
    body = {"contexts": [{"name": "a", "context": {"cluster": "c", "namespace": "n"}}], "current-context": "a"}
    (here / "config").write_text(json.dumps({**body, "clusters": [{"name": "c", "cluster": {"server": "https://x"}}]}))
    current, known = contexts("config")
    assert (current, [tuple(one) for one in known]) == ("a", [("a", "n", "https://x")])
    assert contexts("") == ("", ())


def test_several_kubeconfigs_are_put_together_and_the_context_is_written_down(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, names in (("one", ("a", "b")), ("two", ("b", "c"))):
        listed = [{"name": name, "context": {"cluster": file, "namespace": f"{file}-{name}"}} for name in names]
        servers = [{"name": file, "cluster": {"server": f"https://{file}"}}]
        (here / file).write_text(json.dumps({"current-context": names[1], "contexts": listed, "clusters": servers}))
    monkeypatch.setenv("KUBECONFIG", f"{here / 'one'}:{here / 'none'}:{here / 'two'}")
    current, known = contexts("")
    assert [tuple(one) for one in known] == [
        ("a", "one-a", "https://one"),
        ("b", "one-b", "https://one"),
        ("c", "two-c", "https://two"),
    ]
    assert chosen_context(Wanted(cluster=True)) == current == "b"
    assert chosen_context(Wanted(cluster=True, context="c")) == "c"
    with pytest.raises(UsageError, match="--context bb: the kubeconfig has no such context; did you mean b"):
        chosen_context(Wanted(cluster=True, context="bb"))
    with pytest.raises(UsageError, match=r"there is nothing to look at: .*; contexts of the kubeconfig: a, b, c"):
        init(catch=False)
    with CliRunner().isolation(input="x\nc\nshop\n\n"):
        wanted = asked(Wanted())
    assert (wanted.context, wanted.namespaces) == ("c", ("shop",))


@pytest.mark.parametrize(
    "text", ["{a: [", "contexts: []", "contexts: [{name: a, context: {cluster: c}}]\ncurrent-context: a"]
)
async def test_a_kubeconfig_that_is_none_is_a_mistake_and_no_defect(text: str, here: Path) -> None:
    (here / "config").write_text(text)
    with pytest.raises(UsageError, match=r"kubeconfig .*config"):
        await looked(here, Wanted(True, "config", "", ("shop",)))


@pytest.mark.parametrize(("answers", "yes"), [("n\n\n", False), ("y\nshop cart\n\n", True)])
def test_on_a_terminal_a_cluster_is_looked_at_only_after_a_yes(answers: str, yes: bool, here: Path) -> None:
    body = {"contexts": [{"name": "a", "context": {"cluster": "c"}}], "current-context": "a"}
    (here / ".kube").mkdir()
    (here / ".kube" / "config").write_text(json.dumps(body))
    with CliRunner().isolation(input=answers) as (out, *_):
        wanted = asked(Wanted())
        said = out.getvalue().decode()
    assert "Look at the cluster of the context a" in said
    assert wanted.cluster is yes
    assert wanted.namespaces == (("shop", "cart") if yes else ())


# ------------------------------------------------------------------------------------------------------ a Prometheus

RULES = """\
groups:
  - name: slo
    rules:
      - {record: "slo:sli_error:ratio_rate5m", expr: vector(0), labels: {sloth_service: web, sloth_slo: availability}}
      - {record: "slo:sli_error:ratio_rate1h", expr: vector(0), labels: {sloth_service: web, sloth_slo: availability}}
      - {record: "slo:objective:ratio", expr: vector(0.999), labels: {sloth_service: web, sloth_slo: availability}}
      - {record: "http_requests:burnrate5m", expr: vector(0), labels: {slo: api-errors, job: api}}
      - {alert: WebBurns, expr: vector(0) > 1, labels: {severity: critical}}
"""


@pytest.fixture
def with_rules(tmp_path: Path) -> Callable[[], PrometheusServer]:
    def made() -> PrometheusServer:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        (folder / "rules.yml").write_text(RULES)
        config = "global: {scrape_interval: 100ms, evaluation_interval: 100ms}\nrule_files: [rules.yml]\n"
        now = SystemClock().now()
        times = [(now - 5 + second, float(second)) for second in range(5)]
        series = {
            'http_requests_total{job="web",code="200"}': times,
            'http_request_duration_seconds_bucket{job="web",le="+Inf"}': times,
            'http_requests_total{job="web",code="500"}': times,
            'other_requests_total{job="api"}': times,
        }
        return PrometheusServer(folder, config, series)

    return made


@pytest.mark.real_time
async def test_metrics_and_rules_of_a_prometheus_become_hypotheses(
    with_rules: Callable[[], PrometheusServer], here: Path
) -> None:
    (here / "compose.yaml").write_text(COMPOSE)
    async with with_rules() as server:
        written = await looked(here, Wanted(prometheus=server.url, compose="compose.yaml"), "laptop")
    made = texts(written)
    serves = made["hypotheses/web-serves.yaml"]
    assert """bad: 'http_requests_total{job="web", code=~"5.."}'""" in serves
    assert 'http_request_duration_seconds_bucket{job="web"}[1m]' in serves
    recorded = made["hypotheses/web-availability.yaml"]
    assert """slo:sli_error:ratio_rate5m{sloth_service="web", sloth_slo="availability"}""" in recorded
    assert "tolerance: {atMost: 0.1%}            # the objective: 99.9%" in recorded
    assert """'http_requests:burnrate5m{job="api", slo="api-errors"}'""" in made["hypotheses/api-errors.yaml"]
    slow = made["experiments/web-when-api-is-slow.yaml"]
    assert "    - web-serves\n    # - web-availability    # looks back 6m" in slow
    assert "refuseWhileFiring" in made["environments/laptop.yaml"]
    checked = check((), here)
    assert (checked.problems, checked.warnings) == ((), ())


SECRET = "a-token-that-nobody-sees"


def guarded(met: loopback.Met, writer: asyncio.StreamWriter) -> Awaitable[None]:
    """A Prometheus that lets in who knows the secret, and repeats what others came with."""
    came_with = met.headers.get("authorization", "")
    user = b64encode(f"me:{SECRET}".encode()).decode()
    if came_with not in (f"Bearer {SECRET}", f"Basic {user}"):
        return loopback.as_json({"error": f"not known: {came_with} {SECRET}"}, 401)(met, writer)
    empty: dict[str, list[str]] | list[str] = {"groups": []} if "rules" in met.path else []
    return loopback.as_json({"status": "success", "data": empty})(met, writer)


@pytest.fixture
async def with_a_door(here: Path) -> AsyncIterator[loopback.HttpServer]:
    (here / "compose.yaml").write_text(COMPOSE)
    async with loopback.HttpServer() as server:
        for path in ("/api/v1/label/__name__/values", "/api/v1/rules"):
            server.on(path, guarded)
        yield server


@pytest.mark.parametrize(
    ("environ", "said", "written"),
    [
        ({"PROM_TOKEN": SECRET}, {}, {"bearerToken": {"env": "PROM_TOKEN"}}),
        ({"MINE": SECRET, "PROM_TOKEN": "no"}, {"token": "env:MINE"}, {"bearerToken": {"env": "MINE"}}),
        ({}, {"token": "file:token"}, {"bearerToken": {"file": "../token"}}),
        (
            {"PROM_USER": "me", "PROM_PASSWORD": SECRET},
            {},
            {"basic": {"user": "me", "password": {"env": "PROM_PASSWORD"}}},
        ),
        ({}, {"user": "me", "password": "file:token"}, {"basic": {"user": "me", "password": {"file": "../token"}}}),
        (
            {"PROM_TOKEN": SECRET},
            {"headers": ("X-Scope-OrgID=shop", "X-Key=file:token")},
            {"bearerToken": {"env": "PROM_TOKEN"}, "headers": {"X-Scope-OrgID": "shop", "X-Key": {"file": "../token"}}},
        ),
    ],
)
async def test_who_asks_a_prometheus_is_written_by_reference_and_never_by_value(
    environ: dict[str, str],
    said: dict[str, Any],
    written: dict[str, Any],
    here: Path,
    with_a_door: loopback.HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here / "token").write_text(f"{SECRET}\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    wanted = Wanted(prometheus=with_a_door.url(""), compose="compose.yaml", credentials=Credentials(**said))
    made = texts(await looked(here, wanted, "laptop"))
    environment, _, _ = load_environment("laptop", here)
    assert environment.spec.prometheus == PrometheusSource.model_validate({"url": with_a_door.url(""), **written})
    assert not [path for path, text in made.items() if SECRET in text]


async def test_who_is_not_let_in_is_told_what_to_say_and_no_secret_is_repeated(
    here: Path, with_a_door: loopback.HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "wrong-but-secret")
    wanted = Wanted(prometheus=with_a_door.url(""), credentials=Credentials(token="env:OTHER"))
    with pytest.raises(NotPossibleNow, match=r"does not let us in .*expected --prometheus-token") as caught:
        await looked(here, wanted)
    assert "wrong-but-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prometheus-token", SECRET), "--prometheus-token: expected where the secret is, env:NAME or file:PATH"),
        (("--prometheus-token", "env:NOBODY_SET_IT"), "the environment variable NOBODY_SET_IT is not set"),
        (("--prometheus-token", "env:A", "--prometheus-user", "me"), "expected one of --prometheus-token and"),
        (("--prometheus-user", "me"), "--prometheus-user: expected --prometheus-password with it"),
        (("--prometheus-password", "env:A"), "--prometheus-password: expected --prometheus-user with it"),
        (("--prometheus-header", SECRET), "--prometheus-header: expected NAME=VALUE"),
        (("--prometheus-key", "k.pem"), "--prometheus-key: expected --prometheus-cert with it"),
    ],
)
def test_what_is_wrong_with_who_asks_is_said_without_the_secret(
    arguments: tuple[str, ...], said: str, here: Path
) -> None:
    result = init("--prometheus", "http://127.0.0.1:9", *arguments)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert SECRET not in str(result.exception)


def test_files_of_who_asks_are_named_from_the_environments_folder() -> None:
    said = Credentials(ca="ca.pem", cert="/etc/me.pem", key="~/me.key")
    given = from_there(access(said, {"PROM_CA_FILE": "other"}), Path("a"), Path("a/environments"))
    assert given == {"caFile": "../ca.pem", "clientCert": "/etc/me.pem", "clientKey": "~/me.key"}
    assert access(Credentials(), {"PROM_CA_FILE": "other"}) == {"caFile": "other"}


async def test_doctor_finds_what_stands_beside_an_environment(
    here: Path, with_a_door: loopback.HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSRUNNER_MACHINE", str(here / "machine"))
    (here / "token").write_text(SECRET)
    credentials = Credentials(token="file:token")
    await looked(
        here, Wanted(prometheus=with_a_door.url(""), compose="compose.yaml", credentials=credentials), "laptop"
    )
    checks = {one.what: one for one in await examine("laptop", here / ".chaosrunner")}
    assert "cannot be read" not in checks["metrics"].found
    assert with_a_door.met[-1].headers["authorization"] == f"Bearer {SECRET}"


async def test_a_prometheus_that_is_not_there_is_said(here: Path) -> None:
    with pytest.raises(NotPossibleNow):
        await looked(here, Wanted(prometheus="http://127.0.0.1:9"))


@pytest.mark.parametrize("body", ["<p>hello</p>", "[]", '{"data": 5}', '{"status": "error", "error": "no"}'])
async def test_what_is_no_prometheus_is_said(body: str, here: Path) -> None:
    async with loopback.HttpServer() as server:
        server.on("/api/v1/label/__name__/values", loopback.text(body))
        with pytest.raises(NotPossibleNow, match="does not answer as a Prometheus does"):
            await looked(here, Wanted(prometheus=server.url("")))
