"""A service that is told things over HTTP: a tracker, a notifier.

Nothing is asked for twice that a second time would do twice. What only reads, and what sets something to a value, is
tried again when the way or the server failed; what makes something is tried again only where the server said that it
did not do it (429, as GitHub's 403 and Statuspage's 420). Otherwise the outcome is unknown, and whoever asked looks
before asking again. A host that asked for patience is left alone by everybody until that time is over.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any, NoReturn, Self
from urllib.parse import urljoin, urlsplit

from chaosrunner.errors import NoReading, NotAccepted, NotPossibleNow, OutcomeUnknown, Patience, UsageError
from chaosrunner.http import Asked, Http, Reply, Request, check_url, redact, retry_after
from chaosrunner.http_messages import REPEATABLE
from chaosrunner.model.access import Reach
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.secret import SecretRef
from chaosrunner.records.light import dataclass
from chaosrunner.secrets import without_secrets

_LIMIT = 8 * 1024 * 1024
_TRIES = 3
_PAUSES = (0.5, 2.0)
_LONGEST_WAIT = 15.0
"""Seconds of patience that are waited for here and now; for longer ones it is not possible now."""
_LONGEST_PATIENCE = 3600.0
_EPOCH = 1e9
"""A reset header that says more is a time, not a number of seconds."""
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"})
"""Failures, by the name of their class, before a byte of a request was sent."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one is there."""

    bearer: SecretRef | None = None
    basic: tuple[str, SecretRef] | None = None
    headers: Mapping[str, str | SecretRef] = field(default_factory=dict)


NOBODY = Identity()
_NONE: Mapping[str, str] = MappingProxyType({})


class Service:
    """One of them. `name` is for messages; `url` the beginning of all paths. With `hide` the path is a secret."""

    def __init__(
        self,
        http: Http,
        name: str,
        url: str,
        identity: Identity = NOBODY,
        reach: Reach | None = None,
        *,
        hide: bool = False,
    ) -> None:
        self.name = f"{name} at {redact(url, hide_path=hide)}"
        self.url = url.rstrip("/")
        self.not_done: frozenset[int] = frozenset()
        """Statuses of 500 and above with which it says for certain that nothing was done."""
        self._http = http
        self._host = urlsplit(url).netloc
        self._identity = identity
        self._reach = reach or Reach()
        self._hide = hide

    @classmethod
    def at_secret(
        cls, http: Http, name: str, ref: SecretRef, identity: Identity = NOBODY, reach: Reach | None = None
    ) -> Self:
        """One whose whole URL is a secret: a webhook. Raises `UsageError` for a URL that is none."""
        try:
            url = check_url(http.secret(ref).reveal().strip())
        except ValueError:
            raise UsageError(f"the {ref} holds no URL such as https://hooks.example/…") from None
        return cls(http, name, url, identity, reach, hide=True)

    async def get(self, path: str, good: Sequence[int] = (200,)) -> Reply:
        """What is there. Raises `NotPossibleNow`, or `UsageError` where the question is not accepted."""
        return await self.ask("GET", path, good=good)

    async def ask(
        self,
        method: str,
        path: str,
        content: JsonValue | bytes = None,
        *,
        keyed: bool = False,
        good: Sequence[int] = (200, 201, 202, 204),
        headers: Mapping[str, str] = _NONE,
    ) -> Reply:
        """The answer, with one of the `good` statuses, to JSON or to bytes as they are. `keyed`: a second time changes
        nothing more.

        Raises `OutcomeUnknown` where something was to be made and no answer says whether it was, `NotPossibleNow` where
        it was not done and may work later, `UsageError` where what was asked is not accepted.
        """
        safe = keyed or method in (*REPEATABLE, "PATCH")
        request = self._request(method, path, content, headers, safe=safe)
        for number in range(_TRIES):
            self._be_patient()
            last = number == _TRIES - 1
            try:
                reply = await self._once(request, safe=safe)
            except OutcomeUnknown:
                raise
            except NotPossibleNow:
                if last:
                    raise
                await self._http.clock.sleep(_PAUSES[number])
                continue
            if reply.status in good:
                return reply
            await self._or_again(reply, number, safe=safe)
        raise AssertionError("the last try returns or raises")

    async def _or_again(self, reply: Reply, number: int, *, safe: bool) -> None:
        """Wait for the next try, or raise what this reply means."""
        last = number == _TRIES - 1
        patience = _patience(reply, self._http.clock.now())
        if patience is not None:
            if last or patience > _LONGEST_WAIT:
                self._http.patience[self._host] = self._http.clock.monotonic() + patience
                words = f"asks for {math.ceil(patience)} s of patience ({reply.status}){self._said(reply)}"
                raise Patience(f"{self.name}: {words}", patience)
            await self._http.clock.sleep(patience)
            return
        if reply.status >= 500 and not safe and reply.status not in self.not_done:
            raise OutcomeUnknown(
                f"{self.name}: answered {reply}{self._said(reply)}; it may have been done all the same"
            )
        if reply.status not in (408, 500, 502, 503, 504) or last:
            self.refused(reply)
        await self._http.clock.sleep(_PAUSES[number])

    def _request(
        self, method: str, path: str, content: JsonValue | bytes, headers: Mapping[str, str], *, safe: bool
    ) -> Request:
        return Request(
            path if path.startswith(("http://", "https://")) else self.url + path,
            method=method,
            headers={**self._identity.headers, **headers},
            json=None if isinstance(content, bytes) else content,
            body=content if isinstance(content, bytes) else None,
            timeout=self._reach.timeout,
            asked=Asked.SERVICE,
            bearer=self._identity.bearer,
            basic=self._identity.basic,
            ca_file=self._reach.ca_file,
            client_cert=self._reach.client_cert,
            keep=_LIMIT,
            fresh=not safe,  # on a connection that was kept, one could not tell whether it was heard
            keyed=safe,
            hide_path=self._hide,
        )

    async def _once(self, request: Request, *, safe: bool) -> Reply:
        try:
            reply = await self._http.send(request)
        except (NotPossibleNow, NoReading) as error:
            words = without_secrets(str(error))
            if safe or type(error.__cause__).__name__ in _NOT_SENT:
                raise NotPossibleNow(words) from error
            raise OutcomeUnknown(f"{words}; it may have been done all the same") from error
        if reply.cut:
            kind = NotPossibleNow if safe else OutcomeUnknown
            raise kind(f"{self.name}: answered more than {_LIMIT} bytes")
        return reply

    def _be_patient(self) -> None:
        left = self._http.patience.get(self._host, 0.0) - self._http.clock.monotonic()
        if left > 0:
            raise Patience(f"{self.name}: asked for patience, it is asked again in {math.ceil(left)} s", left)

    def document(self, reply: Reply) -> Any:
        """The answer as JSON. Raises `OutcomeUnknown`: something was done, and not what can be told."""
        try:
            return reply.json()
        except ValueError as error:
            raise OutcomeUnknown(f"{self.name}: {without_secrets(str(error))}") from None

    async def pages(self, path: str, most: int | None = None) -> AsyncIterator[Any]:
        """Everything of a list, or the first `most`, page after page, as its `Link` headers lead (RFC 8288); never to
        another host, since each page is asked for with our own token."""
        read = 0
        while path:
            reply = await self.get(path)
            found = self.document(reply)
            if not isinstance(found, list):
                self.fail(f"expected a list, found {without_secrets(reply.says())[:200]}")
            for each in found:
                yield each
                read += 1
                if read == most:
                    return
            path = self.here(next_page(reply.headers.get("link", "")))

    def here(self, link: str) -> str:
        """A link's own URL, if it leads to this very service; empty for none. Raises `NotPossibleNow` for another."""
        if not link:
            return ""
        whole = urljoin(f"{self.url}/", link)
        if (urlsplit(whole).scheme, urlsplit(whole).netloc) != (urlsplit(self.url).scheme, self._host):
            self.fail(f"leads to another place, {redact(whole)}, which is not asked with this token")
        return whole

    def _said(self, reply: Reply) -> str:
        words = without_secrets(reply.says())
        return f": {words}" if words else ""

    def not_accepted(self, said: str) -> NoReturn:
        """Raise that it does not accept what it was told, whatever status it said that with."""
        raise NotAccepted(f"{self.name}: does not accept what it was told: {without_secrets(said)[:200]}")

    def refused(self, reply: Reply) -> NoReturn:
        """Raise what a status means that is none of the good ones."""
        said = self._said(reply)
        if reply.status == 401:
            self.fail(f"does not accept who we are (401){said}: is the token expired, or another service's?")
        if reply.status in (403, 404, 410):
            self.fail(f"says {reply}{said}: it is not there, or the token may not see or do this")
        if 300 <= reply.status < 400:
            to = redact(reply.headers.get("location", ""))
            self.fail(f"has moved{f' to {to}' if to else ''} ({reply.status}): say so in the environment's file")
        if reply.status in (408, 420, 429) or reply.status >= 500:
            self.fail(f"answered {reply}{said}")
        raise NotAccepted(f"{self.name}: does not accept what it was told ({reply.status}){said}")

    def fail(self, reason: str) -> NoReturn:
        """Not now, and why."""
        raise NotPossibleNow(f"{self.name}: {reason}")


def next_page(link: str) -> str:
    """The `rel="next"` of a Link header; empty: there is none."""
    for part in link.split(","):
        url, _, rest = part.partition(";")
        if 'rel="next"' in rest.replace("'", '"') or rest.strip() == "rel=next":
            return url.strip().strip("<>")
    return ""


def _patience(reply: Reply, now: float) -> float | None:
    """Seconds for which it asks to be left alone, having done nothing; None: it does not ask."""
    named = retry_after(reply.headers.get("retry-after", ""), now)
    spent = reply.headers.get("x-ratelimit-remaining", "").strip() == "0"
    if reply.status not in (420, 429) and not (reply.status == 403 and (named is not None or spent)):
        return None
    for name in ("x-ratelimit-reset", "ratelimit-reset"):
        if named is None and (text := reply.headers.get(name, "").strip()).isdigit():
            named = float(text) - now if float(text) > _EPOCH else float(text)
    return min(max(named if named is not None else 2.0, 0.0), _LONGEST_PATIENCE)
