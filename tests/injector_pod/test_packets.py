"""Packets of a pod: a share of them lost, all of them cut off; and what needs netem said where there is none."""

from __future__ import annotations

import json
import socket

import pytest

from chaosrunner.injector import packets
from tests.injector_pod.lab import OTHER, POD, Injector, Lab, round_trip, to, traffic


def test_a_share_of_packets_is_lost(stage: Lab, injector: Injector) -> None:
    looks = json.dumps(
        [["loss", OTHER, "7000", "--count", "150"], ["loss", OTHER, "7000", "--count", "150", "--around"]]
    )
    injector.begin("some", traffic(to(7000), packets={"loss": 0.3}))
    through, around = stage.pod.look("many", looks)["looks"]
    assert 0.15 < through["lost"] < 0.5
    assert around["lost"] < 0.15, "a busy machine may be late for some"
    assert injector.met("some") == 0, "own looks are not counted"
    injector.end("some")
    assert stage.pod.look("loss", OTHER, "7000")["lost"] < 0.15


def test_lost_on_the_way_in_is_lost_too(stage: Lab, injector: Injector) -> None:
    injector.begin("some", traffic(to(7000), packets={"loss": 0.5, "direction": "in"}))
    assert 0.25 < stage.pod.look("loss", OTHER, "7000", "--count", "100")["lost"] < 0.8


def test_datagrams_are_lost_in_silence_and_counted(stage: Lab, injector: Injector) -> None:
    injector.begin("some", traffic(to(7001), packets={"loss": 0.5}))
    back = 0
    with stage.pod.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.settimeout(0.2)
        door.connect((OTHER, 7001))
        for _ in range(60):
            door.send(b"x")
        while True:
            try:
                back += len(door.recv(10))
            except TimeoutError:
                break
    answer = injector.end("some")
    assert (answer["met"], answer["unit"]) == (60 - back, "packets") and 10 < back < 50


@pytest.mark.parametrize("match", [{"to": []}, to(None)])
def test_a_partition_lets_nothing_through_either_way_and_spares_what_is_excepted(
    stage: Lab, injector: Injector, match: dict[str, object]
) -> None:
    spared = {**match, "except": [{"port": 8000}]}
    with stage.other.connect(POD, 7000) as open_before:
        assert round_trip(open_before) < 3
        injector.begin("cut", traffic(spared, packets={"partition": True}))
        with pytest.raises(TimeoutError):
            stage.pod.connect(OTHER, 7000, timeout=0.5)
        with pytest.raises(TimeoutError):
            stage.other.connect(POD, 7000, timeout=0.5)
        assert not pings(stage)
        assert stage.pod.connect(OTHER, 8000).close() is None
        assert stage.pod.do(lambda: socket.create_connection(("127.0.0.1", 7000), 2)).close() is None
        injector.end("cut")
        open_before.settimeout(5)
        assert round_trip(open_before) < 5
    assert pings(stage)


def test_a_port_of_the_pods_own_is_spared_whoever_asks(stage: Lab, injector: Injector) -> None:
    spared = {"to": [], "except": [{"port": 7000, "own": True}, {"gateway": True}]}
    injector.begin("cut", traffic(spared, packets={"partition": True}))
    assert stage.other.connect(POD, 7000).close() is None
    with pytest.raises(TimeoutError):
        stage.other.connect(POD, 8000, timeout=0.5)
    with pytest.raises(TimeoutError):
        stage.pod.connect(OTHER, 7000, timeout=0.5)
    injector.end("cut")


def pings(stage: Lab) -> bool:
    """Whether an echo request of ICMP is answered."""
    with stage.pod.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)) as door:
        door.settimeout(0.5)
        door.sendto(b"\x08\0\xf7\xff\0\0\0\0", (OTHER, 0))
        try:
            return door.recv(100)[20] == 0
        except TimeoutError:
            return False


def test_what_needs_netem_is_refused_where_there_is_none_and_changes_nothing(stage: Lab, injector: Injector) -> None:
    if stage.pod.do(lambda: packets.kernel_has("netem")):
        pytest.skip("this kernel has netem")
    for what in ({"corrupt": 0.1}, {"duplicate": 0.1}, {"delay": 0.1, "reorder": 0.1}, {"rate": 1000}):
        assert "netem" in injector.refusal(traffic(to(7000), packets=what))
    assert "netem" in injector.refusal(traffic(to(7000), mode="netem", connections={"delay": 0.1}))
    assert injector.begin("auto", traffic(to(7000), connections={"delay": 0.1}))["mode"] == "proxy"
    injector.end("auto")
    assert stage.pod.look("rules") == {"look": "rules", "tables": [], "rules": [], "qdiscs": []}


def test_asking_the_kernel_for_a_discipline_changes_nothing(stage: Lab) -> None:
    before = stage.pod.run("tc", "qdisc", "show")
    assert stage.pod.do(lambda: packets.kernel_has("tbf"))
    assert not stage.pod.do(lambda: packets.kernel_has("nonsense"))
    assert stage.pod.run("tc", "qdisc", "show") == before
