"""One part of `kubernetes_scale`, in a process of its own so that its memory can be told; prints one line of JSON.

python benchmarks/crowd_run.py find|lose KUBECONFIG NAMESPACE IMAGE
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from chaosrunner.app.orders import FINDING, Order, prepared
from chaosrunner.clock import SystemClock
from chaosrunner.engine.stop import Stop
from chaosrunner.model.experiment import Selector
from chaosrunner.model.journal import RunStarted
from chaosrunner.platforms.kubernetes.platform import KubernetesPlatform
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.platforms.kubernetes.states import State, States
from chaosrunner.stages.run import Load, Setting, run
from chaosrunner.store.journal import read_journal
from chaosrunner.store.machine import Machine

LASTS = "30s"


def settings(kubeconfig: str, namespace: str) -> dict[str, Any]:
    """The environment's platform."""
    return {
        "kubeconfig": kubeconfig,
        "namespaces": [namespace],
        "injector": {"image": sys.argv[4], "pullPolicy": "Never"},
        "services": {"many": {"workload": "deployment/many"}, "pay": {"service": "pay"}},
    }


async def find(kubeconfig: str, namespace: str) -> dict[str, float]:
    """All pods of a selector: by a client that connects for it, and by the same one once more."""
    spec = Spec.model_validate(settings(kubeconfig, namespace))
    platform = KubernetesPlatform(spec, "scale", Path.cwd(), SystemClock())
    selector = Selector.model_validate({"namespace": namespace, "selector": {"app": "many"}, "take": "all"})
    took = []
    for _ in range(2):
        began = time.perf_counter()
        found = len((await platform.find(selector)).candidates)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.5)  # the API server has something to collect after each
    await platform.close()
    return {"found": found, "first": took[0], "took": took[1]}


class EndsWhenTold(States):
    """Stands in for what would run in the pods: a container whose end was asked for has ended."""

    def __init__(self, cluster: Any, clock: Any) -> None:
        super().__init__(cluster, clock)
        self.told: set[tuple[str, str]] = set()

    def of(self, uid: str, container: str) -> State:
        """As the watch tells, or ended."""
        told = (uid, container) in self.told
        return State(ended="a stand-in says that it ended") if told else super().of(uid, container)

    async def until_ended(self, uid: str, container: str) -> None:
        """At once."""
        self.told.add((uid, container))


def stand_in(platform: KubernetesPlatform) -> None:
    """Nothing runs in the pods: none is looked at from inside, and containers end when they are told to."""
    platform.crowd.looked_at = 0
    platform.crowd.states = EndsWhenTold(platform.cluster, platform.clock)


def written(kubeconfig: str, namespace: str) -> Path:
    """The experiment's file."""
    head = {"apiVersion": "chaosrunner.dev/v1"}
    spec = {"platform": {"kubernetes": settings(kubeconfig, namespace)}, "guards": {"maxAffected": {"share": "100%"}}}
    measure = {"name": "nothing", "noop": {}, "every": "1s", "tolerance": {"atLeast": 0}}
    experiment = {
        "title": "Very many pods lose one dependency",
        "environment": "scale",
        "hypotheses": [{"name": "h", "title": "All is well", "measures": [measure]}],
        "baseline": {"for": "2s"},
        "method": [{"fault": "dependency-loss", "id": "lost", "for": LASTS,
                    "target": {"service": "many", "to": "pay", "take": "all"}}],
        "recovery": {"within": "20s", "holds": "1s"},
    }  # fmt: skip
    both = [
        {**head, "kind": "Experiment", "metadata": {"name": "scale"}, "spec": experiment},
        {**head, "kind": "Environment", "metadata": {"name": "scale"}, "spec": spec},
    ]
    path = Path("scale.yaml")
    path.write_text("\n---\n".join(json.dumps(each) for each in both))
    return path


def no_load(spec: object, sample: object) -> Load:
    """The run has no traffic of its own."""
    raise AssertionError


async def lose(kubeconfig: str, namespace: str) -> dict[str, float]:
    """The whole run; when what was done, by its journal."""
    began = time.monotonic()
    order = Order(str(written(kubeconfig, namespace)), state=Path("state"))
    async with prepared(order) as ready:
        planned = time.monotonic() - began
        if refusals := [answer.reason for answer in ready.plan.guards if not answer.go]:
            raise SystemExit(f"refused: {refusals[0]}")
        assert isinstance(ready.platform, KubernetesPlatform)
        stand_in(ready.platform)
        identity = RunStarted(
            run="20261122-scale", plan=ready.plan, who="bench", host="here", pid=os.getpid(), folder=".", versions={}
        )
        setting = Setting(
            folder=Path("state") / identity.run,
            platform=ready.platform,
            machine=Machine(Path("machine")),
            clock=ready.clock,
            stop=Stop(),
            find_fault=FINDING.fault,
            make_probes=ready.probes,
            make_load=no_load,
        )
        outcome = await run(ready.plan, identity, setting)
    told = {"seconds": time.monotonic() - began, "planned": planned} | times(outcome.journal)
    if told["hit"] != told["undone"] or outcome.ending.value != "finished":
        print(f"ended {outcome.ending.value}: {outcome.reason}", file=sys.stderr)
    return told


def times(journal: Path) -> dict[str, float]:
    """From the journal."""
    at: dict[str, list[float]] = {}
    for entry in read_journal(journal):
        at.setdefault(str(entry.event.type), []).append(entry.t)
    force, began, undone = at.get("fault-in-force", [0.0]), at.get("undo-began", [0.0]), at.get("fault-undone", [0.0])
    return {
        "hit": len(at.get("fault-in-force", ())),
        "undone": len(at.get("fault-undone", ())),
        "injected": max(force) - min(at.get("step-began", [0.0])),
        "gone": max(undone) - min(began),
        "beats": len(at.get("fault-prepared", ())),
        "journal": journal.stat().st_size / 1e6,
    }


def main() -> None:
    """One of the two."""
    part, kubeconfig, namespace = sys.argv[1:4]
    told = asyncio.run({"find": find, "lose": lose}[part](kubeconfig, namespace))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(told | {"peak": peak}))


if __name__ == "__main__":
    main()
