"""Permissions that several faults need on Kubernetes, in the words of `Fault.needs`."""

from __future__ import annotations

__all__ = ["INJECTOR", "OWNERS"]

INJECTOR = (
    "watch pods",
    "patch pods/ephemeralcontainers",
    "get pods/attach",
    "create pods/attach",
    "get pods/exec",
    "create pods/exec",
)
"""An injector beside a pod and when it runs, what it is told, and looks from inside the pod. Newer servers ask for
`create` where older ones ask for `get`."""
OWNERS = (
    "get deployments.apps",
    "get replicasets.apps",
    "get statefulsets.apps",
    "get daemonsets.apps",
    "get jobs.batch",
)
"""To say how what keeps a pod is."""
