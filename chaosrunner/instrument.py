"""What measures the system under test and is asked over HTTP: Prometheus, Loki, Grafana, New Relic, Datadog.

Whatever such an instrument does not know is *no reading* with its reason: it does not answer, refuses, sends a page
instead of JSON, is cut short, or asks for patience. One that asked for patience (429, or 503 with `Retry-After`) is not
asked again by any measure before that time is over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn
from urllib.parse import urlencode, urlsplit

from chaosrunner.errors import NoReading
from chaosrunner.http import Asked, Exchange, Http, Reply, redact, request_as, retry_after
from chaosrunner.model.access import Access
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.secret import SecretRef

Take = Literal["last", "mean", "min", "max", "p50", "p95", "p99"]
"""What to make of the numbers of a stretch of time."""
HOLES = 0.2
"""The share of a stretch's numbers that may be missing, as of a phase's readings."""
Point = tuple[float, float | None]
"""(time in seconds, number or nothing)."""
_LIMIT = 1024 * 1024
_LONGEST_PATIENCE = 600.0
_EPOCH = 1e9
"""A reset header that says more is a time, not a number of seconds."""


class Instrument:
    """One of them, spoken to with the same access whatever is asked."""

    def __init__(self, http: Http, name: str, url: str, access: Access, *, limit: int = _LIMIT) -> None:
        """`name` is for messages, `url` the beginning of all paths, `limit` the bytes of the longest answer."""
        self.name = f"{name} at {redact(url)}"
        self._http = http
        self._url = url.rstrip("/")
        self._host = urlsplit(url).netloc
        self._access = access
        self._limit = limit

    def prepare(
        self,
        path: str,
        *,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str | SecretRef] | None = None,
        timeout: float | None = None,
    ) -> Exchange:
        """A query made ready to be sent again and again: a POST if there is a `form` or `json`, otherwise a GET."""
        access = self._access
        given: dict[str, str | SecretRef] = {**access.headers, **(headers or {})}
        if form is not None:
            given["Content-Type"] = "application/x-www-form-urlencoded"
        return self._http.prepare(
            request_as(
                access,
                self._url + path,
                method="GET" if form is None and json is None else "POST",
                headers=given,
                body=None if form is None else urlencode(form).encode(),
                json=json,
                timeout=access.timeout if timeout is None else timeout,
                asked=Asked.INSTRUMENT,
                keep=self._limit,
                keyed=True,  # a query changes nothing, so it may be sent again if a kept connection was closed
            )
        )

    async def send(self, exchange: Exchange) -> Reply:
        """The answer, whole, whatever its status. Raises `NoReading`."""
        clock = self._http.clock
        left = self._http.patience.get(self._host, 0.0) - clock.monotonic()
        if left > 0:
            self.fail(f"asked for patience, it is asked again in {math.ceil(left)} s")
        reply = await exchange.send()
        wait = _patience(reply, clock.now())
        if wait is not None:
            self._http.patience[self._host] = clock.monotonic() + wait
            self.fail(f"asks for {math.ceil(wait)} s of patience ({reply.status}){_colon(reply.says())}")
        if reply.cut:
            self.fail(f"answered more than {self._limit} bytes")
        return reply

    async def ask(self, exchange: Exchange, *, good: Sequence[int] = (200,)) -> dict[str, Any]:
        """The JSON object that was answered. Raises `NoReading`, also for another status than the `good` ones."""
        reply = await self.send(exchange)
        answer = self.document(reply)
        if reply.status not in good:
            self.fail(f"refused the query ({reply.status}): {reply.says() or reply}")
        return answer

    def document(self, reply: Reply) -> dict[str, Any]:
        """The answer as a JSON object, whatever its status. Raises `NoReading`."""
        try:
            answer = reply.json()
        except ValueError as error:
            self.fail(f"answered {reply}: {error}")
        if not isinstance(answer, dict):
            self.fail(f"answered {reply}: expected a JSON object, found {reply.says() or type(answer).__name__}")
        return answer

    def number(self, value: Any) -> float:
        """A finite number, also of a text such as `"0.25"`. Raises `NoReading`."""
        try:
            if value is None or isinstance(value, bool):
                raise ValueError
            number = float(value)
        except (TypeError, ValueError):
            self.fail(f"the value {value!r:.60} is not a number")
        if not math.isfinite(number):
            hint = " (0 divided by 0, perhaps)" if math.isnan(number) else ""
            self.fail(f"the value is {value}{hint}")
        return number

    def point(self, points: Sequence[Point], take: Take, max_age: float) -> float:
        """One number of a series. Raises `NoReading` for a series that is empty or stale, that has too many holes, or
        whose last number is none."""
        known = [(at, value) for at, value in points if value is not None]
        if not known:
            self.fail("the query has no data (no point has a value)" if points else "the query has no data (no points)")
        age = self._http.clock.now() - known[-1][0]
        if age > max_age:
            self.fail(
                f"the newest point is {math.ceil(age)} s old, at most {max_age:g} s are allowed: its source died or "
                "lags, or maxAge is shorter than the data's own interval"
            )
        if take == "last":
            return self.number(known[-1][1])
        numbers = [value for _, value in known if math.isfinite(value)]
        if len(numbers) < (1 - HOLES) * len(points):
            self.fail(f"{len(numbers)} of {len(points)} points have a number, at least {1 - HOLES:.0%} are needed")
        return taken(numbers, take)

    def fail(self, reason: str) -> NoReturn:
        """There is no reading, and why."""
        raise NoReading(f"{self.name}: {reason}")


def taken(numbers: Sequence[float], take: Take) -> float:
    """One number of many; quantiles by linear interpolation between the closest ranks, as Prometheus's
    `quantile_over_time` does."""
    if take == "last":
        return numbers[-1]
    if take == "mean":
        return math.fsum(numbers) / len(numbers)
    ordered = sorted(numbers)
    share = {"min": 0.0, "max": 1.0, "p50": 0.5, "p95": 0.95, "p99": 0.99}[take]
    rank = share * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def _patience(reply: Reply, now: float) -> float | None:
    """Seconds for which it asks to be left alone; None: it does not ask."""
    named = retry_after(reply.headers.get("retry-after", ""), now)
    if reply.status != 429 and not (reply.status == 503 and named is not None):
        return None
    for name in ("x-ratelimit-reset", "ratelimit-reset"):
        if named is None and (text := reply.headers.get(name, "").strip()).isdigit():
            named = float(text) - now if float(text) > _EPOCH else float(text)
    return min(max(named if named is not None else 1.0, 0.0), _LONGEST_PATIENCE)


def _colon(words: str) -> str:
    return f": {words}" if words else ""
