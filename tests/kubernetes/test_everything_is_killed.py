"""No fault that changes something on Kubernetes is shipped without a test on a real cluster that kills its runner."""

from __future__ import annotations

from chaosrunner import catalog
from tests.cluster import test_all_at_once, test_ledger_faults, test_node_faults
from tests.netem_cluster import test_packets_of_pods

LEAVES_NOTHING = {"noop", "pod-kill", "pod-evict", "container-kill", "rollout-restart"}
"""Over at once: the system itself makes good what they do."""
UNDONE_BY_ITS_FILE = {"chaostoolkit"}
"""What takes it back is an action that the file names: only the runner and `heal` can."""

NO_CONTROLLER_OF_THEIRS = {"chaos-mesh"}
"""Chaos Mesh does it, and the cluster of the tests has no Chaos Mesh: held against a stand-in of its controller, with a
guardian that takes it back (test_chaos_mesh.py)."""


def test_each_fault_s_runner_is_killed_in_mid_fault() -> None:
    everywhere = {kind for kind in catalog.kinds("faults") if "kubernetes" in catalog.find("faults", kind).platforms}
    nodes = {test_node_faults.DRAIN["fault"], test_node_faults.OUTAGE["fault"]}
    packets = {method["fault"] for method, _ in test_packets_of_pods.FAULTS.values()}
    killed = test_all_at_once.FAULTS | set(test_ledger_faults.FAULTS) | nodes | packets
    assert everywhere - LEAVES_NOTHING - UNDONE_BY_ITS_FILE - NO_CONTROLLER_OF_THEIRS == killed
