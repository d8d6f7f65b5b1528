"""Two hosts in network namespaces of their own, a link between them, and the injector in one of them, as in a pod."""

from __future__ import annotations

import contextlib
import ctypes
import http.server
import itertools
import json
import os
import secrets
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from chaosrunner.injector import dns

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000

POD, OTHER = "10.77.0.1", "10.77.0.2"
POD6, OTHER6 = "fd77::1", "fd77::2"


def why_not() -> str:
    """Why these tests cannot run here; empty if they can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    if not all(shutil.which(program) for program in ("ip", "nft", "tc")):
        return "needs ip, tc and nft"
    if subprocess.run(["unshare", "-n", "nft", "list", "tables"], capture_output=True, check=False).returncode:
        return "needs namespaces and nftables"
    return ""


class Host:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def do(self, work: Callable[[], T]) -> T:
        """Do it in a thread that is in this namespace: sockets that it makes are there, and stay there."""
        result: list[T] = []
        problem: list[BaseException] = []

        def inside() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open() as file:
                    if _libc.setns(file.fileno(), _NEW_NETWORK):
                        raise OSError(ctypes.get_errno(), "setns")
                result.append(work())
            except BaseException as seen:
                problem.append(seen)
                if not isinstance(seen, Exception):
                    raise

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if problem:
            raise problem[0]
        return result[0]

    def run(self, *words: str) -> str:
        """A program in this namespace; what it prints."""
        words = ("ip", "netns", "exec", self.name, *words)
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout

    def rules(self) -> str:
        return self.run("nft", "list", "ruleset")

    def connect(self, host: str, port: int, timeout: float = 3.0, source: int = 0) -> socket.socket:
        return self.do(
            lambda: socket.create_connection((host, port), timeout, source_address=("", source) if source else None)
        )

    def round_trip(self, host: str, port: int, data: bytes = b"ping") -> float:
        """Seconds for one echo on a connection of its own."""
        with self.connect(host, port) as line:
            return round_trip(line, data)

    def ask(
        self, server: str, name: str, kind: int = dns.A, *, tcp: bool = False, timeout: float = 2.0, source: int = 0
    ) -> bytes:
        """A question to a name server. Raises TimeoutError."""
        asked = dns.query(name, kind)
        if tcp:
            with self.connect(server, 53, timeout) as line:
                line.sendall(len(asked).to_bytes(2, "big") + asked)
                return receive(line, int.from_bytes(receive(line, 2), "big"))
        with self.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
            door.settimeout(timeout)
            door.bind(("", source))
            door.sendto(asked, (server, 53))
            return door.recv(65535)

    def look(self, *words: str) -> dict[str, Any]:
        """The program `look` in this namespace."""
        command = [sys.executable, "-m", "chaosrunner.injector.look", *words]
        answer: dict[str, Any] = json.loads(self.run(*command))
        return answer


def receive(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = line.recv(count - len(got))
        if not more:
            raise EOFError(f"ended after {len(got)} of {count} bytes")
        got += more
    return got


def round_trip(line: socket.socket, data: bytes = b"ping") -> float:
    began = time.monotonic()
    line.sendall(data)
    assert receive(line, len(data)) == data
    return time.monotonic() - began


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


class _Talker(socketserver.BaseRequestHandler):
    """Speaks first, and again and again."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(b"hello")
                time.sleep(0.1)


class _Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._tell(f"{self.command} {self.path}".encode())

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._tell(b"got " + body)

    def do_HEAD(self) -> None:
        self._tell(b"12345")

    def _tell(self, body: bytes) -> None:
        self.send_response(200)
        if self.path.startswith("/chunks"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one ", b"two"):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


class _Names(socketserver.BaseRequestHandler):
    """Every name has the address 10.9.9.9, and an answer by TCP one more."""

    def handle(self) -> None:
        if isinstance(self.request, tuple):
            asked, door = self.request
            door.sendto(dns.answer(dns.question(asked), 0, [dns.ipaddress.ip_address("10.9.9.9")]), self.client_address)
            return
        asked = receive(self.request, int.from_bytes(receive(self.request, 2), "big"))
        both = [dns.ipaddress.ip_address("10.9.9.9"), dns.ipaddress.ip_address("10.9.9.10")]
        told = dns.answer(dns.question(asked), 0, both)
        self.request.sendall(len(told).to_bytes(2, "big") + told)


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = True
    address_family = socket.AF_INET6

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a fault broke it: what these tests are about


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Injector:
    """The program, in a host, and the talk with it."""

    def __init__(self, host: Host, run: str, *more: str, beat_limit: float = 5.0) -> None:
        self.run = run
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._count = itertools.count(1)
        command = ["ip", "netns", "exec", host.name, sys.executable, "-m", "chaosrunner.injector.pod"]
        self.process = subprocess.Popen(
            [*command, "--run", run, "--seconds", "60", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "CHAOSRUNNER_BEAT_LIMIT": str(beat_limit)},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._beating = threading.Event()
        self.event("ready")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said = json.loads(line)
            with self._changed:
                if "n" in said:
                    self._answers[said["n"]] = said
                else:
                    self._events.append(said)
                self._changed.notify_all()

    def write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        number = next(self._count)
        self.write(json.dumps({"n": number, "do": do, **more}))
        with self._changed:
            assert self._changed.wait_for(lambda: number in self._answers, PATIENCE), f"no answer to {do}"
            return self._answers.pop(number)

    def begin(self, key: str, effect: dict[str, Any], seconds: float = 30.0) -> dict[str, Any]:
        answer = self.ask("begin", id=key, run=self.run, seconds=seconds, effect=effect)
        assert answer["ok"], answer
        return answer

    def refusal(self, effect: dict[str, Any]) -> str:
        answer = self.ask("begin", id=f"refused {next(self._count)}", run=self.run, seconds=5, effect=effect)
        assert not answer["ok"], answer
        return str(answer["error"])

    def end(self, key: str) -> dict[str, Any]:
        answer = self.ask("end", id=key)
        assert answer["ok"] and answer["taken_back"], answer
        return answer

    def met(self, key: str) -> int:
        return int(self.ask("met", id=key)["met"])

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for an event."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": name, **fields}
            return next((said for said in self._events if wanted.items() <= said.items()), None)

        with self._changed:
            seen = self._changed.wait_for(found, PATIENCE)
            assert seen, f"no event {name}; there were {self._events}"
            return seen

    def keep_alive(self) -> None:
        def beat() -> None:
            while not self._beating.wait(0.5):
                with contextlib.suppress(OSError, ValueError):
                    self.write(json.dumps({"do": "beat", "run": self.run}))

        threading.Thread(target=beat, daemon=True).start()

    def close(self) -> None:
        self._beating.set()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


class Lab:
    """The pod, the other end, and servers there: echo on 7000, HTTP on 8000, names on 53, UDP echo on 7001."""

    def __init__(self) -> None:
        tag = f"cr{secrets.token_hex(4)}"
        self.pod, self.other = Host(f"{tag}p"), Host(f"{tag}o")
        self._servers: list[socketserver.BaseServer] = []

    def open(self) -> None:
        ip = lambda *words: subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)  # noqa: E731
        for host in (self.pod, self.other):
            folder = Path("/etc/netns") / host.name
            folder.mkdir(parents=True)
            (folder / "resolv.conf").write_text(f"nameserver {OTHER}\nsearch shop.local local\noptions ndots:5\n")
            (folder / "hosts").write_text(f"127.0.0.1 localhost\n{OTHER} back back.shop.local\n")
            ip("netns", "add", host.name)
        ip("-n", self.pod.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.other.name)
        for host, old, new in ((self.pod, POD, POD6), (self.other, OTHER, OTHER6)):
            ip("-n", host.name, "addr", "add", f"{old}/24", "dev", "eth0")
            ip("-n", host.name, "addr", "add", f"{new}/64", "dev", "eth0", "nodad")
            for device in ("lo", "eth0"):
                ip("-n", host.name, "link", "set", device, "up")
        self.serve(self.other, lambda: _Tcp(("::", 7000), _Echo))
        self.serve(self.other, lambda: _Tcp(("::", 7002), _Talker))
        self.serve(self.other, lambda: _Tcp(("::", 8000), _Web))
        self.serve(self.other, lambda: _Tcp(("::", 53), _Names))
        self.serve(self.other, lambda: _Udp(("0.0.0.0", 53), _Names))
        self.serve(self.other, lambda: _Udp(("0.0.0.0", 7001), _UdpEcho))
        self.serve(self.pod, lambda: _Tcp(("::", 7000), _Echo))

    def serve(self, host: Host, make: Callable[[], socketserver.BaseServer]) -> None:
        server = host.do(make)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._servers.append(server)

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for host in (self.pod, self.other):
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, timeout=30, check=False)
            shutil.rmtree(Path("/etc/netns") / host.name, ignore_errors=True)


class _UdpEcho(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, door = self.request
        door.sendto(data, self.client_address)


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    made = Lab()
    try:
        made.open()
        yield made
    finally:
        made.close()


def to(port: int | None = None, *, cidr: str | None = OTHER, way: str = "egress", **more: Any) -> dict[str, Any]:
    """A match for the other end."""
    one = {key: value for key, value in (("cidr", cidr), ("port", port)) if value is not None}
    return {"way": way, "to": [one], **more}


def traffic(match: dict[str, Any], **what: Any) -> dict[str, Any]:
    return {"kind": "traffic", "match": match, **what}
