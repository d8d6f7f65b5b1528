"""What only the kernel's netem can do to a pod's packets, chosen by the rules of a fault."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from tests.injector_pod.lab import OTHER, OTHER6, POD, Host, Injector, Lab, round_trip, to, traffic


def usual(line: socket.socket) -> float:
    """The median of some round trips: under an emulator a single one may be anything."""
    return sorted(round_trip(line) for _ in range(5))[2]


def connecting(stage: Lab, end: str, port: int) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    stage.pod.connect(end, port, 20).close()
    return time.monotonic() - began


def echoes(host: Host, count: int, size: int = 20, pause: float = 0.004) -> list[bytes]:
    """What comes back of so many numbered datagrams."""
    got: list[bytes] = []
    with host.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        door.connect((OTHER, 7001))
        for number in range(count):
            door.send(f"{number:06d}".encode().ljust(size, b"."))
            time.sleep(pause)
        door.settimeout(4.0)
        try:
            while True:
                got.append(door.recv(65535))
        except TimeoutError:
            return got


@pytest.mark.parametrize("end", [OTHER, OTHER6])
def test_a_delay_is_felt_by_open_connections_and_by_connecting_of_the_one_dependency(
    stage: Lab, injector: Injector, end: str
) -> None:
    with stage.pod.connect(end, 7000) as line:
        before = usual(line)
        said = injector.begin("slow", traffic(to(7000, cidr=end), packets={"delay": 0.2}))
        assert said["mode"] == "netem"
        assert 0.2 <= usual(line) < before + 0.9
        assert connecting(stage, end, 7000) >= 0.2, "setting up a connection takes as much longer"
        assert min(connecting(stage, end, 8000) for _ in range(5)) < 0.2, "another port does not"
        assert injector.end("slow")["met"] > 0
        assert usual(line) < before + 0.15
    assert stage.pod.look("rules")["qdiscs"] == []


def test_auto_takes_netem_for_connections_and_delays_both_directions(stage: Lab, injector: Injector) -> None:
    with stage.pod.connect(OTHER, 7000) as line:
        before = usual(line)
        said = injector.begin("slow", traffic(to(7000), connections={"delay": 0.1}))
        assert said["mode"] == "netem"
        assert 0.2 <= usual(line) < before + 0.9
        injector.end("slow")
        assert usual(line) < before + 0.15
    assert "chaos" not in stage.pod.run("ip", "link", "show")


def test_only_what_comes_in_and_of_others_connections_only_their_answers(stage: Lab, injector: Injector) -> None:
    with stage.other.connect(POD, 7000) as line:
        before = usual(line)
        injector.begin("slow", traffic({"way": "ingress", "to": [{"port": 7000}]}, packets={"delay": 0.15}))
        assert 0.15 <= usual(line) < before + 0.8
        injector.end("slow")
        injector.begin(
            "in", traffic({"way": "ingress", "to": [{"port": 7000}]}, packets={"delay": 0.15, "direction": "in"})
        )
        assert 0.15 <= usual(line) < before + 0.8


def test_a_share_is_lost_damaged_doubled_and_overtaken(stage: Lab, injector: Injector) -> None:
    assert len(echoes(stage.pod, 100)) == 100
    injector.begin("lost", traffic(to(7001), mode="netem", packets={"loss": 0.4}))
    assert 30 < len(echoes(stage.pod, 100)) < 90
    injector.end("lost")
    injector.begin("doubled", traffic(to(7001), packets={"duplicate": 0.5}))
    assert 110 < len(echoes(stage.pod, 100)) < 190
    injector.end("doubled")
    injector.begin("damaged", traffic(to(7001), packets={"corrupt": 0.5}))
    back = echoes(stage.pod, 100)
    assert len(back) < 90, "what is damaged is thrown away by the other end's checksum"
    injector.end("damaged")
    injector.begin("overtaken", traffic(to(7001), packets={"delay": 0.05, "reorder": 0.3}))
    back = echoes(stage.pod, 100)
    assert len(back) == 100 and back != sorted(back)


def test_a_rate_holds_for_all_together(stage: Lab, injector: Injector) -> None:
    injector.begin("narrow", traffic(to(7000), packets={"rate": 50_000}))
    with stage.pod.connect(OTHER, 7000, 20) as line:
        took = round_trip(line, b"x" * 60_000)
    assert 0.8 < took < 6


def test_two_faults_on_two_dependencies_have_bands_of_their_own(stage: Lab, injector: Injector) -> None:
    injector.begin("one", traffic(to(7000), packets={"delay": 0.1}))
    injector.begin("two", traffic(to(7000, cidr=OTHER6), packets={"delay": 0.4}))
    with stage.pod.connect(OTHER, 7000) as one, stage.pod.connect(OTHER6, 7000) as two:
        assert 0.1 <= usual(one) < 0.4 <= usual(two)
        injector.end("one")
        assert usual(one) < 0.1 < 0.4 <= usual(two)


def test_looks_around_go_past_it_and_own_looks_are_not_counted(stage: Lab, injector: Injector) -> None:
    injector.begin("slow", traffic(to(7000), packets={"delay": 0.8}))
    assert stage.pod.look("tcp", OTHER, "7000", "--silent-after", "3")["seconds"] >= 0.8
    assert stage.pod.look("tcp", OTHER, "7000", "--around", "--silent-after", "3")["seconds"] < 0.8
    assert injector.met("slow") == 0


def test_what_a_killed_injector_leaves_touches_no_packet_and_is_swept(
    stage: Lab, started: Callable[..., Injector]
) -> None:
    injector = started(run="R-killed")
    injector.begin("slow", traffic(to(7000), connections={"delay": 0.2}))
    injector.process.kill()
    injector.process.wait(10)
    with stage.pod.connect(OTHER, 7000) as line:
        assert usual(line) < 0.2
    fresh = started(run="R-killed")
    assert {tuple(sorted(entry)) for entry in fresh.ask("left")["left"]} == {("mine", "netem")}
    assert len(fresh.end("slow")["removed"]) == 2
    assert fresh.ask("left")["left"] == []
    assert stage.pod.look("rules")["qdiscs"] == []
