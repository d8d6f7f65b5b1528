"""A small real service for tests: answers HTTP/1.1, as a program of its own.

python local_server.py PORT [--children N] [--deaf] [--after SECONDS] [--queue N]
                       [--serial] [--slow SECONDS]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn


class Handler(BaseHTTPRequestHandler):
    """`/big/N` answers with N bytes, everything else with the process's number."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    slow = 0.0

    def do_GET(self) -> None:
        time.sleep(self.slow)
        body = b"x" * int(self.path[5:]) if self.path.startswith("/big/") else str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        """Quiet."""


class Server(HTTPServer):
    """One connection after the other; survives clients that reset."""

    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet."""


class Threads(ThreadingMixIn, Server):
    """All at once."""

    daemon_threads = True


def main() -> None:
    """Serve until a signal."""
    port, options = int(sys.argv[1]), sys.argv[2:]
    if "--deaf" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "--after" in options:
        time.sleep(float(options[options.index("--after") + 1]))
    if "--children" in options:
        for _ in range(int(options[options.index("--children") + 1])):
            if os.fork() == 0:
                while True:
                    time.sleep(60)
    if "--queue" in options:
        Server.request_queue_size = int(options[options.index("--queue") + 1])
    if "--slow" in options:
        Handler.slow = float(options[options.index("--slow") + 1])
    sys.stdout.write(f"listening on {port}\n")
    sys.stdout.flush()
    kind = Server if "--serial" in options else Threads
    kind(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
