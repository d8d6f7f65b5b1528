"""figures: a state folder -> what its metrics are made of.

Judging a long run takes a while, so a run's figures are kept beside its journal, and used again while neither the
journal nor chaosrunner has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.errors import ChaosrunnerError, NotPossibleNow
from chaosrunner.exposition import Figures
from chaosrunner.model.figures import NearMissFigures, NearMissGroup, RunFigures, figures_of_near_miss, figures_of_run
from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import Plan
from chaosrunner.model.verdict import Verdict
from chaosrunner.stages.report import review
from chaosrunner.store.kept import Kept
from chaosrunner.store.machine import Machine
from chaosrunner.store.runs import Runs


def of_run(plan: Plan, verdict: Verdict, gaps: Sequence[Gap], began: float) -> RunFigures:
    """Of a run that was judged; `began` is wall time."""
    kinds = tuple(gap.kind.value for gap in gaps)
    return figures_of_run(verdict, plan.environment.name, plan.service, began, kinds)


class StateFigures:
    """Those of one state folder. What was read of a run that has ended is not read again."""

    def __init__(self, state: Path, machine: Machine, clock: Clock) -> None:
        self._state = state
        self._runs = Runs(state)
        self._machine = machine
        self._clock = clock
        self._known: dict[str, tuple[str, RunFigures]] = {}
        """By run, with the journal's key."""

    def gather(self) -> Figures:
        """Everything, as it is now. Takes as long as reading the runs that are new takes."""
        listed = self._runs.list()
        active = list(self._machine.runs())
        alive = {each.run for each in active if each.alive}
        read = [self._run(run) for run in listed if run not in alive]
        waiting, closed = self._register()
        self._known = {run: found for run, found in self._known.items() if run in set(listed)}
        return Figures(
            runs=[each for each in read if each is not None],
            near_misses=waiting,
            closed=closed,
            now=self._clock.now(),
            under_way=Counter(each.environment for each in active if each.alive),
            left=Counter(each.environment for each in active if not each.alive),
            unreadable=sum(each is None for each in read),
        )

    def _run(self, run: str) -> RunFigures | None:
        """None: its journal cannot be read."""
        journal = self._runs.journal(run)
        try:
            beside = Kept(journal, "figures", RunFigures)
            if run in self._known and self._known[run][0] == beside.key:
                return self._known[run][1]
            found = beside.read()
            if found is None:
                seen = review(journal)
                gaps = [shown.gap for shown in seen.found]
                found = of_run(seen.account.plan, seen.verdict, gaps, seen.account.began_at)
                beside.write(found)
        except ChaosrunnerError:
            return None
        self._known[run] = (beside.key, found)
        return found

    def _register(self) -> tuple[Sequence[NearMissGroup] | None, dict[str, int]]:
        """Those that are not closed (None: they cannot be read), and how many are, by state."""
        from chaosrunner.register import open_register, register_exists

        if not register_exists(self._state):
            return [], {}
        try:
            with open_register(self._state, self._clock) as register:
                return register.standing()
        except NotPossibleNow:
            return None, {}


def near_misses_of(state: Path, clock: Clock, plan: Plan) -> list[NearMissFigures]:
    """Those of the plan's service, in environments of its class, that are not closed. Raises `NotPossibleNow` where
    they cannot be read."""
    from chaosrunner.register import open_register, register_exists

    if not register_exists(state):
        return []
    from chaosrunner.register.near_misses import Wanted

    wanted = Wanted(service=plan.service, environment_class=plan.environment.class_name)
    with open_register(state, clock) as register:
        return [figures_of_near_miss(one, clock.now()) for one in register.list(wanted)]
