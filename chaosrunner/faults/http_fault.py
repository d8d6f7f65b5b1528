"""Answer single HTTP requests late, wrongly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, JsonValue, model_validator
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.network import PodFault, looks_to_see, share_seen_in
from chaosrunner.ports import Parameters, Sighting, Target

SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing at the server (RFC 9110, section 9.2.1), so that a look may use them."""
NOBODY = "chaosrunner-looks-here"
"""In the place of a `*` in the path: nothing serves it."""
MOST = 40
"""Requests of one look."""
SILENT_AFTER = 1.4
DOORS = 8


class Params(Parameters):
    """Which requests, and what becomes of them. At least one of `delay`, `status` and `abort`."""

    path: str = Field(default="*", pattern=r"^[/*]")
    """Path without its query, `*` for anything, slashes too: `/pay*`; default all."""
    methods: tuple[str, ...] = ()
    """Only these methods; default all."""
    delay: Duration = Field(default=0.0, ge=0)
    """Before everything else that becomes of the request."""
    status: int | None = Field(default=None, ge=200, le=599)
    """Answered with this status, without asking the server."""
    body: str = ""
    """With `status`: the answer's body."""
    abort: bool = False
    """The connection is reset, without asking the server."""
    share: Ratio = Field(default=1.0, gt=0)
    """Of the requests, chosen one by one; default 100%. Less than 14% is refused while planning, since seeing it would
    take too many requests."""

    @model_validator(mode="after")
    def _does_something(self) -> Params:
        if not (self.delay or self.status or self.abort):
            raise ValueError("expected at least one of delay, status and abort: what becomes of requests")
        if self.status and self.abort:
            raise ValueError("a request is either answered with `status` or broken off with `abort`")
        if self.body and not self.status:
            raise ValueError("`body` goes with `status`")
        return self

    @property
    def look(self) -> tuple[str, str] | None:
        """A method and a path that the fault is for and that change nothing; None: there is none."""
        wanted = [method.upper() for method in self.methods] or ["GET"]
        harmless = [method for method in wanted if method in SAFE]
        if not harmless and "*" not in self.path:
            return None
        path = self.path.replace("*", NOBODY)
        return (harmless or wanted)[0], path if path.startswith("/") else f"/{path}"


class HttpFault(PodFault[Params]):
    """Delays, answers or breaks off a share of the HTTP/1.1 requests that a pod sends to one dependency, by path and
    method; all others pass unchanged. The dependency itself sees nothing of those that are answered or broken off.

    Only plain HTTP/1.1 can be read: requests inside TLS (also a service mesh's own) and HTTP/2 pass as they come, and
    are counted; where nothing else is sent, nothing meets the fault, and the run is inconclusive. Connections that are
    open at the beginning are reset once, as clients would otherwise go on past the fault for as long as they keep them.

    At the end requests pass unchanged; those that wait are sent on at once.
    """

    acts_on = frozenset({"link"})
    fault_class = "dependency-flaky"
    harder = {"delay": "more", "share": "more"}
    late: ClassVar[Mapping[str, JsonValue]] = {"status": 503, "body": "known later"}
    example = """\
- fault: http-fault
  target: {service: checkout, to: payments}
  with: {path: "/pay*", status: 503, share: 30%}
  for: 30s
"""

    @classmethod
    def identity(cls, params: Params, target: Target) -> dict[str, str]:
        """Which requests."""
        named = {"path": params.path} if params.path != "*" else {}
        return named | ({"methods": ",".join(sorted(params.methods))} if params.methods else {})

    @classmethod
    def does(cls, params: Params) -> str:
        which = "Requests" if params.share == 1 else f"{show(params.share, 'ratio')} of the requests"
        sort = f" {' or '.join(params.methods)}" if params.methods else ""
        late = [f"wait for {write_duration(params.delay)}"] if params.delay else []
        late += [f"are answered with {params.status}"] if params.status else []
        late += ["are broken off with a reset"] if params.abort else []
        return f"{which}{sort} {params.path} {' and '.join(late)}."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "Requests pass unchanged; those that wait are sent on at once."

    async def check(self) -> None:
        if self._asked > MOST:
            raise CannotDoHonestly(
                f"seeing {show(self.params.share, 'ratio')} of the requests hit would take {self._asked} requests a "
                f"look, which is a load of its own; use a share of at least {share_seen_in(MOST)}"
            )
        if self.params.look is None:
            raise CannotDoHonestly(
                f"looking whether the fault is in force would mean a real {self.params.methods[0]} {self.params.path}; "
                f"add GET to `methods`, or a * to `path` so that a path that nobody serves can be asked for"
            )
        await self.links.check(self.target)

    async def prepare(self) -> JsonObject:
        doors = (await self.links.end_of(self.target)).doors[:DOORS]
        looks = [self._look(self._url(door), around=True) for door in doors]
        seen = await asyncio.gather(*looks)
        there = [door for door, one in zip(doors, seen, strict=True) if one.get("outcome") == "answered"]
        if not there:
            raise CannotDoHonestly(
                f"{self.target.name} answers no HTTP request now, so that the fault could not be seen; "
                f"is it there, and does it speak plain HTTP/1.1?"
            )
        return {"url": self._url(there[0])}

    async def inject(self) -> None:
        params = self.params
        asked: JsonObject = {"path": params.path, "share": params.share, "seed": self.hold.seed}
        asked |= {"methods": list(params.methods)} if params.methods else {}
        asked |= {"delay": params.delay} if params.delay else {}
        asked |= {"status": params.status, "body": params.body} if params.status else {}
        asked |= {"abort": True} if params.abort else {}
        await self.links.act(self.target, {"http": asked, "established": "reset"}, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Sends requests that change nothing, as a client in the pod does, and one past the fault beside them."""
        url = str(prepared.get("url"))
        looks = [self._look(url) for _ in range(self._asked)]
        around, *seen = await asyncio.gather(self._look(url, around=True), *looks)
        if around.get("outcome") != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.get('outcome')}")
        if self.params.status and around.get("status") == self.params.status and not self.params.delay:
            return Sighting(False, f"nothing can be said: the other end itself answers {self.params.status}")
        hit = [one for one in seen if self._is_hit(one, around)]
        share = f" ({len(hit)} of {len(seen)} requests)" if len(seen) > 1 else ""
        return Sighting(bool(hit), f"{_said((hit or seen)[0])}, past the fault {_said(around)}{share}")

    def _is_hit(self, seen: JsonObject, around: JsonObject) -> bool:
        if self.params.abort and seen.get("outcome") != "reset":
            return False
        if self.params.status and seen.get("status") != self.params.status:
            return False
        more = _seconds(seen) - _seconds(around)
        return not self.params.delay or seen.get("outcome") == "silent" or more >= self.params.delay / 2

    def _look(self, url: str, *, around: bool = False) -> Any:
        method = (self.params.look or ("GET", ""))[0]
        words: Sequence[str] = ["http", url, "--method", method]
        wait = ["--silent-after", f"{min(SILENT_AFTER + self.params.delay, 3.0):g}"]
        return self.links.look(self.target, [*words, *wait, *(("--around",) if around else ())])

    def _url(self, door: tuple[str, int]) -> str:
        host, port = door
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}{(self.params.look or ('', '/'))[1]}"

    @property
    def _asked(self) -> int:
        """Requests of one look."""
        return looks_to_see(self.params.share)


def _seconds(seen: JsonObject) -> float:
    found = seen.get("seconds")
    return float(found) if isinstance(found, int | float) else 0.0


def _said(seen: JsonObject) -> str:
    if seen.get("outcome") == "answered":
        return f"a request is answered {seen.get('status')} after {show(_seconds(seen), 's')}"
    return f"a request is {seen.get('outcome')} after {show(_seconds(seen), 's')}"
