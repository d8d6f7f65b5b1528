"""Very many pods: 10 000 simulated ones, found, and `dependency-loss` on 6 000 of them, planned, injected and undone.

Needs a test cluster (CHAOSRUNNER_TEST_KUBECONFIG) and its tools (CLUSTER_TOOLS, with `lab fake`, which simulates nodes;
CHAOSRUNNER_TEST_IMAGE is the guardian's image). Nothing runs in simulated pods: their containers "run" as the API
server tells, and whether the fault is there is answered by a stand-in for what the sample would see from inside and
for containers that end. All else is real: the plan's looks, 6 000 ephemeral containers, the run's Lease and claims, a
guardian's pod that sends 6 000 heartbeats a second, the one watch, the journal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring import Cost, NotMeasured, Scale, cost, workplace
from benchmarks.table import Row, missing, spread

NODES, PODS, HIT = 44, 10_000, 6_000
SPACE = "chaosrunner-scale"
FOUND_BAR, MEMORY_BAR = 0.5, 150.0
STUCK = 30.0
"""Seconds without one more pod that is ready."""
PLAIN = """
import json, resource, sys, time
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
api = client.CoreV1Api()
api.list_namespaced_pod(sys.argv[2], limit=1)
began = time.perf_counter()
found = api.list_namespaced_pod(sys.argv[2], label_selector="app=many").items
took = time.perf_counter() - began
print(json.dumps({"found": len(found), "took": took,
                  "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}))
"""


def rows(scale: Scale) -> list[Row]:
    """Finding them, and a fault on them."""
    kubeconfig, tools = os.environ.get("CHAOSRUNNER_TEST_KUBECONFIG"), os.environ.get("CLUSTER_TOOLS")
    if not kubeconfig or not tools or not (Path(tools) / "lab").exists():
        raise NotMeasured("needs CHAOSRUNNER_TEST_KUBECONFIG, and CLUSTER_TOOLS with `lab fake`")
    if shutil.which("kubectl") is None:
        raise NotMeasured("needs kubectl")
    with filled(kubeconfig, Path(tools)), workplace() as folder:
        found = finding(scale, kubeconfig, folder)
        try:
            return [*found, *losing(kubeconfig, folder)]
        except NotMeasured as why:
            return [*found, missing(f"dependency-loss on {HIT:,} pods", str(why))]


def finding(scale: Scale, kubeconfig: str, folder: Path) -> list[Row]:
    """The targets of a selector among all pods, the client warm; then the plain client's typed list, which leaves the
    API server, on the same processors, so much to collect that what comes right after it would pay for it."""
    rounds = range(scale.rounds(7))
    ours = [_told(cost(_part("find", kubeconfig), folder, within=120)) for _ in rounds]
    plain = [_told(cost([sys.executable, "-c", PLAIN, kubeconfig, SPACE], folder, within=180)) for _ in rounds]
    if {one["found"] for one in ours} != {one["found"] for one in plain}:
        raise NotMeasured(f"they found different pods: {ours[0]['found']} and {plain[0]['found']}")
    first = spread([one["first"] for one in ours])
    took, theirs = spread([one["took"] for one in ours]), spread([one["took"] for one in plain])
    peak, their_peak = max(one["peak"] for one in ours), max(one["peak"] for one in plain)
    what = f"targets among {int(ours[0]['found']):,} pods"
    note = f"the client warm ({first.text('s')} for one that has to connect); names, owners, addresses and states"
    return [
        Row(f"{what}, resolved", took.text("s"), f"plain client {theirs.text('s')}", f"<= {FOUND_BAR:g} s",
            took.median <= FOUND_BAR, note),
        Row(f"{what}, peak memory of the process", f"{peak:.0f} MB", f"plain client {their_peak:.0f} MB",
            f"< {MEMORY_BAR:g} MB", peak < MEMORY_BAR),
    ]  # fmt: skip


def losing(kubeconfig: str, folder: Path) -> list[Row]:
    """A whole run of dependency-loss."""
    spent = cost(_part("lose", kubeconfig), folder, within=900)
    told = _told(spent)
    what = f"dependency-loss on {int(told['hit']):,} pods"
    whole = told["hit"] == HIT == told["undone"]
    note = (
        f"planned in {told['planned']:.0f} s, in force on all after {told['injected']:.0f} s, undone in "
        f"{told['gone']:.1f} s; heartbeats to {told['beats']:.0f} addresses by a guardian's pod; what runs in the pods "
        f"is a stand-in's word; journal {told['journal']:.0f} MB"
    )
    return [
        Row(f"{what}, planned, injected and undone", f"{told['seconds']:.0f} s", "", "completes", whole, note),
        Row(f"{what}, peak memory", f"{spent.peak:.0f} MB"),
        Row(f"{what}, CPU of the runner", f"{spent.cpu:.0f} s"),
    ]


def _part(name: str, kubeconfig: str) -> list[str]:
    image = os.environ.get("CHAOSRUNNER_TEST_IMAGE", "chaosrunner/injector:test")
    return [sys.executable, str(Path(__file__).with_name("crowd_run.py")), name, kubeconfig, SPACE, image]


def _told(spent: Cost) -> dict[str, float]:
    read: dict[str, float] = json.loads(spent.output.splitlines()[-1])
    return read


# --------------------------------------------------------------------------------------------------- the filled cluster


@contextmanager
def filled(kubeconfig: str, tools: Path) -> Iterator[None]:
    """So many simulated pods, until this is over."""
    kubectl = ["kubectl", "--kubeconfig", kubeconfig]
    try:
        subprocess.run([str(tools / "lab"), "fake", str(NODES)], check=True, capture_output=True, timeout=300)
        for each in _objects():
            subprocess.run(
                [*kubectl, "apply", "-f", "-"], input=json.dumps(each), text=True, check=True, capture_output=True,
                timeout=60,
            )  # fmt: skip
        _wait_until_ready(kubectl)
        yield
    except subprocess.CalledProcessError as failure:
        raise NotMeasured(f"the cluster could not be filled: {failure.stderr!s:.300}") from None
    finally:
        nodes = [f"fake-{number}" for number in range(1, NODES + 1)]
        quick = ["--wait=false", "--ignore-not-found"]
        subprocess.run([*kubectl, "delete", "namespace", SPACE, *quick], capture_output=True, timeout=60)
        subprocess.run([*kubectl, "delete", "node", *nodes, *quick], capture_output=True, timeout=120)


def _wait_until_ready(kubectl: list[str]) -> None:
    ends = time.monotonic() + 900
    words = ["get", "deployments", "-n", SPACE, "-o", "jsonpath={range .items[*]}{.status.readyReplicas} {end}"]
    before, since = "", time.monotonic()
    while time.monotonic() < ends:
        got = subprocess.run([*kubectl, *words], capture_output=True, text=True, timeout=60).stdout
        if sum(map(int, got.split())) == PODS:
            return
        if got != before:
            before, since = got, time.monotonic()
        elif time.monotonic() - since > STUCK:
            _replace_unready(kubectl)
            since = time.monotonic()
        time.sleep(2)
    raise NotMeasured(f"of {PODS:,} simulated pods only {got.split()} were ready in time")


def _replace_unready(kubectl: list[str]) -> None:
    """Pods of a node that was late with its first words are marked as not ready, and nothing simulates their return."""
    listed = subprocess.run([*kubectl, "get", "pods", "-n", SPACE, "-o", "json"], capture_output=True, timeout=120)
    unready = [
        pod["metadata"]["name"]
        for pod in json.loads(listed.stdout)["items"]
        if any(each["type"] == "Ready" and each["status"] != "True" for each in pod["status"].get("conditions", ()))
    ]
    if unready:
        words = ["delete", "pods", "-n", SPACE, "--wait=false", "--ignore-not-found", *unready]
        subprocess.run([*kubectl, *words], capture_output=True, timeout=300)


def _objects() -> Iterator[dict[str, object]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    account: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "chaosrunner-guardian"},
    }
    yield _here(account)
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch", "delete"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "list", "patch", "delete"],
        },
    ]
    api = "rbac.authorization.k8s.io"
    yield _here({"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": "guardian"}, "rules": rules})
    yield _here(
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "guardian"},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "guardian"},
            "subjects": [{"kind": "ServiceAccount", "name": "chaosrunner-guardian", "namespace": SPACE}],
        }
    )
    port = {"port": 80}
    yield _here(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "pay"},
            "spec": {"selector": {"app": "pay"}, "ports": [port]},
        }
    )
    for name, replicas in (("many", HIT), ("others", PODS - HIT)):
        labels = {"app": "many", "part": name}
        spec = {
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            "containers": [{"name": "main", "image": "nothing"}],
        }
        yield _here(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": spec},
                },
            }
        )


def _here(made: dict[str, object]) -> dict[str, object]:
    metadata = made["metadata"]
    assert isinstance(metadata, dict)
    return made | {"metadata": metadata | {"namespace": SPACE}}
