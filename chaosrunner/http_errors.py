"""Whose failure a failed HTTP request is, and what it is in words.

Who was asked decides what a failure means: the system under test that does not answer is *no answer*; a metrics
server that does not is *no reading*; a tracker or notifier that does not is *not possible now*. A failure of this
machine (no file descriptors left, an authority that is not trusted here) is never the system's.

Nothing of httpx is imported here: its classes are told by name, and a test walks its whole tree of them.
"""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator
from enum import Enum

from chaosrunner.errors import ChaosrunnerError, NoAnswer, NoReading, NotAccepted, NotPossibleNow
from chaosrunner.records.patterns import pattern


class Asked(Enum):
    """Who was asked, which decides what it means that nothing came back."""

    SYSTEM = NoAnswer
    """The system under test: its silence is a reading."""
    INSTRUMENT = NoReading
    """What measures it (Prometheus): without it there is no reading."""
    SERVICE = NotPossibleNow
    """Another service (a tracker, a notifier): it may work later."""


THEIRS = frozenset(
    {
        "ConnectTimeout",
        "ReadTimeout",
        "WriteTimeout",
        "TimeoutError",
        "ConnectError",
        "ReadError",
        "WriteError",
        "CloseError",
        "RemoteProtocolError",
        "TooManyRedirects",
        "HTTPStatusError",
    }
)
"""Errors that say how the other side behaved."""
OURS = frozenset(
    {
        "PoolTimeout",
        "LocalProtocolError",
        "UnsupportedProtocol",
        "ProxyError",
        "InvalidURL",
        "CookieConflict",
        "StreamError",
        "StreamConsumed",
        "StreamClosed",
        "ResponseNotRead",
        "RequestNotRead",
    }
)
"""Errors of this side: of the request itself, or of a proxy on the way."""
GARBAGE = frozenset({"DecodingError"})
"""Something was answered that is not what it says it is."""

_OWN_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
)
_OWN_NAMES = frozenset({socket.EAI_MEMORY, socket.EAI_SYSTEM})
_UNTRUSTED_HERE = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for a certificate whose authority is not known here: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_GET_ISSUER_CERT_LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE. One that is expired, not
yet valid or for another host is the server's own failure."""


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that led to it, groups included."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        waiting += [cause for cause in (current.__cause__, current.__context__) if cause is not None]


def is_own(error: BaseException) -> bool:
    """Whether an error of the network is this machine's own failure."""
    for one in chain(error):
        if isinstance(one, socket.gaierror):
            return one.errno in _OWN_NAMES
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_code in _UNTRUSTED_HERE
        if isinstance(one, ssl.SSLError):
            return False  # its numbers are OpenSSL's own and mean nothing to the operating system
        if isinstance(one, OSError) and one.errno in _OWN_ERRNOS:
            return True
    return False


def failure(error: BaseException, asked: Asked, what: str, *, reason: str = "", cut: bool = False) -> ChaosrunnerError:
    """What a failed request means. `what` names the request; `cut`: it failed while the answer came in."""
    words = f"{what}: {reason or why(error, cut=cut)}"
    name = _known_name(error)
    if asked is Asked.SERVICE:
        return NotPossibleNow(words)
    if asked is Asked.INSTRUMENT or name in OURS or name in GARBAGE or (name in THEIRS and is_own(error)):
        return NoReading(words)
    return NoAnswer(words)


def refusal(status: int) -> type[NotAccepted | NotPossibleNow]:
    """What it means that a service which was told something answers so: `NotAccepted` where the same would be refused
    again."""
    return NotAccepted if status in (400, 405, 413, 415, 422) else NotPossibleNow


def _known_name(error: BaseException) -> str:
    known = THEIRS | OURS | GARBAGE
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in known), "")


def why(error: BaseException, *, cut: bool = False) -> str:
    """The reason in words for people."""
    for one in chain(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted: {one.verify_message}"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed: {one.reason or one}"
        if isinstance(one, socket.gaierror):
            return f"the name cannot be resolved: {one.strerror}"
        if isinstance(one, ConnectionRefusedError):
            return "connection refused"
        if isinstance(one, ConnectionResetError | BrokenPipeError):
            return "the answer was cut short by a reset" if cut else "connection reset"
        if isinstance(one, OSError) and one.errno and one.strerror and not isinstance(one, TimeoutError):
            return one.strerror[:1].lower() + one.strerror[1:]
    return _of_protocol(error, cut)


def _of_protocol(error: BaseException, cut: bool) -> str:
    text, name = str(error), _known_name(error)
    if name == "RemoteProtocolError":
        if "disconnected without" in text:
            return "the connection was closed without an answer"
        return "the answer was cut short" if cut else f"the answer is not HTTP: {text}"
    if name in {"ReadError", "WriteError", "CloseError"}:
        return "the answer was cut short" if cut else "the connection broke"
    if name == "DecodingError":
        return f"the body is not encoded as its header says: {text}"
    return f"{name or type(error).__name__}: {text}" if text else name or type(error).__name__


_LONGEST = 200
_MARKUP = pattern(r"(?is)<(script|style|head)\b.*?</\1\s*>|<[^>]*>")


def gist(text: str, content_type: str = "") -> str:
    """The point of an error body of any shape (text, a JSON string, an object, a page), on one short line."""
    words = text
    try:
        words = "; ".join(_messages(json.loads(text))) or text
    except (ValueError, RecursionError):
        if "html" in content_type or text.lstrip()[:1] == "<":
            import html

            words = html.unescape(_MARKUP.sub(" ", text))
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _messages(value: object) -> Iterator[str]:
    """Texts of an error object under the names that services use; of other objects, nothing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _messages(item)
    elif isinstance(value, dict):
        for name in ("error", "message", "errors", "errorMessages", "detail", "title", "reason"):
            inner = value.get(name)
            if isinstance(inner, dict) and name == "errors":
                yield from (f"{field}: {said}" for field, said in inner.items())
            elif inner is not None:
                yield from _messages(inner)
