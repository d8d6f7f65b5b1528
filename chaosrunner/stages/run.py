"""run: Plan -> Journal. Baseline, fault, recovery; always undoes.

Nothing here is ever cancelled from outside: signals, halts and abort limits set off one `Stop`, and every wait listens
to it. So whatever ends the run, it goes through the undo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from chaosrunner.engine.alerting import AlertLooks
from chaosrunner.engine.halting import HaltWatch
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.means import Means
from chaosrunner.engine.method import Method
from chaosrunner.engine.pulse import Pulse
from chaosrunner.engine.reader import Reader
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.sampler import Sampler
from chaosrunner.engine.setting import AskAgain, Load, Probes, Setting
from chaosrunner.engine.silencing import Silencing
from chaosrunner.engine.spilling import Spilling
from chaosrunner.engine.taking import Taking
from chaosrunner.engine.watching import Watching
from chaosrunner.errors import JournalFailed, NotPossibleNow, UndoFailed
from chaosrunner.judging.reading import Reading
from chaosrunner.model.journal import (
    BaselineTaken,
    Entry,
    GuardAnswered,
    HaltRequested,
    PhaseBegan,
    PhaseEnded,
    RunEnded,
    RunStarted,
)
from chaosrunner.model.plan import GuardAnswer, Plan, PlannedMeasure
from chaosrunner.model.words import Ending, Phase
from chaosrunner.records.light import dataclass
from chaosrunner.store.journal import Journal
from chaosrunner.store.machine import ActiveRun

__all__ = ["AskAgain", "Load", "Probes", "RunOutcome", "Setting", "run"]

HALT_LOOK = 0.2
"""Seconds between two looks for a halt."""
HUNG = 3.0
"""Seconds without a beat of the event loop after which the heartbeat to the faults' holders stops, too."""
GUARD_LOOK = 5.0
"""Seconds between two times that guards which say `always` are asked."""
GUARD_TAKES = 10.0
"""Seconds that they have to answer."""
BLIND_LOOK = 0.25
"""Seconds between two looks for a measure that has gone blind."""


_WATCHED_BACK = (Ending.ABORTED, Ending.FAULT_FAILED, Ending.BARRIER_HELD)
"""Endings of the fault phase after which the system is watched coming back all the same."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Where the journal is and how the run ended; the verdict is made of the journal."""

    run: str
    journal: Path
    ending: Ending
    reason: str
    trouble: str
    """Why the journal is not complete; empty: it is."""
    undo_failed: bool
    silence_left: str = ""
    """Why a silence may still be there; empty: none is."""


async def run(plan: Plan, identity: RunStarted, setting: Setting) -> RunOutcome:
    """Carry out the plan. Returns when everything is undone, or could not be; the journal says what happened.

    Raises `JournalFailed` if no journal can be started: then nothing was touched.
    """
    path = setting.folder / "journal.jsonl"
    halts = HaltWatch(setting.machine, plan.environment.name, identity.run, setting.stop, setting.halt_file)
    lock = setting.machine.enter(ActiveRun(identity.run, plan.environment.name, str(path.resolve())))
    try:
        journal = setting.make_journal(path, setting.clock)
    except JournalFailed:
        setting.machine.leave(identity.run)
        lock.drop()
        raise
    execution = _Execution(plan, identity, setting, journal, halts)
    try:
        return await execution.carry_out()
    finally:
        # Off the list first: one that is on it without its lock is taken for dead, and healed.
        if not execution.may_be_left:
            setting.machine.leave(identity.run)
        lock.drop()


class _Execution:
    """One run under way."""

    def __init__(self, plan: Plan, identity: RunStarted, setting: Setting, journal: Journal, halts: HaltWatch) -> None:
        self._plan = plan
        self._identity = identity
        self._setting = setting
        self._journal = journal
        self._stop = setting.stop
        self._looks: AlertLooks | None = None
        self._recorder = Recorder(journal, setting.stop, [*setting.observers, self._look_on])
        if setting.alerts:
            self._looks = AlertLooks(plan, setting.alerts, self._recorder, setting.clock)
        self._silencing: Silencing | None = None
        if plan.silence is not None and setting.silences is not None:
            self._silencing = Silencing(plan, identity.run, setting.silences, self._recorder, setting.clock)
        self._watching = Watching(plan, self._recorder, setting.stop)
        self._leash = Leash()
        means = Means(
            run=identity.run,
            platform=setting.platform,
            recorder=self._recorder,
            stop=setting.stop,
            leash=self._leash,
            clock=setting.clock,
            limits=setting.limits,
        )
        self._taking = Taking(plan, identity, setting.machine, means, setting.may_join, lambda: self._method.targets)
        self._method = Method(
            plan, setting.find_fault, means, self._taking.join, read=self._read_once, find_probe=setting.find_probe
        )
        self._load: Load | None = None
        self._spilling = Spilling(means, lambda: (*self._taking.targets, *setting.elsewhere()))
        self._sampler: Sampler | None = None
        self._pulse = Pulse(setting.clock)
        self._halts = halts
        self._halt_noted = False
        self._defect: BaseException | None = None
        self.may_be_left = True
        """A fault in force, or a silence."""

    def _look_on(self, entry: Entry) -> None:
        if self._looks is not None:
            self._looks.on_entry(entry)

    async def carry_out(self) -> RunOutcome:
        """Everything, from the first line of the journal to the last."""
        helpers: list[asyncio.Task[None]] = []
        try:
            self._recorder.record(self._identity)
            if await self._may_go():
                beside = [self._listen(), self._tick(), self._keep_asking(), self._pulse.beat()]
                beside += [self._looks.run()] if self._looks is not None else []
                helpers += [self._beside(each) for each in beside]
                if await self._platform_opens():
                    await self._under_load()
        except NotPossibleNow as error:
            self._stop.now(Ending.NOT_READABLE, "chaosrunner", str(error))
        except Exception as error:
            self._fail(error)
            raise
        finally:
            await self._method.sweep()
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._let_people_know_again()
            await self._setting.platform.close()
            self._taking.let_go()
            outcome = await self._end()
            self._shout_before(outcome)
        if self._defect is not None:
            raise self._defect
        return outcome

    def _shout_before(self, outcome: RunOutcome) -> None:
        """An undo that failed is told before a defect: raises `UndoFailed` where there are both."""
        if self._defect is not None and outcome.undo_failed:
            words = "an undo failed, and a fault may still be in force; chaosrunner itself failed, too"
            raise UndoFailed(f"{words}: {self._defect!r}", [f"chaosrunner heal {outcome.run}"]) from self._defect

    def _fail(self, defect: BaseException) -> None:
        self._defect = self._defect or defect
        self._stop.now(Ending.DEFECT, "chaosrunner", f"{type(defect).__name__}: {defect}")

    def _beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it beside the phases. Should it fail, nobody would listen to halts any more, or read: the run stops."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._notice_failure)
        return task

    def _notice_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    # -- before

    async def _may_go(self) -> bool:
        """Record the guards' answers, take the targets; whether nobody refuses."""
        answers = [*self._plan.guards, self._taking.lease()]
        if all(answer.go for answer in answers):
            answers += await self._taking.claim()
        for answer in answers:
            self._recorder.record(GuardAnswered(answer=answer))
        refusals = [answer for answer in answers if not answer.go]
        if refusals:
            self._stop.now(Ending.REFUSED, refusals[0].guard, refusals[0].reason)
            return False
        for fault in self._plan.faults:
            if not fault.targets:
                self._stop.now(Ending.FAULT_FAILED, fault.id, fault.no_target)
                return False
        return not self._stop.asked

    async def _platform_opens(self) -> bool:
        """Nothing is injected where what would hold the faults, or take them back, cannot be brought up."""
        try:
            await self._setting.platform.open(self._identity.run, self._alive)
        except NotPossibleNow as error:
            self._stop.now(Ending.FAULT_FAILED, f"the {self._setting.platform.kind} platform", str(error))
        return not self._stop.asked

    # -- the three phases

    async def _under_load(self) -> None:
        load: Load | None = None
        if self._plan.traffic is not None:
            load = self._setting.make_load(self._plan.traffic, self._recorder.record)
        sampling: asyncio.Task[None] | None = None
        try:
            if load is not None:
                await load.start()
            self._load = load
            probes = self._setting.make_probes(load)
            self._sampler = Sampler(probes, self._recorder, self._setting.clock, self._watching.on_reading, self._pulse)
            sampling = self._beside(self._sampler.run())
            await self._phases(self._sampler)
        finally:
            await self._method.sweep()
            if sampling is not None:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)
            if load is not None:
                await load.stop()

    async def _read_once(self, measure: PlannedMeasure) -> Reading:
        """For a step of the method, in the same way as a measure is read."""
        assert self._setting.make_probe is not None
        probe = self._setting.make_probe(measure, self._load)
        reader = Reader(self._leash, lambda: self._recorder.t, self._recorder.record, self._pulse)
        try:
            return await reader.take(measure, probe)
        finally:
            await self._leash.ask(probe.close(), 1.0)

    async def _phases(self, sampler: Sampler) -> None:
        if not await self._baseline():
            return
        await self._spilling.begin()
        if not await self._silence():
            return
        sampler.phase = Phase.FAULT
        self._recorder.record(PhaseBegan(phase=Phase.FAULT))
        self._watching.arm()
        try:
            await self._method.carry_out()
        finally:
            await self._method.sweep()
            self._watching.disarm()
        undone_at = self._recorder.t
        because = self._stop.cause.ending.value if self._stop.cause else "done"
        self._recorder.record(PhaseEnded(phase=Phase.FAULT, because=because))
        await self._spilling.look()
        if self._stop.cause is None or self._stop.cause.ending in _WATCHED_BACK:
            sampler.phase = Phase.RECOVERY
            await self._recovery(undone_at)
            await self._spilling.look()
        if self._looks is not None and self._stop.cause is None:
            await self._looks.until_settled(self._stop)

    async def _let_people_know_again(self) -> None:
        """Everything is undone: nothing is watched any more, and what fires from now on may wake somebody."""
        if self._looks is not None:
            self._looks.close()
        if self._silencing is not None:
            await self._silencing.end()

    async def _silence(self) -> bool:
        """Make the silence that the file asks for; nobody is woken by a fault that should have been silent."""
        trouble = await self._silencing.make() if self._silencing is not None else ""
        if trouble:
            answer = GuardAnswer(guard="silence", go=False, reason=trouble)
            self._recorder.record(GuardAnswered(answer=answer))
            self._stop.now(Ending.REFUSED, answer.guard, answer.reason)
        return not trouble and not self._stop.asked

    async def _baseline(self) -> bool:
        self._recorder.record(PhaseBegan(phase=Phase.BASELINE))
        state = await self._watching.until_steady()
        for key, median in self._watching.medians.items():
            self._recorder.record(BaselineTaken(measure=key, median=median, readings=self._watching.readings[key]))
        because = state.kind.replace("-", " ") if state.kind != "waiting" else "stopped"
        self._recorder.record(PhaseEnded(phase=Phase.BASELINE, because=because))
        if state.kind == "not-steady":
            self._stop.now(Ending.NOT_STEADY, "baseline", state.reason)
        elif state.kind == "not-readable":
            self._stop.now(Ending.NOT_READABLE, "baseline", state.reason)
        return state.kind == "steady" and not self._stop.asked

    async def _recovery(self, undone_at: float) -> None:
        """Watch the system come back; the stop that led here does not cut this short, a halt does."""
        self._recorder.record(PhaseBegan(phase=Phase.RECOVERY))
        state = await self._watching.until_recovered(undone_at)
        because = state.kind.replace("-", " ") if state.kind != "waiting" else "stopped"
        self._recorder.record(PhaseEnded(phase=Phase.RECOVERY, because=because))

    # -- beside the phases

    async def _listen(self) -> None:
        """Look for halts: of the machine, and the halt file."""
        while True:
            self._halts.look()
            self._ask_platform()
            self._note_halt()
            for note in self._setting.notes():
                self._recorder.record(note)
            await self._setting.clock.sleep(HALT_LOOK)

    def _ask_platform(self) -> None:
        """A halt that reached the platform; or it has lost what would take the faults back if this runner died."""
        if (asked := self._setting.platform.stop_asked()) is not None:
            self._stop.now(Ending.FAULT_FAILED if asked.lost else Ending.HALTED, asked.by, asked.reason)

    def _note_halt(self) -> None:
        if self._stop.halt is not None and not self._halt_noted:
            self._halt_noted = True
            self._recorder.record(HaltRequested(by=self._stop.halt.by, reason=self._stop.halt.reason))

    async def _tick(self) -> None:
        """Look for measures gone blind while a fault is in force."""
        since: float | None = None
        while True:
            if self._method.in_force:
                since = self._recorder.t if since is None else since
                self._watching.look_for_blindness(since)
            else:
                since = None
            await self._setting.clock.sleep(BLIND_LOOK)

    async def _keep_asking(self) -> None:
        """Ask the guards that say `always`, until everything is taken back. One that refuses stops the run."""
        if self._setting.ask_again is None:
            return
        while self._sampler is None or self._sampler.phase is not Phase.RECOVERY:
            await self._setting.clock.sleep(GUARD_LOOK)
            asked = await self._leash.ask(self._setting.ask_again(), GUARD_TAKES, self._stop)
            if asked.error is not None:
                answers: Sequence[GuardAnswer] = [GuardAnswer(guard="always", go=False, reason=asked.trouble)]
            else:
                answers = asked.value or ()
            for answer in answers:
                if not answer.go:
                    self._recorder.record(GuardAnswered(answer=answer))
                    self._refuse_now(answer)

    def _refuse_now(self, answer: GuardAnswer) -> None:
        """Before the fault it is a refusal; with a fault injected the run is halted."""
        before = self._sampler is None or self._sampler.phase is Phase.BASELINE
        self._stop.now(Ending.REFUSED if before else Ending.HALTED, f"guard {answer.guard}", answer.reason)

    def _alive(self) -> bool:
        """Asked from the heartbeat's thread: a hung event loop must not keep its faults in force."""
        return self._pulse.since_beat < HUNG

    # -- after

    async def _end(self) -> RunOutcome:
        cause = self._stop.cause
        ending = cause.ending if cause is not None else Ending.FINISHED
        reason = f"{cause.by}: {cause.reason}" if cause is not None and cause.reason else (cause.by if cause else "")
        self._note_halt()
        self._recorder.record(RunEnded(ending=ending, reason=reason))
        await self._recorder.finish()
        silence_left = self._silencing.left if self._silencing is not None else ""
        self.may_be_left = self._method.undo_failed or bool(silence_left)
        return RunOutcome(
            run=self._identity.run,
            journal=self._journal.path,
            ending=ending,
            reason=reason,
            trouble=self._recorder.trouble,
            undo_failed=self._method.undo_failed,
            silence_left=silence_left,
        )
