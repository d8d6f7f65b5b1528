"""The targets of a run are its own: no other run acts on them, of this machine or, where the platform can tell, of
another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosrunner.engine.following import Joining
from chaosrunner.engine.means import Means
from chaosrunner.errors import Busy
from chaosrunner.model.journal import RunStarted
from chaosrunner.model.plan import GuardAnswer, Plan, PlannedFault
from chaosrunner.model.target import Target
from chaosrunner.store.machine import Lock, Machine

__all__ = ["Taking"]

ASKED_FOR = 10.0
"""Seconds that claiming a target that appeared may take."""


class Taking:
    """What one run has taken. `appeared` tells what it acts on beyond what is planned."""

    def __init__(
        self,
        plan: Plan,
        identity: RunStarted,
        machine: Machine,
        means: Means,
        may_join: Joining | None,
        appeared: Callable[[], Sequence[Target]],
    ) -> None:
        self._plan = plan
        self._identity = identity
        self._machine = machine
        self._means = means
        self._may_join = may_join
        self._appeared = appeared
        self._leases: list[Lock] = []

    @property
    def targets(self) -> Sequence[Target]:
        """What is planned, and what appeared and was acted on, too."""
        planned = [target for fault in self._plan.faults for target in fault.targets]
        known = {target.id for target in planned}
        return [*planned, *(target for target in self._appeared() if target.id not in known)]

    def lease(self) -> GuardAnswer:
        """Take what is planned from other runs of this machine."""
        targets = [target for fault in self._plan.faults for target in fault.targets if target.kind != "nothing"]
        keys = [self._means.platform.lease(target) for target in targets]
        self._leases, taken = self._machine.lease_all(keys, self._identity.run)
        if taken:
            return GuardAnswer(guard="leases", go=False, reason=f"{taken}; wait for it, or `chaosrunner halt` it")
        return GuardAnswer(guard="leases", go=True, reason="no other run acts on these targets")

    async def claim(self) -> Sequence[GuardAnswer]:
        """The same against runs from other machines, where the platform can tell."""
        targets = [target for target in self.targets if target.kind != "nothing"]
        try:
            await self._means.platform.claim(self._identity.run, self._identity.who, targets)
        except Busy as busy:
            return [GuardAnswer(guard="leases", go=False, reason=f"{busy}; wait for it, or `chaosrunner halt` it")]
        return []

    async def join(self, planned: PlannedFault, in_force: Sequence[Target], new: Target) -> str:
        """Take a target that appeared during a step; why it must be left alone, or nothing."""
        if self._may_join is not None and (why := await self._may_join(planned, in_force, new)):
            return why
        locks, taken = self._machine.lease_all([self._means.platform.lease(new)], self._identity.run)
        if taken:
            return taken
        self._leases += locks
        known = {target.id: target for target in (*self.targets, new)}
        work = self._means.platform.claim(self._identity.run, self._identity.who, list(known.values()))
        return (await self._means.leash.ask(work, ASKED_FOR, self._means.stop)).trouble

    def let_go(self) -> None:
        """Others may act on them."""
        for lease in self._leases:
            lease.drop()
