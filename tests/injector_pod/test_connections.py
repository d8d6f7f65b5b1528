"""Connections of a pod through the transparent proxy: delayed, refused, hung, reset; seen by a client in the pod."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.injector_pod.lab import OTHER, OTHER6, POD, POD6, Host, Injector, Lab, receive, round_trip, to, traffic

ENDS = [OTHER, OTHER6]


def fastest(line: socket.socket) -> float:
    """Of some round trips, so that a machine that was busy for a moment is not taken for a delay."""
    return min(round_trip(line) for _ in range(5))


def quick(host: Host, end: str) -> bool:
    """Not delayed by the 0.15 s or more each way that these tests put on others."""
    with host.connect(end, 7000) as line:
        return fastest(line) < 0.28


@pytest.mark.parametrize("end", ENDS)
def test_a_delay_is_felt_in_both_directions_by_the_one_dependency_alone(
    stage: Lab, injector: Injector, end: str
) -> None:
    said = injector.begin("slow", traffic(to(7000, cidr=end), mode="proxy", connections={"delay": 0.15}))
    assert said["mode"] == "proxy" and said["owned"]
    with stage.pod.connect(end, 7000) as line:
        assert round_trip(line) >= 0.3
        injector.end("slow")
        time.sleep(0.3)  # the kernel forgets what no rule asks for only after a moment
        assert fastest(line) < 0.28, "a connection that was diverted goes on, undelayed"
    assert quick(stage.pod, end)


def test_other_ports_and_other_ends_are_not_touched(stage: Lab, injector: Injector) -> None:
    injector.begin("slow", traffic(to(7000), mode="proxy", connections={"delay": 0.3}))
    assert quick(stage.pod, OTHER6)
    assert stage.pod.look("tcp", OTHER, "8000", "--http", "/")["outcome"] == "answered"
    assert injector.met("slow") == 0


def test_refused_means_refused_for_new_connections_and_breaks_open_ones(stage: Lab, injector: Injector) -> None:
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line) < 3
        said = injector.begin("gone", traffic(to(7000), connections={"loss": "refuse"}))
        assert said["mode"] == "rules" and said["established"] == 1
        with pytest.raises(OSError):
            round_trip(line)
    with pytest.raises(ConnectionRefusedError):
        stage.pod.connect(OTHER, 7000)
    assert injector.met("gone") >= 2
    injector.end("gone")
    assert stage.pod.round_trip(OTHER, 7000) < 3


@contextmanager
def refused_on_udp(stage: Lab) -> Iterator[socket.socket]:
    """A socket whose first word was answered with a refusal."""
    with stage.pod.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.settimeout(2)
        door.connect((OTHER, 7001))
        with pytest.raises(ConnectionRefusedError):
            door.send(b"x")
            door.recv(10)
        yield door


def test_refused_on_udp_is_told_as_unreachable(stage: Lab, injector: Injector) -> None:
    injector.begin("gone", traffic(to(7001), connections={"loss": "refuse"}))
    with refused_on_udp(stage):
        pass


def test_a_socket_on_udp_that_was_refused_is_answered_after_the_undo(stage: Lab, injector: Injector) -> None:
    """Even where translations go on, as with a mesh: what the kernel remembers of the socket is taken back too."""
    stage.pod.run("nft", "add table ip mesh; add chain ip mesh out { type nat hook output priority -100; }")
    try:
        injector.begin("gone", traffic(to(7001), connections={"loss": "refuse"}))
        with refused_on_udp(stage) as door:
            injector.end("gone")
            door.send(b"y")
            assert door.recv(10) == b"y"
    finally:
        stage.pod.run("nft", "delete table ip mesh")


def test_a_hang_is_silence_for_new_and_open_connections_and_nothing_is_lost_by_it(
    stage: Lab, injector: Injector
) -> None:
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line) < 3
        injector.begin("hang", traffic(to(7000), connections={"loss": "hang"}))
        with pytest.raises(TimeoutError):
            stage.pod.connect(OTHER, 7000, timeout=0.7)
        line.sendall(b"late")
        line.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.recv(4)
        injector.end("hang")
        line.settimeout(5)
        assert receive(line, 4) == b"late"


def test_a_hang_on_udp_is_silence_too_and_no_error(stage: Lab, injector: Injector) -> None:
    injector.begin("hang", traffic(to(7001), connections={"loss": "hang"}))
    with stage.pod.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.settimeout(0.3)
        door.connect((OTHER, 7001))
        door.send(b"x")
        with pytest.raises(TimeoutError):
            door.recv(10)


def test_a_reset_comes_right_after_connecting_and_breaks_open_connections(stage: Lab, injector: Injector) -> None:
    with stage.pod.connect(OTHER, 7000) as old:
        assert round_trip(old) < 3
        injector.begin("reset", traffic(to(7000), connections={"loss": "reset"}))
        with pytest.raises(OSError):
            round_trip(old)
        with pytest.raises(ConnectionResetError), stage.pod.connect(OTHER, 7000) as line:
            round_trip(line)
    assert injector.met("reset") >= 2


def test_a_share_of_connections_is_hit_the_same_ones_for_the_same_seed(stage: Lab, injector: Injector) -> None:
    rows = []
    for key in ("one", "two"):
        injector.begin(key, traffic(to(7000), connections={"loss": "reset", "share": 0.5, "seed": 11}))
        row = ""
        for _ in range(12):
            try:
                stage.pod.round_trip(OTHER, 7000)
                row += "."
            except OSError:
                row += "x"
        rows.append(row)
        answer = injector.end(key)
        assert (answer["hit"], answer["spared"]) == (row.count("x"), row.count("."))
    assert rows[0] == rows[1] and "x" in rows[0] and "." in rows[0]


def test_two_faults_on_one_dependency_add_up(stage: Lab, injector: Injector) -> None:
    injector.begin("one", traffic(to(7000), mode="proxy", connections={"delay": 0.1, "direction": "request"}))
    injector.begin("two", traffic(to(7000), mode="proxy", connections={"delay": 0.1, "direction": "request"}))
    assert stage.pod.round_trip(OTHER, 7000) >= 0.2


def test_what_others_open_to_the_pod_can_be_delayed_and_its_probes_spared(stage: Lab, injector: Injector) -> None:
    match = {"way": "ingress", "to": [{"port": 7000}], "except": [{"cidr": f"{OTHER6}/128"}]}
    injector.begin("slow", traffic(match, mode="proxy", connections={"delay": 0.15}))
    assert stage.other.round_trip(POD, 7000) >= 0.3
    assert quick(stage.other, POD6)
    assert quick(stage.pod, OTHER), "what the pod opens is another way"
    assert injector.met("slow") == 1, "spared ones are not counted"


def test_open_connections_stay_as_they_are_unless_they_are_to_be_broken(stage: Lab, injector: Injector) -> None:
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line) < 3
        effect = traffic(to(7000), mode="proxy", connections={"delay": 0.3})
        assert injector.begin("keep", effect)["established"] == 1
        assert fastest(line) < 0.6
        injector.end("keep")
        assert injector.begin("break", {**effect, "established": "reset"})["broken"] == 1
        with pytest.raises(OSError):
            round_trip(line)


def test_destinations_can_be_replaced_while_it_is_in_force(stage: Lab, injector: Injector) -> None:
    injector.begin("gone", traffic(to(7000), connections={"loss": "refuse"}))
    answer = injector.ask("update", id="gone", to=[{"cidr": OTHER, "port": 8000}])
    assert answer["ok"], answer
    assert stage.pod.round_trip(OTHER, 7000) < 3
    with pytest.raises(ConnectionRefusedError):
        stage.pod.connect(OTHER, 8000)


def test_a_host_is_looked_up_as_the_pod_does(stage: Lab, injector: Injector) -> None:
    injector.begin("gone", traffic({"to": [{"host": "back", "port": 7000}]}, connections={"loss": "refuse"}))
    with pytest.raises(ConnectionRefusedError):
        stage.pod.connect(OTHER, 7000)


def test_own_looks_are_treated_alike_and_not_counted_and_those_around_are_spared(
    stage: Lab, injector: Injector
) -> None:
    injector.begin("slow", traffic(to(8000), mode="proxy", connections={"delay": 0.4}))
    words = ["tcp", OTHER, "8000", "--http", "/", "--silent-after", "5"]
    through, around = stage.pod.look("many", f"[{words!r}, {[*words, '--around']!r}]".replace("'", '"'))["looks"]
    assert through["outcome"] == around["outcome"] == "answered"
    assert through["seconds"] >= 0.8 > around["seconds"]
    assert injector.met("slow") == 0
    injector.end("slow")
    injector.begin("gone", traffic(to(8000), connections={"loss": "refuse"}))
    assert stage.pod.look(*words)["outcome"] == "refused"
    assert stage.pod.look(*words, "--around")["outcome"] == "answered"
    assert injector.met("gone") == 0


def test_a_killed_injector_takes_its_rules_with_it(stage: Lab, started: Callable[..., Injector]) -> None:
    injector = started()
    for key, effect in (("gone", {"loss": "refuse"}), ("slow", {"delay": 0.2})):
        injector.begin(key, traffic(to(7000 if key == "gone" else 8000), mode="proxy", connections=effect))
    assert "chaosrunner" in stage.pod.rules()
    injector.process.kill()
    injector.process.wait(5)
    until = time.monotonic() + 2
    while "chaosrunner" in stage.pod.rules() and time.monotonic() < until:
        time.sleep(0.05)
    assert stage.pod.round_trip(OTHER, 7000) < 3
    assert stage.pod.look("tcp", OTHER, "8000", "--http", "/")["outcome"] == "answered"


def test_the_doors_of_the_proxy_lead_nowhere_by_themselves(stage: Lab, injector: Injector) -> None:
    injector.begin(
        "slow", traffic({"way": "ingress", "to": [{"port": 7000}]}, mode="proxy", connections={"delay": 0.1})
    )
    rules = stage.pod.rules()
    port = int(rules.split("redirect to :")[-1].split()[0])
    with pytest.raises(OSError), stage.other.connect(POD, port) as line:
        round_trip(line)


def test_a_hang_reaches_open_connections_on_which_the_other_end_speaks_first(stage: Lab, injector: Injector) -> None:
    with stage.pod.connect(OTHER, 7002) as line:
        assert receive(line, 5) == b"hello"
        injector.begin("hang", traffic(to(7002), connections={"loss": "hang"}))
        line.settimeout(0.7)
        with pytest.raises(TimeoutError):
            receive(line, 50)
        injector.end("hang")
        line.settimeout(5)
        assert receive(line, 5) == b"hello"


def test_without_a_port_only_connections_that_the_pod_opens_are_refused(stage: Lab, injector: Injector) -> None:
    injector.begin("gone", traffic(to(None), connections={"loss": "refuse"}))
    for port in (7000, 8000):
        with pytest.raises(ConnectionRefusedError):
            stage.pod.connect(OTHER, port)
    assert stage.other.round_trip(POD, 7000) < 3
