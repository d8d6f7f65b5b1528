"""Makes the silence that an experiment asks for, and ends it: on disk before it is made, as the undo of a fault is.

It begins with the fault phase, ends by itself soon after the run should have ended, and is found again by its comment,
which names the run: a runner that dies between asking for it and hearing its id leaves nothing that `heal` cannot find.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.recorder import Recorder
from chaosrunner.errors import JournalFailed
from chaosrunner.model.alerts import SilenceFound, comment_of
from chaosrunner.model.journal import SilenceEnded, SilenceMade, SilencePrepared
from chaosrunner.model.plan import Plan

SPARE = 120.0
"""Seconds for which a silence outlasts the run's planned end, if nobody ends it."""
TAKES = 10.0
"""Seconds that Alertmanager has for one answer."""


class Silences(Protocol):
    """Where silences are made."""

    async def make(self, order: SilencePrepared) -> str:
        """Make one; its id. Raises a `ChaosrunnerError`."""

    async def found(self, comment: str) -> Sequence[str]:
        """Ids of those with this comment that have not ended. Raises a `ChaosrunnerError`."""

    async def ours(self) -> Sequence[SilenceFound]:
        """All of ours that have not ended, of every run. Raises a `ChaosrunnerError`."""

    async def end(self, id: str) -> None:
        """End one; harmless for one that has ended. Raises a `ChaosrunnerError`."""


def longest_from_fault(plan: Plan) -> float:
    """Seconds that a run may take from its first fault to its end, as planned."""
    method = sum(
        item.wait + max((fault.after + fault.lasts for fault in item.faults), default=0.0) for item in plan.method
    )
    method += sum(item.read.timeout for item in plan.method if item.read is not None)
    waited = max((fault.expect_alert.within for fault in plan.faults if fault.expect_alert is not None), default=0.0)
    holds = plan.recovery.holds or 0.0
    return method + max(plan.recovery.within + holds + plan.slowest_lag, waited)


class Silencing:
    """The silence of one run."""

    def __init__(self, plan: Plan, run: str, silences: Silences, recorder: Recorder, clock: Clock) -> None:
        self._plan = plan
        self._comment = comment_of(run, plan.experiment, plan.environment.name)
        self._silences = silences
        self._recorder = recorder
        self._clock = clock
        self._leash = Leash()
        self._prepared = False
        self._ids: list[str] = []
        self.left = ""
        """Why a silence may still be there; empty: none is."""

    async def make(self) -> str:
        """Make it; why that cannot be done, or nothing."""
        if self._plan.silence is None:
            return ""
        now = self._clock.now()
        order = SilencePrepared(
            matchers=self._plan.silence.matchers,
            starts_at=now,
            ends_at=now + longest_from_fault(self._plan) + SPARE,
            comment=self._comment,
        )
        try:
            await self._recorder.ledger(order)
        except JournalFailed as error:
            return str(error)
        self._prepared = True
        asked = await self._leash.ask(self._silences.make(order), TAKES)
        if asked.value is None:
            return f"the silence cannot be made: {asked.trouble}"
        self._ids.append(asked.value)
        self._recorder.record(SilenceMade(id=asked.value))
        return ""

    async def end(self) -> None:
        """End what was made, and what may have been made although nobody said so."""
        if self._prepared:
            self._prepared = False
            ended = await end_silences(self._silences, self._comment, self._ids, self._leash)
            self._recorder.record(ended)
            self.left = ended.trouble


async def end_silences(silences: Silences, comment: str, known: Sequence[str], leash: Leash) -> SilenceEnded:
    """End the silences with this comment, those known by their ids first."""
    done: list[str] = []
    found = await leash.ask(silences.found(comment), TAKES)
    troubles = [found.trouble] if found.error is not None else []
    # Where they cannot be listed, those that are known are ended all the same.
    for each in dict.fromkeys([*(found.value or ()), *(known if found.error is not None else ())]):
        asked = await leash.ask(silences.end(each), TAKES)
        if asked.error is None:
            done.append(each)
        else:
            troubles.append(f"{each}: {asked.trouble}")
    if found.error is not None and known and set(known) <= set(done):
        troubles = []  # all that there could be
    return SilenceEnded(ids=tuple(done), trouble="; ".join(troubles))


async def end_left(
    silences: Silences, environment: str, living: Callable[[], Awaitable[frozenset[str] | None]], now: float
) -> Mapping[str, SilenceEnded]:
    """End what runs left on an environment that are dead or over, wherever they were started: by run.

    `living` tells which runs are under way there; None: nobody can tell of all of them. Then only those are ended whose
    run should be over by its plan. It is asked after the silences, so that a run which begins meanwhile is among the
    living. Raises a `ChaosrunnerError` where it cannot be told which there are.
    """
    found = [each for each in await silences.ours() if each.run and each.environment == environment]
    alive = await living() if found else frozenset()
    ended: dict[str, SilenceEnded] = {}
    leash = Leash()
    for each in found:
        over = each.ends_at - SPARE <= now
        if not over and (alive is None or each.run in alive):
            if alive is None:
                ended[each.run] = SilenceEnded(trouble="whether its run is under way cannot be told from here")
            continue
        asked = await leash.ask(silences.end(each.id), TAKES)
        before = ended.get(each.run, SilenceEnded())
        if asked.error is None:
            ended[each.run] = SilenceEnded(ids=(*before.ids, each.id), trouble=before.trouble)
        else:
            ended[each.run] = SilenceEnded(ids=before.ids, trouble=f"{each.id}: {asked.trouble}")
    return ended
