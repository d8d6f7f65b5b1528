"""How targets are found, and how it is seen that they are gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chaosrunner.errors import UsageError
from chaosrunner.injector import processes
from chaosrunner.model.experiment import Selector
from chaosrunner.ports import Selection
from tests.local_stage import SERVER, Stage, ask, free_port, until


@contextmanager
def stranger(port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that chaosrunner did not start."""
    command = [sys.executable, "-S", "-P", SERVER, str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


async def find(stage: Stage, services: dict[str, Any], links: dict[str, Any] | None = None, **by: Any) -> Selection:
    platform = stage.platform({"services": services, "links": links or {}})
    return await platform.find(Selector.model_validate(by))


async def serving(port: int) -> None:
    async def answers() -> bool:
        return (await ask(port))[0].isdigit()

    await until(answers)


@pytest.mark.parametrize("by", ["port", "address", "pid file", "regular expression", "words"])
async def test_a_service_that_runs_already_is_found(stage: Stage, by: str) -> None:
    port = free_port()
    with stranger(port) as process:
        await serving(port)
        (stage.folder / "it.pid").write_text(f"{process.pid}\n")
        ways: dict[str, dict[str, Any]] = {
            "port": {"listens": port},
            "address": {"listens": f"127.0.0.1:{port}"},
            "pid file": {"pidFile": "it.pid"},
            "regular expression": {"command": rf"local_server\.py {port}$"},
            "words": {"command": [SERVER, str(port)]},
        }
        (target,) = (await find(stage, {"it": ways[by]}, service="it")).candidates
        assert target.id == f"process:it:{process.pid}"
        assert target.details == {"pid": process.pid, "started": processes.started(process.pid)}
        assert target.service == "it"


async def test_workers_belong_to_their_master(stage: Stage) -> None:
    port = free_port()
    with stranger(port, "--children", "2") as process:
        await serving(port)
        (target,) = (await find(stage, {"it": {"command": [SERVER, str(port)]}}, service="it")).candidates
        assert target.details["pid"] == process.pid


async def test_several_instances_are_several_targets_in_a_fixed_order(stage: Stage) -> None:
    one, other = free_port(), free_port()
    with stranger(one) as first, stranger(other) as second:
        await serving(one)
        await serving(other)
        found = await find(stage, {"it": {"command": rf"local_server\.py ({one}|{other})$"}}, service="it")
        assert [target.details["pid"] for target in found.candidates] == sorted([first.pid, second.pid])


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"listens": 1}, "service it is not running: nothing listens on port 1"),
        ({"pidFile": "no.pid"}, "no.pid cannot be read: No such file or directory"),
        ({"pidFile": "odd.pid"}, "odd.pid does not start with a process number"),
        ({"pidFile": "old.pid"}, "process 999999999 of its pid file"),
        ({"command": "no-such-program-anywhere"}, "no process has 'no-such-program-anywhere' in its command line"),
        ({"start": ["sleep", "1"]}, "`chaosrunner local up stage` starts it"),
    ],
)
async def test_what_does_not_run_is_not_found_and_why(stage: Stage, service: dict[str, Any], why: str) -> None:
    (stage.folder / "odd.pid").write_text("none\n")
    (stage.folder / "old.pid").write_text("999999999\n")
    found = await find(stage, {"it": service}, service="it")
    assert not found.candidates
    assert why in found.why_none


async def test_a_command_never_finds_who_asks(stage: Stage) -> None:
    found = await find(stage, {"it": {"command": "pytest"}}, service="it")
    assert os.getpid() not in [target.details["pid"] for target in found.candidates]


async def test_a_kept_service_is_the_process_that_its_keeper_started(shared: Stage) -> None:
    platform = shared.platform()
    await platform.system.up()
    target = await shared.target(platform, service="back")
    assert (await ask(shared.port))[0] == str(target.details["pid"])
    assert await platform.keeper(target) == "chaosrunner"


async def test_links_are_found_by_name_and_by_what_they_connect(shared: Stage) -> None:
    platform = shared.platform()
    await platform.system.up()
    by_name = await shared.target(platform, link="way")
    assert by_name == await shared.target(platform, service="front", to="back")
    assert by_name == await shared.target(platform, service="front", to="back", port=shared.port)
    assert (by_name.kind, by_name.service, by_name.to) == ("link", "front", "back")
    none = await platform.find(Selector(service="front", to="back", port=1))
    assert "no link from front to back on port 1" in none.why_none
    back = await platform.find(Selector(service="back", to="front"))
    assert "no link from back to front" in back.why_none


async def test_a_link_that_is_not_up_is_not_found_and_why(stage: Stage) -> None:
    found = await stage.platform().find(Selector(link="way"))
    assert not found.candidates
    assert found.why_none == "link way is not up: `chaosrunner local up stage` starts it"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ({"service": "bak"}, "names no service 'bak', did you mean 'back'?"),
        ({"service": "front", "to": "nobody"}, "names no service 'nobody', known are back, front"),
        ({"link": "wayy"}, "names no link 'wayy', did you mean 'way'?"),
        ({"workload": "deployment/cart"}, "a local environment finds targets by `service`"),
        ({"zone": "a"}, "not by 'zone'"),
    ],
)
async def test_a_selector_that_means_nothing_here_is_the_files_mistake(
    shared: Stage, by: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as problem:
        await shared.platform().find(Selector.model_validate(by))
    assert words in str(problem.value)


async def test_a_process_with_the_same_number_that_started_later_is_another(shared: Stage) -> None:
    platform = shared.platform()
    await platform.system.up()
    target = await shared.target(platform, service="back")
    assert await platform.gone(target) == ""
    older = target.model_copy(update={"details": {**target.details, "started": "another boot-1"}})
    assert "is gone" in await platform.gone(older)
    assert await platform.state(older) == "gone"


async def test_two_environments_take_the_same_lease_for_the_same_thing(shared: Stage) -> None:
    platform = shared.platform()
    await platform.system.up()
    target = await shared.target(platform, service="back")
    other = shared.platform({"services": {"other": {"listens": shared.port}}})
    (same,) = (await other.find(Selector(service="other"))).candidates
    assert platform.lease(target) == other.lease(same)
    assert target.id != same.id
    assert platform.lease(await shared.target(platform, link="way")) == f"link:127.0.0.1:{shared.link_port}"


async def test_services_that_are_not_targets_are_observed_in_words_that_can_be_compared(stage: Stage) -> None:
    stage.back = {"restart": {"after": "10ms"}}
    platform = stage.platform()
    await platform.system.up()
    way = await stage.target(platform, link="way")
    before = await platform.observe([way])
    target = await stage.target(platform, service="back")
    assert dict(before) == {"back": f"running as process {target.details['pid']}"}
    assert dict(await platform.observe([target])) == {"front": "not running"}
    os.kill(int(str(target.details["pid"])), signal.SIGKILL)

    async def restarted() -> bool:
        return (await platform.observe([way]))["back"] not in ("not running", before["back"])

    await until(restarted)


async def test_a_keeper_that_does_not_answer_says_nothing_of_its_service(stage: Stage) -> None:
    platform = stage.platform()
    await platform.system.up()
    before = await platform.observe([])
    platform.system.socket("service", "back").unlink()
    assert await platform.system.keeper("back") is None
    assert await platform.observe([]) == before
    record = platform.system.record("service", "back")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)  # and its service with it

    async def seen_down() -> bool:
        return (await platform.observe([]))["back"] == "not running"

    await until(seen_down)


async def test_the_doctor_says_what_is_missing(shared: Stage) -> None:
    platform = shared.platform()
    await platform.system.up()
    looked = {what: (fine, found) for what, fine, found in await platform.doctor({})}
    assert looked["service back"][0]
    assert looked["link way"][0]
    assert looked["service front"] == (False, looked["service front"][1])
    assert "front.pid" in looked["service front"][1]


def test_ps_and_proc_tell_the_same() -> None:
    """Everywhere but on Linux `ps` is asked."""
    if not processes.LINUX:
        pytest.skip("there is no /proc to compare with")
    mine = processes.look(os.getpid())
    (by_ps,) = processes._ps("-p", str(os.getpid()))
    assert mine is not None
    assert (mine.pid, mine.parent) == (by_ps.pid, by_ps.parent)
    assert by_ps.started == processes._ps("-p", str(os.getpid()))[0].started != ""
    assert os.getpid() in [seen.pid for seen in processes._ps_all()]
