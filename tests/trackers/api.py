"""An API on loopback that remembers what it was told, and can be in trouble at any request."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import HttpServer, Met, page, reset
from tests.near_misses.world import SetClock

TOKEN = "the-token-that-nobody-may-see"


@dataclass
class Trouble:
    """What happens to the next requests that are like this."""

    what: str
    """`lost` (done, but the reply is lost), `unheard` (not done, no reply), `slow` (done, and no reply in time), `busy`
    (429), `down` (503, not done), `failed` (500, done all the same), `garbage` (done, and a proxy's page as answer)."""
    method: str = "POST"
    path: str = ".*"
    times: int = 1


@dataclass
class Answer:
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: Any


class _Everything(dict[str, Any]):
    """One behaviour for all paths."""

    def __init__(self, behaviour: Any) -> None:
        super().__init__()
        self._behaviour = behaviour

    def get(self, key: str, default: Any = None) -> Any:
        return self._behaviour


class Api(HttpServer):
    """What all of them have in common: a token, troubles, and a log of what was asked."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__()
        self.behaviours = _Everything(self._serve)
        self.clock = clock
        self.token = TOKEN
        self.troubles: list[Trouble] = []
        self.asked: list[Asked] = []
        self.lag = 0.0
        """Seconds until what was made is found by searching and listing."""

    def trouble(self, what: str, method: str = "POST", path: str = ".*", times: int = 1) -> None:
        self.troubles.append(Trouble(what, method, path, times))

    def allowed(self, met: Met) -> bool:
        raise NotImplementedError

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def count(self, method: str, path: str = ".*") -> int:
        return sum(each.method == method and bool(re.fullmatch(path, each.path)) for each in self.asked)

    def settled(self, made_at: float) -> bool:
        return self.clock.now() - made_at >= self.lag

    async def _serve(self, met: Met, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(met.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        asked = Asked(met.method, unquote(parts.path), query, json.loads(met.body) if met.body else None)
        self.asked.append(asked)
        what = self._trouble(asked)
        if what == "unheard":
            await reset(met, writer)
            return
        if what in ("busy", "down"):
            status, headers = (429, {"Retry_After": "3"}) if what == "busy" else (503, {})
            writer.write(page(b'{"message": "not now"}', status, "application/json", **headers))
            return
        answer = self.answer(asked) if self.allowed(met) else Answer(401, {"message": f"Who is {met.headers}?"})
        if what == "lost":
            await reset(met, writer)
            return
        if what == "slow":
            await asyncio.Event().wait()
        if what in ("failed", "garbage"):
            writer.write(page(b"<html><title>Oops</title></html>", 500 if what == "failed" else 201, "text/html"))
            return
        if isinstance(answer.body, str):
            writer.write(page(answer.body.encode(), answer.status, "text/plain", **answer.headers))
            return
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        writer.write(page(body, answer.status, "application/json", **answer.headers))

    def _trouble(self, asked: Asked) -> str:
        for each in self.troubles:
            if each.times and each.method == asked.method and re.fullmatch(each.path, asked.path):
                each.times -= 1
                return each.what
        return ""
