"""process-kill and process-pause on real processes, each seen by a look of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess

import pytest

from chaosrunner.errors import CannotDoHonestly, FaultFailed, UndoFailed
from chaosrunner.injector.processes import family
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Fault
from tests.local_stage import RUN, Stage, ask, program, server, until


def ps(pid: int) -> str:
    """The state of a process, as `ps` shows it; empty if there is none, or nothing but its exit status."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state = answer.stdout.strip()
    return "" if state.startswith("Z") else state


async def opened(stage: Stage) -> LocalPlatform:
    platform = stage.platform()
    await platform.system.up()
    await platform.open(RUN, lambda: True)
    return platform


def pid_of(fault: Fault[object]) -> int:
    pid = fault.target.details["pid"]
    assert isinstance(pid, int)
    return pid


# -- kill


@pytest.mark.parametrize("name", ["KILL", "TERM", "INT"])
async def test_a_killed_service_stays_down_until_the_undo_starts_it_again(stage: Stage, name: str) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill", signal=name)
    prepared = await fault.prepare()
    assert (await ask(stage.port))[0] == str(pid_of(fault))
    await fault.inject()
    assert ps(pid_of(fault)) == ""
    assert await fault.confirm(prepared)
    assert (await ask(stage.port))[0] == "refused"
    await fault.undo(prepared)

    async def answers() -> bool:
        return (await ask(stage.port))[0].isdigit()

    await until(answers)
    assert (await ask(stage.port))[0] != str(pid_of(fault))
    await platform.close()


async def test_a_service_that_cannot_start_any_more_is_not_reported_as_brought_back(stage: Stage) -> None:
    broken = stage.folder / "broken"
    start = server(stage.port)["start"]
    stage.back = {"start": ["sh", "-c", f"[ ! -e {broken} ] && exec {shlex.join(start)}"]}
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    prepared = await fault.prepare()
    await fault.inject()
    broken.touch()
    with pytest.raises(UndoFailed, match="was started again and did not stay up: it exited"):
        await fault.undo(prepared)
    await platform.close()


async def test_a_service_with_a_restart_policy_is_started_while_the_fault_lasts(stage: Stage) -> None:
    stage.back = {"restart": {"after": "100ms"}}
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    prepared = await fault.prepare()
    await fault.inject()
    assert ps(pid_of(fault)) == ""

    async def answers() -> bool:
        return (await ask(stage.port))[0].isdigit()

    await until(answers)
    new = (await ask(stage.port))[0]
    await fault.undo(prepared)
    assert (await ask(stage.port))[0] == new, "the undo must not start what is up"
    (state,) = [state for state in (await platform.system.status()).services if state.name == "back"]
    assert state.restarts == 1
    await platform.close()


async def test_a_service_with_children_is_killed_whole_so_that_nothing_stands_in_its_way(stage: Stage) -> None:
    stage.options = ("--children", "2")
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    members = [seen.pid for seen in family(pid_of(fault))]
    assert len(members) == 3
    prepared = await fault.prepare()
    await fault.inject()
    await until(lambda: not any(map(ps, members)))
    await fault.undo(prepared)
    await platform.close()


async def test_a_process_that_ignores_the_signal_is_not_reported_as_killed(stage: Stage) -> None:
    stage.options = ("--deaf",)
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill", signal="TERM")
    prepared = await fault.prepare()
    await fault.inject()
    sighting = await fault.confirm(prepared)
    assert not sighting
    assert "still running after SIGTERM" in sighting.how
    await fault.undo(prepared)
    assert ps(pid_of(fault))
    os.kill(pid_of(fault), signal.SIGKILL)
    await platform.close()


async def test_a_process_that_chaosrunner_does_not_keep_is_killed_and_left_to_its_supervisor(stage: Stage) -> None:
    stranger = program("import time; time.sleep(60)")
    (stage.folder / "front.pid").write_text(f"{stranger.pid}\n")
    platform = await opened(stage)
    target = await stage.target(platform, service="front")
    kill = await stage.fault(platform, "process-kill")
    fault = type(kill)(kill.params, target, platform, kill.hold)
    prepared = await fault.prepare()
    assert prepared == {"keeper": ""}
    assert "supervises" in fault.by_hand(prepared)[0]
    await fault.inject()
    assert await fault.confirm(prepared), "its remains, not yet collected by their parent, are no process"
    stranger.communicate()
    assert stranger.returncode == -signal.SIGKILL
    await fault.undo(prepared)
    assert "front" in await platform.gone(target)
    await platform.close()


async def test_a_target_that_is_gone_already_is_a_failed_fault_and_hits_nobody_else(stage: Stage) -> None:
    stage.back = {"restart": {"after": "1ms"}}
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    os.kill(pid_of(fault), signal.SIGKILL)

    async def restarted() -> bool:
        return bool((await platform.system.keeper("back") or {}).get("restarts"))

    await until(restarted)
    with pytest.raises(CannotDoHonestly, match="gone already"):
        await fault.check()
    with pytest.raises(FaultFailed, match="is gone"):
        await fault.inject()
    new = await stage.target(platform, service="back")
    assert await platform.state(new) == "running"
    await platform.close()


async def test_without_a_heartbeat_a_killed_service_comes_back_by_itself(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    await fault.inject()
    await platform.close()

    async def answers() -> bool:
        return (await ask(stage.port))[0].isdigit()

    assert await until(answers) > 0.5


async def test_with_a_heartbeat_it_stays_down_for_longer_than_the_limit(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    prepared = await fault.prepare()
    await fault.inject()
    await asyncio.sleep(1.6)  # the limit is 1 s
    assert (await ask(stage.port))[0] == "refused"
    await fault.undo(prepared)
    await platform.close()


async def test_a_heartbeat_pauses_while_the_runner_says_that_it_hangs(stage: Stage) -> None:
    platform = stage.platform()
    await platform.system.up()
    hangs: list[bool] = []
    await platform.open(RUN, lambda: not hangs)
    fault = await stage.fault(platform, "process-kill")
    await fault.inject()
    hangs.append(True)

    async def answers() -> bool:
        return (await ask(stage.port))[0].isdigit()

    await until(answers)
    await platform.close()


async def test_the_deadline_ends_it_whatever_the_heartbeat_says(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill", seconds=0.4)
    await fault.inject()

    async def answers() -> bool:
        return (await ask(stage.port))[0].isdigit()

    await until(answers)
    await platform.close()


async def test_the_undo_also_brings_back_a_service_whose_keeper_died(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    prepared = await fault.prepare()
    record = platform.system.record("service", "back")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    await until(lambda: not ps(pid_of(fault)))
    await stage.from_ledger(fault).undo(prepared)
    assert (await platform.system.keeper("back") or {}).get("pid")
    await platform.close()


async def test_an_undo_after_the_environment_was_taken_down_starts_nothing(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-kill")
    prepared = await fault.prepare()
    await fault.inject()
    await platform.system.down()
    await stage.from_ledger(fault).undo(prepared)
    assert await platform.system.keeper("back") is None
    await platform.close()


# -- pause


async def test_a_paused_service_answers_nothing_with_all_its_processes_until_the_undo(stage: Stage) -> None:
    stage.options = ("--children", "1")
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    members = [seen.pid for seen in family(pid_of(fault))]
    prepared = await fault.prepare()
    assert not await fault.confirm(prepared)
    await fault.inject()
    assert [ps(pid)[0] for pid in members] == ["T", "T"]
    assert await fault.confirm(prepared)
    assert (await ask(stage.port, patience=0.3))[0] == "silent"
    await fault.undo(prepared)
    assert "T" not in "".join(map(ps, members))
    assert (await ask(stage.port))[0] == str(pid_of(fault))
    await platform.close()


async def holder_of(stage: Stage) -> int:
    """The holder's process, from its record."""
    (record,) = (stage.machine / "local").glob("h*.json")
    return int(json.loads(record.read_text())["pid"])


async def test_the_undo_continues_what_a_killed_holder_left_stopped(stage: Stage) -> None:
    stage.options = ("--children", "1")
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    members = [seen.pid for seen in family(pid_of(fault))]
    prepared = await fault.prepare()
    await fault.inject()
    os.kill(await holder_of(stage), signal.SIGKILL)
    assert await fault.confirm(prepared), "nobody is left who could continue it"
    await stage.from_ledger(fault).undo(prepared)
    assert "T" not in "".join(map(ps, members))
    assert not list((stage.machine / "local").glob("h*"))
    await platform.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_holder_that_is_told_to_end_continues_what_it_stopped(stage: Stage, number: signal.Signals) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    await fault.inject()
    os.kill(await holder_of(stage), number)
    await until(lambda: ps(pid_of(fault))[0] != "T")
    await platform.close()


async def test_without_a_heartbeat_a_paused_service_goes_on_by_itself(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    await fault.inject()
    await platform.close()
    await until(lambda: ps(pid_of(fault))[0] != "T")
    await until(lambda: not list((stage.machine / "local").glob("h*")))


async def test_a_process_that_somebody_continues_midway_is_seen_as_no_longer_paused(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    prepared = await fault.prepare()
    await fault.inject()
    os.kill(pid_of(fault), signal.SIGCONT)
    sighting = await fault.confirm(prepared)
    assert not sighting
    assert "running" in sighting.how
    await fault.undo(prepared)
    await platform.close()


async def test_a_paused_process_that_is_killed_midway_is_gone_and_its_undo_harmless(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    prepared = await fault.prepare()
    await fault.inject()
    os.kill(pid_of(fault), signal.SIGKILL)
    await until(lambda: not ps(pid_of(fault)))
    assert not await fault.confirm(prepared)
    assert "is gone" in await platform.gone(fault.target)
    await fault.undo(prepared)
    await platform.close()


async def test_what_was_stopped_before_is_refused_and_stays_as_it_was(stage: Stage) -> None:
    platform = await opened(stage)
    fault = await stage.fault(platform, "process-pause")
    os.kill(pid_of(fault), signal.SIGSTOP)
    await until(lambda: ps(pid_of(fault))[0] == "T")
    with pytest.raises(CannotDoHonestly, match="stopped already"):
        await fault.check()
    with pytest.raises(FaultFailed, match="it cannot be stopped"):
        await fault.inject()
    await fault.undo(await fault.prepare())
    assert ps(pid_of(fault))[0] == "T"
    await platform.close()


RUNNER = """
import asyncio, json, sys
from pathlib import Path
from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import Selector
from chaosrunner.platforms.local import LocalPlatform
from chaosrunner.ports import Hold

async def main():
    spec, folder, machine, run = json.loads(sys.argv[1])
    spec = LocalPlatform.Spec.model_validate(spec)
    platform = LocalPlatform(spec, "stage", Path(folder), SystemClock(), Path(machine))
    await platform.open(run, lambda: True)
    (target,) = (await platform.find(Selector(service="back"))).candidates
    pause = catalog.find("faults", "process-pause")
    await pause(pause.Params(), target, platform, Hold(run + ".s.1", run, 0.0, 60.0)).inject()
    print("in force", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_runner_that_is_killed_or_stopped_takes_its_pause_with_it(stage: Stage, number: signal.Signals) -> None:
    platform = stage.platform()
    await platform.system.up()
    target = await stage.target(platform, service="back")
    pid = int(str(target.details["pid"]))
    order = json.dumps([stage.spec, str(stage.folder), str(stage.machine), RUN])
    with program(RUNNER, order) as runner:
        assert runner.stdout is not None
        line = await asyncio.to_thread(runner.stdout.readline)
        assert line == b"in force\n"
        await asyncio.sleep(1.3)
        assert ps(pid)[0] == "T", "the beat keeps it in force beyond the limit"
        os.kill(runner.pid, number)
        await until(lambda: ps(pid)[0] != "T")
        runner.kill()
    assert (await ask(stage.port))[0] == str(pid)
