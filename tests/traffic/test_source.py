"""The load generator as a process: what it does to servers that behave, well or badly, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoReading, UsageError
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.journal import TrafficSample
from chaosrunner.ports import TrafficWindow
from chaosrunner.traffic.source import Traffic
from tests import loopback
from tests.loopback import HttpServer


@pytest.fixture
async def server():
    async with HttpServer() as running:
        yield running


class Load:
    """A load under way, and the seconds of it that have been told."""

    def __init__(self, url: str, *, most_open: int = 10_000, longest: float = 60.0, **spec: Any) -> None:
        self.samples: list[TrafficSample] = []
        self._told = asyncio.Condition()
        given = {"rate": "200/s", "timeout": "300ms", **spec, "url": url}
        self.traffic = Traffic(
            TrafficSpec.model_validate(given), SystemClock(), self._take, most_open=most_open, longest=longest
        )

    def _take(self, sample: TrafficSample) -> None:
        self.samples.append(sample)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)

    async def seconds(self, count: int) -> list[TrafficSample]:
        await self.until(lambda: len(self.samples) >= count)
        return self.samples

    async def window(self, seconds: float = 1.0) -> TrafficWindow:
        """Once this machine, which the tests share, lets the generator keep its schedule."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return self.traffic.window(seconds)
                except NoReading:
                    await asyncio.sleep(0.1)

    @property
    def process(self) -> psutil.Process:
        assert self.traffic.pid is not None
        return psutil.Process(self.traffic.pid)


@pytest.fixture
async def load():
    running: list[Load] = []

    async def begin(url: str, **spec: Any) -> Load:
        one = Load(url, **spec)
        running.append(one)
        await one.traffic.start()
        return one

    yield begin
    for one in running:
        await one.traffic.stop()


async def test_requests_are_due_at_a_constant_rate_and_connections_are_reused(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")))
    first, second = (await under_way.seconds(2))[:2]
    assert (first.due, second.due) == (200, 200)
    assert first.ok + second.ok >= 390
    window = await under_way.window()
    assert window.seconds == pytest.approx(1)
    assert window.due == pytest.approx(200, abs=2)
    assert 0 < window.p50 <= window.p95 <= window.p99 < 0.3
    assert server.connections < 100


async def test_a_stall_does_not_slow_the_schedule_down_and_its_whole_length_is_seen(server, load):
    gate = asyncio.Event()
    gate.set()

    async def behave(met, writer):
        await gate.wait()
        await loopback.text("ok")(met, writer)

    under_way = await load(server.on("/a", behave), rate="100/s", timeout="5s")
    await under_way.until(lambda: len(server.met) > 50)
    gate.clear()
    stalled = len(server.met)
    await under_way.until(lambda: len(server.met) >= stalled + 80)  # 0.8 s of requests keep coming
    gate.set()
    await under_way.seconds(2)
    slow = [sample.p99 for sample in under_way.samples[:2]]
    assert max(slow) > 0.6
    assert sum(sample.due for sample in under_way.samples[:2]) == 200
    assert sum(sample.ok for sample in under_way.samples[:2]) == 200


async def test_a_server_that_closes_each_connection_gets_a_new_one_each_time(server, load):
    closing = loopback.raw(loopback.page(b"ok", Connection="close"), close=True)
    under_way = await load(server.on("/a", closing), timeout="2s")
    assert (await under_way.seconds(1))[0].ok == 200
    assert server.connections >= 200


FAILURES = {
    "no answer within 0.3 s": loopback.hang,
    "connection reset": loopback.reset,
    "the connection was closed without an answer": loopback.close,
    "the answer is not HTTP: it begins with b'SSH-2.0-OpenSSH\\r\\n'": loopback.raw(b"SSH-2.0-OpenSSH\r\n"),
    "the answer was cut short": loopback.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12", close=True),
    "answered 503": loopback.text("sorry", 503),
    "connection refused": None,
    "the name cannot be resolved: Name or service not known": None,
}


async def test_what_is_no_expected_answer_is_an_error_with_its_reason(server, load):
    urls = {why: server.on(f"/{number}", met) for number, (why, met) in enumerate(FAILURES.items()) if met}
    urls["connection refused"] = f"http://127.0.0.1:{loopback.free_port()}/"
    urls["the name cannot be resolved: Name or service not known"] = "http://nobody.invalid/"
    loads = {why: await load(url, rate="25/s") for why, url in urls.items()}
    for why, under_way in loads.items():
        first = (await under_way.seconds(1))[0]
        assert (first.due, first.ok, first.errors) == (25, 0, 25), why
        window = await under_way.window()
        assert (window.answered, window.why) == (0, why)
        assert window.errors > 0
        answered = "answered" in why
        assert (window.p50 is not None) == answered, why
        assert (first.p50 < 0.3) if answered else (first.p50 >= 0.3), why


async def test_several_statuses_can_be_expected(server, load):
    in_turn = loopback.in_turn(*[loopback.text("a", 201), loopback.text("b", 409)] * 100, loopback.text("c", 201))
    under_way = await load(server.on("/a", in_turn), expect=[201, 409], timeout="2s")
    assert (await under_way.seconds(1))[0].ok == 200


async def test_method_headers_and_body_are_sent(server, load):
    under_way = await load(
        server.on("/cart?item=7", loopback.text("ok")),
        method="POST",
        body='{"item": "ü"}',
        headers={"Content-Type": "application/json", "user-agent": "me"},
        rate="20/s",
    )
    await under_way.until(lambda: server.met)
    met = server.met[0]
    assert (met.method, met.path, met.body.decode()) == ("POST", "/cart?item=7", '{"item": "ü"}')
    assert met.headers["host"] == f"127.0.0.1:{server.port}"
    assert (met.headers["content-type"], met.headers["user-agent"]) == ("application/json", "me")


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_error(server, load):
    ends_in_turn = [loopback.text("ok"), loopback.close] * 100
    under_way = await load(server.on("/a", loopback.in_turn(*ends_in_turn, loopback.text("ok"))), rate="20/s")
    first = (await under_way.seconds(1))[0]
    assert (first.ok, first.errors) == (20, 0)
    assert any(met.on_connection > 1 for met in server.met)


async def test_too_many_open_requests_are_errors_that_say_so(server, load):
    under_way = await load(server.on("/a", loopback.hang), most_open=30, timeout="5s")
    await under_way.until(lambda: under_way.traffic._record.now - under_way.traffic._record.t0 > 1.1)
    window = await under_way.window()
    assert window.errors > 100
    assert window.why == "not sent: 30 requests were open already"
    assert len(server.met) == 30


async def test_tls_is_verified(load, monkeypatch):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pem = Path(__file__).parent.parent / "loopback.pem"
    context.load_cert_chain(pem)
    async with HttpServer(tls=context) as secure:
        url = secure.on("/a", loopback.text("ok"))
        untrusting = await load(url, timeout="2s", rate="20/s")
        assert (await untrusting.seconds(1))[0].errors == 20
        assert "the certificate is not accepted" in (await untrusting.window()).why
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        trusting = await load(url, timeout="2s", rate="20/s")
        assert (await trusting.seconds(1))[0].ok == 20


# -- the instrument


async def test_a_load_that_is_not_running_is_no_reading(server, load):
    idle = Load(server.url())
    with pytest.raises(NoReading, match="has not been started"):
        idle.traffic.window(5)
    under_way = await load(server.on("/a", loopback.text("ok")))
    with pytest.raises(NoReading, match="only just begun"):
        under_way.traffic.window(5)
    await under_way.traffic.stop()
    await under_way.traffic.stop()
    with pytest.raises(NoReading, match="has been stopped"):
        under_way.traffic.window(5)


async def test_a_generator_that_is_killed_is_no_reading(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")))
    under_way.process.kill()
    await under_way.until(lambda: under_way.traffic.pid is None)
    with pytest.raises(NoReading, match="ended by itself"):
        under_way.traffic.window(1)


async def test_a_generator_that_stood_still_says_nothing_false(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")))
    await under_way.seconds(1)
    under_way.process.suspend()
    record = under_way.traffic._record
    stood = record.now

    def silent() -> str:
        try:
            under_way.traffic.window(1)
        except NoReading as reason:
            return str(reason)
        return ""

    await under_way.until(lambda: "has said nothing for 2" in silent())
    under_way.process.resume()
    await under_way.until(lambda: record.now > stood)
    await under_way.until(lambda: "fell behind its own schedule" in silent())
    await under_way.until(lambda: not silent())  # and it comes back


async def test_nothing_to_send_is_no_reading(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")), rate="1/h")
    await under_way.until(lambda: under_way.traffic._record.now - under_way.traffic._record.t0 > 2.2)
    with pytest.raises(NoReading, match="no request was due in the last 1 s"):
        under_way.traffic.window(1)


# -- its end


async def gone(process: psutil.Process) -> bool:
    for _ in range(500):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_stopping_leaves_no_process(server, load):
    under_way = await load(server.on("/a", loopback.hang), timeout="60s")
    process = under_way.process
    await under_way.until(lambda: server.met)
    await under_way.traffic.stop()
    assert not process.is_running()


async def test_it_ends_by_itself_after_its_longest_time(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")), longest=0.3)
    await under_way.until(lambda: under_way.traffic.pid is None)


async def test_ctrl_c_is_not_for_it(server, load):
    under_way = await load(server.on("/a", loopback.text("ok")))
    under_way.process.send_signal(signal.SIGINT)
    assert (await under_way.seconds(1))[0].due == 200
    assert under_way.process.is_running()


RUNNER = """
import asyncio, sys
from chaosrunner.clock import SystemClock
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.traffic.source import Traffic

async def main():
    traffic = Traffic(TrafficSpec(url=sys.argv[1], rate="50/s"), SystemClock())
    await traffic.start()
    print(traffic.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_ends_when_the_runner_is_killed(server):
    url = server.on("/a", loopback.text("ok"))
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, url, stdout=subprocess.PIPE)
    assert runner.stdout is not None
    generator = psutil.Process(int(await runner.stdout.readline()))
    assert generator.ppid() == runner.pid
    runner.send_signal(signal.SIGKILL)
    await runner.wait()
    assert await gone(generator)


def test_the_generators_process_takes_nothing_but_the_standard_library():
    code = "import sys, chaosrunner.traffic.generator; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names
    ours = {name for name in foreign if not name.startswith(("__", "_"))}
    assert ours <= {"chaosrunner", "sitecustomize", "usercustomize"}


# -- what the file says


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "127.0.0.1:80"}, "traffic: url: expected a URL"),
        ({"url": "http://ana:s3cr3t@a/"}, "credentials never stand in a URL"),
        ({"rate": "0/s"}, "expected more than 0/s"),
        ({"headers": {"X": "a\r\nY: b"}}, "a header or the URL holds a letter"),
        ({"url": "http://a/ü"}, "a header or the URL holds a letter"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words(change, words):
    spec = TrafficSpec.model_validate({"url": "http://127.0.0.1/", "rate": "1/s", **change})
    with pytest.raises(UsageError, match=words):
        Traffic(spec, SystemClock())
