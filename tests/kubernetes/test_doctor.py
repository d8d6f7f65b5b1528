"""What doctor finds in a cluster, and what it says is to be done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from chaosrunner import __version__
from chaosrunner.cli import chaosrunner
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import deploy, platform

Make = Callable[..., KubernetesPlatform]
NEEDS = {"pod-kill": ("delete pods",), "node-cordon": ("patch nodes",), "noop": ()}
IMAGE = {"image": f"registry.example/chaosrunner/injector:{__version__}"}
ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "chaosrunner-guardian", "namespace": "shop"},
}


@pytest.fixture
async def make(api: FakeApi, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes platforms over a cluster where everything is in order, and closes them."""
    deploy(api, "cart")
    api.add(ACCOUNT)
    made = []

    def build(**settings: Any) -> KubernetesPlatform:
        made.append(platform(api, tmp_path, **{"injector": IMAGE, **settings}))
        return made[-1]

    yield build
    for each in made:
        await each.close()


async def checks(at: KubernetesPlatform, *, deep: bool = False) -> dict[str, tuple[bool, str]]:
    return {what: (fine, found) for what, fine, found in await at.doctor(NEEDS, deep=deep)}


async def wrong(at: KubernetesPlatform, *, deep: bool = False) -> dict[str, str]:
    return {what: found for what, (fine, found) in (await checks(at, deep=deep)).items() if not fine}


async def test_where_all_is_in_order_it_says_so_and_touches_nothing(api: FakeApi, make: Make) -> None:
    found = await checks(make())
    assert all(fine for fine, _ in found.values()), found
    assert found["API server"][1] == "v1.36.0"
    assert found["rights for 3 faults"][1] == "node-cordon, noop, pod-kill"
    assert found["ephemeral containers in shop"][1].startswith("allowed, with NET_ADMIN for network faults too")
    changes = [each for each in api.asked if each.method != "GET" and "accessreviews" not in each.path]
    assert changes and all(each.query.get("dryRun") == "All" for each in changes)
    pod = api.object("v1", "pods", "shop", "cart-5d9-1")
    assert pod is not None and "ephemeralContainers" not in pod["spec"]


async def test_a_server_that_cannot_be_reached_is_all_that_is_said(api: FakeApi, make: Make) -> None:
    await api.down()
    assert list(await wrong(make())) == ["API server"]


async def test_a_server_that_is_too_old_is_found(api: FakeApi, make: Make) -> None:
    api.version = "v1.29.4"
    assert (await wrong(make()))["API server"] == "v1.29.4: older than 1.30, which faults in pods need"


@pytest.mark.parametrize(("ahead", "said"), [(600.0, "ahead of"), (-600.0, "behind")])
async def test_clocks_that_differ_are_found(api: FakeApi, make: Make, ahead: float, said: str) -> None:
    api.clock_ahead = ahead
    assert said in (await wrong(make()))["cluster's clock"]


async def test_another_cluster_and_a_namespace_that_is_not_there_are_found(make: Make) -> None:
    found = await wrong(make(clusterUid="6f1c", namespaces=["shop", "nowhere"]))
    assert "the environment is the cluster 6f1c" in found["clusterUid"]
    assert "there is no namespace nowhere" in found["namespaces"]


async def test_missing_rights_are_told_by_fault(api: FakeApi, make: Make) -> None:
    api.deny("list pods", "shop")
    api.deny("delete pods", "shop")
    api.deny("patch nodes")
    found = await checks(make())
    assert not found["rights to plan and run"][0] and "list pods" in found["rights to plan and run"][1]
    assert not found["rights for pod-kill"][0] and "delete pods" in found["rights for pod-kill"][1]
    assert found["rights for 1 faults"] == (True, "noop")


async def test_to_go_without_the_rights_of_faults_on_nodes_is_a_choice(api: FakeApi, make: Make) -> None:
    api.deny("patch nodes")
    fine, said = (await checks(make()))["rights for node-cordon"]
    assert fine
    assert said.startswith("not with these rights: missing in the cluster: patch nodes (a ClusterRole grants it:")


SECURITY = 'pods "cart-5d9-1" is forbidden: violates PodSecurity "baseline:latest": must not include "NET_ADMIN"'


async def test_a_pod_policy_that_forbids_network_faults_is_found(api: FakeApi, make: Make) -> None:
    api.answer(403, method="PATCH", path="ephemeralcontainers", message=SECURITY)
    found = (await wrong(make()))["ephemeral containers in shop"]
    assert found.startswith("network faults cannot be done there: a policy forbids the injector's ephemeral container")


async def test_an_admission_webhook_that_forbids_ephemeral_containers_is_found(api: FakeApi, make: Make) -> None:
    api.refuse_admission("no ephemeral containers", method="PATCH", path="ephemeralcontainers", times=2)
    found = (await wrong(make()))["ephemeral containers in shop"]
    assert found.startswith("an admission webhook refuses the injector's ephemeral container")


async def test_an_image_of_another_version_is_found(make: Make) -> None:
    found = await wrong(make(injector={"image": "registry.example/injector:99.1"}))
    assert "registry.example/injector:99.1 is not of this version" in found["injector image"]


async def test_an_image_that_could_not_be_pulled_lately_is_found(api: FakeApi, make: Make) -> None:
    api.add(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e", "namespace": "shop"},
            "reason": "Failed",
            "message": f'Failed to pull image "{IMAGE["image"]}": not found',
        }
    )
    assert "could not be pulled lately: Failed to pull image" in (await wrong(make()))["injector image"]


async def test_a_pull_secret_that_is_not_there_is_found(make: Make) -> None:
    found = await wrong(make(injector={**IMAGE, "pullSecret": "regcred"}))
    assert found["injector image"] == "there is no pull secret regcred in shop"


async def test_a_guardian_without_its_account_is_found(api: FakeApi, make: Make) -> None:
    api.remove(ACCOUNT)
    assert "shop has no service account chaosrunner-guardian" in (await wrong(make()))["guardian"]


async def test_policies_are_named(api: FakeApi, make: Make) -> None:
    api.serve("kyverno.io/v1", "policies", "Policy")
    shop = api.object("v1", "namespaces", None, "shop")
    assert shop is not None
    api.change(shop, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    assert (await checks(make()))["policies"][1].startswith("Kyverno; shop enforces restricted")


def started(api: FakeApi, status: dict[str, Any]) -> None:
    """What becomes of pods that doctor starts."""

    def react(type: str, found: dict[str, Any]) -> None:
        if type == "ADDED" and found["metadata"]["name"].startswith("chaosrunner-doctor-"):
            found["status"] = status

    api.store.reactions.append(react)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({"phase": "Succeeded", "log": f"chaosrunner injector {__version__}\n"}, ""),
        ({"phase": "Succeeded", "log": "chaosrunner injector 99.1\n"}, "it says version 99.1"),
        (
            {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImageNeverPull"}}}]},
            "does not run: ErrImageNeverPull",
        ),
        ({"phase": "Pending"}, "did not run within 100 ms: Pending"),
    ],
)
async def test_deep_starts_a_pod_with_the_image_and_removes_it(
    api: FakeApi, make: Make, status: dict[str, Any], trouble: str
) -> None:
    started(api, status)
    fine, said = (await checks(make(injector={**IMAGE, "startWithin": "100ms"}), deep=True))["injector image, started"]
    assert fine is not bool(trouble)
    assert trouble in said
    assert [each["metadata"]["name"] for each in api.objects("v1", "pods")] == ["cart-5d9-1", "cart-5d9-2"]


# -- the command


def environment(folder: Path, platform: dict[str, Any]) -> str:
    document = {"apiVersion": "chaosrunner.dev/v1", "kind": "Environment", "metadata": {"name": "lab"}}
    file = folder / "lab.yaml"
    file.write_text(yaml.safe_dump(document | {"spec": {"platform": platform}}))
    return str(file)


def doctor(folder: Path, *words: str) -> tuple[int, Any]:
    environment = {"CHAOSRUNNER_MACHINE": str(folder / "machine")}
    done = CliRunner().invoke(
        chaosrunner, ["--state", str(folder / "state"), "doctor", *words, "--json"], env=environment
    )
    return done.exit_code, json.loads(done.output)


def test_without_an_environment_the_machine_is_looked_at(tmp_path: Path) -> None:
    code, found = doctor(tmp_path)
    assert code == 0
    assert [each["what"] for each in found] == ["chaosrunner", "machine folder", "state folder"]
    assert not (tmp_path / "state").exists()


def test_what_is_not_in_order_is_exit_code_3(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    server = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    content = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [server]}
    kubeconfig.write_text(yaml.safe_dump(content | {"contexts": [context], "users": [{"name": "u", "user": {}}]}))
    code, found = doctor(
        tmp_path, environment(tmp_path, {"kubernetes": {"kubeconfig": str(kubeconfig), "namespaces": ["shop"]}})
    )
    assert code == 3
    (broken,) = [each for each in found if not each["fine"]]
    assert broken["what"] == "API server" and "cannot be reached" in broken["found"]
    assert [each["what"] for each in found][-2:] == ["tracker local", "metrics"]
