"""The overlay with a namespace of chaosrunner's own: a guardian that is always there, and experiments that run in the
cluster, with the rights of `k8s/` and nothing else, under the strictest pod security."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import pytest_asyncio
import yaml

from chaosrunner.platforms.kubernetes.client import Object, path
from tests.cluster import lab
from tests.cluster.lab import Space, eventually, kubectl

K8S = Path(__file__).parents[2] / "k8s"
RUNNER = os.environ.get("CHAOSRUNNER_TEST_RUNNER_IMAGE", "chaosrunner/chaosrunner:test")
"""The runner's own image, see `build-runner-image`."""
GONE_WITHIN = 10.0
"""Seconds after the runner's death."""
SCALE = {"fault": "scale", "target": {"workload": "deployment/cart"}, "with": {"to": 0}}
pytestmark = pytest.mark.skipif(which("kubectl") is None, reason="kubectl builds kustomizations")


def placed(document: Object, home: str, targets: str) -> Object:
    """A document of the overlay, in the namespaces of this test, with the images that its nodes have."""
    spaces = {"chaosrunner": home, "shop": targets}
    images = {"injector": lab.IMAGE, "chaosrunner": RUNNER}

    def place(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: place(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [place(each) for each in value]
        if key == "namespace":
            return spaces[value]
        if key == "image":
            return images[value.partition("/")[2].partition(":")[0]]
        return value

    made: Object = place(document)
    if made["kind"] == "ConfigMap":
        made["data"] = {name: _file(text, home, targets) for name, text in made["data"].items()}
    return made


def _file(text: str, home: str, targets: str) -> str:
    """An example's file, for these namespaces, in less time."""
    words = {
        "namespaces: [shop]": f"namespaces: [{targets}]",
        "namespace: chaosrunner": f"namespace: {home}",
        "cart.shop": f"cart.{targets}",
        "baseline: 10s": "baseline: 3s",
        "observe: 30s": "observe: 6s",
        "holds: 5s": "holds: 2s",
    }
    for old, new in words.items():
        text = text.replace(old, new)
    return text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(space: Space, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Space]:
    """The namespace of chaosrunner's own; in the other one there are `cart` and Roles."""
    await space.deploy("cart", 2)
    made = await lab.made_space(tmp_path_factory.mktemp("home"), "home")
    try:
        text = kubectl("kustomize", str(K8S / "overlays" / "own-namespace"))
        documents = [placed(each, made.name, space.name) for each in yaml.safe_load_all(text) if each["kind"] != "Job"]
        (own,) = [each for each in documents if each["kind"] == "Namespace"]
        labels = own["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        await made.cluster.patch(path("v1", "namespaces", None, made.name), {"metadata": {"labels": labels}})
        kubectl("apply", "-f", "-", given=yaml.safe_dump_all(each for each in documents if each is not own))
        kubectl("patch", "cronjob", "chaosrunner", "-n", made.name, "-p", '{"spec": {"suspend": true}}')
        yield made
    finally:
        await lab.remove(made)


async def guardians(home: Space, number: int) -> None:
    """As many as this, ready; one that is being ended still guards."""
    kubectl("scale", "deployment/chaosrunner-guardian", "-n", home.name, f"--replicas={number}")

    async def there() -> bool:
        found = await home.cluster.get(path("apps/v1", "deployments", home.name, "chaosrunner-guardian"))
        if found["status"].get("observedGeneration") != found["metadata"]["generation"]:
            return False
        named = {"labelSelector": "app.kubernetes.io/name=chaosrunner-guardian"}
        pods = (await home.cluster.get(path("v1", "pods", home.name), **named))["items"]
        return len(pods) == number == found["status"].get("readyReplicas", 0)

    await eventually(there, 60, f"{number} guardians")


async def replicas(space: Space) -> int:
    found = await space.cluster.get(path("apps/v1", "deployments", space.name, "cart"))
    return int(found["spec"]["replicas"])


def experiment(space: Space, home: Space) -> Path:
    guardian = {"namespace": home.name, "mode": "deployment"}
    return space.write(SCALE | {"for": "120s"}, environment=space.environment(kubernetes={"guardian": guardian}))


async def test_without_the_guardian_nothing_is_touched(space: Space, home: Space) -> None:
    await guardians(home, 0)
    file = experiment(space, home)
    code, said = await space.command("run", file.name, "--plain", folder=file.parent)
    assert code == 3, said
    assert "no guardian has shown itself" in said and "is its Deployment up?" in said
    assert await replicas(space) == 2


async def test_the_standing_guardian_takes_back_what_a_killed_runner_has_left(space: Space, home: Space) -> None:
    await guardians(home, 1)
    async with space.running(experiment(space, home)) as run:
        await run.in_force()
        assert await replicas(space) == 0
        await run.kill()

    async def back() -> bool:
        return await replicas(space) == 2

    await eventually(back, GONE_WITHIN, "the old number of replicas")


async def test_the_schedule_runs_its_suite_in_the_cluster(space: Space, home: Space) -> None:
    """As `kubectl create job --from=cronjob/chaosrunner` does at once: its account kills a pod in the other namespace,
    and sees the service through it."""
    await guardians(home, 1)
    before = {each["metadata"]["uid"] for each in await space.pods("cart")}
    kubectl("create", "job", "now", "--from=cronjob/chaosrunner", "-n", home.name)
    job: Object = {}

    async def ended() -> Any:
        nonlocal job
        job = await home.cluster.get(path("batch/v1", "jobs", home.name, "now"))
        return job["status"].get("conditions")

    try:
        await eventually(ended, 150, "the Job has ended", every=1.0)
    finally:
        said = kubectl("logs", "job/now", "-n", home.name, "--tail=-1")
    assert job["status"].get("succeeded") == 1, said
    assert "cart-loses-a-pod" in said
    after = {each["metadata"]["uid"] for each in await space.pods("cart")}
    assert before - after, said
