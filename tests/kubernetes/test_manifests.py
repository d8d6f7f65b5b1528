"""The manifests of k8s/: Roles that grant what faults need and no more, pods that the strictest policy takes."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml

from chaosrunner import __version__, catalog
from chaosrunner.platforms.kubernetes import rights
from chaosrunner.platforms.kubernetes.guardian import RIGHTS, UNDO_RIGHTS
from chaosrunner.platforms.kubernetes.spec import IMAGE

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ["", "overlays/least", "overlays/with-nodes", "overlays/own-namespace"]
CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding")
Object = dict[str, Any]

needs_kubectl = pytest.mark.skipif(which("kubectl") is None, reason="kubectl builds kustomizations")


def documents(file: str) -> list[Object]:
    return list(yaml.safe_load_all((K8S / file).read_text()))


@cache
def built(overlay: str) -> tuple[Object, ...]:
    done = subprocess.run(["kubectl", "kustomize", K8S / overlay], capture_output=True, text=True, check=True)
    return tuple(yaml.safe_load_all(done.stdout))


def granted(file: str, account: str) -> set[str]:
    """The permissions that a file's roles grant to an account."""
    bound = {
        each["roleRef"]["name"]
        for each in documents(file)
        if each["kind"].endswith("Binding") and account in [subject["name"] for subject in each["subjects"]]
    }
    return {
        str(rights.parse(" ".join([verb, resource + (f".{group}" if group else "")])))
        for each in documents(file)
        if each["metadata"]["name"] in bound and not each["kind"].endswith("Binding")
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def of_faults() -> dict[str, set[str]]:
    found = {}
    for kind in catalog.kinds("faults"):
        fault = catalog.find("faults", kind)
        if "kubernetes" in fault.platforms:
            found[kind] = {str(rights.parse(each)) for each in fault.needs}
    return found


def test_the_roles_are_as_the_catalogue_says() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "roles", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_fault_can_be_done_with_one_of_the_roles() -> None:
    by_part = {
        part: granted(f"targets/{part}-faults/roles.yaml", "chaosrunner") | granted_in_cluster
        for part, granted_in_cluster in (
            ("pod", set[str]()),
            ("api", set[str]()),
            ("node", granted("nodes/roles.yaml", "chaosrunner")),
        )
    }
    impossible = {
        kind: sorted(needed - max(by_part.values(), key=lambda there: len(there & needed)))
        for kind, needed in of_faults().items()
        if not any(needed <= there for there in by_part.values())
    }
    assert not impossible


def test_no_role_grants_what_no_fault_needs() -> None:
    asked = {each for needed in of_faults().values() for each in needed}
    for part in ("pod", "api", "node"):
        there = granted(f"targets/{part}-faults/roles.yaml", "chaosrunner")
        reading = (*rights.LOOKING, *rights.FOLLOWING, *rights.READING, *RIGHTS["runner"].targets)
        looking = {str(rights.parse(each)) for each in reading}
        assert there <= asked | looking


def test_every_fault_on_pods_works_without_rights_in_the_whole_cluster() -> None:
    there = granted("targets/pod-faults/roles.yaml", "chaosrunner")
    for kind in ("pod-kill", "pod-evict", "container-kill", "network-latency", "dependency-loss"):
        assert of_faults()[kind] <= there, kind
    assert not any("nodes" in each for each in there)


def test_the_guardian_may_take_back_every_fault_and_make_nothing() -> None:
    may = granted("ledger/roles.yaml", "chaosrunner-guardian") | granted(
        "targets/api-faults/roles.yaml", "chaosrunner-guardian"
    )
    wide = granted("nodes/roles.yaml", "chaosrunner-guardian")
    for needed in UNDO_RIGHTS.values():
        assert {str(rights.parse(each)) for each in needed.targets} <= may
        assert {str(rights.parse(each)) for each in needed.cluster} <= wide
    assert not [each for each in may | wide if each.startswith("create ")]


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay or "k8s")
def test_it_builds_and_grants_rights_to_accounts_that_are_there(overlay: str) -> None:
    found = built(overlay)
    accounts = {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in found if each["kind"] == "ServiceAccount"
    }
    bindings = [each for each in found if each["kind"].endswith("Binding")]
    roles = {
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
        for each in found
        if each["kind"].endswith("Role")
    }
    assert bindings
    assert not [
        f"{each['kind']} {each['metadata']['name']} goes wherever kubectl's context says"
        for each in found
        if "namespace" not in each["metadata"] and each["kind"] not in CLUSTER_WIDE
    ]
    for each in bindings:
        (subject,) = each["subjects"]
        assert (subject["namespace"], subject["name"]) in accounts
        place = each["metadata"].get("namespace") if each["roleRef"]["kind"] == "Role" else None
        assert (each["roleRef"]["kind"], each["roleRef"]["name"], place) in roles


@needs_kubectl
def test_nothing_is_granted_in_the_whole_cluster_but_for_faults_on_nodes() -> None:
    for overlay in OVERLAYS:
        wide = [each for each in built(overlay) if each["kind"].startswith("ClusterRole")]
        assert bool(wide) is (overlay == "overlays/with-nodes"), overlay
        for each in wide:
            assert all(set(rule["resources"]) == {"nodes"} for rule in each.get("rules", ()))


@needs_kubectl
def test_no_right_is_a_wildcard_and_none_reads_secrets() -> None:
    for overlay in OVERLAYS:
        for each in built(overlay):
            for rule in each.get("rules", ()):
                words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
                assert not words & {"*", "secrets", "escalate", "bind", "impersonate"}


def pods() -> list[tuple[str, Object]]:
    found = []
    for each in (*documents("guardian/deployment.yaml"), *documents("scheduled/job.yaml")):
        found.append((each["kind"], each["spec"]["template"]["spec"]))
    (cron,) = documents("scheduled/cronjob.yaml")
    return [*found, ("CronJob", cron["spec"]["jobTemplate"]["spec"]["template"]["spec"])]


@pytest.mark.parametrize(("kind", "pod"), pods(), ids=[kind for kind, _ in pods()])
def test_our_own_pods_pass_restricted_pod_security(kind: str, pod: Object) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_the_images_are_of_this_version() -> None:
    images = {container["image"] for _, pod in pods() for container in pod["containers"]}
    assert images == {f"{IMAGE}:{__version__}", f"chaosrunner/chaosrunner:{__version__}"}


def test_the_job_is_the_cron_jobs_own() -> None:
    (job,), (cron,) = documents("scheduled/job.yaml"), documents("scheduled/cronjob.yaml")
    assert job["spec"] == cron["spec"]["jobTemplate"]["spec"]


def test_the_scheduled_files_are_right() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaosrunner", "check", "."],
        cwd=K8S / "scheduled" / "files",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
