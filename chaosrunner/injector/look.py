"""Looks from inside a pod, as its containers would see it: a short program of its own that never asks the injector.

    python -m chaosrunner.injector.look tcp HOST PORT [--http PATH] [--payload BYTES] [--stay S] [--around]
    python -m chaosrunner.injector.look many '[["tcp", "10.96.3.4", "80"], ["tcp", "10.96.3.4", "80", "--around"]]'
    python -m chaosrunner.injector.look serve

It prints one line of JSON and ends with 0 when it could look, whatever it saw; with 2 and a reason on standard error
when it was asked for something that is no look. `many` looks all at once and answers `{"looks": [...]}` in their order;
a look that failed there is `{"error": …}`. `serve` does that again and again, since starting a process in a pod costs
more than a look: for each line `{"n": N, "many": [[…]]}` on standard input it prints `{"n": N, "ok": true, "looks":
[…]}`; it ends at the end of standard input.

`tcp` -> `{outcome, seconds, bytes_per_second, address, marked}`: `answered`, `refused`, `reset` or `silent`, from
connecting to the outcome, as the local platform looks through a link. Without `--http` it says nothing, shuts down
writing and waits for the other side to do the same, as every TCP server does.

The other looks, each with `--around` and `--silent-after S` where it goes over the network:

* `udp HOST PORT [--data TEXT]` -> `{outcome, seconds, address}`: one datagram, and whatever comes back.
* `dns NAME [TYPE] [--server S]` -> `{answer, addresses, asked, server, seconds}`: `noerror`, `nxdomain`, `servfail`,
  `refused`, … or `silent`; through the search domains, as resolvers do.
* `http URL [--method M]` -> `{outcome, status, seconds}`.
* `loss HOST PORT [--count N]` -> `{sent, answered, lost, median, seconds}`: so many connections, and the share of those
  whose first SYN was not answered before TCP would have asked again; `median` of the answers' seconds.
* `kernel` -> `{netem}`: whether it has that queueing discipline.
* `rules` -> `{tables, rules, qdiscs}`: what nftables and tc have of ours, in their own words.
* `disk FOLDER` -> `{total, free, available, write_seconds}`; `memory` -> `{current, limit, kills}`; `cpu [--seconds S]`
  -> `{cores, waited, written, limit, throttled}`: by the files of control groups, of the container that it runs in.

Looks carry the firewall mark 0x6369, by which the injector's rules treat them like the pod's own traffic and do not
count them; with `--around` the mark 0x6368, which no fault touches. Marks need NET_ADMIN: without it a look goes
unmarked (`marked` is false), and `--around` fails.

Standard library only; threads and plain sockets, since it must start fast.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from chaosrunner.injector import looking, packets, sensing
from chaosrunner.injector.looking import LookFailed, Marks

__all__ = ["look", "main", "serve"]

Answer = dict[str, Any]


class _Words(argparse.ArgumentParser):
    """A parser that raises instead of ending the process: one of many looks may be wrong."""

    def error(self, message: str) -> Any:
        raise LookFailed(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Words(prog="chaosrunner.injector.look", description="Looks from inside a pod.")
    looks = parser.add_subparsers(dest="look", required=True, parser_class=_Words)
    tcp = looks.add_parser("tcp", help="one TCP connection")
    tcp.add_argument("host")
    tcp.add_argument("port", type=int)
    tcp.add_argument("--http", metavar="PATH", help="say a GET of this path")
    tcp.add_argument("--payload", type=int, default=0, help="bytes to push through, for bandwidth (with --http)")
    tcp.add_argument("--stay", type=float, default=0.0, help="seconds that it is open and idle before the exchange")
    tcp.add_argument("--silent-after", type=float, default=1.4, help="seconds without an answer that are silence")
    tcp.add_argument("--around", action="store_true", help="past every fault of ours")
    _more(looks)
    many = looks.add_parser("many", help="several looks at once")
    many.add_argument("words", help="JSON: a list of lists of words")
    return parser


def _more(looks: Any) -> None:
    """The looks beside `tcp`."""
    udp = looks.add_parser("udp", help="one datagram")
    udp.add_argument("host")
    udp.add_argument("port", type=int)
    udp.add_argument("--data", default="chaosrunner", help="what it says")
    dns = looks.add_parser("dns", help="one look-up")
    dns.add_argument("name")
    dns.add_argument("type", nargs="?", default="A")
    dns.add_argument("--server")
    http = looks.add_parser("http", help="one request")
    http.add_argument("url")
    http.add_argument("--method", default="GET")
    loss = looks.add_parser("loss", help="the share of connections whose first packet is not answered")
    loss.add_argument("host")
    loss.add_argument("port", type=int)
    loss.add_argument("--count", type=int, default=50)
    for parser in (udp, dns, http, loss):
        parser.add_argument("--silent-after", type=float, default=1.4)
        parser.add_argument("--around", action="store_true")
    looks.add_parser("kernel", help="what the kernel can do")
    looks.add_parser("rules", help="what nftables and tc have of ours")
    disk = looks.add_parser("disk", help="what is free")
    disk.add_argument("folder")
    for name in ("cpu", "memory"):
        looks.add_parser(name).add_argument("--seconds", type=float, default=0.5)


def _marks(given: argparse.Namespace) -> Marks:
    return Marks.around() if given.around else Marks.look()


def _tcp(given: argparse.Namespace) -> Answer:
    path = looking.Path(given.host, given.port, given.http, _marks(given))
    if given.payload and given.http:
        return looking.push(path, given.silent_after, given.payload)
    return looking.exchange(path, given.silent_after, given.stay)


_LOOKS: dict[str, Callable[[argparse.Namespace], Answer]] = {
    "tcp": _tcp,
    "udp": lambda given: sensing.udp(given.host, given.port, given.data.encode(), given.silent_after, _marks(given)),
    "dns": lambda given: sensing.look_up(given.name, given.type, given.server, given.silent_after, _marks(given)),
    "http": lambda given: sensing.http(given.url, given.method, given.silent_after, _marks(given)),
    "loss": lambda given: sensing.loss(given.host, given.port, given.count, _marks(given)),
    "kernel": lambda given: {"netem": packets.kernel_has("netem")},
    "rules": lambda given: sensing.rules(),
    "disk": lambda given: sensing.disk(given.folder),
    "cpu": lambda given: sensing.load("cpu", given.seconds),
    "memory": lambda given: sensing.load("memory", given.seconds),
}


def look(words: Sequence[str]) -> Answer:
    """What one look saw. Raises `LookFailed` with the reason why it could not look."""
    given = _parser().parse_args(list(words))
    if given.look == "many":
        return _many(given.words)
    return {"look": given.look, **_LOOKS[given.look](given)}


def _many(text: str) -> Answer:
    try:
        asked = json.loads(text)
    except ValueError as problem:
        raise LookFailed(f"`many` takes JSON: a list of lists of words ({problem})") from problem
    if not isinstance(asked, list) or not all(isinstance(words, list) for words in asked):
        raise LookFailed("`many` takes a list of lists of words")
    seen: list[Answer] = [{} for _ in asked]

    def one(place: int, words: list[Any]) -> None:
        try:
            seen[place] = look([str(word) for word in words])
        except (LookFailed, OSError, ValueError) as problem:
            seen[place] = {"look": str(words[0]) if words else "", "error": str(problem)}

    threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(asked)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"looks": seen}


def serve(source: IO[str], sink: IO[str]) -> None:
    """Look whenever a line asks for it, several at once, until there are no more lines."""
    turn = threading.Lock()

    def one(line: str) -> None:
        try:
            asked = json.loads(line)
            answer = {"n": asked["n"], "ok": True, **_many(json.dumps(asked["many"]))}
        except (LookFailed, ValueError, LookupError, TypeError) as problem:
            answer = {"ok": False, "error": f"this is no request for looks: {problem}"}
        with turn:
            sink.write(json.dumps(answer) + "\n")
            sink.flush()

    for line in source:
        if line.strip():
            threading.Thread(target=one, args=(line,), daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Look and print; the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if list(words) == ["serve"]:
        serve(sys.stdin, sys.stdout)
        return 0
    try:
        answer = look(words)
    except (LookFailed, OSError, ValueError) as problem:
        sys.stderr.write(f"look: {problem}\n")
        return 2
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
