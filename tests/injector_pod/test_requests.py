"""Single HTTP requests of a pod: delayed, answered, broken off; everything else goes through unchanged."""

from __future__ import annotations

import http.client
import time

import pytest

from tests.injector_pod.lab import OTHER, Injector, Lab, round_trip, to, traffic


def fault(**what: object) -> dict[str, object]:
    return traffic(to(8000), http=what)


class Client(http.client.HTTPConnection):
    """From inside the pod."""

    def __init__(self, stage: Lab) -> None:
        super().__init__(OTHER, 8000, timeout=5)
        self._stage = stage

    def connect(self) -> None:
        self.sock = self._stage.pod.connect(OTHER, 8000, 5)

    def get(self, path: str, method: str = "GET", **more: object) -> tuple[int, bytes]:
        self.request(method, path, **more)  # type: ignore[arg-type]
        answer = self.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def client(stage: Lab) -> Client:
    return Client(stage)


def test_a_path_is_answered_with_a_status_and_others_reach_the_server_on_the_same_connection(
    client: Client, injector: Injector
) -> None:
    injector.begin("web", fault(path="/pay*", status=503, body="no"))
    with_body = {"body": b"x" * 1000}
    assert client.get("/pay/1?x=1") == (503, b"no")
    first = client.sock
    assert client.get("/pay/1", "POST", **with_body) == (503, b"no")
    assert client.get("/other", "POST", body=b"data") == (200, b"got data")
    assert client.get("/chunks") == (200, b"one two")
    assert client.get("/other", "HEAD") == (200, b"")
    assert client.get("/chunked", "POST", body=iter([b"a", b"bc"]), encode_chunked=True) == (200, b"got abc")
    assert client.get("/other") == (200, b"GET /other")
    assert client.sock is first
    answer = injector.end("web")
    assert (answer["met"], answer["seen"], answer["unit"]) == (2, 2, "requests")
    assert client.get("/pay") == (200, b"GET /pay"), "on the connection that is carried on"
    client.close()


def test_methods_and_shares_are_kept_to(client: Client, injector: Injector) -> None:
    injector.begin("web", fault(methods=["POST"], share=0.5, seed=5, status=500))
    assert [client.get("/")[0] for _ in range(4)] == [200] * 4
    codes = [client.get("/", "POST", body=b"x")[0] for _ in range(20)]
    answer = injector.end("web")
    assert answer["met"] == codes.count(500) and 0 < codes.count(500) < 20 and answer["seen"] == 20
    client.close()


def test_a_delayed_request_is_answered_by_the_server(client: Client, injector: Injector) -> None:
    injector.begin("web", fault(delay=0.3))
    began = time.monotonic()
    assert client.get("/late") == (200, b"GET /late")
    assert time.monotonic() - began >= 0.3
    client.close()


def test_a_request_that_is_broken_off_is_a_reset(client: Client, injector: Injector) -> None:
    injector.begin("web", fault(path="/pay", abort=True))
    assert client.get("/other")[0] == 200
    with pytest.raises(ConnectionResetError):
        client.get("/pay")
    client.close()
    assert client.get("/other")[0] == 200
    client.close()


def test_who_waits_for_100_continue_gets_it_from_the_server_or_the_answer_from_the_fault(
    stage: Lab, injector: Injector
) -> None:
    injector.begin("web", fault(path="/pay", status=503))
    for path, told in (("/other", b"HTTP/1.1 100"), ("/pay", b"HTTP/1.1 503")):
        with stage.pod.connect(OTHER, 8000) as line:
            line.sendall(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert line.recv(1000).startswith(told)
            if path == "/other":
                line.sendall(b"data")
                assert line.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "first", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello you\n"]
)
def test_what_is_no_http_1_passes_as_it_comes_and_is_told(stage: Lab, injector: Injector, first: bytes) -> None:
    injector.begin("web", traffic(to(7000), http={"status": 503}))
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line, first) < 3
        assert round_trip(line, b"more") < 3
    answer = injector.end("web")
    assert (answer["met"], answer["other"]) == (0, 1)


def test_an_upgrade_passes(stage: Lab, injector: Injector) -> None:
    """The echo server says a head back, which is no answer: from then on everything passes as it comes."""
    injector.begin("web", traffic(to(7000), http={"path": "/never", "status": 503}))
    with stage.pod.connect(OTHER, 7000) as line:
        assert round_trip(line, b"GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n") < 3
        assert round_trip(line, b"frames") < 3


def test_own_looks_are_not_counted(stage: Lab, injector: Injector) -> None:
    injector.begin("web", fault(status=503))
    assert stage.pod.look("http", f"http://{OTHER}:8000/x")["status"] == 503
    assert stage.pod.look("http", f"http://{OTHER}:8000/x", "--around")["status"] == 200
    assert injector.met("web") == 0
