"""Loads in pods: put on by the injector in a container of its own, looked at by what the kernel counts for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath

from chaosrunner.clock import Clock
from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import write_size
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.beside import Needs
from chaosrunner.platforms.kubernetes.channel import InjectorDied
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object
from chaosrunner.platforms.kubernetes.injected import Injectors, Place
from chaosrunner.ports import Files, Hold, Holders, StressEffect

BEGINS_WITHIN = 8.0
ENDS_WITHIN = 8.5
LOOKS_WITHIN = 4.0
A_MOMENT = 0.4
"""Seconds over which use is measured."""
RESERVE = 64 * 2**20
"""Bytes of memory that a load leaves to its pod or node."""
AGAIN = 0.25
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class ClusterLoads(Holders, Files):
    """Each load is in an ephemeral container of the target pod without any capability. For a disk that container mounts
    the volume that the folder is on, where the pod's own container mounts it, as that container's user."""

    looks_before = False

    def __init__(self, cluster: Cluster, clock: Clock, injectors: Injectors) -> None:
        self._cluster = cluster
        self._clock = clock
        self._injectors = injectors
        self._needs: dict[str, Needs] = {}
        """By hold: what its injector was made with."""
        self._own: dict[str, int] = {}
        """By hold: bytes of memory that the injector itself takes."""
        self._last: dict[tuple[str, str], tuple[str, Needs]] = {}
        """By target and folder, for looks at a disk: the run, and what its injector was made with."""

    # -- before

    async def may_hold(self, target: Target, folder: str) -> None:
        await self._injectors.check(target, await self._needed(target, folder))

    async def bring_up(self, target: Target, folder: str, hold: Hold) -> None:
        needs = self._needs[hold.id] = await self._needed(target, folder)
        self._last[target.id, folder] = (hold.run, needs)
        await self._injectors.ready(target, hold, needs)

    async def _needed(self, target: Target, folder: str) -> Needs:
        if not folder:
            return Needs()
        pod = await self._pod(target)
        return mount_of(pod, folder, target.name)

    async def _pod(self, target: Target) -> Object:
        found = await self._cluster.find(Place.of(target).path())
        if found is None:
            raise FaultFailed(f"{target.name} was deleted")
        return found

    async def why_not(self, target: Target, effect: StressEffect) -> str:
        if effect.what == "memory":
            limit = memory_limit(await self._pod(target))
            if limit is not None and effect.size + RESERVE > limit:
                return (
                    f"{target.name} is limited to {write_size(limit)} of memory: {write_size(effect.size)} would have "
                    f"it killed at once; take less, or remove a pod with pod-kill"
                )
        return ""

    # -- in force

    async def stress(self, target: Target, effect: StressEffect, hold: Hold) -> None:
        injector = await self._injectors.ready(target, hold, self._needs[hold.id])
        order: JsonObject = {"kind": "stress", "what": effect.what}
        order |= {"cores": effect.cores} if effect.what == "cpu" else {"size": int(effect.size)}
        order |= {"reserve": RESERVE} if effect.what == "memory" else {}
        order |= {"folder": effect.folder} if effect.folder else {}
        order |= {"workers": effect.workers} if effect.what == "io" else {}
        begin = {"do": "begin", "id": hold.id, "run": hold.run, "seconds": hold.seconds, "effect": order}
        if effect.what == "memory":
            (memory,) = (await self._injectors.look(injector, {"many": [["memory"]]}, LOOKS_WITHIN))["looks"]
            self._own[hold.id] = int(memory.get("current") or 0)
        await self._injectors.ask(injector, begin, BEGINS_WITHIN)

    async def pause(self, target: Target, hold: Hold) -> None:
        raise CannotDoHonestly("a pod's processes cannot be paused: no signal of ours stops its process 1")

    async def usage(self, target: Target, hold: Hold) -> Mapping[str, float]:
        needs = self._needs.get(hold.id)
        injector = self._injectors.at_hand(target, hold.run, needs) if needs is not None else None
        if injector is None:
            return {}
        wanted = [["cpu", "--seconds", f"{A_MOMENT:g}"], ["memory"]]
        cpu, memory = (await self._injectors.look(injector, {"many": wanted}, LOOKS_WITHIN))["looks"]
        held = memory.get("current")
        held = None if held is None else max(0, held - self._own.get(hold.id, 0))
        seen = {
            "cores": cpu.get("cores"),
            "waited": cpu.get("waited"),
            "memory": held,
            "written": cpu.get("written"),
        }
        return {key: float(value) for key, value in seen.items() if isinstance(value, int | float)}

    async def free(self, target: Target, folder: str) -> tuple[float, float]:
        last = self._last.get((target.id, folder))
        injector = self._injectors.at_hand(target, *last) if last is not None else None
        if injector is None:
            raise FaultFailed(f"{target.name} cannot be looked at: no injector is in the pod")
        (seen,) = (await self._injectors.look(injector, {"many": [["disk", folder]]}, LOOKS_WITHIN))["looks"]
        if "error" in seen:
            raise CannotDoHonestly(f"{folder} in {target.name}: {seen['error']}")
        return float(seen["available"]), float(seen["total"])

    # -- taking back

    async def let_go(self, target: Target, hold: Hold) -> None:
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._until_ended(target, hold)
        except (TimeoutError, FaultFailed, ApiError) as problem:
            space, pod = target.details.get("namespace"), target.details.get("pod")
            raise UndoFailed(
                f"whether the load beside {target.name} has ended cannot be told: {problem or 'no answer in time'}; "
                f"its injector lets go 5 s after the last heartbeat",
                [f"chaosrunner heal {hold.run}", f"kubectl delete pod --namespace {space} {pod}"],
            ) from problem

    async def _until_ended(self, target: Target, hold: Hold) -> None:
        while True:
            try:
                await self._end(target, hold)
                return
            except InjectorDied:
                return  # whatever it held ended with it: memory, processes and files without a name
            except ApiError as error:
                if not error.passing:
                    raise
            await self._clock.sleep(AGAIN)

    async def _end(self, target: Target, hold: Hold) -> None:
        """Of an injector that was killed nothing is left, as of one that died while it was asked."""
        needs = self._needs.get(hold.id)
        candidates = [needs] if needs is not None else await self._possible(target)
        for one in candidates:
            injector = await self._injectors.reach(target, hold.run, one, anew=False)
            if injector is not None:
                await self._injectors.ask(injector, {"do": "end", "id": hold.id}, ENDS_WITHIN)

    async def _possible(self, target: Target) -> list[Needs]:
        """In another process than the one that injected: with each volume that the pod has, and with none."""
        pod = await self._cluster.find(Place.of(target).path())
        if pod is None:
            return []
        return [Needs(), *(Needs(volume=str(volume["name"])) for volume in pod["spec"].get("volumes") or ())]


def mount_of(pod: Object, folder: str, name: str) -> Needs:
    """The volume that a folder is on, and how to write to it. Raises `CannotDoHonestly` where there is none."""
    found: list[tuple[int, Object, Object]] = []
    for container in pod["spec"].get("containers") or ():
        for mount in container.get("volumeMounts") or ():
            if PurePosixPath(folder).is_relative_to(mount["mountPath"]):
                found.append((len(mount["mountPath"]), container, mount))
    if not found:
        raise CannotDoHonestly(
            f"{folder} is on no volume of {name}: what is written to a container's own layer cannot be reached from "
            f"beside it; give the folder of a mounted volume"
        )
    _, container, mount = max(found, key=lambda each: each[0])
    volume = next(each for each in pod["spec"]["volumes"] if each["name"] == mount["name"])
    kinds = set(volume) - {"name"}
    if mount.get("readOnly") or kinds & {"configMap", "secret", "projected", "downwardAPI", "hostPath"}:
        sort = "read-only" if mount.get("readOnly") else f"a {min(kinds)}"
        raise CannotDoHonestly(f"{folder} in {name} is on the volume {mount['name']}, which is {sort}")
    if mount.get("subPath") or mount.get("subPathExpr"):
        raise CannotDoHonestly(
            f"{folder} in {name} is mounted with a subPath, which an ephemeral container may not have"
        )
    user = (container.get("securityContext") or {}).get("runAsUser")
    user = user if user is not None else (pod["spec"].get("securityContext") or {}).get("runAsUser")
    return Needs(volume=str(mount["name"]), mount=str(mount["mountPath"]), user=user)


def memory_limit(pod: Object) -> float | None:
    """Bytes that all of a pod may use; None: not all of its containers have a limit, so that it has none."""
    limits = [(each.get("resources") or {}).get("limits", {}).get("memory") for each in pod["spec"]["containers"]]
    if not all(limits):
        return None
    return sum(_bytes(str(limit)) for limit in limits)


def _bytes(text: str) -> float:
    """Of a Kubernetes quantity: `512Mi`, `1G`, `1e9`."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text)
