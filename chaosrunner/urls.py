"""URLs: which ones a file may name, how they are shown, and which proxy of the environment they go through."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from chaosrunner.model.marks import AfterValidator

_SECRET_WORDS = ("token", "key", "secret", "pass", "pwd", "auth", "sig", "code", "credential")


def check_url(text: str) -> str:
    """The URL itself. Raises ValueError, in words for the author of a file, unless it is http(s) with a host and
    without credentials."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"expected a URL such as http://127.0.0.1:7001/healthz: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"expected a URL such as http://127.0.0.1:7001/healthz, found {redact(text)!r}")
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in text):
        raise ValueError(f"a URL holds no blanks: write %20, found {redact(text)!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials never stand in a URL: use a reference to a secret (bearerToken, basic, headers)")
    return text


Url = Annotated[str, AfterValidator(check_url)]
"""An http or https URL without credentials."""


def redact(url: str, *, hide_path: bool = False) -> str:
    """A URL for messages: credentials, the fragment and the values of secret-looking query keys are left out, and
    with `hide_path` everything behind the host (webhooks carry their secret in the path)."""
    try:
        parts = urlsplit(url)
        where = f"{parts.scheme}://{_place(parts)}" if parts.scheme else _place(parts)
    except ValueError:
        return "(not a URL)"
    if hide_path:
        return f"{where}/…"
    if not parts.query:
        return where + parts.path
    shown = [f"{quote(key)}={_veil(key, value)}" for key, value in parse_qsl(parts.query, keep_blank_values=True)]
    return f"{where}{parts.path}?{'&'.join(shown) or '…'}"


def _place(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _veil(key: str, value: str) -> str:
    return "…" if any(word in key.lower() for word in _SECRET_WORDS) else quote(value, safe="/:,")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself: never through a proxy."""
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that the environment names for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY (also in lower case, which
    wins), less what NO_PROXY excludes (hosts, domains with all below them, addresses, networks, `*`)."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if is_loopback(host):
        return None

    def setting(name: str) -> str:
        return environ.get(name, "") or environ.get(name.upper(), "")

    if any(_excludes(entry.strip(), host, port) for entry in setting("no_proxy").split(",") if entry.strip()):
        return None
    proxy = setting(f"{parts.scheme}_proxy") or setting("all_proxy")
    return (proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def _excludes(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, _, only = entry.lower().rpartition(":") if entry.count(":") == 1 else (entry.lower(), "", "")
    if only and only != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")
