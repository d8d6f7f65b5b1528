"""Services that sell metrics, as far as our probes ask them: stateful stand-ins that refuse what the real ones refuse.

Written from their documented contracts; none was held against the real service.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import HttpServer, Met, page

Answer = tuple[int, Any, dict[str, str]]


def serve(server: HttpServer, path: str, answer: Callable[[Met], Answer]) -> str:
    """Let a stand-in answer on a path; the base URL."""

    async def behave(met: Met, writer: asyncio.StreamWriter) -> None:
        status, body, headers = answer(met)
        plain = isinstance(body, str)
        kind = "text/plain" if plain else "application/json"
        writer.write(page(body.encode() if plain else json.dumps(body).encode(), status, kind, **headers))
        await writer.drain()

    server.on(path, behave)
    return server.url("")


@dataclass
class FakeDatadog:
    """`GET /api/v1/query`."""

    api_key: str = "api"
    app_key: str = "app"
    limit: int = 1000
    """Requests until the limit is reached; it is reset in `reset` seconds."""
    reset: int = 42
    series: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Query -> what it gives."""
    broken: str = ""
    """An error of its own, told inside a 200."""
    asked: int = 0

    def answer(self, met: Met) -> Answer:
        keys = (met.headers.get("dd-api-key"), met.headers.get("dd-application-key"))
        if keys != (self.api_key, self.app_key):
            return 403, {"errors": ["Forbidden"]}, {}
        self.asked += 1
        limits = {
            "X_RateLimit_Limit": str(self.limit),
            "X_RateLimit_Period": "3600",
            "X_RateLimit_Remaining": str(max(0, self.limit - self.asked)),
            "X_RateLimit_Reset": str(self.reset),
        }
        if self.asked > self.limit:
            return 429, {"errors": ["Too many requests"]}, limits
        given = {name: values[0] for name, values in parse_qs(urlsplit(met.path).query).items()}
        if missing := {"from", "to", "query"} - set(given):
            return 400, {"errors": [f"The parameter {sorted(missing)[0]!r} is required"]}, limits
        if int(given["from"]) >= int(given["to"]):
            return 400, {"errors": ["The value of 'to' must be greater than 'from'"]}, limits
        if self.broken:
            return 200, {"status": "error", "error": self.broken, "series": []}, limits
        found = [self._within(one, int(given["from"]), int(given["to"])) for one in self.series.get(given["query"], [])]
        return 200, {"status": "ok", "res_type": "time_series", "query": given["query"], "series": found}, limits

    def _within(self, series: dict[str, Any], start: int, end: int) -> dict[str, Any]:
        points = [[at, value] for at, value in series["pointlist"] if start * 1000 <= at <= end * 1000]
        return {**series, "pointlist": points}


@dataclass
class FakeNewRelic:
    """`POST /graphql` for NRQL of one account."""

    key: str = "NRAK-1"
    account: int = 7
    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """NRQL -> rows."""
    events: dict[str, int] = field(default_factory=dict)
    """Event type -> how many there are."""
    limit: int = 3000
    partial: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, met: Met) -> Answer:
        if met.headers.get("api-key") != self.key:
            return 401, {"errors": [{"message": "Invalid or missing API key"}]}, {}
        if met.headers.get("content-type") != "application/json":
            return 400, "expected application/json", {}
        text = json.loads(met.body).get("query", "")
        found = re.fullmatch(
            r'\{\s*actor\s*\{\s*account\(id: (\d+)\)\s*\{\s*nrql\(query: ("(?:[^"\\]|\\.)*"), timeout: (\d+)\)'
            r"\s*\{\s*results\s*\}\s*\}\s*\}\s*\}",
            text,
        )
        if found is None:
            return 200, {"errors": [{"message": f"Syntax Error: {text:.20}", "locations": [{"line": 1}]}]}, {}
        if int(found[1]) != self.account:
            return 200, {"data": {"actor": {"account": None}}}, {}
        nrql = json.loads(found[2])
        self.asked.append(nrql)
        if len(self.asked) > self.limit:
            return 429, {"errors": [{"message": "NRQL rate limit exceeded"}]}, {"Retry_After": "60"}
        return self._nrql(nrql)

    def _nrql(self, nrql: str) -> Answer:
        def account(results: Any) -> dict[str, Any]:
            return {"actor": {"account": {"nrql": None if results is None else {"results": results}}}}

        if self.partial:
            errors = [{"message": "NRDB:1106924 An error occurred resolving this field", "path": ["actor"]}]
            return 200, {"data": account([{"count": 3}]), "errors": errors}, {}
        if not re.match(r"SELECT .+ FROM ", nrql):
            errors = [{"message": f"NRQL Syntax Error: Error at line 1 position 1, unexpected {nrql[:8]!r}"}]
            return 200, {"data": account(None), "errors": errors}, {}
        if nrql in self.results:
            return 200, {"data": account(self.results[nrql])}, {}
        kind = re.search(r"FROM (\w+)", nrql)
        return 200, {"data": account([{"count": self.events.get(kind[1] if kind else "", 0)}])}, {}


@dataclass
class FakeGrafana:
    """`POST /api/ds/query`."""

    token: str = "glsa"
    sources: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """Uid of a data source -> expression -> frames."""

    def answer(self, met: Met) -> Answer:
        if met.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid", "traceID": ""}, {}
        asked = json.loads(met.body)
        queries = asked.get("queries")
        if not queries:
            return 400, {"message": "No queries found in query", "messageId": "query.noQueries"}, {}
        if not (str(asked.get("from", "")).isdigit() and int(asked["from"]) < int(asked["to"])):
            return 400, {"message": "bad request data", "messageId": "query.invalidTime"}, {}
        results = {query["refId"]: self._one(query) for query in queries}
        if None in results.values():
            return 404, {"message": "Data source not found", "messageId": "datasource.notFound"}, {}
        failed = any("error" in (one or {}) for one in results.values())
        return 400 if failed else 200, {"results": results}, {}

    def _one(self, query: dict[str, Any]) -> dict[str, Any] | None:
        source = self.sources.get((query.get("datasource") or {}).get("uid", ""))
        if source is None:
            return None
        expression = query.get("expr", "")
        if expression not in source:
            return {"error": f"bad_data: parse error: unexpected {expression!r}", "status": 400, "frames": []}
        return {"status": 200, "frames": source[expression]}


@dataclass
class FakeLoki:
    """`POST /loki/api/v1/query` for counts of lines, over lines that were pushed."""

    tenant: str | None = None
    lines: list[tuple[float, dict[str, str], str]] = field(default_factory=list)
    """(time, labels of the stream, line)."""
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Other queries -> `data`."""
    warnings: list[str] = field(default_factory=list)

    def push(self, line: str, age: float = 10.0, **labels: str) -> None:
        self.lines.append((time.time() - age, labels, line))

    def answer(self, met: Met) -> Answer:
        if self.tenant is not None and met.headers.get("x-scope-orgid") != self.tenant:
            return 401, "no org id\n", {}
        query, at = met.form.get("query", ""), met.form.get("time", "")
        if not re.fullmatch(r"\d+(\.\d+)?", at):
            return 400, "could not parse 'time' parameter\n", {}
        more = {"warnings": self.warnings} if self.warnings else {}
        if query in self.answers:
            return 200, {"status": "success", "data": self.answers[query], **more}, {}
        found = re.fullmatch(r'sum\(count_over_time\(\{(.*?)\}(?: \|= "(.*)")? \[(\d+)([smh])\]\)\)', query)
        if found is None:
            return 400, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER\n", {}
        labels = dict(re.findall(r'(\w+)="([^"]*)"', found[1]))
        over = float(found[3]) * {"s": 1, "m": 60, "h": 3600}[found[4]]
        count = sum(
            float(at) - over < when <= float(at) and labels.items() <= stream.items() and (found[2] or "") in line
            for when, stream, line in self.lines
        )
        result = [{"metric": {}, "value": [float(at), str(count)]}] if count else []
        return 200, {"status": "success", "data": {"resultType": "vector", "result": result, "stats": {}}, **more}, {}
