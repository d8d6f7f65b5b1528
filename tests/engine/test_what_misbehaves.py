"""Everything that can misbehave in a run has a defined outcome, leaves nothing in force, and is never held."""

from __future__ import annotations

import asyncio
import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.concluding import Desk, conclude
from chaosrunner.engine.means import Limits
from chaosrunner.errors import FaultFailed, JournalFailed, NoAnswer, NoReading, UndoFailed
from chaosrunner.model.journal import (
    FaultFailed as FaultFailedEvent,
)
from chaosrunner.model.journal import (
    FaultInForce,
    FaultInjected,
    FaultLost,
    FaultPrepared,
    FaultUndone,
    GuardAnswered,
    PluginMisbehaved,
    ReadingTaken,
    RunEnded,
    Spilled,
)
from chaosrunner.model.journal import (
    UndoFailed as UndoFailedEvent,
)
from chaosrunner.model.plan import PlannedItem
from chaosrunner.model.secret import SecretRef
from chaosrunner.model.target import Target
from chaosrunner.model.words import Answer, Ending
from chaosrunner.ports import Sighting
from chaosrunner.secrets import resolve
from chaosrunner.store.journal import Journal, read_journal
from tests.engine.world import World, fault, measure, plan, target


async def _forever(*_: Any) -> None:
    await asyncio.Event().wait()


async def _deaf(*_: Any) -> None:
    """Waits for ever and does not listen to its cancellation, for a while."""
    ends = asyncio.get_running_loop().time() + 8
    while asyncio.get_running_loop().time() < ends:
        try:
            await asyncio.sleep(ends - asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            continue


def harmless(world: World) -> None:
    """The fault acts and does not hurt: without what the test adds, the run would be held."""
    world.system.latency = 0.01
    world.plan = plan(method=[PlannedItem(faults=(fault(params={"delay": 0.02}),))])


def not_held(world: World) -> Any:
    verdict = world.verdict()
    assert verdict.answer is not Answer.HELD
    assert verdict.exit_code != 0
    return verdict


# -- probes


@pytest.mark.parametrize(
    "answer",
    [math.nan, math.inf, None.__class__, b"bytes", ["a", "list"], "x" * 20_000, 10**400],
    ids=lambda a: str(a)[:12],
)
def test_garbage_from_a_probe_is_no_reading(tmp_path: Path, answer: Any) -> None:
    world = World(tmp_path, probe=lambda: answer)
    outcome = world.go()
    assert outcome.ending is Ending.NOT_READABLE
    assert all(event.missing and event.value is None for event in world.of(ReadingTaken))
    assert not_held(world).exit_code == 3


@pytest.mark.parametrize("how", ["answers", "refuses", "fails"])
def test_a_secret_that_the_system_answers_with_is_not_kept(tmp_path: Path, how: str) -> None:
    value = resolve(SecretRef(env="TOKEN"), tmp_path, {"TOKEN": "hush-hush-4711"}).reveal()

    def echo() -> str:
        text = f"Authorization: Bearer {value}"
        if how == "answers":
            return text
        raise NoAnswer(text) if how == "refuses" else NoReading(text)

    world = World(tmp_path, probe=echo)
    world.go()
    assert world.of(ReadingTaken), "it was read"
    assert value not in world.journal.read_text()
    assert "Bearer (secret)" in world.journal.read_text()


def test_a_probe_that_hangs_during_the_fault_gives_no_answer_and_the_run_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    world.probe = lambda: _forever() if world.system.slow else None
    assert world.go().ending is Ending.FINISHED
    assert [event.no_answer for event in world.of(ReadingTaken) if event.no_answer]
    assert world.verdict().answer is Answer.BROKEN


def test_a_probe_that_does_not_listen_to_its_cancellation_holds_up_nobody(tmp_path: Path) -> None:
    world = World(tmp_path, strays=True)
    harmless(world)
    world.probe = lambda: _deaf() if world.system.slow else None
    world.go()
    assert 10.0 <= world.t_of(FaultUndone) - world.t_of(FaultInjected) < 10.5
    not_held(world)


@pytest.mark.parametrize(
    ("error", "exit_code"), [(NoReading("down"), 3), (ValueError("bug"), 3), (NoAnswer("refused"), 1)]
)
def test_an_error_during_the_fault_is_never_held(tmp_path: Path, error: Exception, exit_code: int) -> None:
    world = World(tmp_path)
    harmless(world)

    def fail() -> None:
        if world.system.slow:
            raise error

    world.probe = fail
    world.go()
    assert not_held(world).exit_code == exit_code


def test_what_a_probe_raised_stands_in_the_journal(tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyError("nonsense")

    world = World(tmp_path, probe=fail)
    world.go()
    assert "nonsense" in world.of(ReadingTaken)[0].missing
    assert world.of(PluginMisbehaved)[0].plugin == "probe fake"


# -- faults


def test_a_fault_that_raises_before_it_acts_leaves_an_inconclusive_run(tmp_path: Path) -> None:
    world = World(tmp_path)

    def fail(fault: Any) -> None:
        raise FaultFailed("no rights")

    world.hooks["prepare"] = fail
    assert world.go().ending is Ending.FAULT_FAILED
    assert world.of(FaultFailedEvent)[0].error == "no rights"
    assert not_held(world).exit_code == 3
    assert "undo shop-1" not in world.system.log


def test_a_fault_that_raises_half_way_is_undone(tmp_path: Path) -> None:
    world = World(tmp_path)

    def half(fault: Any) -> None:
        world.system.slow[fault.hold.id] = 0.5
        raise RuntimeError("half-way")

    world.hooks["inject"] = half
    assert world.go().ending is Ending.FAULT_FAILED
    assert world.system.slow == {}
    not_held(world)


def test_a_fault_that_hangs_is_cut_off_and_undone(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(inject=2.0))

    async def hang(fault: Any) -> None:
        world.system.slow[fault.hold.id] = 0.5
        await _forever()

    world.hooks["inject"] = hang
    world.go()
    assert world.system.slow == {}
    assert "2 s" in world.of(FaultFailedEvent)[0].error
    assert not_held(world).answer is Answer.INCONCLUSIVE


def test_an_injection_that_goes_on_after_its_cancellation_is_undone_once_more(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(inject=1.0))

    async def late(fault: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
        world.system.slow[fault.hold.id] = 0.5

    world.hooks["inject"] = late
    world.go()
    assert world.system.slow == {}
    not_held(world)


def test_an_injector_that_lies_is_found_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hooks["confirm"] = lambda fault: Sighting(False, "round trip 1 ms, as before")
    assert world.go().ending is Ending.FAULT_FAILED
    assert "not seen in force within 5 s" in world.of(FaultFailedEvent)[0].error
    assert not_held(world).exit_code == 3


def test_a_confirm_that_returns_garbage_confirms_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.hooks["confirm"] = lambda fault: "yes"
    world.go()
    assert not_held(world).exit_code == 3


def test_a_confirm_that_hangs_confirms_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(confirm=0.5))
    world.hooks["confirm"] = _forever
    assert world.go().ending is Ending.FAULT_FAILED
    assert world.system.slow == {}
    not_held(world)


def test_a_fault_taken_back_by_somebody_else_makes_the_run_inconclusive(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    world.at[6.0] = lambda world: world.system.slow.clear()
    world.go()
    assert len(world.of(FaultLost)) == 1
    assert not_held(world).exit_code == 3


def test_a_fault_that_ended_while_the_runner_stood_still_at_its_end_is_not_held(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    item = PlannedItem(faults=(fault(params={"delay": 0.02}, lasts="60s"),))
    world.plan = plan(method=[item], measures=[measure(every="1s")])

    def stand_still(world: World) -> None:
        asyncio.get_running_loop()._virtual.passed += 8  # type: ignore[attr-defined]
        world.system.slow.clear()

    world.at[56.0] = stand_still
    world.go()
    assert world.of(FaultLost)
    assert not_held(world).exit_code == 3


def test_one_bad_look_is_looked_at_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    looks = iter([None, None, Sighting(False, "a hiccup")])
    world.hooks["confirm"] = lambda fault: next(looks, None)
    world.go()
    assert world.of(FaultLost) == []
    assert world.verdict().answer is Answer.HELD


def test_a_target_that_goes_away_counts_as_undone_and_not_as_held(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)

    def vanish(world: World) -> None:
        world.system.slow.clear()
        world.system.gone.add("fake:1")

    world.at[6.0] = vanish
    world.go()
    assert world.of(FaultUndone)[0].because == "target-gone"
    not_held(world)


def test_a_target_that_is_gone_before_the_injection_is_not_touched(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.system.gone.add("fake:1")
    world.go()
    assert world.system.log == []
    assert not_held(world).exit_code == 3


def test_no_target_at_all_injects_nothing_and_is_inconclusive(tmp_path: Path) -> None:
    why = "service web is not up: `chaosrunner local up stage` starts it"
    world = World(tmp_path, plan=plan(method=[PlannedItem(faults=(fault(targets=(), unmatched=why),))]))
    world.go()
    assert world.of(FaultInjected) == []
    said = not_held(world)
    assert said.exit_code == 3 and f"no target matched: {why}" in said.summary


def test_a_fault_met_by_nothing_is_inconclusive(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)

    async def none(self: Any) -> int:
        return 0

    world.fault_methods["touched"] = none
    world.go()
    assert not_held(world).exit_code == 3


# -- undo


def test_an_undo_that_fails_at_first_is_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    tries = iter([RuntimeError("busy"), RuntimeError("busy")])

    def stumble(fault: Any) -> None:
        if (error := next(tries, None)) is not None:
            raise error

    world.hooks["undo"] = stumble
    outcome = world.go()
    assert not outcome.undo_failed
    assert world.verdict().answer is Answer.HELD


def test_an_undo_that_fails_for_good_is_shouted_about(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)

    def never(fault: Any) -> None:
        raise UndoFailed("access denied", ["make-quick shop-1 --force"])

    world.hooks["undo"] = never
    outcome = world.go()
    assert outcome.undo_failed
    assert world.of(UndoFailedEvent)[0].commands == ("make-quick shop-1 --force",)
    assert not_held(world).exit_code == 7
    assert [run.run for run in world.machine.runs()] == [world.run_id], "heal must still find it"


def test_an_undo_that_says_done_and_did_nothing_is_found_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    world.hooks["undo"] = lambda fault: world.system.slow.update({"other": 0.02, fault.hold.id: 0.02})
    world.hooks["confirm"] = lambda fault: Sighting("other" in world.system.slow or bool(world.system.slow), "slow")
    world.go()
    assert "still seen in force" in world.of(UndoFailedEvent)[0].error
    assert not_held(world).exit_code == 7


def test_an_undo_that_hangs_is_cut_off_and_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, limits=Limits(undo=1.0))
    harmless(world)
    first = iter([True])

    async def hang_once(fault: Any) -> None:
        if next(first, False):
            await _forever()

    world.hooks["undo"] = hang_once
    world.go()
    assert world.system.slow == {}
    assert world.of(UndoFailedEvent) == []


# -- the journal, the clock, other runs


class FullDisk(Journal):
    """Has no space left from some moment on, as the kernel would say it."""

    full_when: Callable[[], bool]
    reserve_given = False

    def _write(self, line: bytes) -> None:
        if self.full_when() and not self.reserve_given:
            half = os.pwrite(self._file, line[: len(line) // 2], self._size)
            assert half
            os.ftruncate(self._file, self._size)
            from chaosrunner.errors import JournalFailed

            raise JournalFailed(f"cannot write the journal {self.path}: {os.strerror(errno.ENOSPC)}")
        super()._write(line)

    def give_up_reserve(self) -> None:
        super().give_up_reserve()
        self.reserve_given = True


@pytest.mark.parametrize("when", ["baseline", "fault"])
def test_a_full_disk_ends_the_run_undone_and_inconclusive(tmp_path: Path, when: str) -> None:
    world = World(tmp_path)
    harmless(world)

    def make(path: Path, clock: Any) -> Journal:
        journal = FullDisk(path, clock, fsync=_no_fsync)
        journal.full_when = lambda: world.t_now() > (1.0 if when == "baseline" else 6.0)  # type: ignore[attr-defined]
        return journal

    world.t_now = lambda: asyncio.get_running_loop().time() - 1000.0  # type: ignore[attr-defined]
    world.make_journal = make
    outcome = world.go()
    assert outcome.ending is Ending.JOURNAL_FAILED
    assert "No space left" in outcome.trouble
    assert world.system.slow == {}
    assert list(read_journal(world.journal)), "the journal is whole"
    assert isinstance(list(read_journal(world.journal))[-1].event, RunEnded), "the reserve held the end"
    assert not_held(world).exit_code == 3


async def _no_fsync(descriptor: int) -> None:
    return


def test_without_a_durable_ledger_nothing_is_injected(tmp_path: Path) -> None:
    world = World(tmp_path)

    async def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    world.make_journal = lambda path, clock: Journal(path, clock, fsync=broken)
    assert world.go().ending is Ending.JOURNAL_FAILED
    assert "inject shop-1" not in world.system.log
    assert not_held(world).exit_code == 3, "nothing was injected, so nothing is left"


def test_a_ledger_that_could_not_be_written_at_once_injects_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    class FullOnce(Journal):
        full = True

        def append(self, event: Any) -> Any:
            if isinstance(event, FaultPrepared) and self.full:
                self.full = False
                raise JournalFailed("no space left")
            return super().append(event)

    world = World(tmp_path)
    world.make_journal = lambda path, clock: FullOnce(path, clock, fsync=_no_fsync)
    assert world.go().ending is Ending.JOURNAL_FAILED
    assert "inject shop-1" not in world.system.log
    assert not_held(world).exit_code == 3


def test_a_failed_undo_is_told_before_a_defect(tmp_path: Path) -> None:
    world = World(tmp_path)

    def never(fault: Any) -> None:
        raise UndoFailed("access denied")

    world.hooks["undo"] = never
    together = PlannedItem(faults=(fault(), fault(id="later", fault="unknown", after="2s")))
    world.plan = plan(method=[together])
    with pytest.raises(UndoFailed, match="chaosrunner itself failed, too: KeyError"):
        world.go()
    assert world.verdict().exit_code == 7


@pytest.mark.parametrize("gone", [False, True])
def test_a_failed_undo_is_told_where_the_journal_cannot_say_it(tmp_path: Path, gone: bool) -> None:
    class Full(Journal):
        full = False

        def append(self, event: Any) -> Any:
            self.full = self.full or isinstance(event, FaultInForce)
            if self.full:
                raise JournalFailed("no space left")
            return super().append(event)

    world = World(tmp_path)
    world.hooks["undo"] = _deny
    world.make_journal = lambda path, clock: Full(path, clock, fsync=_no_fsync)
    outcome = world.go()
    assert outcome.undo_failed
    desk = Desk(tmp_path, world.clock, None, lambda words: None)  # type: ignore[arg-type]
    if gone:
        world.journal.unlink()
        with pytest.raises(UndoFailed, match=f"chaosrunner heal {world.run_id}"):
            asyncio.run(conclude(world.plan, outcome, desk))
    else:
        assert asyncio.run(conclude(world.plan, outcome, desk)).verdict.exit_code == 7


def _deny(fault: Any) -> None:
    raise UndoFailed("access denied")


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_wall_clock_changes_nothing(tmp_path: Path, step: float) -> None:
    world = World(tmp_path)
    harmless(world)

    def jump(world: World) -> None:
        world.clock.step = step

    world.at[6.0] = jump
    world.go()
    assert 10.0 <= world.t_of(FaultUndone) - world.t_of(FaultInjected) < 10.5
    assert world.verdict().answer is Answer.HELD


def test_two_runs_on_one_target_the_second_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = world.machine.lease("fake:1")
    assert other.take({"run": "20261122-095959-other"})
    assert world.go().ending is Ending.REFUSED
    refusal = next(event.answer for event in world.of(GuardAnswered) if not event.answer.go)
    assert "20261122-095959-other" in refusal.reason
    assert world.system.log == []
    assert not_held(world).exit_code == 4
    other.drop()
    again = World(tmp_path, run_id="20261122-110000-abcdef")
    assert again.go().ending is Ending.FINISHED


def test_what_is_not_a_target_and_changes_is_spill_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)
    world.at[6.0] = lambda world: world.system.restarted.add("other")
    world.go()
    assert [(event.service, event.detail) for event in world.of(Spilled)] == [("other", "was up, is restarted")]
    assert world.verdict().exit_code == 1, "the hypotheses held, and yet a gap was found"


def test_what_another_run_of_the_same_command_hits_is_not_this_ones_spill_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    harmless(world)

    def hit(world: World) -> None:
        world.elsewhere.append(Target(kind="process", id="process:other", name="other", service="other"))
        world.system.restarted.add("other")

    world.at[6.0] = hit
    world.go()
    assert world.system.restarted == {"other"}
    assert not world.of(Spilled)
    assert world.verdict().exit_code == 0


def test_faults_together_are_each_taken_back(tmp_path: Path) -> None:
    both = PlannedItem(
        faults=(fault(id="one", lasts="4s"), fault(id="two", lasts="4s", after="2s", targets=(target(2), target(3))))
    )
    world = World(tmp_path, plan=plan(method=[both]))
    world.go()
    assert sorted(event.fault for event in world.of(FaultUndone)) == ["one/1", "two/1", "two/2"]
    assert world.system.slow == {}


@pytest.mark.parametrize(("gone_at", "answer"), [(40.5, Answer.HELD), (30.0, Answer.INCONCLUSIVE)])
def test_a_target_that_goes_away_at_the_very_end_costs_nothing(tmp_path: Path, gone_at: float, answer: Answer) -> None:
    world = World(tmp_path)
    harmless(world)
    world.plan = plan(method=[PlannedItem(faults=(fault(params={"delay": 0.02}, lasts="40s"),))])

    def vanish(world: World) -> None:
        world.system.slow.clear()
        world.system.gone.add("fake:1")

    world.at[gone_at] = vanish
    world.go()
    assert world.of(FaultUndone)[0].because == "target-gone"
    assert world.verdict().answer is answer
