"""The control socket: one line in, one line out, whatever comes in."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.injector.control import Control, ControlError, NobodyThere, RequestRefused, call, call_async


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cr-") as folder:  # short, unlike tmp_path
        yield Path(folder, "c.sock")


def _refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise RequestRefused("no, because")


async def _later(request: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"said": request.get("say")}


@pytest.fixture
async def control(path: Path) -> AsyncIterator[Control]:
    control = Control(
        path,
        {
            "echo": lambda request: {"said": request["say"]},
            "later": _later,
            "refuse": _refuse,
            "never": lambda request: asyncio.get_running_loop().create_future(),
        },
    )
    await control.open()
    yield control
    await control.close()


async def _talk(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        replies = []
        for line in lines:
            writer.write(line + b"\n")
            reply = await asyncio.wait_for(reader.readline(), 10)
            if not reply:
                break
            replies.append(json.loads(reply))
        return replies
    finally:
        writer.close()


async def test_several_requests_on_one_connection_are_answered_in_turn(control: Control) -> None:
    replies = await _talk(control.path, b'{"do":"echo","say":1}', b'{"do":"nothing"}', b'{"do":"later","say":2}')
    assert replies[0] == {"ok": True, "said": 1}
    assert replies[1]["ok"] is False
    assert replies[1]["error"] == "unknown request 'nothing'; known: echo, later, never, refuse"
    assert replies[2] == {"ok": True, "said": 2}


async def test_both_clients_return_the_reply(control: Control) -> None:
    request = {"do": "echo", "say": "ü\n"}
    assert await call_async(control.path, request) == {"ok": True, "said": "ü\n"}
    assert await asyncio.to_thread(call, control.path, request) == {"ok": True, "said": "ü\n"}


async def test_a_refusal_keeps_its_words(control: Control) -> None:
    with pytest.raises(RequestRefused, match=r"^no, because$"):
        await call_async(control.path, {"do": "refuse"})
    with pytest.raises(RequestRefused, match=r"^no, because$"):
        await asyncio.to_thread(call, control.path, {"do": "refuse"})


async def test_a_handler_that_trips_over_a_request_answers_with_an_error(control: Control) -> None:
    with pytest.raises(RequestRefused, match="KeyError: 'say'"):
        await call_async(control.path, {"do": "echo"})


async def test_no_answer_in_time_is_an_error_and_not_a_refusal(control: Control) -> None:
    with pytest.raises(ControlError, match=r"no answer within 0.05 s") as seen:
        await call_async(control.path, {"do": "never"}, timeout=0.05)
    assert not isinstance(seen.value, RequestRefused)
    with pytest.raises(ControlError, match=r"no answer within 0.05 s"):
        await asyncio.to_thread(call, control.path, {"do": "never"}, 0.05)


async def test_nobody_there_is_told_apart(path: Path) -> None:
    with pytest.raises(NobodyThere, match="nobody is there"):
        await call_async(path, {"do": "echo"})
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(NobodyThere):
        await asyncio.to_thread(call, path, {"do": "echo"})


HOSTILE = [
    b"",
    b"   ",
    b"garbage",
    b"\x00\xff\xfe",
    b"{",
    b"[]",
    b"7",
    b"null",
    b'"do"',
    b"{}",
    b'{"do":null}',
    b'{"do":["echo"]}',
    b'{"do":{"echo":1}}',
    b'{"do":"\\ud800"}',
    b'{"do":"echo","say":NaN}',
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b"9" * 60_000,
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
async def test_garbage_gets_an_error_and_the_next_request_its_answer(control: Control, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(control.path))
    writer.write(line + b'\n{"do":"echo","say":"still here"}\n')
    while True:
        reply = json.loads(await asyncio.wait_for(reader.readline(), 10))
        if reply.get("said") == "still here":
            break
        assert reply["ok"] is False or reply["said"] is not None
    writer.close()


async def test_random_bytes_never_kill_the_server(control: Control) -> None:
    chance = random.Random(42)
    for _ in range(30):
        reader, writer = await asyncio.open_unix_connection(str(control.path))
        writer.write(chance.randbytes(chance.randrange(3000)) + b"\n" * chance.randrange(2))
        if chance.random() < 0.5:
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert (await call_async(control.path, {"do": "echo", "say": 1}))["said"] == 1


async def test_a_line_without_end_is_cut_off(control: Control) -> None:
    reader, writer = await asyncio.open_unix_connection(str(control.path))
    writer.write(b"x" * 300_000)
    reply = json.loads(await asyncio.wait_for(reader.readline(), 10))
    assert reply == {"ok": False, "error": "a request is one line of at most 65536 bytes"}
    assert not await asyncio.wait_for(_to_the_end(reader), 10)
    writer.close()
    assert (await call_async(control.path, {"do": "echo", "say": 1}))["said"] == 1


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_an_asker_that_leaves_before_the_answer_does_no_harm(control: Control) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_unix_connection(str(control.path))
        writer.write(b'{"do":"later"}\n' * 50)
        writer.transport.abort()
    assert (await call_async(control.path, {"do": "echo", "say": 1}))["said"] == 1


async def test_the_socket_is_for_its_owner_only_and_goes_with_its_server(control: Control) -> None:
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    await control.close()
    assert not control.path.exists()
    await control.close()


async def test_open_talks_end_when_the_server_closes(control: Control) -> None:
    reader, writer = await asyncio.open_unix_connection(str(control.path))
    writer.write(b'{"do":"never"}\n')
    idle, idle_writer = await asyncio.open_unix_connection(str(control.path))
    await call_async(control.path, {"do": "echo", "say": 1})
    await control.close()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert await asyncio.wait_for(idle.read(), 10) == b""
    writer.close()
    idle_writer.close()


async def test_a_socket_that_nobody_answers_on_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    control = Control(path, {"echo": lambda request: {}})
    await control.open()
    assert await call_async(path, {"do": "echo"}) == {"ok": True}
    await control.close()


async def test_a_socket_in_use_is_left_alone(control: Control) -> None:
    other = Control(control.path, {})
    with pytest.raises(ControlError, match="another process answers on it"):
        await other.open()
    await other.close()
    assert (await call_async(control.path, {"do": "echo", "say": 1}))["said"] == 1


def test_another_file_in_its_place_is_left_alone(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(ControlError, match="is there already and is not a socket"):
        asyncio.run(Control(path, {}).open())
    assert path.read_text() == "mine"


async def test_a_server_that_is_too_busy_to_answer_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as one:
        busy.bind(str(path))
        busy.listen(0)
        one.connect(str(path))  # its queue is full, and it does not accept
        with pytest.raises(ControlError, match="is in use"):
            await Control(path, {}).open()
        assert stat.S_ISSOCK((await asyncio.to_thread(path.stat)).st_mode)


async def test_a_socket_that_somebody_else_put_there_meanwhile_is_not_removed(path: Path) -> None:
    first, second = Control(path, {}), Control(path, {"echo": lambda request: {}})
    await first.open()
    await asyncio.to_thread(path.unlink)
    await second.open()
    await first.close()
    assert await call_async(path, {"do": "echo"}) == {"ok": True}
    await second.close()


async def test_of_many_that_find_a_stale_socket_at_once_one_gets_it(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    controls = [Control(path, {"who": lambda request, number=number: {"who": number}}) for number in range(8)]
    results = await asyncio.gather(*(control.open() for control in controls), return_exceptions=True)
    assert results.count(None) == 1
    assert (await call_async(path, {"do": "who"}))["who"] == results.index(None)
    for control in controls:
        await control.close()


@pytest.mark.parametrize("asked", ["open", "call", "call_async"])
async def test_a_path_that_is_too_long_is_said_to_be(path: Path, asked: str) -> None:
    long = path.parent / ("x" * 104)
    with pytest.raises(ControlError, match=r"has \d+ bytes and may have 103: use a shorter folder"):
        if asked == "open":
            await Control(long, {}).open()
        elif asked == "call":
            call(long, {})
        else:
            await call_async(long, {})


async def test_a_folder_that_is_not_there_is_an_error_with_its_name(path: Path) -> None:
    with pytest.raises(ControlError, match=r"cannot listen on .*: No such file or directory"):
        await Control(path.parent / "none" / "c.sock", {}).open()


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"7\n", b'{"ok":true}', b"\xff\n"])
async def test_an_answer_that_is_none_is_an_error(path: Path, answer: bytes) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(say, str(path))
    for ask in (call_async(path, {}), asyncio.to_thread(call, path, {})):
        with pytest.raises(ControlError, match="no answer"):
            await ask
    server.close()
    await server.wait_closed()
