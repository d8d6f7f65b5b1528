"""Taking back what dead runs left, and stopping those that live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from chaosrunner.app.desk import Desk, Tell
from chaosrunner.app.orders import FINDING, make_platform, silences_of
from chaosrunner.clock import Clock, SystemClock
from chaosrunner.engine.silencing import end_left
from chaosrunner.errors import Busy, ChaosrunnerError, JournalFailed, NotPossibleNow, UndoFailed
from chaosrunner.http import Http
from chaosrunner.model.environment import Environment
from chaosrunner.model.journal import UndoFailed as UndoFailedEvent
from chaosrunner.person import who
from chaosrunner.ports import LeftOver, Platform
from chaosrunner.stages.heal import Healed, Ledger, Tools, has_begun, heal, read_ledger, without_plan
from chaosrunner.stages.load import load_environment
from chaosrunner.store.machine import ActiveRun, Machine, machine_folder
from chaosrunner.store.runs import Runs


async def heal_before(
    environment: str, machine: Machine, clock: Clock, tell: Tell, platform: Platform | None = None
) -> bool:
    """Take back what dead runs left on this environment, so that the next run starts clean: this machine's by their
    journals, others' by what the platform itself knows. Runs that live are left alone. Whether anything was."""
    anything = False
    for dead in [each for each in machine.runs() if not each.alive and each.environment == environment]:
        healed = await _heal_one(dead, machine, clock, tell)
        if healed.trouble:
            raise NotPossibleNow(f"run {dead.run} died, and what it left cannot be told: {healed.trouble}")
        if healed.undone:
            anything = True
            tell(f"took back {', '.join(healed.undone)}, which the dead run {dead.run} had left in force")
        if not healed.whole:
            raise UndoFailed(
                f"run {dead.run} died and left {healed.failed[0].fault} in force, which cannot be taken back: "
                f"{healed.failed[0].error}",
                healed.failed[0].commands,
            )
    for left in await platform.left() if platform is not None else ():
        if platform is None or left.alive:
            continue
        await platform.heal(left)
        anything = True
        whose = f"the dead run {left.run} of {left.by}"
        tell(f"took back {left.step} on {left.target}, which {whose} had left in force")
    return anything


async def heal_environment(word: str, tell: Tell) -> list[Healed]:
    """Heal all dead runs on an environment: this machine's by their journals, others' by what the platform itself
    knows. A run that is under way is among the answers, as trouble: nothing was done about it."""
    environment, folder, _ = load_environment(word, Path())
    machine, clock = Machine(machine_folder()), SystemClock()
    dead = [each for each in machine.runs() if not each.alive and each.environment == environment.name]
    healed = [await _heal_what_can_be(each, machine, clock, tell) for each in dead]
    platform = make_platform(environment, folder, clock)
    try:
        healed += await _heal_left(platform, await platform.left(thorough=True), environment.name)
        living = partial(_living, environment.name, machine, platform)
        return healed + await _end_silences(environment, folder, clock, living, tell)
    finally:
        await platform.close()


async def _living(environment: str, machine: Machine, platform: Platform) -> frozenset[str] | None:
    """The runs under way on an environment; None: those of other machines cannot be told."""
    if not platform.knows_all_runs:
        return None
    here = [each.run for each in machine.runs() if each.alive and each.environment == environment]
    return frozenset([*here, *(each.run for each in await platform.runs())])


async def _end_silences(
    environment: Environment,
    folder: Path,
    clock: Clock,
    living: Callable[[], Awaitable[frozenset[str] | None]],
    tell: Tell,
) -> list[Healed]:
    """Silences that runs left whose journals are not here."""
    async with Http(clock, folder=folder) as http:
        silences = silences_of(environment, http)
        if silences is None:
            return []
        try:
            ended = await end_left(silences, environment.name, living, clock.now())
        except ChaosrunnerError as error:
            tell(f"silences that dead runs left on {environment.name} may still be there: {error}")
            return []
    for run, one in ended.items():
        if one.ids:
            tell(f"ended the silence {', '.join(one.ids)} of the dead run {run}")
        if one.trouble:
            tell(f"a silence of run {run} is still there ({one.trouble}); it ends by itself")
    return [Healed(run, silences=one.ids, silence_left=one.trouble) for run, one in ended.items()]


async def _heal_left(platform: Platform, left: Sequence[LeftOver], environment: str) -> list[Healed]:
    healed = []
    for run in dict.fromkeys(each.run for each in left):
        faults = [each for each in left if each.run == run]
        if faults[0].alive:
            words = f"it is under way, of {faults[0].by}: `chaosrunner halt {run} -e {environment}` stops it"
            healed.append(Healed(run, trouble=words))
            continue
        undone, failed = [], []
        for each in reversed(faults):
            fault = f"{each.step} on {each.target}"
            try:
                await platform.heal(each)
            except ChaosrunnerError as error:
                failed.append(UndoFailedEvent(fault=fault, error=str(error), attempts=1, commands=tuple(each.by_hand)))
            else:
                undone.append(fault)
        healed.append(Healed(run, tuple(undone), tuple(failed)))
    return healed


async def heal_runs(state: Path, word: str | None, tell: Tell) -> list[Healed]:
    """Heal all dead runs of this machine, or the one that `word` names.

    Raises `Busy` for one that is still under way, `UsageError` for one that nobody knows.
    """
    machine, clock = Machine(machine_folder()), SystemClock()
    if word is None:
        return [await _heal_what_can_be(each, machine, clock, tell) for each in machine.runs() if not each.alive]
    listed = [run for run in machine.runs() if run.run.startswith(word)]
    if len(listed) != 1:
        runs = Runs(state)
        run_id = runs.find(word)
        journal = runs.journal(run_id)
        listed = [ActiveRun(run_id, "", str(journal.resolve()), machine.run_lock(run_id).holder is not None)]
    if listed[0].alive:
        raise Busy(
            f"run {listed[0].run} is under way: `chaosrunner halt {listed[0].run}` stops it and undoes everything"
        )
    return [await _heal_one(listed[0], machine, clock, tell)]


async def _heal_what_can_be(dead: ActiveRun, machine: Machine, clock: Clock, tell: Tell) -> Healed:
    """One that cannot be healed must not keep the others from it."""
    try:
        return await _heal_one(dead, machine, clock, tell)
    except ChaosrunnerError as error:
        return Healed(dead.run, trouble=str(error))


async def _heal_one(dead: ActiveRun, machine: Machine, clock: Clock, tell: Tell) -> Healed:
    lock = machine.run_lock(dead.run)
    if not lock.take({"run": dead.run, "healing": True}):
        raise Busy(f"run {dead.run} is being healed by another process")
    journal = Path(dead.journal)
    try:
        if not has_begun(journal):
            # It died before its first line: nothing was prepared, so nothing was injected.
            tell(f"run {dead.run} has nothing in its journal: it died before it began, or somebody removed {journal}")
            machine.leave(dead.run)
            return Healed(dead.run)
        try:
            ledger = read_ledger(journal)
        except JournalFailed as error:
            return without_plan(dead.run, journal, str(error))
        platform = make_platform(ledger.plan.environment, Path(ledger.plan.folder), clock)
        try:
            async with Http(clock, folder=Path(ledger.plan.folder)) as http:
                silences = silences_of(ledger.plan.environment, http) if ledger.silence is not None else None
                healed = await heal(ledger, journal, Tools(platform, FINDING.fault, clock, who(), silences))
        finally:
            await platform.close()
        if healed.silences:
            tell(f"ended the silence {', '.join(healed.silences)} of the dead run {dead.run}")
        if healed.silence_left:
            tell(f"a silence of the dead run {dead.run} may still be there ({healed.silence_left}); it ends by itself")
        if healed.whole and not healed.silence_left:
            machine.leave(dead.run)
            await _conclude(ledger, journal, clock, tell)
        return healed
    finally:
        lock.drop()


async def _conclude(ledger: Ledger, journal: Path, clock: Clock, tell: Tell) -> None:
    """Judge the dead run and keep what it found, in the state folder that its journal lies in."""
    from chaosrunner.app.concluding import conclude_dead

    state = journal.parent.parent.parent
    async with Http(clock, folder=Path(ledger.plan.folder)) as http:
        for found in await conclude_dead(ledger.plan, journal, Desk(state, clock, http, tell)):
            tell(f"before it died, run {ledger.started.run} had found {found.id or 'a gap'}: {found.gap.title}")


def under_way(environment: str) -> list[str]:
    """Runs of this machine that live now on an environment, oldest first."""
    machine = Machine(machine_folder())
    return [each.run for each in machine.runs() if each.alive and each.environment == environment]
