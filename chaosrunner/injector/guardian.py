"""The guardian: a program in a pod of its own that takes back faults in the cluster's API when their runner is gone.

    python3 -m chaosrunner.injector.guardian --namespace SPACE [--run RUN]

It reads the ledger (ConfigMaps of its namespace, one for each fault) and the runs' Leases there. An entry is due when

* its run's Lease has not been renewed for 5 s, by this program's own clock, in which the API answered throughout:
  neither a clock that is set wrong nor an API server that was away makes a living runner look dead;
* its run's Lease is gone;
* somebody deletes the entry, or the namespace that it is in: a finalizer keeps it until it is undone;
* its time is over: so many seconds after it was written, by the API server's clock or this program's own.

What is due is undone (`operations`), again and again until the API says that it was done or that there is nothing left
to undo; then the entry goes. Each new entry is looked at before the runner acts: whether this pod may do what its undo
takes. The runner waits for that answer, an annotation of the entry. The runs' Leases are told that the guardian lives.

It also passes heartbeats on to very many injectors at once, as datagrams (`beats`): for each ConfigMap that says where,
every second while its run's Lease is seen to be renewed. An API server that is away counts as no renewal here.

With `--run` it ends when that run's Lease is gone and nothing of it is in the ledger; without, it never does.
`/healthz` on the port says 200 while the API has answered within the last ten seconds.

Standard library only. The token is read anew for each connection, as it is replaced while the pod runs.
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType
from typing import Any

from chaosrunner.injector.api import Api
from chaosrunner.injector.beats import Relay, Relays
from chaosrunner.injector.operations import Call, Operation, right, unsafe

STALE = 5.0
"""Seconds without a renewal after which a run is dead."""
GRACE = 3.5
"""Seconds that a run has to renew after the API server was away: it tries several times a second by then."""
LOOK_EVERY = 1.0
"""Seconds between two looks while there is anything to guard."""
LOOK_IDLE = 3.0
SETTLED = 15.0
"""Seconds after the API server's return."""
AGAIN_AFTER = 0.3
"""Seconds between two looks while the API does not answer."""
SKEW = 3.0
"""Seconds that an entry may be over its time by the API server's clock, which counts whole seconds."""
HEALTHY = 10.0

LEDGER = "chaosrunner.dev/ledger"
LEASE = "chaosrunner.dev/lease"
RUN = "chaosrunner.dev/run"
FINALIZER = "chaosrunner.dev/undo"
"""Of a ledger entry: Kubernetes keeps it, and the namespace that it is in, until what it says is undone, whoever
deletes them."""
GUARDED = "chaosrunner.dev/guarded"
"""Annotation of a ledger entry: `yes`, or why its undo could not be done."""
SEEN_BY = "chaosrunner.dev/guardian"
"""Annotation of a run's Lease: who guards it, and a count that goes on while it does."""


class Unreachable(Exception):
    """The API server gave no answer, or one that means that it cannot answer now."""


@dataclass
class Seen:
    """What is known of one run's Lease, or of one entry: what it last said, and since when, by our own clock."""

    what: str
    since: float


@dataclass
class Guardian:
    """Looks at the ledger, and undoes what is due."""

    api: Api
    namespace: str
    name: str
    run: str = ""
    leases: dict[str, Seen] = field(default_factory=dict)
    entries: dict[str, Seen] = field(default_factory=dict)
    blind_until: float = 0.0
    """When the API began to answer again; a Lease may have been silent before through no fault of its runner."""
    answered: float = 0.0
    count: int = 0
    clock: Callable[[], float] = time.monotonic
    relays: Relays = field(default_factory=Relays)

    def __post_init__(self) -> None:
        self.blind_until = self.clock()
        self._entries_at = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self._leases_at = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        self._version = ""

    # -- one look

    def look(self) -> bool:
        """One round. Whether there is still anything to guard. Raises `Unreachable`."""
        entries = self._list(self._entries_at, f"{LEDGER}=fault")
        server_now = self.api.date
        leases = {each["metadata"]["name"]: each for each in self._list(self._leases_at, f"{LEASE}=run")}
        relays = self._list(self._entries_at, f"{LEDGER}=beats")
        now = self.clock()
        self.answered = now
        self._take_note(entries, leases, now)
        self.relays.replace([_relay(each, self.leases) for each in relays], now)
        for entry in entries:
            if (why := self._due(entry, leases, now, server_now)) is not None:
                self._undo(entry, why)
            elif GUARDED not in (entry["metadata"].get("annotations") or {}):
                self._answer(entry)
        for name, lease in leases.items():
            if not self._stale(name, now):
                self._say_that_we_live(lease)
            elif not any(each.get("data", {}).get("lease") == name for each in entries):
                self._bury(lease)
        return bool(entries or leases)

    def _list(self, path: str, labels: str) -> list[dict[str, Any]]:
        labels += f",{RUN}={self.run}" if self.run else ""
        answer = self.api.ask(Call("GET", path), labelSelector=labels)
        if answer.code != 200:
            raise Unreachable(f"GET {path}: {answer.words}")
        if labels.startswith(f"{LEDGER}=fault"):
            self._version = str(answer.object["metadata"].get("resourceVersion", ""))
        return list(answer.object.get("items") or ())

    def _take_note(self, entries: list[dict[str, Any]], leases: Mapping[str, Any], now: float) -> None:
        for name, lease in leases.items():
            renewed = f"{lease['metadata']['uid']} {lease.get('spec', {}).get('renewTime')}"
            if name not in self.leases or self.leases[name].what != renewed:
                self.leases[name] = Seen(renewed, now)
        for entry in entries:
            self.entries.setdefault(entry["metadata"]["uid"], Seen("", now))
        self.leases = {name: seen for name, seen in self.leases.items() if name in leases}
        there = {entry["metadata"]["uid"] for entry in entries}
        self.entries = {uid: seen for uid, seen in self.entries.items() if uid in there}

    def _stale(self, lease: str, now: float) -> bool:
        seen = self.leases.get(lease)
        return seen is not None and now - seen.since >= STALE and now - self.blind_until >= GRACE

    def _due(self, entry: dict[str, Any], leases: Mapping[str, Any], now: float, server_now: float) -> str | None:
        """Why an entry is to be undone now; None: it is not."""
        data = entry.get("data") or {}
        if "deletionTimestamp" in entry["metadata"]:
            return "somebody deletes its ledger entry"
        lease = str(data.get("lease", ""))
        if lease not in leases:
            return "its run's Lease is gone"
        if self._stale(lease, now):
            return f"its run's Lease was not renewed for {STALE:g} s"
        seconds = float(data.get("seconds") or 0)
        if now - self.entries[entry["metadata"]["uid"]].since > seconds:
            return "its time is over"
        if server_now and server_now - _epoch(entry["metadata"].get("creationTimestamp")) > seconds + SKEW:
            return "its time is over"
        return None

    # -- what follows from it

    def _undo(self, entry: dict[str, Any], why: str) -> None:
        data, name = entry.get("data") or {}, entry["metadata"]["name"]
        hold, undo = str(data.get("hold")), _operations(data)
        words = [f"{each['path']}: {bad}" for each in undo if (bad := unsafe(each, hold))]
        outcomes = [self.api.do(each) for each in undo if not unsafe(each, hold)]
        words += [outcome.words for outcome in outcomes if outcome.state == "failed"]
        said = {"do": "undo", "hold": hold, "why": why, "results": [outcome.state for outcome in outcomes]}
        if words:
            say(**said, trouble=words)
            return
        where, unheld = f"{self._entries_at}/{name}", {"metadata": {"finalizers": None}}
        self.api.ask(Call("PATCH", where, unheld, "application/merge-patch+json"))
        uid = {"preconditions": {"uid": entry["metadata"]["uid"]}}
        answer = self.api.ask(Call("DELETE", where, uid))
        say(**said, entry="removed" if answer.code in (200, 202, 404) else answer.words)

    def _answer(self, entry: dict[str, Any]) -> None:
        """Tell the runner whether the undo can be done from here."""
        data = entry.get("data") or {}
        hold = str(data.get("hold"))
        why = next(filter(None, (self._why_not(each, hold) for each in _operations(data))), "")
        body = {"metadata": {"annotations": {GUARDED: why or "yes"}}}
        where = f"{self._entries_at}/{entry['metadata']['name']}"
        self.api.ask(Call("PATCH", where, body, "application/merge-patch+json"))
        say(do="guard", hold=hold, trouble=[why] if why else [])

    def _why_not(self, operation: Operation, hold: str) -> str:
        if why := unsafe(operation, hold):
            return why
        asked = right(operation)
        for verb in ("get", asked["verb"]):
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked | {"verb": verb}},
            }
            answer = self.api.ask(Call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review))
            if answer.code != 201:
                return f"the guardian could not ask for its rights: {answer.words}"
            if not answer.object.get("status", {}).get("allowed"):
                group = f".{asked['group']}" if asked["group"] else ""
                place = f" in {asked['namespace']}" if "namespace" in asked else ""
                return f"the guardian's service account may not {verb} {asked['resource']}{group}{place}"
        return ""

    def _say_that_we_live(self, lease: dict[str, Any]) -> None:
        self.count += 1
        where = f"{self._leases_at}/{lease['metadata']['name']}"
        body = {"metadata": {"annotations": {SEEN_BY: f"{self.name} {self.count}"}}}
        self.api.ask(Call("PATCH", where, body, "application/merge-patch+json"))

    def _bury(self, lease: dict[str, Any]) -> None:
        """A dead run that has nothing in the ledger any more: what belongs to its Lease goes with it."""
        seen = {"uid": lease["metadata"]["uid"], "resourceVersion": lease["metadata"]["resourceVersion"]}
        where = f"{self._leases_at}/{lease['metadata']['name']}"
        answer = self.api.ask(Call("DELETE", where, {"preconditions": seen}))
        say(do="bury", lease=lease["metadata"]["name"], code=answer.code)

    def blind(self) -> None:
        """The API does not answer: until it does again, nobody's silence means anything."""
        self.blind_until = self.clock() + AGAIN_AFTER

    def send_beats(self) -> None:
        """Pass heartbeats on for ever, in a thread of its own: the API's answers must not hold them up."""
        while True:
            began = self.clock()
            self.relays.send(began, STALE)
            time.sleep(max(0.0, 1.0 - (self.clock() - began)))

    # -- for ever

    def guard(self) -> None:
        """Look again and again; returns when there is nothing more to guard for `--run`."""
        empty, trouble = 0, ""
        while True:
            try:
                busy = self.look()
            except Unreachable as error:
                if str(error) != trouble:
                    say(do="wait", trouble=[str(error)])
                trouble = str(error)
                time.sleep(AGAIN_AFTER)
                self.blind()
                continue
            if trouble:
                say(do="go on")
            trouble = ""
            empty = 0 if busy else empty + 1
            if self.run and empty > 3:
                return
            wanted = f"{LEDGER} in (fault,beats)" + (f",{RUN}={self.run}" if self.run else "")
            began = self.clock()
            pause = LOOK_EVERY if busy or self.run else LOOK_IDLE
            if began - self.blind_until > SETTLED:  # a server that has just started may keep a watch waiting
                self.api.wait(self._entries_at, pause, labelSelector=wanted, resourceVersion=self._version)
            else:
                time.sleep(pause / 2)
            time.sleep(max(0.0, min(0.1, pause - (self.clock() - began))))


def _relay(found: dict[str, Any], leases: Mapping[str, Seen]) -> Relay:
    data = found.get("data") or {}
    seen = leases.get(str(data.get("lease")))
    return Relay(
        name=found["metadata"]["name"],
        run=str(data.get("run")),
        key=str(data.get("key") or ""),
        port=int(data.get("port") or 0),
        addresses=tuple(str(data.get("addresses") or "").split()),
        ended=frozenset(int(each) for each in str(data.get("ended") or "").split(",") if each),
        renewed=seen.since if seen is not None else float("-inf"),
    )


def _operations(data: Mapping[str, str]) -> list[Operation]:
    try:
        found = json.loads(data.get("undo") or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return [{"method": "unreadable", "path": ""}]
    return found


def _epoch(text: Any) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else float("inf")


def say(**words: Any) -> None:
    """One line of the pod's log."""
    sys.stdout.write(json.dumps({"t": round(time.time(), 3), **words}) + "\n")
    sys.stdout.flush()


def serve_health(guardian: Guardian, port: int) -> http.server.ThreadingHTTPServer:
    """Answers for the kubelet, in a thread of its own."""

    class Health(http.server.BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            age = guardian.clock() - guardian.answered
            well = guardian.answered > 0 and age < HEALTHY
            body = f"the API answered {age:.1f} s ago\n".encode() if guardian.answered else b"no answer yet\n"
            self.send_response(200 if well else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("", port), Health)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main(arguments: list[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Takes back chaosrunner's faults when their runner is gone.")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--run", default="")
    parser.add_argument("--port", type=int, default=8086)
    parser.add_argument("--api", default="", help="default: the cluster that this pod is in")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    guardian = Guardian(
        Api(options.api), options.namespace, os.environ.get("HOSTNAME", socket.gethostname()), options.run
    )
    server = serve_health(guardian, options.port) if options.port else None
    say(do="begin", namespace=options.namespace, run=options.run)
    threading.Thread(target=guardian.send_beats, daemon=True).start()
    guardian.guard()
    if server is not None:
        server.shutdown()
    return 0


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
