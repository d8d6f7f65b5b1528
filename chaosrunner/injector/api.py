"""The API server as a program in a pod asks it: as the pod's service account, over one connection that is kept open.

Beside the cluster's own Service for it, it is asked by the address that it says itself (`/api`): when it comes back,
that works at once, while each node's rules for the Service follow seconds later.

Standard library only. The token is read anew for each request, as it is replaced while the pod runs.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from chaosrunner.injector.operations import Answer, Call, Operation, Outcome, carry_out

PATIENCE = 3.0
"""Seconds that the API server may take to answer."""
CONNECTS_WITHIN = 1.2
"""Seconds: while it is away, packets to it may vanish, and TCP asks again only after one, two, four seconds."""
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Api:
    """Knows several ways to the same server; one that fails is not tried again before all others."""

    def __init__(self, url: str = "", account: Path = _ACCOUNT) -> None:
        self._ways = [url or _of_the_service()]
        self._account = account
        self._connection: http.client.HTTPConnection | None = None
        self._looked_around = False
        self.date = 0.0
        """The server's own time (epoch seconds) of its last answer."""

    def ask(self, call: Call, **query: Any) -> Answer:
        """One request. Code 0: no answer."""
        try:
            if not self._looked_around:
                self._look_around()
            response = self._send(call, query, PATIENCE)
            found = json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            self._ways.append(self._ways.pop(0))
            return Answer(0, {"message": str(error) or type(error).__name__})
        return Answer(response.status, found)

    def _look_around(self) -> None:
        """The addresses that the server says it has; not having them costs time only."""
        response = self._send(Call("GET", "/api"), {}, PATIENCE)
        told = json.loads(response.read() or b"{}")
        self._looked_around = True
        scheme = self._ways[0].partition("://")[0]
        for each in told.get("serverAddressByClientCIDRs") or () if response.status == 200 else ():
            way = f"{scheme}://{each.get('serverAddress')}"
            if each.get("serverAddress") and way not in self._ways:
                self._ways.append(way)

    def wait(self, path: str, seconds: float, **query: Any) -> None:
        """Until something changes there, or so long; at once if that cannot be watched."""
        asked = {"watch": "true", "timeoutSeconds": max(1, round(seconds)), **query}
        try:
            response = self._send(Call("GET", path), asked, seconds + PATIENCE)
            if response.status == 200 and not response.readline():
                response.read()
                return
        except (OSError, http.client.HTTPException):
            pass
        self.close()  # the rest of the stream is not read

    def _send(self, call: Call, query: Mapping[str, Any], within: float) -> http.client.HTTPResponse:
        connection = self._connection or self._connect()
        self._connection = connection
        if connection.sock is None:
            connection.timeout = CONNECTS_WITHIN
            connection.connect()
        connection.sock.settimeout(within)
        headers = {"Accept": "application/json", "User-Agent": "chaosrunner-guardian"}
        token = self._account / "token"
        if token.exists():
            headers["Authorization"] = f"Bearer {token.read_text().strip()}"
        if call.body is not None:
            headers["Content-Type"] = call.type
        where = call.path + (f"?{urlencode(query)}" if query else "")
        connection.request(call.method, where, None if call.body is None else json.dumps(call.body), headers)
        response = connection.getresponse()
        date = email.utils.parsedate_to_datetime(response.headers["Date"]) if response.headers["Date"] else None
        self.date = date.timestamp() if date is not None else 0.0
        return response

    def _connect(self) -> http.client.HTTPConnection:
        scheme, _, address = self._ways[0].partition("://")
        if scheme == "http":
            return http.client.HTTPConnection(address, timeout=PATIENCE)
        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        return _Secured(address, context)

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def do(self, operation: Operation) -> Outcome:
        """Carry an operation out."""
        steps = carry_out(operation)
        try:
            call = next(steps)
            while True:
                call = steps.send(self.ask(call))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


class _Secured(http.client.HTTPSConnection):
    """Whatever address it is reached by, its certificate must be that of the cluster's Service for it."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__(address, timeout=PATIENCE, context=context)
        self._tls = context

    def connect(self) -> None:
        """As the base class does, with another name to check."""
        sock = socket.create_connection((self.host, self.port), CONNECTS_WITHIN)
        sock.settimeout(PATIENCE)
        name = os.environ.get("KUBERNETES_SERVICE_HOST", self.host)
        self.sock = self._tls.wrap_socket(sock, server_hostname=name)


def _of_the_service() -> str:
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT_HTTPS", os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
