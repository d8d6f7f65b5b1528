"""An HTTP request and its reply, as the rest of chaosrunner sees them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from chaosrunner.http_errors import Asked, gist
from chaosrunner.model.access import Access
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.secret import SecretRef
from chaosrunner.records.light import dataclass
from chaosrunner.secrets import without_secrets
from chaosrunner.urls import redact

REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice without harm (RFC 9110, idempotent)."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. Secrets are references; they are resolved when the request is made ready."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str | SecretRef] = field(default_factory=dict)
    body: bytes | None = None
    json: JsonValue = None
    """Instead of `body`; sent with its content type."""
    timeout: float = 10.0
    """Seconds for all of it, from connecting to the last byte of the body; each attempt by itself."""
    asked: Asked = Asked.SYSTEM
    bearer: SecretRef | None = None
    basic: tuple[str, SecretRef] | None = None
    """User name, and where the password is."""
    ca_file: str | None = None
    """PEM; the only authority that is then trusted."""
    client_cert: str | None = None
    """PEM of our own certificate, for servers that ask for one (mTLS)."""
    client_key: str | None = None
    """PEM of its key; None: it is in `client_cert`."""
    keep: int = 0
    """Bytes of the decoded body to keep; 0: the body is read to its end and dropped."""
    fresh: bool = False
    """A new connection each time."""
    retries: int = 0
    """How often it is sent again after 429, 502, 503, 504 or a failure of the network."""
    keyed: bool = False
    """The receiver recognises a repetition by a key in it, so that a POST may be sent again."""
    hide_path: bool = False
    """The path is a secret (webhooks): never shown."""

    def __post_init__(self) -> None:
        if self.retries and not (self.keyed or self.method.upper() in REPEATABLE):
            raise ValueError(f"a {self.method} without a key cannot be sent twice safely: no retries")

    def __str__(self) -> str:
        return f"{self.method.upper()} {redact(self.url, hide_path=self.hide_path)}"


def request_as(access: Access, url: str, **more: Any) -> Request:
    """A request to a service as whoever `access` says; `more` as in `Request`, headers and timeout in place of its."""
    given: dict[str, Any] = {"headers": access.headers, "timeout": access.timeout}
    return Request(
        url,
        bearer=access.bearer_token,
        basic=access.pair,
        ca_file=access.ca_file,
        client_cert=access.client_cert,
        client_key=access.client_key,
        **given | more,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, whatever the status."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """The first `keep` bytes, decoded."""
    cut: bool
    """The body was longer than `keep`."""
    seconds: float
    """From asking to the body's last byte."""
    charset: str = "utf-8"

    def text(self) -> str:
        """The body as text; what cannot be decoded is replaced."""
        try:
            return self.body.decode(self.charset, errors="replace")
        except LookupError:
            return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError that says what came instead."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "").partition(";")[0].strip()
            what = self.says() or "an empty body"
            raise ValueError(f"expected JSON, found {f'{kind}: ' if kind else ''}{what}") from None

    def says(self) -> str:
        """What an error body says, of whatever shape, on one short line; never a secret that it was sent."""
        # Before it is cut, lest half of one be left; and after what was escaped in it is read.
        return without_secrets(gist(without_secrets(self.text()), self.headers.get("content-type", "")))

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip()
