"""However a fault in a pod ends: deadline, heartbeat, signals, the channel, a killed injector, another one's sweep."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable

import pytest

from chaosrunner.injector import beats, nft
from tests.injector_pod.lab import OTHER, POD, Host, Injector, Lab, round_trip, to, traffic

REFUSE = traffic(to(7000), connections={"loss": "refuse"})


def refused(host: Host) -> bool:
    try:
        host.connect(OTHER, 7000).close()
    except ConnectionRefusedError:
        return True
    return False


def test_it_ends_at_its_deadline(stage: Lab, injector: Injector) -> None:
    injector.begin("short", REFUSE, seconds=0.6)
    assert refused(stage.pod)
    event = injector.event("ended", id="short")
    assert (event["why"], event["taken_back"]) == ("deadline", True)
    assert not refused(stage.pod)


def test_it_ends_when_nobody_beats_any_more(stage: Lab, started: Callable[..., Injector]) -> None:
    injector = started(beat_limit=0.8)
    began = time.monotonic()
    injector.begin("lonely", REFUSE)
    while time.monotonic() < began + 1.2:
        assert injector.ask("beat", run=injector.run)["count"] == 1
        time.sleep(0.2)
    assert refused(stage.pod)
    assert injector.event("ended", id="lonely")["why"] == "heartbeat"
    assert not refused(stage.pod)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_takes_everything_back_on_a_signal(stage: Lab, injector: Injector, number: signal.Signals) -> None:
    injector.begin("gone", REFUSE)
    injector.process.send_signal(number)
    assert injector.process.wait(5) == 0
    assert injector.event("over")["why"] == number.name
    assert not refused(stage.pod)


def test_bye_and_the_end_of_its_lifetime_take_everything_back(stage: Lab, started: Callable[..., Injector]) -> None:
    for more in ((), ("--seconds", "1.5")):
        injector = started(*more)
        injector.begin("gone", REFUSE)
        if not more:
            assert injector.ask("bye")["ok"]
        assert injector.process.wait(5) == 0
        assert injector.event("ended", id="gone")["taken_back"]
        assert not refused(stage.pod)


def test_the_end_of_its_input_ends_it_when_nothing_is_held(stage: Lab, started: Callable[..., Injector]) -> None:
    injector = started(beat_limit=0.8)
    injector.begin("gone", REFUSE)
    assert injector.process.stdin is not None
    injector.process.stdin.close()
    assert injector.process.wait(6) == 0
    assert injector.event("ended", id="gone")["why"] == "heartbeat"


def test_half_a_line_of_a_broken_channel_does_no_harm(stage: Lab, injector: Injector) -> None:
    injector.begin("gone", REFUSE)
    injector.write('{"n": 99, "do": "e')
    injector.write("")
    injector.write("[1, 2]")
    assert injector.ask("holds")["holds"][0]["id"] == "gone"


def test_an_unknown_request_and_another_run_are_refused_in_words(injector: Injector) -> None:
    assert "known: beat, begin" in injector.ask("nonsense")["error"]
    wrong = injector.ask("begin", id="x", run="another", seconds=5, effect=REFUSE)
    assert not wrong["ok"] and "not of 'another'" in wrong["error"]


def test_diverted_connections_are_reset_when_the_injector_ends(stage: Lab, injector: Injector) -> None:
    injector.begin("slow", traffic(to(7000), mode="proxy", connections={"delay": 0.01}))
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line) < 3
        assert injector.ask("bye")["ok"]
        line.settimeout(5)
        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_what_another_injector_left_is_found_and_removed(stage: Lab, started: Callable[..., Injector]) -> None:
    """Tables without an owner, as an old kernel has them, and one of another run."""
    table = nft.table_name("R-left", "R-left.gone.0")
    for name in (table, nft.table_name("another", "hold")):
        stage.pod.run("nft", "add", "table", "inet", name)
    injector = started(run="R-left")
    found = {entry["table"]: entry["mine"] for entry in injector.ask("left")["left"]}
    assert found == {table: False, nft.table_name("another", "hold"): False}
    answer = injector.end("R-left.gone.0")
    assert answer["removed"] == [table]
    assert injector.end("R-left.gone.0")["removed"] == []
    assert injector.ask("sweep")["removed"] == []
    assert injector.ask("sweep", all=True)["removed"] == [nft.table_name("another", "hold")]


def test_what_a_living_injector_holds_cannot_be_removed_by_another(
    stage: Lab, started: Callable[..., Injector]
) -> None:
    injector, other = started(run="R-two"), started(run="R-two")
    injector.begin("gone", REFUSE)
    answer = other.ask("sweep")
    assert answer["removed"] == [] and "is alive" in next(iter(answer["failed"].values()))
    assert refused(stage.pod)
    injector.end("gone")
    assert other.ask("sweep") == {"n": 2, "ok": True, "removed": [], "failed": {}}


def test_it_begins_by_itself_and_lives_by_datagrams(stage: Lab, started: Callable[..., Injector]) -> None:
    key = bytes(range(16))
    order = {"id": "many", "run": "R-many", "seconds": 30, "effect": traffic({"to": []}, packets={"partition": True})}
    more = ("--order", json.dumps(order), "--beats", f"udp:7999:{key.hex()}")
    injector = started(*more, run="R-many", beat_limit=1.0)
    injector.event("began")
    with stage.other.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        for count in range(8):
            door.sendto(beats.sealed(key, "R-many", count, 20), (POD, 7999))
            time.sleep(0.2)
        assert injector.process.poll() is None, "its heartbeats pass through its own fault"
        assert "chaosrunner" in stage.pod.rules()
        for data in (beats.sealed(key, "R-many", 3, 20), beats.sealed(b"x" * 16, "R-many", 99, 20), b"", b"x" * 2000):
            door.sendto(data, (POD, 7999))
        door.sendto(beats.sealed(key, "R-many", 50, 0), (POD, 7999))
    assert injector.process.wait(5) == 0
    assert injector.event("ended", id="many")["why"] == "ended"


def test_old_and_foreign_heartbeats_do_not_keep_a_fault_alive(stage: Lab, started: Callable[..., Injector]) -> None:
    key = bytes(range(16))
    order = {"id": "many", "run": "R-old", "seconds": 30, "effect": REFUSE}
    more = ("--order", json.dumps(order), "--beats", f"udp:7998:{key.hex()}")
    injector = started(*more, run="R-old", beat_limit=1.0)
    with stage.other.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.sendto(beats.sealed(key, "R-old", 5, 20), (POD, 7998))
        until = time.monotonic() + 5
        while injector.process.poll() is None and time.monotonic() < until:
            for data in (beats.sealed(key, "R-old", 5, 20), beats.sealed(key, "R-other", 9, 20), b"nonsense"):
                door.sendto(data, (POD, 7998))
            time.sleep(0.1)
    assert injector.process.poll() == 0
    assert injector.event("ended", id="many")["why"] == "heartbeat"


def test_an_order_that_cannot_begin_says_why_and_ends(stage: Lab, started: Callable[..., Injector]) -> None:
    order = {"id": "x", "run": "R-bad", "seconds": 30, "effect": {"kind": "nonsense"}}
    injector = started("--order", json.dumps(order), run="R-bad")
    assert "known: traffic, stress, signal" in injector.event("refused")["error"]
    assert injector.process.wait(5) == 3


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (traffic(to(7000)), "does nothing"),
        (traffic(to(7000), connections={"loss": "explode"}), "`loss` is one of"),
        (traffic({"to": [{"cidr": "nonsense"}]}, connections={"delay": 1}), "`cidr` is a network"),
        (traffic(to(7000), packets={"loss": 2}), "from 0 to 1"),
        (traffic(to(7000), http={"status": 99}), "`status` is a number"),
        (traffic(to(7000), dns={"answer": "maybe"}), "`answer` is one of"),
        ({"kind": "stress", "what": "gravity"}, "known: cpu, disk, io, memory"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(
    stage: Lab, injector: Injector, effect: dict[str, object], words: str
) -> None:
    assert words in injector.refusal(effect)
    assert "chaosrunner" not in stage.pod.rules()
