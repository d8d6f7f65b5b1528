"""`local up`, `status` and `down`: daemons that outlive the command, and nothing else is ever touched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from chaosrunner.errors import NotPossibleNow
from chaosrunner.injector import processes
from chaosrunner.platforms.local.system import LocalSystem, Status
from tests.local_stage import ROOT, SERVER, Stage, ask, free_port, program, server, until


def pid_of(status: Status, service: str = "back") -> int:
    (pid,) = next(state.pids for state in status.services if state.name == service)
    return pid


async def test_up_starts_and_waits_until_everything_answers(stage: Stage) -> None:
    said: list[str] = []
    status = await stage.platform().system.up(said.append)
    assert (await ask(stage.port))[0] == str(pid_of(status))
    assert (await ask(stage.link_port))[0] == str(pid_of(status))
    assert "service back: ready" in said
    back, front = status.services
    assert (back.kept, back.ready, back.restarts, back.note) == (True, True, 0, "")
    assert not front.up
    assert "front.pid cannot be read" in front.note
    assert status.links[0].pid is not None


async def test_up_again_changes_nothing(stage: Stage) -> None:
    before = await stage.platform().system.up()
    said: list[str] = []
    after = await stage.platform().system.up(said.append)
    assert (pid_of(after), after.links[0].pid) == (pid_of(before), before.links[0].pid)
    assert said == ["service back: ready"]


async def test_two_at_once_start_everything_once(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.platform().system.up(), stage.platform().system.up())
    assert pid_of(one) == pid_of(other)


async def test_down_ends_what_up_started_and_is_idempotent(stage: Stage) -> None:
    stage.options = ("--children", "2")
    system = stage.platform().system
    status = await system.up()
    members = [seen.pid for seen in processes.family(pid_of(status))]
    record = system.record("service", "back")
    assert record is not None
    ended = await stage.platform().system.down()
    assert sorted(ended) == ["link way", "service back"]
    gone = [*members, record.pid, status.links[0].pid]
    assert not [pid for pid in gone if processes.started(pid or 0)]
    assert (await ask(stage.port))[0] == "refused"
    assert list(await stage.platform().system.down()) == []
    assert not list((stage.machine / "local").rglob("*.sock"))


async def test_down_leaves_what_it_did_not_start(stage: Stage) -> None:
    with program("import time; time.sleep(60)") as stranger:
        (stage.folder / "front.pid").write_text(str(stranger.pid))
        status = await stage.platform().system.up()
        assert pid_of(status, "front") == stranger.pid
        await stage.platform().system.down()
        assert stranger.poll() is None
        stranger.kill()


async def test_down_ends_a_service_that_is_stopped_or_deaf(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    status = await stage.platform().system.up()
    os.kill(pid_of(status), signal.SIGSTOP)
    await stage.platform().system.down()
    assert not processes.started(pid_of(status))


async def test_the_daemons_outlive_the_command_and_its_session(stage: Stage) -> None:
    text = """
import asyncio, json, sys
from pathlib import Path
from chaosrunner.clock import SystemClock
from chaosrunner.platforms.local.system import LocalSystem
from chaosrunner.platforms.local.spec import Spec
spec, folder, machine = json.loads(sys.argv[1])
asyncio.run(LocalSystem(Spec.model_validate(spec), "stage", Path(folder), SystemClock(), Path(machine)).up())
"""
    with program(text, json.dumps([stage.spec, str(stage.folder), str(stage.machine)])) as command:
        assert await asyncio.to_thread(command.wait, 20) == 0
    status = await stage.platform().system.status()
    assert (await ask(stage.link_port))[0] == str(pid_of(status))
    assert os.getsid(pid_of(status)) != os.getsid(0)


async def test_a_service_that_ends_before_it_is_ready_is_reported_with_its_last_words(stage: Stage) -> None:
    stage.back = {"start": [sys.executable, "-c", "import sys; sys.exit('no database')"]}
    with pytest.raises(NotPossibleNow) as problem:
        await stage.platform().system.up()
    assert "service back exited with 1 before it was ready; the end of" in str(problem.value)
    assert "no database" in str(problem.value)


async def test_a_service_that_is_never_ready_is_given_up_in_time(stage: Stage) -> None:
    ready = {"http": f"http://127.0.0.1:{free_port()}/healthz", "within": "300ms"}
    stage.back = {"ready": ready}
    with pytest.raises(NotPossibleNow, match=r"service back was not ready within 0.3 s: no http://"):
        await stage.platform().system.up()


async def test_a_program_that_does_not_exist_is_named(stage: Stage) -> None:
    stage.back = {"start": ["/no/such/program"]}
    with pytest.raises(
        NotPossibleNow, match=r"service back cannot be started: /no/such/program: No such file or directory"
    ):
        await stage.platform().system.up()
    assert await stage.platform().system.keeper("back") is None


async def test_something_else_at_the_address_is_never_taken_for_ours(stage: Stage) -> None:
    with program(
        f"import runpy, sys; sys.argv = ['x', '{stage.port}']; runpy.run_path({SERVER!r}, run_name='__main__')"
    ) as other:

        async def answers() -> bool:
            return (await ask(stage.port))[0].isdigit()

        await until(answers)
        with pytest.raises(NotPossibleNow, match=r"something else answers at .* already, so back cannot be started"):
            await stage.platform().system.up()
        assert other.poll() is None
        other.kill()


async def test_a_link_whose_port_is_taken_says_so(stage: Stage) -> None:
    server_socket = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", stage.link_port)
    async with server_socket:
        with pytest.raises(NotPossibleNow, match=r"link way: .*port is taken by another process"):
            await stage.platform().system.up()


async def test_changed_settings_start_a_service_anew_and_leave_the_others(stage: Stage) -> None:
    before = await stage.platform().system.up()
    stage.back = {"env": {"COLOUR": "red"}}
    said: list[str] = []
    after = await stage.platform().system.up(said.append)
    assert "service back: its settings changed, it is started anew" in said
    assert pid_of(after) != pid_of(before)
    assert psutil.Process(pid_of(after)).environ()["COLOUR"] == "red"
    assert after.links[0].pid == before.links[0].pid


async def test_what_the_file_names_no_more_is_ended(stage: Stage) -> None:
    before = await stage.platform().system.up()
    spec = {"services": stage.spec["services"]}
    await stage.platform(spec).system.up()
    assert not processes.started(before.links[0].pid or 0)


async def test_up_starts_again_what_ended_by_itself(stage: Stage) -> None:
    before = await stage.platform().system.up()
    os.kill(pid_of(before), signal.SIGKILL)
    await until(lambda: not processes.started(pid_of(before)))
    status = await stage.platform().system.status()
    assert status.services[0].note == "killed by SIGKILL"
    after = await stage.platform().system.up()
    assert pid_of(after) != pid_of(before)


async def test_a_service_does_not_outlive_its_keeper(stage: Stage) -> None:
    system = stage.platform().system
    status = await system.up()
    record = system.record("service", "back")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    await until(lambda: not processes.started(pid_of(status)))


async def test_children_that_a_dead_keeper_left_are_ended_by_down(stage: Stage) -> None:
    stage.options = ("--children", "2")
    system = stage.platform().system
    status = await system.up()
    members = [seen.pid for seen in processes.family(pid_of(status))]
    record = system.record("service", "back")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    await until(lambda: not processes.started(pid_of(status)))
    await system.down()
    assert not [pid for pid in members if processes.started(pid)]


async def test_environments_of_the_same_name_in_other_folders_are_others(stage: Stage, tmp_path: Path) -> None:
    await stage.platform().system.up()
    (tmp_path / "elsewhere").mkdir()
    other = stage.platform()
    system = LocalSystem(other.spec, "stage", tmp_path / "elsewhere", other.clock, stage.machine)
    assert list(await system.down()) == []
    assert await stage.platform().system.keeper("back")


async def test_a_service_gets_the_callers_variables_its_own_and_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_CALLER", "yes")
    monkeypatch.delenv("PYTHONPATH", raising=False)  # the keeper has one of its own
    stage.back = {"env": {"OWN": "1"}, "cwd": "."}
    seen = psutil.Process(pid_of(await stage.platform().system.up()))
    environment = seen.environ()
    assert (environment["FROM_CALLER"], environment["OWN"]) == ("yes", "1")
    assert "PYTHONPATH" not in environment
    assert seen.cwd() == str(stage.folder)


async def test_status_as_json_has_a_stable_shape(stage: Stage) -> None:
    await stage.platform().system.up()
    shown = json.loads(json.dumps((await stage.platform().system.status()).as_json()))
    assert set(shown) == {"environment", "services", "links"}
    assert {"name", "up", "pids", "since", "ready", "restarts", "kept", "note", "log"} == set(shown["services"][0])
    assert {"name", "up", "pid", "listen", "connect", "effects", "from_service", "to_service"} == set(shown["links"][0])


async def test_status_shows_what_is_in_force_on_a_link(stage: Stage) -> None:
    platform = stage.platform()
    await platform.system.up()
    fault = await stage.fault(platform, "network-latency", delay="50ms")
    await fault.inject()
    (link,) = (await platform.system.status()).links
    assert link.effects[0]["delay"] == 0.05
    await fault.undo({})
    assert (await platform.system.status()).links[0].effects == ()


def test_the_command_line_shows_starts_and_ends_it(machine: Path, tmp_path: Path) -> None:
    import subprocess

    port = free_port()
    document = {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": "laptop"},
        "spec": {"platform": {"local": {"services": {"back": server(port)}}}},
    }
    (tmp_path / "laptop.yaml").write_text(json.dumps(document))

    def call(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "chaosrunner", "local", *words]
        answer = subprocess.run(
            command,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
        return answer.returncode, answer.stdout, answer.stderr

    try:
        code, _, _ = call("status", "laptop.yaml")
        assert code == 3
        code, text, _ = call("up", "laptop.yaml")
        assert code == 0
        assert "service back: ready" in text
        assert "SERVICE" in text
        code, text, _ = call("status", "laptop.yaml", "--json")
        assert code == 0
        assert json.loads(text)["services"][0]["ready"] is True
    finally:
        code, text, _ = call("down", "laptop.yaml")
    assert (code, text) == (0, "service back: ended\n")
    assert call("down", "laptop.yaml")[1] == "nothing was up\n"
    code, _, error = call("up", "no-such-environment")
    assert code == 2
    assert "no-such-environment" in error
