"""What a run keeps in the cluster while it goes on: its Lease and heartbeat, its claims, its guardian; and what other
runs, dead or alive, have there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from chaosrunner.clock import Clock
from chaosrunner.errors import Busy, NotPossibleNow, UndoFailed
from chaosrunner.injector.guardian import LEASE, RUN, STALE
from chaosrunner.injector.operations import by_hand
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.claims import Claims
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object
from chaosrunner.platforms.kubernetes.finding import nodes_of
from chaosrunner.platforms.kubernetes.guardian import Guardian
from chaosrunner.platforms.kubernetes.heartbeat import (
    HALT,
    Heartbeat,
    lease_name,
    lease_object,
    leases_path,
    micro_time,
)
from chaosrunner.platforms.kubernetes.ledger import ENVIRONMENT, Author, Entry, Ledger
from chaosrunner.platforms.kubernetes.operations import perform
from chaosrunner.platforms.kubernetes.spec import Spec
from chaosrunner.ports import LeftOver, RunSeen, StopAsked

LOOK_EVERY = 0.5


class Presence:
    """One run's part of the cluster; and the others', read."""

    def __init__(self, cluster: Cluster, connect: Callable[[], Cluster], spec: Spec, environment: str, clock: Clock):
        self.ledger = Ledger(cluster, spec.ledger_namespace, clock)
        self.guardian = Guardian(cluster, spec, clock)
        self.needs_guardian = False
        """Whether a fault of the plan changes objects of the API."""
        self.author: Author | None = None
        self._cluster = cluster
        self._connect = connect
        self._spec = spec
        self._environment = environment
        self._clock = clock
        self._space = spec.ledger_namespace
        self._claims: Claims | None = None
        self._heartbeat: Heartbeat | None = None
        self._guarded = False
        self._nodes: list[str] = []

    # -- this run's

    async def claim(self, run: str, by: str, targets: Sequence[Target], lease: Callable[[Target], str]) -> None:
        """Make the run's Lease and take the targets, all that the run has by now. Raises `Busy`."""
        await self._begin(run, by)
        assert self.author is not None
        self._nodes = sorted({name for target in targets for name in nodes_of(target)})
        wanted: dict[str, list[tuple[str, str]]] = {}
        for target in targets:
            space = str(target.details.get("namespace") or self._space)
            wanted.setdefault(space, []).append((lease(target), target.name))
        if self._claims is None:
            self._claims = Claims(self._cluster, self._clock, self.author, self._space, self._over)
        await self._claims.take(wanted)

    async def _begin(self, run: str, by: str) -> None:
        if self.author is not None:
            return
        author = Author(run, lease_name(run), self._environment, by)
        try:
            await self._cluster.create(leases_path(self._space), lease_object(author, self._clock.now()), again=True)
        except ApiError as error:
            if error.code != 409:
                raise
        self.author = author

    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        """Start the heartbeat; and a guardian, if one is needed."""
        await self._begin(run, "")
        assert self.author is not None
        where = leases_path(self._space, self.author.lease)
        self._heartbeat = Heartbeat(self._connect, where, alive, self._clock)
        if self.needs_guardian:
            await self.brace()

    async def brace(self) -> Author:
        """See to it that a guardian is there; at once if one is. Raises `NotPossibleNow`."""
        if self.author is None or self._heartbeat is None:
            raise NotPossibleNow("a fault in the cluster's API is only made by a run that is open")
        if not self._guarded:
            heartbeat = self._heartbeat
            await self.guardian.start(self.author, self._nodes, lambda: heartbeat.guardian)
            heartbeat.expect_guardian()
            self._guarded = True
        return self.author

    @property
    def guardian_pod(self) -> str:
        """The name of the pod that guards this run; empty: none does yet."""
        return self._heartbeat.guardian.split(" ")[0] if self._heartbeat is not None else ""

    def stop_asked(self) -> StopAsked | None:
        """What the heartbeat has come to know."""
        return self._heartbeat.stop_asked() if self._heartbeat is not None else None

    async def close(self) -> None:
        """Let go of everything; what could not be undone stays in the guardian's hands, with the Lease that ends."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.stop()
        author, self.author = self.author, None
        claims, self._claims = self._claims, None
        if author is None:
            return
        try:
            if await self.ledger.entries(author.run):
                return
            if claims is not None:
                await claims.let_go()
            await self._cluster.delete(leases_path(self._space, author.lease))
        except NotPossibleNow:
            return  # it is dead by then for all others: the guardian, or who comes next, tidies up

    # -- the others'

    async def runs(self) -> list[RunSeen]:
        """That live, of this environment."""
        leases = await self._leases()
        alive = await self.alive(list(leases))
        return [_seen(lease) for name, lease in leases.items() if name in alive]

    async def halt(self, run: str, by: str, reason: str) -> list[RunSeen]:
        """Ask for it on their Leases, at once: whether they are renewed would take seconds to see."""
        body = {"metadata": {"annotations": {HALT: json.dumps({"by": by, "reason": reason})}}}
        asked = []
        for name, lease in (await self._leases()).items():
            seen = _seen(lease)
            if seen.run.startswith(run):
                try:
                    await self._cluster.patch(leases_path(self._space, name), body)
                except ApiError as error:
                    if not error.not_found:
                        raise
                    continue  # it has just ended
                asked.append(seen)
        return asked

    async def left(self) -> list[LeftOver]:
        """Of this environment's runs. The Leases of dead ones that left nothing are removed, as a guardian does."""
        entries = [each for each in await self.ledger.entries() if each.environment == self._environment]
        leases = await self._leases()
        alive = await self.alive(sorted({*leases, *(entry.lease for entry in entries)}))
        for name in set(leases) - alive - {entry.lease for entry in entries}:
            await self._bury(leases[name])
        return [
            LeftOver(
                hold=entry.hold,
                run=entry.run,
                step=entry.step,
                target=entry.target,
                by=entry.by,
                alive=entry.lease in alive,
                by_hand=(*by_hand(entry.undo), f"kubectl delete configmap {entry.name} -n {self._space}"),
            )
            for entry in entries
        ]

    async def heal(self, hold: str) -> None:
        """Take one entry of the ledger back. Raises `UndoFailed`, and `Busy` if its run lives."""
        for entry in await self.ledger.entries():
            if entry.hold == hold:
                if await self.alive([entry.lease]):
                    raise Busy(f"run {entry.run} of {entry.by} is under way: `chaosrunner halt` it")
                await self._undo(entry)
                leases = await self._leases()
                if entry.lease in leases and not await self.ledger.entries(entry.run):
                    await self._bury(leases[entry.lease])

    async def _bury(self, lease: Object) -> None:
        """Remove a dead run's Lease, and with it what it owns, unless it was renewed since."""
        seen = {key: lease["metadata"][key] for key in ("uid", "resourceVersion")}
        try:
            await self._cluster.delete(leases_path(self._space, lease["metadata"]["name"]), {"preconditions": seen})
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _undo(self, entry: Entry) -> None:
        outcomes = [await perform(self._cluster, operation) for operation in entry.undo]
        failed = [outcome.words for outcome in outcomes if outcome.state == "failed"]
        if failed:
            raise UndoFailed("; ".join(failed), by_hand(entry.undo))
        await self.ledger.remove(entry.name)

    async def _leases(self) -> Mapping[str, Object]:
        labels = f"{LEASE}=run,{ENVIRONMENT}={self._environment}"
        found = await self._cluster.get(leases_path(self._space), labelSelector=labels)
        return {item["metadata"]["name"]: item for item in found.get("items") or ()}

    async def alive(self, names: Sequence[str], space: str = "") -> set[str]:
        """Those whose Lease is renewed while we look: no clock is compared with another machine's."""
        first: dict[str, str] = {}
        alive: set[str] = set()
        ends = self._clock.monotonic() + STALE
        while True:
            for name in set(names) - alive:
                renewed = await self._renewed(space or self._space, name)
                if renewed and first.setdefault(name, renewed) != renewed:
                    alive.add(name)
            waiting = [name for name in names if name in first and name not in alive]
            if not waiting or self._clock.monotonic() >= ends:
                return alive
            await self._clock.sleep(LOOK_EVERY)
            await self._renew()

    async def _renew(self) -> None:
        """Between the claim and the heartbeat: whoever looks meanwhile must not take this run for dead."""
        if self.author is not None and self._heartbeat is None:
            body = {"spec": {"renewTime": micro_time(self._clock.now())}}
            await self._cluster.patch(leases_path(self._space, self.author.lease), body)

    async def _renewed(self, space: str, name: str) -> str:
        lease = await self._cluster.find(leases_path(space, name))
        return "" if lease is None else str(lease["spec"].get("renewTime"))

    async def _over(self, space: str, lease: str, run: str) -> bool:
        """Whether a run that has claims is dead and left nothing."""
        if lease in await self.alive([lease], space):
            return False
        left = await Ledger(self._cluster, space, self._clock).entries(run)
        if left:
            raise Busy(
                f"run {run} of {left[0].by} died and left {left[0].step} on {left[0].target} in force: "
                f"`chaosrunner heal -e {left[0].environment}` takes it back"
            )
        return True


def _seen(lease: Object) -> RunSeen:
    labels = lease["metadata"].get("labels") or {}
    by = str(lease.get("spec", {}).get("holderIdentity", ""))
    return RunSeen(labels.get(RUN, ""), labels.get(ENVIRONMENT, ""), by)
