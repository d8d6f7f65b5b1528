"""The shipped experiments on the shipped shop, as a user would run them: on real pods, by the command, from files.

The shop has its weaknesses (see chaosrunner/demo/shop), so that some of them must find a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from chaosrunner.platforms.kubernetes.client import path
from tests.cluster import lab
from tests.cluster.lab import IMAGE, KUBECONFIG, Space, eventually
from tests.cluster.rights import guardian_account, remove_cluster_roles

FOLDER = Path(__file__).parents[2] / "experiments" / "kubernetes"
APIS = {
    "Deployment": ("apps/v1", "deployments"),
    "Service": ("v1", "services"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
}
EXPECTED = {
    "orders-when-checkout-is-deployed": "held",
    "orders-when-checkout-is-scaled-down": "held",
    "orders-when-inventory-answers-with-errors": "held",
    "orders-when-payments-hangs": "broken",
    "orders-when-payments-is-slow": "broken",
    "pages-when-a-recommendations-container-crashes": "held",
    "pages-when-a-name-does-not-resolve": "held",
    "pages-when-a-storefront-pod-is-killed": "held",
    "pages-when-prices-are-gone": "held",
    "pages-when-prices-has-no-endpoints": "held",
    "pages-when-recommendations-are-gone": "broken",
    "the-shop-when-a-node-is-drained": "held",
}


TRIES = 3
UNSAID = (3, 5)
"""Exit codes of runs that cannot say, and are run again: on a busy machine readings are late, and pods start slowly."""


@contextlib.asynccontextmanager
async def undisturbed() -> AsyncIterator[None]:
    """While no other test stops parts of the cluster: a shop that is judged would show it."""
    with (Path(tempfile.gettempdir()) / "chaosrunner-cluster-tests.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Space]:
    """The shop of the manifests, up and visited, in a namespace of its own, with what the guardian needs."""
    async with undisturbed():
        space = await lab.made_space(tmp_path_factory.mktemp("shop"), "experiments")
    try:
        async with undisturbed():
            await guardian_account(space, "scale", "service-blackhole", "node-drain")
            for file in sorted((FOLDER / "shop").glob("*.yaml")):
                for each in yaml.safe_load_all(file.read_text()):
                    if each["kind"] in APIS:
                        await space.make(*APIS[each["kind"]], each)
            await eventually(lambda: is_whole(space), 180, "the shop is open")
        yield space
    finally:
        await remove_cluster_roles(space)
        await lab.remove(space)


async def is_whole(space: Space) -> bool:
    found = await space.cluster.get(path("apps/v1", "deployments", space.name))
    status = [(each["spec"]["replicas"], each["status"].get("readyReplicas")) for each in found["items"]]
    seen = await space.cluster.get(f"{path('v1', 'services', space.name, 'shopper:80', 'proxy')}/metrics.json")
    failed = [seen["pages_failed"], seen["orders_failed"]]
    return all(wanted == ready for wanted, ready in status) and all(
        share is not None and share < 0.1 for share in failed
    )


async def visited_from_elsewhere(space: Space) -> None:
    """The shopper, which nothing may touch, is on no node of storefront's: a rollout may have put one beside it."""
    used = {pod["spec"]["nodeName"] for pod in await space.pods("storefront")}
    (pod,) = await space.pods("shopper")
    if pod["spec"]["nodeName"] not in used:
        return
    await space.cluster.delete(path("v1", "pods", space.name, pod["metadata"]["name"]))

    async def another() -> bool:
        names = {each["metadata"]["name"] for each in await space.pods("shopper")}
        return bool(names) and pod["metadata"]["name"] not in names

    await eventually(another, 60, "there is another shopper")


def environment(space: Space) -> Path:
    """The shipped environment, pointed at this namespace of the test's cluster."""
    document = yaml.safe_load((FOLDER / "environments" / "kube-shop.yaml").read_text())
    settings: dict[str, Any] = document["spec"]["platform"]["kubernetes"]
    settings |= {"kubeconfig": KUBECONFIG, "namespaces": [space.name]}
    settings["injector"] = {"image": IMAGE, "pullPolicy": "Never"}
    file = space.folder / "kube-shop.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


async def test_every_experiment_is_run_here() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.timeout(600)  # three tries on a busy machine; one takes half a minute
@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_an_experiment_finds_what_it_should(open_shop: Space, name: str) -> None:
    for _ in range(TRIES):
        async with undisturbed():
            await visited_from_elsewhere(open_shop)
            await eventually(lambda: is_whole(open_shop), 180, "the shop is whole")
            words = ("run", str(FOLDER / f"{name}.yaml"), "-e", str(environment(open_shop)), "--plain")
            code, said = await open_shop.command(*words, folder=open_shop.folder)
        if code not in UNSAID:
            break
    assert code == {"held": 0, "broken": 1}[EXPECTED[name]], said
    assert f"{'HELD' if code == 0 else 'BROKEN'}  {name}" in said
    assert code == 0 or "spill-over" not in said, said
