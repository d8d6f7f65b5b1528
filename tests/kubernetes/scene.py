"""A small shop in a fake cluster, and the platform that looks at it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import Selector
from chaosrunner.model.plan import PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.spec import Spec
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi

Object = dict[str, Any]


class QuickClock(SystemClock):
    """Time that passes when somebody waits, and only then."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class HastyClock(SystemClock):
    """Twenty seconds in each."""

    def monotonic(self) -> float:
        return 20 * super().monotonic()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 20)


def selector(**fields: Any) -> Selector:
    """A target as it stands in a file."""
    return Selector.model_validate(fields)


def platform(api: FakeApi, folder: Path, **settings: Any) -> KubernetesPlatform:
    """The platform over a fake cluster."""
    spec = Spec.model_validate({"namespaces": ["shop"], **settings})
    made = KubernetesPlatform(spec, "lab", folder, SystemClock(), api.cluster())
    made.kind = "kubernetes"
    return made


def deploy(
    api: FakeApi, name: str, replicas: int = 2, *, space: str = "shop", ready: int | None = None, **metadata: Any
) -> list[Object]:
    """A Deployment with its ReplicaSet and pods, on node-1, node-2, … in turn; the pods."""
    top = api.add(shapes.workload("Deployment", name, space=space, replicas=replicas, **metadata))
    labels = {"app": name}
    middle = shapes.workload("ReplicaSet", f"{name}-5d9", space=space, replicas=replicas, labels=labels)
    middle["metadata"] |= shapes.owned_by(top)
    middle = api.add(middle)
    return [
        api.add(
            shapes.pod(
                f"{name}-5d9-{number}",
                space=space,
                labels=labels,
                owner=middle,
                node=f"node-{number}",
                ip=f"10.1.{len(name)}.{number}",
                ready=ready is None or number <= ready,
            )
        )
        for number in range(1, replicas + 1)
    ]


async def targets(at: KubernetesPlatform, count: int | None = None, **fields: Any) -> tuple[Target, ...]:
    """The first so many targets that a selector finds; all of them by default."""
    found = await at.find(selector(**fields))
    return tuple(found.candidates[:count])


def fault(*hit: Target, kind: str = "pod-kill", fault_class: str = "instance-loss", **more: Any) -> PlannedFault:
    """A planned fault on these targets."""
    fields = {"id": kind, "fault": kind, "fault_class": fault_class, "does": "It hurts.", "undo": "It heals."}
    return PlannedFault(**fields, lasts=10.0, targets=hit, candidates=len(hit), **more)
