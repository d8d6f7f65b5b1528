"""What the pods of the cluster tests run: a web server that also says how its own dependencies look from inside.

    python3 service.py PORT [DATAGRAMS]

`/` answers with the pod's name. `/call?url=URL&timeout=S` opens a new connection to the URL and answers with JSON:
`outcome` (`answered`, `refused`, `reset`, `silent`, `unknown host`, `error`), `seconds`, `status`.
`/hold?host=H&port=P` opens a connection that stays open, `/held` asks it for `/` again and says what became of it.
`/strain?folder=F` says what everything else in the pod does (it sees that where containers share their processes):
`cores` used, the largest one's `resident` bytes, how often one is `blocked` by a disk (0 to 1), what is `free` in F.
On the port DATAGRAMS every datagram is sent back as it is. Standard library only.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

held = {}


def outcome_of(error):
    reason = getattr(error, "reason", error)
    kinds = [
        (socket.gaierror, "unknown host"),
        (ConnectionRefusedError, "refused"),
        (ConnectionResetError, "reset"),
        (http.client.RemoteDisconnected, "reset"),
        (BrokenPipeError, "reset"),
        (TimeoutError, "silent"),
    ]
    return next((name for kind, name in kinds if isinstance(reason, kind)), f"error: {reason!r}")


def call(url, timeout):
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            body = response.read()
            return {"outcome": "answered", "status": response.status, "body": body[:200].decode(), **took(begun)}
    except urllib.error.HTTPError as error:
        return {"outcome": "answered", "status": error.code, "body": error.read()[:200].decode(), **took(begun)}
    except (OSError, http.client.HTTPException) as error:
        return {"outcome": outcome_of(error), **took(begun)}


def took(begun):
    return {"seconds": round(time.monotonic() - begun, 4)}


def hold(host, port):
    held["it"] = http.client.HTTPConnection(host, int(port), timeout=3)
    return ask_held()


def ask_held():
    begun = time.monotonic()
    try:
        held["it"].request("GET", "/")
        return {"outcome": "answered", "status": held["it"].getresponse().read() and 200, **took(begun)}
    except (OSError, http.client.HTTPException) as error:
        return {"outcome": outcome_of(error), **took(begun)}


def others():
    """Of all processes but this one: processor seconds, resident bytes, and how many threads wait for a disk."""
    found = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid():
                words = fields(entry)
                used = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
                waiting = sum(fields(task)[0] == "D" for task in (entry / "task").iterdir())
                found[entry.name] = (used, int(words[21]) * os.sysconf("SC_PAGE_SIZE"), waiting)
    return found


def fields(process):
    return (process / "stat").read_text().rpartition(")")[2].split()


def strain(folder):
    begun, looks = time.monotonic(), [others()]
    for _ in range(20):
        time.sleep(0.05)
        looks.append(others())
    lasted, before, after = time.monotonic() - begun, looks[0], looks[-1]
    return {
        "cores": sum(after[pid][0] - before[pid][0] for pid in after if pid in before) / lasted,
        "resident": max((one[1] for one in after.values()), default=0),
        "blocked": sum(any(one[2] for one in look.values()) for look in looks) / len(looks),
        "free": shutil.disk_usage(folder).free,
    }


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path == "/call":
            said = call(query["url"], float(query.get("timeout", "2")))
        elif parts.path == "/hold":
            said = hold(query["host"], query["port"])
        elif parts.path == "/held":
            said = ask_held()
        elif parts.path == "/strain":
            said = strain(query["folder"])
        else:
            said = {"pod": socket.gethostname(), "path": parts.path}
        body = json.dumps(said).encode()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format, *args):
        print(self.command, self.path, flush=True)


def echo(port):
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
    door.bind(("", port))
    while True:
        data, asker = door.recvfrom(65535)
        door.sendto(data, asker)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        threading.Thread(target=echo, args=(int(sys.argv[2]),), daemon=True).start()
    server = ThreadingHTTPServer(("", int(sys.argv[1])), Answer)
    server.daemon_threads = True
    server.serve_forever()
