"""Injectors that were killed in their pods (out of memory, SIGKILL) and may have left rules in the pods' networks:
found by what the pods' states say, and swept by a fresh injector. All others take everything back themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from chaosrunner.errors import ChaosrunnerError, UndoFailed
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import NETWORK
from chaosrunner.platforms.kubernetes.client import Cluster, Object, path
from chaosrunner.platforms.kubernetes.heartbeat import lease_name
from chaosrunner.platforms.kubernetes.injected import Injectors
from chaosrunner.platforms.kubernetes.presence import Presence
from chaosrunner.ports import LeftOver

STEP = "what a killed injector left"
SWEEPS_WITHIN = 20.0


class KilledInjectors:
    """In the environment's namespaces."""

    def __init__(self, cluster: Cluster, namespaces: Sequence[str], injectors: Injectors, presence: Presence) -> None:
        self._cluster = cluster
        self._namespaces = namespaces
        self._injectors = injectors
        self._presence = presence
        self._found: dict[str, tuple[Target, str]] = {}

    async def left(self) -> list[LeftOver]:
        """Reads every pod as a whole: with thousands of them it takes a while."""
        self._found = {}
        async for pod in self._pods():
            for run in _killed(pod):
                target = _target(pod)
                self._found[f"{run} in {target.name}"] = (target, run)
        runs = sorted({run for _, run in self._found.values()})
        alive = await self._presence.alive([lease_name(run) for run in runs])
        return [
            LeftOver(
                hold=hold,
                run=run,
                step=STEP,
                target=target.name,
                by="somebody",
                alive=lease_name(run) in alive,
                by_hand=(f"kubectl delete pod {target.details['pod']} -n {target.details['namespace']}",),
            )
            for hold, (target, run) in self._found.items()
        ]

    async def _pods(self) -> AsyncIterator[Object]:
        for space in self._namespaces:
            async for page in self._cluster.pages(path("v1", "pods", space), accept="application/json"):
                for pod in page.get("items") or ():
                    yield pod

    async def heal(self, left: LeftOver) -> bool:
        """Whether it was one of these. Raises `UndoFailed`."""
        if left.hold not in self._found:
            return False
        target, run = self._found[left.hold]
        try:
            injector = await self._injectors.reach(target, run, NETWORK)
            if injector is not None:
                await self._injectors.ask(injector, {"do": "sweep"}, SWEEPS_WITHIN)
                await self._injectors.ask(injector, {"do": "bye"}, SWEEPS_WITHIN)
        except ChaosrunnerError as error:
            raise UndoFailed(f"{target.name}: {error}", left.by_hand) from None
        return True


def _killed(pod: Object) -> list[str]:
    """Runs whose latest injector in the pod's network did not end in order."""
    if pod.get("status", {}).get("phase") not in ("Pending", "Running"):
        return []
    states = {each["name"]: each.get("state") or {} for each in pod["status"].get("ephemeralContainerStatuses") or ()}
    latest: dict[str, bool] = {}
    for each in pod["spec"].get("ephemeralContainers") or ():
        added = ((each.get("securityContext") or {}).get("capabilities") or {}).get("add") or ()
        args = list(each.get("args") or ())
        if str(each["name"]).startswith("chaosrunner-") and "NET_ADMIN" in added and "--run" in args[:-1]:
            code = states.get(each["name"], {}).get("terminated", {}).get("exitCode", 0)
            latest[str(args[args.index("--run") + 1])] = code != 0
    return sorted(run for run, killed in latest.items() if killed)


def _target(pod: Object) -> Target:
    space, name = str(pod["metadata"]["namespace"]), str(pod["metadata"]["name"])
    details = {"namespace": space, "pod": name, "uid": str(pod["metadata"]["uid"])}
    return Target(kind="pod", id=f"pod:{space}/{name}", name=f"{space}/{name}", details={**details})
