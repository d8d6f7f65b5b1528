"""`docs/kubernetes.md`: its files are planned against an API server with behaviour, its tables are the code's."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from chaosrunner.platforms.kubernetes.doctor import OLDEST, SKEW
from tests.docs.pages import DOCS, ROOT, files, table, text_of
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import deploy

PAGE = DOCS / "kubernetes.md"
Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Of a cluster with the page's `cart` and `payments`, in a thread of its own: commands are other processes."""
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with FakeApi() as api:
            api.add(shapes.namespace("shop"))
            for name in ("cart", "payments"):
                deploy(api, name)
                api.add(shapes.service(name))
                api.add(shapes.endpoints(name, f"10.1.{len(name)}.1", f"10.1.{len(name)}.2"))
            account = {"name": "chaosrunner-guardian", "namespace": "shop"}
            api.add({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
            api.kubeconfig(tmp_path)
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield tmp_path / "kubeconfig"
    done.set()
    thread.join()


@pytest.fixture
def call(machine: Path, tmp_path: Path, kubeconfig: Path) -> Call:
    """Calls `chaosrunner WORDS` in a folder with the page's files."""
    for name, text in files(PAGE).items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.replace("~/.kube/config", str(kubeconfig)))

    def chaosrunner(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chaosrunner", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return chaosrunner


def test_its_files_are_right(call: Call) -> None:
    done = call("check", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout


def test_doctor_finds_the_cluster_in_order(call: Call) -> None:
    done = call("doctor", "staging", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (uid,) = [each["found"] for each in json.loads(done.stdout) if each["what"] == "clusterUid"]
    assert "`clusterUid: " in uid


@pytest.mark.parametrize("name", ["cart-loses-a-pod", "cart-without-payments"])
def test_each_experiment_is_planned_with_its_pods_by_name(call: Call, name: str) -> None:
    done = call("plan", name, "--no-read")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "target 1 of 2 that match: shop/cart-5d9-" in done.stdout
    assert "maxAffected: step" in done.stdout and "hits 1 of 2 pods of shop/deployment/cart" in done.stdout


def test_its_roles_are_those_of_the_manifests() -> None:
    said = {word for row in table(PAGE, "Role") for word in re.findall(r"`([a-z-]+)`", row[0])}
    made = {
        each["metadata"]["name"]
        for file in (ROOT / "k8s").rglob("roles.yaml")
        for each in yaml.safe_load_all(file.read_text())
        if each["kind"] in ("Role", "ClusterRole")
    }
    assert {"-undo"} <= said
    assert made - {"chaosrunner-guardian-undo", "chaosrunner-guardian-nodes"} == said - {
        "-undo",
        "chaosrunner-guardian-nodes",
    }


def test_its_kustomizations_are_there() -> None:
    named = re.findall(r"kubectl (?:apply -k|kustomize) (\S+)", text_of(PAGE))
    assert len(named) == 4
    assert all((ROOT / each / "kustomization.yaml").is_file() for each in named)


def test_its_limits_are_the_codes() -> None:
    assert (
        f"older than {'.'.join(map(str, OLDEST))}, and when its clock and this machine's differ by more than {SKEW:g} s"
        in (" ".join(text_of(PAGE).split()))
    )
